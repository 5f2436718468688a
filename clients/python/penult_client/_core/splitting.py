"""How the rows of one call become several requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penult_client._about import Limits
from penult_client._core.inputs import Texts
from penult_client._core.rows import Rows
from penult_client._exceptions import InvalidInputError, PenultError

# One part is some seconds of work even for a large encoder on a few cores, so that it ends within the default
# timeout with another part ahead of it; and it is still many batches, so that packing by length pays. A function
# of the rows alone: the same call is packed the same way each time.
PART_ROWS = 1024
PART_BYTES = 128 * 1024

# Bytes of a text that a model reads, about: longer ones are cut.
_READ_BYTES = 2048

# Tag and length around the list of rows.
_LIST_OVERHEAD = 16


@dataclass
class Part:
    """Rows `start` to `stop` (exclusive) of a call, sent as one request.

    `until` is when their time is out; `given` the seconds that the last attempt had, `sent` when it began, and `seen`
    how many others of the call were done by then; `refused` is what the one before it was told.
    """

    start: int
    stop: int
    until: float | None = None
    attempts: int = 0
    given: float = 0.0
    sent: float = 0.0
    seen: int = 0
    refused: PenultError | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    def split(self, rows: int) -> list[Part]:
        """The same rows in parts of at most `rows`."""
        return [
            Part(start, min(start + rows, self.stop), self.until)
            for start in range(self.start, self.stop, rows)
        ]


def split_rows(rows: Rows, limits: Limits, options_bytes: int, passes: int = 1) -> list[Part]:
    """Parts that the server takes, in order, covering every row once.

    Each row is run in so many `passes`. One that weighs more than `PART_BYTES` makes a part of its own.

    Raises:
        InvalidInputError: a row alone is more than a request may hold (TEXT_TOO_LARGE, ROW_TOO_LARGE).
    """
    room = limits.max_request_bytes - options_bytes - _LIST_OVERHEAD - rows.frame
    largest = max(rows.sizes)
    if largest + rows.overhead > room:
        index = rows.sizes.index(largest)
        where = rows.place(index)
        raise InvalidInputError(
            f"{where} has {largest} bytes; the server takes {max(room - rows.overhead, 0)} in one request"
            + (": cut it" if isinstance(rows, Texts) else ""),
            reason="TEXT_TOO_LARGE" if isinstance(rows, Texts) else "ROW_TOO_LARGE",
            field=where,
            metadata={"max_request_bytes": str(limits.max_request_bytes)},
        )
    most_rows = max(1, min(PART_ROWS // passes, limits.max_texts))
    return list(_pack(rows, most_rows, PART_BYTES // passes, room))


def patience(rows: Rows, passes: int) -> float:
    """How many times as long as usual a part may take, at least 1: none is smaller than a row with all its passes."""
    if passes == 1:
        return 1.0
    return max(1.0, passes / PART_ROWS, passes * min(max(rows.weights), _READ_BYTES) / PART_BYTES)


def _pack(rows: Rows, most_rows: int, most_weight: int, room: int) -> Iterable[Part]:
    start, held, weight = 0, 0, 0
    for index, (size, weighs) in enumerate(zip(rows.sizes, rows.weights, strict=True)):
        size, weighs = size + rows.overhead, weighs + rows.overhead
        full = index - start == most_rows or held + size > room or weight + weighs > most_weight
        if index > start and full:
            yield Part(start, index)
            start, held, weight = index, 0, 0
        held += size
        weight += weighs
    yield Part(start, len(rows))
