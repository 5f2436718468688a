"""How the texts of one call become several requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from penult_client._about import Limits
from penult_client._core.inputs import Texts
from penult_client._exceptions import InvalidInputError

# One part is some seconds of work even for a large encoder on a few cores, so that it ends within the default
# timeout with another part ahead of it; and it is still many batches, so that packing by length pays. A function
# of the texts alone: the same call is packed the same way each time.
PART_TEXTS = 1024
PART_BYTES = 128 * 1024

# Tag and length in front of a text, and around the list of texts.
_TEXT_OVERHEAD = 6
_LIST_OVERHEAD = 16


@dataclass
class Part:
    """Rows `start` to `stop` (exclusive) of a call, sent as one request."""

    start: int
    stop: int
    until: float | None = None
    attempts: int = 0

    def __len__(self) -> int:
        return self.stop - self.start

    def split(self, rows: int) -> list[Part]:
        """The same rows in parts of at most `rows`."""
        return [
            Part(start, min(start + rows, self.stop), self.until)
            for start in range(self.start, self.stop, rows)
        ]


def split_texts(texts: Texts, limits: Limits, options_bytes: int) -> list[Part]:
    """Parts that the server takes, in order, covering every text once.

    A text longer than `PART_BYTES` makes a part of its own.

    Raises:
        InvalidInputError: a text alone is more than a request may hold (TEXT_TOO_LARGE).
    """
    room = limits.max_request_bytes - options_bytes - _LIST_OVERHEAD
    largest = max(texts.sizes)
    if largest + _TEXT_OVERHEAD > room:
        index = texts.sizes.index(largest)
        raise InvalidInputError(
            f"{texts.field}[{index}] has {largest} bytes; the server takes {max(room - _TEXT_OVERHEAD, 0)} in one "
            "request: cut it",
            reason="TEXT_TOO_LARGE",
            field=f"{texts.field}[{index}]",
            metadata={"max_request_bytes": str(limits.max_request_bytes)},
        )
    return list(_pack(texts.sizes, min(PART_TEXTS, max(limits.max_texts, 1)), min(PART_BYTES, room)))


def _pack(sizes: Sequence[int], most_texts: int, most_bytes: int) -> Iterable[Part]:
    start, held = 0, 0
    for index, size in enumerate(sizes):
        cost = size + _TEXT_OVERHEAD
        if index > start and (index - start == most_texts or held + cost > most_bytes):
            yield Part(start, index)
            start, held = index, 0
        held += cost
    yield Part(start, len(sizes))
