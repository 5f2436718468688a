"""Storing the results of analyses by name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from penult_service.analysis.results import Result
from penult_service.config import Limits
from penult_service.errors import AlreadyExists, InvalidInput, PenultError
from penult_service.rpc.analysis.bases import FOR_NEW_ROWS
from penult_service.rpc.analysis.codec import check_request_id
from penult_service.rpc.analysis.kinds import PROJECTIONS, Kind
from penult_service.rpc.analysis.replies import About
from penult_service.rpc.analysis.result_codec import Parts, parts
from penult_service.rpc.analysis.sources import DatasetSide, Side
from penult_service.rpc.limits import check_fits, response_limit, too_large
from penult_service.rpc.stored import Stored
from penult_service.storage import ResultInfo, ResultStore, RowsOf, StoredResult

# The most that a reply says of where the result is stored, about.
STORED_BYTES = 4096
# And of a cluster in its history.
ENTRY_BYTES = 20


@dataclass(frozen=True)
class Keeping:
    """Where a result shall be stored."""

    kind: Kind
    name: str
    overwrite: bool
    request_id: str


class Keeper:
    """Stores results, by a name that the caller gave or as the own result of an operation."""

    def __init__(self, limits: Limits, stored: Stored) -> None:
        self._most, self._stored = limits, stored

    async def keeping(self, kind: Kind, request: Any) -> tuple[Keeping | None, StoredResult | None]:
        """Where the result of a request shall be stored (None: nowhere), and that result when it is there already.

        Raises:
            InvalidInput: NAME_INVALID, or options without a name. AlreadyExists: the name is taken.
        """
        if not request.name:
            if request.overwrite or request.request_id:
                field = "overwrite" if request.overwrite else "request_id"
                raise InvalidInput(
                    f"{field} is of results that are stored; give a name",
                    reason="WRONG_COMBINATION",
                    field=field,
                )
            return None, None
        check_request_id(request.request_id)
        keeping = Keeping(kind, result_name(kind, request.name), request.overwrite, request.request_id)
        return keeping, await self._stored.run(_there, self.store(kind), keeping)

    async def reply(self, kind: Kind, found: StoredResult, request: Any) -> Any:
        """The reply to a call whose result is there already.

        Raises:
            InvalidInput: it is larger than the caller takes (RESPONSE_TOO_LARGE).
        """
        response = await asyncio.to_thread(kind.response, found)
        check_fits(response, found.info.source.rows, response_limit(request.max_response_bytes, self._most))
        return response

    async def keep(self, keeping: Keeping, result: Result, about: About, side: Side) -> ResultInfo:
        """Store a result; what is known of it. Whoever stops waiting, it is stored whole or not at all."""
        return await self._stored.run(_put, self.store(keeping.kind), keeping, result, about, side)

    async def keep_own(
        self, operation: str, parameters: Mapping[str, Any], made: Parts, side: Side
    ) -> ResultInfo:
        """Store a result as the own one of an operation, with its parameters as asked where no others are told.

        When its operation is cancelled meanwhile, it goes again.
        """
        store = self._stored.storage.operations.results
        storing = self._stored.begin(
            lambda: store.put(
                operation, made.arrays, parameters=made.parameters or parameters, facts=made.facts,
                source=rows_of(side), versions=made.versions,
            )
        )  # fmt: skip

        def take_back(_: object) -> None:
            with suppress(RuntimeError):  # the server ends: the next start removes it
                self._stored.begin(lambda: store.delete(operation))

        try:
            return await asyncio.shield(storing)
        except asyncio.CancelledError:
            storing.add_done_callback(take_back)
            raise

    def store(self, kind: Kind) -> ResultStore:
        """Where results of a kind are."""
        storage = self._stored.storage
        return storage.projections if kind is PROJECTIONS else storage.clusterings


def check_storable(response: Message, rows: int, limit: int, more: int) -> None:
    """Refuse, before anything is stored, what could not be answered: a reply that will have so many more bytes.

    Raises:
        InvalidInput: it would be larger than the limit (RESPONSE_TOO_LARGE).
    """
    size = response.ByteSize() + more
    if size > limit:
        raise too_large(rows, size, limit, rows * limit // size)


def result_name(kind: Kind, text: str) -> str:
    """`projections/map1` or `map1` -> `map1`; whether it can be a name, storage says."""
    name = text.removeprefix(f"{kind.plural}/")
    if not name:
        raise InvalidInput(f"name is empty; name a {kind.word}", reason="NAME_INVALID", field="name")
    return name


def _there(store: ResultStore, keeping: Keeping) -> StoredResult | None:
    """What the same request stored already."""
    found = _same(store, keeping)
    if found is not None:
        return found
    store.check_free(keeping.name, overwrite=keeping.overwrite)
    return None


def _same(store: ResultStore, keeping: Keeping) -> StoredResult | None:
    if not keeping.request_id:
        return None
    try:
        found = store.get(keeping.name, without=FOR_NEW_ROWS)
    except PenultError:  # there is none, or it is damaged: who stores it is told
        return None
    return found if found.info.facts.get("request_id") == keeping.request_id else None


def _put(store: ResultStore, keeping: Keeping, result: Result, about: About, side: Side) -> ResultInfo:
    made = parts(result, about, {"request_id": keeping.request_id, "embedding": side.embedding})
    try:
        return store.put(
            keeping.name,
            made.arrays,
            parameters=made.parameters,
            facts=made.facts,
            source=rows_of(side),
            versions=made.versions,
            overwrite=keeping.overwrite,
        )
    except AlreadyExists:
        # The caller left the first time while that was being stored, and has asked again.
        found = _same(store, keeping)
        if found is None:
            raise
        return found.info


def rows_of(side: Side) -> RowsOf:
    """What a result belongs to."""
    if side.snapshot is None or not isinstance(side.asked, DatasetSide):
        return RowsOf(side.rows, embedding_space=side.space)
    snapshot = side.snapshot
    return RowsOf(side.rows, snapshot.id_digest(), snapshot.name, snapshot.generation, side.space)
