"""What is submitted, and what runs together."""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from penult_service.errors import PenultError

Run = Callable[[Sequence[Any]], Sequence[Any]]


class Lane(enum.Enum):
    """Small requests go first, but never for ever."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(eq=False)
class Request:
    """The rows that one caller submitted in one step, and the future that answers it.

    Rows are packed together with those of other requests of the same queue, lane and `run` (which is compared
    by equality). `lengths` are the tokens a row; `deadline` and `arrived` are seconds of the monotonic clock.
    """

    queue: Hashable
    run: Run
    payloads: Sequence[Any]
    lengths: Sequence[int]
    lane: Lane
    arrived: float
    deadline: float | None = None
    future: Future[list[Any]] = field(default_factory=Future)
    results: list[Any] = field(init=False)
    missing: int = field(init=False)  # rows without a result
    turn: int = field(init=False, default=0)  # its place among all requests, in the order of arrival
    planned: int = field(init=False, default=0)  # rows that a plan has seen
    waiting_rows: int = field(init=False)
    waiting_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.results = [None] * len(self.payloads)
        self.missing = self.waiting_rows = len(self.payloads)
        self.waiting_tokens = sum(self.lengths)

    def give(self, i: int, result: Any) -> None:
        """A row's result; with the last one the caller is answered."""
        self.results[i] = result
        self.missing -= 1
        if not self.missing:
            with suppress(InvalidStateError):  # cancelled, or answered already
                self.future.set_result(self.results)

    def fail(self, error: PenultError) -> None:
        """Answer with an error, unless the caller has cancelled or is answered already."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)

    def expired(self, now: float) -> bool:
        """Whether the caller's deadline has passed."""
        return self.deadline is not None and self.deadline <= now

    def gone(self, now: float) -> bool:
        """Whether nobody waits for it any more: cancelled, failed or expired."""
        return self.future.done() or self.expired(now)


# A row: its request, and its number there.
Row = tuple[Request, int]


@dataclass(frozen=True)
class Batch:
    """Rows that run together."""

    queue: Hashable
    run: Run
    rows: Sequence[Row]

    @property
    def requests(self) -> set[Request]:
        """Those whose rows they are."""
        return {request for request, _ in self.rows}

    def apart(self) -> list[Batch]:
        """A batch for each request, the rows in the same order."""
        rows: dict[Request, list[Row]] = {}
        for request, i in self.rows:
            rows.setdefault(request, []).append((request, i))
        return [Batch(self.queue, self.run, own) for own in rows.values()]

    def deliver(self, results: Sequence[Any]) -> None:
        """Give each row its result."""
        for (request, i), result in zip(self.rows, results, strict=True):
            request.give(i, result)

    @property
    def tokens(self) -> int:
        """Tokens of the rows, without padding."""
        return sum(request.lengths[i] for request, i in self.rows)

    @property
    def padded_tokens(self) -> int:
        """Tokens computed: the longest row times the rows."""
        return max(request.lengths[i] for request, i in self.rows) * len(self.rows)
