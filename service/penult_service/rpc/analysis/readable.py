"""Stored results found by the names that the wire has for them."""

from __future__ import annotations

from penult_service.errors import InvalidInput, NotFound, PreconditionFailed
from penult_service.operations import Operations
from penult_service.rpc.analysis.analyses import BY_NAME, CLUSTER, PROJECT, Analysis
from penult_service.rpc.analysis.bases import FOR_NEW_ROWS
from penult_service.rpc.analysis.keeping import Keeper
from penult_service.rpc.analysis.kinds import Kind
from penult_service.rpc.analysis.result_parts import Readable
from penult_service.rpc.operation_replies import error_of
from penult_service.rpc.stored import Stored
from penult_service.storage import OperationRecord, ResultInfo, ResultStore
from penult_service.storage.operations import DONE, RUNNING

_NAMED: dict[str, Analysis] = {"projections": PROJECT, "clusterings": CLUSTER}


class Reader:
    """Finds results."""

    def __init__(self, operations: Operations, keeper: Keeper, stored: Stored) -> None:
        self._operations, self._keeper, self._stored = operations, keeper, stored

    async def find(self, name: str) -> Readable:
        """The result of that resource name.

        Raises:
            InvalidInput: no name of a result (NAME_INVALID). NotFound: there is none. DataDamaged: it is not what was
                written. PreconditionFailed: the operation has not ended (OPERATION_NOT_DONE). PenultError: what the
                operation failed of.
        """
        plural, _, short = name.partition("/")
        if plural == "operations" and short:
            return await self._of_ended(self._operations.get(short))
        if plural not in _NAMED or not short:
            raise InvalidInput(
                f"{name[:80]!r} is no result: operations/NAME, projections/NAME or clusterings/NAME",
                reason="NAME_INVALID",
                field="name",
            )
        return await self._read(_NAMED[plural], name)

    async def of_operation(self, record: OperationRecord) -> Readable:
        """The result of an operation that is done.

        Raises:
            NotFound: what it stored by name is gone, or another (RESULT_NOT_FOUND). DataDamaged: as `find`.
        """
        readable = await self._read(BY_NAME[record.analysis], record.stored)
        _check_same(record, readable.found.info)
        return readable

    async def info_of(self, record: OperationRecord) -> ResultInfo:
        """What is known of that result, without reading it. Raises as `of_operation`."""
        _, store, short = self._place(record.stored)
        info = await self._stored.run(store.info, short)
        _check_same(record, info)
        return info

    async def _read(self, analysis: Analysis, name: str) -> Readable:
        kind, store, short = self._place(name)
        found = await self._stored.run(store.get, short, without=FOR_NEW_ROWS)
        return Readable(analysis, found, kind)

    def _place(self, name: str) -> tuple[Kind | None, ResultStore, str]:
        """What the result of that name is stored as (None: an operation's own), where, and under which name."""
        plural, _, short = name.partition("/")
        kind = _NAMED[plural].kind if plural in _NAMED else None
        return kind, self._keeper.store(kind) if kind else self._stored.storage.operations.results, short

    async def _of_ended(self, record: OperationRecord) -> Readable:
        if record.state == RUNNING:
            raise PreconditionFailed(
                f"operation {record.name!r} has not ended; wait for it (WaitOperation)",
                reason="OPERATION_NOT_DONE",
                field="name",
            )
        if record.state != DONE:
            raise error_of(record)
        return await self.of_operation(record)


def bytes_told(info: ResultInfo) -> int:
    """Of the arrays that replies have, of a stored result."""
    return info.bytes - sum(info.array_bytes.get(name, 0) for name in FOR_NEW_ROWS)


def _check_same(record: OperationRecord, info: ResultInfo) -> None:
    if record.stored_created and info.created != record.stored_created:
        raise NotFound(
            f"the result of operation {record.name!r}, {record.stored}, was overwritten",
            reason="RESULT_NOT_FOUND",
            field="name",
        )
