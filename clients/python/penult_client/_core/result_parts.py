"""A result that comes in parts: its rows go into arrays that have their full size from the first part on."""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as analysis

from penult_client._core import arrays
from penult_client._core.analysis_results import Origin, rows_of
from penult_client._core.kinds import KINDS, Kind
from penult_client._exceptions import PreconditionError

# Of one part: small enough for any stub, large enough that the way there does not count.
PART_BYTES = 1 << 20


def read_request(name: str, first_row: int, most_bytes: int) -> analysis.ReadResultRequest:
    """Asks for the rows of a result from `first_row` on."""
    return analysis.ReadResultRequest(
        name=name, first_row=first_row, max_part_bytes=min(PART_BYTES, most_bytes)
    )


class Gathered:
    """The rows of one result, in order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._kind: Kind[Any] | None = None
        self._head: Any = None
        self._arrays: dict[str, NDArray[Any]] = {}
        self._spread: dict[str, list[NDArray[Any]]] = {}
        self.rows = 0
        self.total: int | None = None

    @property
    def complete(self) -> bool:
        """Whether all rows are there."""
        return self.rows == self.total

    @property
    def head(self) -> Any:
        """What the reply says beside its rows: known from the first part on."""
        return self._head

    def add(self, part: analysis.ReadResultResponse) -> None:
        """The next rows. The message itself is changed.

        Raises:
            InternalError: they are not (BAD_REPLY). PreconditionError: it is another result now (RESULT_CHANGED).
        """
        field = part.WhichOneof("result")
        kind = next((kind for kind in KINDS if kind.field == field), None)
        if kind is None:
            raise arrays.bad_reply(f"a part of {self._name} without a result")
        reply = getattr(part, kind.field)
        rows = {name: rows_of(reply, name) for name in kind.by_row}
        spread = {name: rows_of(reply, name) for name in kind.spread}
        if self.total is None:
            self._begin(kind, reply, rows, part.rows)
        else:
            self._check_same(kind, reply, part.rows)
        stop = part.first_row + part.row_count
        if part.first_row != self.rows or stop > part.rows:
            raise arrays.bad_reply(
                f"rows {part.first_row} to {stop} of {part.rows} of {self._name} after {self.rows}"
            )
        for name, values in rows.items():
            whole = self._arrays[name]
            if len(values) != part.row_count or (part.row_count and values.shape[1:] != whole.shape[1:]):
                raise arrays.bad_reply(f"{name} {list(values.shape)} of {part.row_count} rows")
            if part.row_count:
                whole[part.first_row : stop] = values
        for name, values in spread.items():
            self._spread.setdefault(name, []).append(values)
        self.rows = stop

    def record(self, origin: Origin | None = None) -> Any:
        """The result, as the analysis returns it."""
        assert self._kind is not None
        spread = {name: np.concatenate(parts) for name, parts in self._spread.items()}
        return self._kind.record(self._head, origin, {**self._arrays, **spread})

    def _begin(self, kind: Kind[Any], reply: Any, rows: dict[str, NDArray[Any]], total: int) -> None:
        self._kind, self.total = kind, total
        self._head = _without_rows(kind, reply)
        for name, values in rows.items():
            self._arrays[name] = np.empty((total, *values.shape[1:]), values.dtype)

    def _check_same(self, kind: Kind[Any], reply: Any, total: int) -> None:
        """That a stream that was begun again, whose first part says it all once more, is of the same result."""
        assert self._kind is not None
        head = _without_rows(kind, reply)
        changed = kind is not self._kind or total != self.total
        if changed or (head.ByteSize() and head != self._head):
            raise PreconditionError(
                f"{self._name} was overwritten while it was read; read it again", reason="RESULT_CHANGED"
            )


def _without_rows(kind: Kind[Any], reply: Any) -> Message:
    """What a reply says beside its rows. The message itself is changed."""
    for name in (*kind.by_row, *kind.spread):
        reply.ClearField(name)
    made: Message = reply
    return made
