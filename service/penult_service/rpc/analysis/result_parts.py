"""Stored results as streams: parts of a size that any client takes, each a reply of the analysis with some rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb

from penult_service.config import Limits
from penult_service.errors import InvalidInput
from penult_service.rpc.analysis.analyses import Analysis
from penult_service.rpc.analysis.kinds import Kind
from penult_service.rpc.analysis.limits import USUAL_BYTES
from penult_service.rpc.analysis.replies import ROWS
from penult_service.rpc.analysis.stored_replies import RESPONSES
from penult_service.rpc.limits import OVERHEAD_BYTES
from penult_service.storage import StoredResult

PART_BYTES = 1 << 20
_ROW_ARRAYS = {
    "similarity": ("scores",),
    "neighbors": ("indices", "scores"),
    "cluster": ("labels",),
    "project": ("coordinates", "row_neighbors_kept"),
    "compare_dropout": (),
    **ROWS,
}
# Arrays that have no row a row of the result: each part has its share of them, in order.
_SPREAD = {"duplicates": ("pairs", "scores")}


@dataclass(frozen=True, eq=False)
class Readable:
    """A stored result of an analysis; `kind` is what it is stored as under a name of its own, None: it has none."""

    analysis: Analysis
    found: StoredResult
    kind: Kind | None = None

    @property
    def rows(self) -> int:
        """How many rows it has that can be read some at a time."""
        names = _ROW_ARRAYS[self.analysis.name]
        return len(self.found.arrays[names[0]]) if names else 0

    @property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Those that are read some at a time; what an older release did not write is not there."""
        arrays = self.found.arrays
        return {name: arrays[name] for name in _ROW_ARRAYS[self.analysis.name] if name in arrays}

    def response(self) -> Any:
        """The whole reply of the analysis."""
        return self._reply(self.found)

    def part(self, first: int, stop: int, whole: bool) -> pb.ReadResultResponse:
        """Some rows, with (`whole`) or without all that is no row."""
        names, rows = _ROW_ARRAYS[self.analysis.name], max(self.rows, 1)
        spread = _SPREAD.get(self.analysis.name, ())
        sliced = {
            name: array[first * len(array) // rows : stop * len(array) // rows]
            if name in spread
            else array[first:stop]
            for name, array in self._arrays.items()
        }
        reply = self._reply(replace(self.found, arrays={**self.found.arrays, **sliced}))
        if not whole:
            for field, _ in reply.ListFields():
                if field.name not in names:
                    reply.ClearField(field.name)
        part = pb.ReadResultResponse(first_row=first, row_count=stop - first, rows=self.rows)
        getattr(part, self.analysis.field).CopyFrom(reply)
        return part

    def row_bytes(self) -> int:
        """Of one row in a message."""
        rows = max(self.rows, 1)
        return max(1, sum(-(-array.nbytes // rows) for array in self._arrays.values()))

    def _reply(self, found: StoredResult) -> Any:
        reply = RESPONSES[self.analysis.name](found)
        if self.kind is not None:
            self.kind.told_in(reply, found.info)
        return reply


async def parts(
    readable: Readable, request: pb.ReadResultRequest, limits: Limits
) -> AsyncGenerator[pb.ReadResultResponse]:
    """The parts that a request asks for.

    Raises:
        InvalidInput: a number is out of range (OUT_OF_RANGE).
    """
    rows, first = readable.rows, request.first_row
    if not 0 <= first <= rows:
        raise InvalidInput(
            f"first_row is {first}; {request.name} has {rows} rows", reason="OUT_OF_RANGE", field="first_row"
        )
    if request.max_part_bytes < 0:
        raise InvalidInput(
            f"max_part_bytes is {request.max_part_bytes}; give bytes, or 0 for {PART_BYTES}",
            reason="OUT_OF_RANGE",
            field="max_part_bytes",
        )
    size = min(request.max_part_bytes or PART_BYTES, limits.max_response_bytes)
    step = max(1, (size - OVERHEAD_BYTES - USUAL_BYTES) // readable.row_bytes())
    whole = True
    while whole or first < rows:
        stop = min(first + step, rows)
        part = await asyncio.to_thread(readable.part, first, stop, whole)
        over = part.ByteSize() - size
        if (
            whole and over > 0 and stop > first + 1
        ):  # what is no row takes its room too: clusters and their words
            stop = max(first + 1, stop + -over // readable.row_bytes())
            part = await asyncio.to_thread(readable.part, first, stop, whole)
        yield part
        first, whole = stop, False
