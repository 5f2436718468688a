"""`google.longrunning.Operations`: how far operations are, and what became of them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf.empty_pb2 import Empty
from penult.v1 import analysis_service_pb2 as pb

from penult_service.errors import InvalidInput, PenultError
from penult_service.operations import Operations
from penult_service.rpc import operation_replies as replies
from penult_service.rpc.analysis.readable import Reader, bytes_told
from penult_service.rpc.handlers import Call
from penult_service.rpc.limits import page_size
from penult_service.rpc.stored import Stored
from penult_service.storage.operations import DONE, RUNNING, OperationRecord

INLINE_BYTES = 1 << 20
# A reply takes a moment to be on its way before the caller's deadline.
_MARGIN_SECONDS = 0.25


class OperationsService:
    """The service itself."""

    def __init__(self, operations: Operations, reader: Reader, stored: Stored) -> None:
        self._operations, self._reader, self._stored = operations, reader, stored

    async def get_operation(
        self, request: operations_pb2.GetOperationRequest, _: Call
    ) -> operations_pb2.Operation:
        """One operation, with its result when that is small."""
        return await self.told(self._operations.get(operation_name(request.name)))

    async def list_operations(
        self, request: operations_pb2.ListOperationsRequest, _: Call
    ) -> operations_pb2.ListOperationsResponse:
        """All operations, the newest first."""
        if request.name not in ("", "operations"):
            raise InvalidInput(
                f"name is {request.name!r}; it is operations, or empty", reason="WRONG_NAME", field="name"
            )
        found = _filtered(self._operations.all(), request.filter)
        first, size = _after(found, request.page_token), page_size(request.page_size)
        page = found[first : first + size]
        return operations_pb2.ListOperationsResponse(
            operations=[self._briefly(record) for record in page],
            next_page_token=_token(page[-1]) if first + size < len(found) else "",
        )

    async def wait_operation(
        self, request: operations_pb2.WaitOperationRequest, call: Call
    ) -> operations_pb2.Operation:
        """One operation when it has ended, or after a while."""
        limits = []
        if request.HasField("timeout"):
            limits.append(request.timeout.seconds + request.timeout.nanos / 1e9)
        if call.deadline is not None:
            limits.append(call.deadline - time.monotonic() - _MARGIN_SECONDS)
        seconds = max(0.0, min(limits)) if limits else None
        return await self.told(await self._operations.wait(operation_name(request.name), seconds))

    async def cancel_operation(self, request: operations_pb2.CancelOperationRequest, _: Call) -> Empty:
        """It ends now; one that has ended stays as it is."""
        await self._operations.cancel(operation_name(request.name))
        return Empty()

    async def delete_operation(self, request: operations_pb2.DeleteOperationRequest, _: Call) -> Empty:
        """It is forgotten."""
        await self._operations.delete(operation_name(request.name))
        return Empty()

    async def told(self, record: OperationRecord) -> operations_pb2.Operation:
        """An operation as a message, with its result."""
        if record.state != DONE:
            return self._briefly(record)
        durable = self._stored.storage.durable
        response: Any = None
        try:
            size = bytes_told(await self._reader.info_of(record))
            if size < INLINE_BYTES:
                readable = await self._reader.of_operation(record)
                response = await asyncio.to_thread(readable.response)
        except PenultError:  # what was stored by name is gone, or another: who reads it is told
            return self._briefly(record)
        if response is None or response.ByteSize() >= INLINE_BYTES:
            response = pb.StoredResult(
                name=record.stored, analysis=record.analysis, rows=record.rows, size_bytes=size
            )
        return replies.operation(record, None, durable, response)

    def _briefly(self, record: OperationRecord) -> operations_pb2.Operation:
        progress = self._operations.progress(record.name)
        return replies.operation(record, progress, self._stored.storage.durable)


def operation_name(text: str) -> str:
    """`operations/map-1` or `map-1` -> `map-1`."""
    name = text.removeprefix("operations/")
    if not name:
        raise InvalidInput("name is empty; name an operation", reason="NAME_INVALID", field="name")
    return name


def _filtered(found: list[OperationRecord], asked: str) -> list[OperationRecord]:
    wanted = {"": None, "done=true": True, "done=false": False}
    words = "".join(asked.split()).lower()
    if words not in wanted:
        raise InvalidInput(
            f"filter is {asked!r}; this server knows done=true and done=false",
            reason="WRONG_FILTER",
            field="filter",
        )
    done = wanted[words]
    return found if done is None else [record for record in found if (record.state != RUNNING) is done]


def _token(record: OperationRecord) -> str:
    """Of the page that ends with it."""
    return f"{record.created} {record.name}"


def _after(found: list[OperationRecord], token: str) -> int:
    """The place behind that of a token, whose operation may be gone."""
    if not token:
        return 0
    created, _, name = token.partition(" ")
    if not name:
        raise InvalidInput(
            "page_token is not one that ListOperations gave; start again without it",
            reason="WRONG_PAGE_TOKEN",
            field="page_token",
        )
    return sum((record.created, record.name) >= (created, name) for record in found)
