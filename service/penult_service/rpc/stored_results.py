"""Maps and clusterings that are stored by name: made with an analysis, then got, listed and deleted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from penult.v1 import analysis_service_pb2 as pb

from penult_service.config import Limits
from penult_service.errors import InvalidInput, PenultError
from penult_service.rpc import result_codec as codec
from penult_service.rpc.analysis_replies import Origin
from penult_service.rpc.codec import MOST_PAGE_SIZE, PAGE_SIZE
from penult_service.rpc.handlers import Call
from penult_service.rpc.limits import check_fits, response_limit
from penult_service.rpc.result_codec import CLUSTERINGS, PROJECTIONS, Kind
from penult_service.rpc.sources import DatasetSide, Side
from penult_service.rpc.stored import Stored
from penult_service.storage import ResultStore, RowsOf, StoredResult

_REQUEST_ID_BYTES = 256


@dataclass(frozen=True)
class Keeping:
    """Where a result shall be stored."""

    kind: Kind
    name: str
    overwrite: bool
    request_id: str


class StoredResults:
    """The methods of `AnalysisService` that have to do with stored results."""

    def __init__(self, limits: Limits, stored: Stored) -> None:
        self._most, self._stored = limits, stored

    async def get_projection(self, request: pb.GetProjectionRequest, _: Call) -> pb.GetProjectionResponse:
        """A stored map."""
        return pb.GetProjectionResponse(result=await self._get(PROJECTIONS, request))

    async def list_projections(
        self, request: pb.ListProjectionsRequest, _: Call
    ) -> pb.ListProjectionsResponse:
        """All stored maps, by name."""
        told, token = await self._list(PROJECTIONS, request)
        return pb.ListProjectionsResponse(projections=told, next_page_token=token)

    async def delete_projection(
        self, request: pb.DeleteProjectionRequest, _: Call
    ) -> pb.DeleteProjectionResponse:
        """The map goes."""
        await self._delete(PROJECTIONS, request)
        return pb.DeleteProjectionResponse()

    async def get_clustering(self, request: pb.GetClusteringRequest, _: Call) -> pb.GetClusteringResponse:
        """Stored clusters."""
        return pb.GetClusteringResponse(result=await self._get(CLUSTERINGS, request))

    async def list_clusterings(
        self, request: pb.ListClusteringsRequest, _: Call
    ) -> pb.ListClusteringsResponse:
        """All stored clusterings, by name."""
        told, token = await self._list(CLUSTERINGS, request)
        return pb.ListClusteringsResponse(clusterings=told, next_page_token=token)

    async def delete_clustering(
        self, request: pb.DeleteClusteringRequest, _: Call
    ) -> pb.DeleteClusteringResponse:
        """The clustering goes."""
        await self._delete(CLUSTERINGS, request)
        return pb.DeleteClusteringResponse()

    async def keeping(self, kind: Kind, request: Any) -> tuple[Keeping | None, Any]:
        """Where the result of a request shall be stored (None: nowhere), and the reply when it is stored already.

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
        if len(request.request_id.encode()) > _REQUEST_ID_BYTES:
            raise InvalidInput(
                f"request_id is over {_REQUEST_ID_BYTES} bytes", reason="OUT_OF_RANGE", field="request_id"
            )
        keeping = Keeping(kind, _name(kind, request.name), request.overwrite, request.request_id)
        found = await self._stored.run(_there, self._store(kind), keeping)
        if found is None:
            return keeping, None
        response = await asyncio.to_thread(kind.response, found)
        check_fits(response, found.info.source.rows, response_limit(request.max_response_bytes, self._most))
        return keeping, response

    async def keep(
        self, keeping: Keeping, result: codec.Kept, origin: Origin, side: Side
    ) -> pb.Projection | pb.Clustering:
        """Store a result; what is known of it. Whoever stops waiting, it is stored whole or not at all."""
        store = self._store(keeping.kind)
        return await self._stored.run(_put, store, keeping, result, origin, side)

    async def _get(self, kind: Kind, request: Any) -> Any:
        limit = response_limit(request.max_response_bytes, self._most)
        found = await self._stored.run(self._store(kind).get, _name(kind, request.name))
        response = await asyncio.to_thread(kind.response, found)
        check_fits(response, found.info.source.rows, limit)
        return response

    async def _list(self, kind: Kind, request: Any) -> tuple[list[Any], str]:
        if request.page_size < 0:
            raise InvalidInput(
                f"page_size is {request.page_size}; give 1 to {MOST_PAGE_SIZE}, or 0 for {PAGE_SIZE}",
                reason="OUT_OF_RANGE",
                field="page_size",
            )
        size = min(request.page_size or PAGE_SIZE, MOST_PAGE_SIZE)
        page = await self._stored.run(self._store(kind).list, size, request.page_token)
        return [kind.told(info) for info in page.results], page.next_page_token

    async def _delete(self, kind: Kind, request: Any) -> None:
        await self._stored.run(self._store(kind).delete, _name(kind, request.name))

    def _store(self, kind: Kind) -> ResultStore:
        storage = self._stored.storage
        return storage.projections if kind is PROJECTIONS else storage.clusterings


def _name(kind: Kind, text: str) -> str:
    """`projections/map1` or `map1` -> `map1`; whether it can be a name, storage says."""
    name = text.removeprefix(f"{kind.plural}/")
    if not name:
        raise InvalidInput(f"name is empty; name a {kind.word}", reason="NAME_INVALID", field="name")
    return name


def _there(store: ResultStore, keeping: Keeping) -> StoredResult | None:
    """What the same request stored already."""
    if keeping.request_id:
        try:
            found = store.get(keeping.name)
        except PenultError:  # there is none, or it is damaged: the check below says what that means
            found = None
        if found is not None and found.info.facts.get("request_id") == keeping.request_id:
            return found
    store.check_free(keeping.name, overwrite=keeping.overwrite)
    return None


def _put(
    store: ResultStore, keeping: Keeping, result: codec.Kept, origin: Origin, side: Side
) -> pb.Projection | pb.Clustering:
    made = codec.parts(result, origin, keeping.request_id)
    info = store.put(
        keeping.name,
        made.arrays,
        parameters=made.parameters,
        facts=made.facts,
        source=_rows_of(side),
        versions=made.versions,
        overwrite=keeping.overwrite,
    )
    told: pb.Projection | pb.Clustering = keeping.kind.told(info)
    return told


def _rows_of(side: Side) -> RowsOf:
    if side.snapshot is None or not isinstance(side.asked, DatasetSide):
        return RowsOf(side.rows, embedding_space=side.space)
    snapshot = side.snapshot
    return RowsOf(side.rows, snapshot.id_digest(), snapshot.name, snapshot.generation, side.space)
