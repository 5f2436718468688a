"""What waits: bounded in tokens a queue, taken by lane, then by who waited longest, then packed by length.

Plain data, used under the scheduler's lock: nothing here is thread-safe, blocks, or answers a caller.
"""

from __future__ import annotations

import enum
import itertools
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from penult_service.batching.plan import plan
from penult_service.errors import InvalidInput, ResourceExhausted


class Lane(enum.Enum):
    """Small requests go first, but never for ever."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


Run = Callable[[Sequence[Any]], Sequence[Any]]


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
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.results = [None] * len(self.payloads)
        self.missing = len(self.payloads)

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
    def tokens(self) -> int:
        """Tokens of the rows, without padding."""
        return _tokens(self.rows)

    @property
    def padded_tokens(self) -> int:
        """Tokens computed: the longest row times the rows."""
        return max(request.lengths[i] for request, i in self.rows) * len(self.rows)


class _Group:
    """Waiting rows that may share batches, with a plan that is kept until something comes or goes."""

    def __init__(self, queue: Hashable, run: Run, turn: int) -> None:
        self.queue, self.run = queue, run
        self.waiting_since = turn
        self.requests: dict[Request, int] = {}  # rows that wait
        self._unplanned: list[Row] = []
        self._planned: deque[list[Row]] = deque()

    def add(self, request: Request) -> None:
        self.requests[request] = len(request.payloads)
        self._unplanned.extend((request, i) for i in range(len(request.payloads)))

    def remove(self, gone: set[Request]) -> list[Row]:
        """Take the rows of these requests out."""
        rows = self._replan()
        for request in gone:
            del self.requests[request]
        self._unplanned = [row for row in rows if row[0] not in gone]
        return [row for row in rows if row[0] in gone]

    def take(self, token_budget: int, max_rows: int) -> list[Row]:
        """The next batch: of all planned ones, that with the row that waited longest."""
        if self._unplanned:
            rows = sorted(self._replan(), key=lambda row: row[0].arrived)
            batches = plan([r.lengths[i] for r, i in rows], token_budget=token_budget, max_rows=max_rows)
            batches.sort(key=lambda batch: rows[min(batch)][0].arrived)
            self._planned.extend([rows[i] for i in batch] for batch in batches)
        taken = self._planned.popleft()
        for request, _ in taken:
            self.requests[request] -= 1
            if not self.requests[request]:
                del self.requests[request]
        return taken

    def __bool__(self) -> bool:
        return bool(self._unplanned or self._planned)

    def _replan(self) -> list[Row]:
        rows = [*itertools.chain.from_iterable(self._planned), *self._unplanned]
        self._planned.clear()
        self._unplanned = []
        return rows


class Backlog:
    """All waiting requests.

    Args:
        token_budget, max_rows: Of a batch, see `plan`.
        max_waiting_tokens: The most that may wait in a queue (a model version).
        interactive_in_a_row: Interactive batches taken while bulk work waits before one of that is taken.
    """

    def __init__(
        self, *, token_budget: int, max_rows: int, max_waiting_tokens: int, interactive_in_a_row: int = 4
    ) -> None:
        self._token_budget, self._max_rows = token_budget, max_rows
        self._bound = max_waiting_tokens
        self._in_a_row, self._streak = interactive_in_a_row, 0
        self._groups: dict[Lane, dict[tuple[Hashable, Run], _Group]] = {lane: {} for lane in Lane}
        self._waiting: dict[Hashable, int] = {}
        self._turns = itertools.count()

    def waiting(self, queue: Hashable) -> int:
        """Tokens that wait in the queue."""
        return self._waiting.get(queue, 0)

    def __bool__(self) -> bool:
        return any(self._groups.values())

    def lane_for(self, lengths: Sequence[int]) -> Lane:
        """Interactive when the whole request fits one batch."""
        fits = len(lengths) <= self._max_rows and max(lengths) * len(lengths) <= self._token_budget
        return Lane.INTERACTIVE if fits or len(lengths) == 1 else Lane.BULK

    def add(self, request: Request, tokens_per_second: float | None) -> None:
        """Queue all rows of a request.

        Raises:
            InvalidInput: more tokens than the queue ever holds (REQUEST_TOO_LARGE).
            ResourceExhausted: no room now (QUEUE_FULL); `retry_after` is estimated from `tokens_per_second`.
        """
        tokens, waiting = sum(request.lengths), self.waiting(request.queue)
        if tokens > self._bound:
            raise InvalidInput(
                f"the request has {tokens} tokens, the queue of a model holds {self._bound}; "
                "send fewer texts a call",
                reason="REQUEST_TOO_LARGE",
                metadata={"tokens": str(tokens), "max_tokens": str(self._bound)},
            )
        excess = waiting + tokens - self._bound
        if excess > 0:
            raise ResourceExhausted(
                f"{waiting} tokens wait for this model and the request has {tokens}; "
                f"its queue holds {self._bound}, so try again later",
                retry_after=self._seconds_to_run(excess, tokens_per_second),
                metadata={"waiting_tokens": str(waiting), "max_tokens": str(self._bound)},
            )
        self._waiting[request.queue] = waiting + tokens
        groups, key = self._groups[request.lane], (request.queue, request.run)
        if key not in groups:
            groups[key] = _Group(request.queue, request.run, next(self._turns))
        groups[key].add(request)

    def drop_gone(self, now: float) -> list[Request]:
        """Take out the requests for which nobody waits any more, and return them."""
        return self._drop(lambda request: request.gone(now))

    def drop_all(self) -> list[Request]:
        """Take everything out, and return it."""
        return self._drop(lambda _: True)

    def take(self) -> Batch | None:
        """The next batch to run; None when nothing waits."""
        lane = self._next_lane()
        if lane is None:
            return None
        groups = self._groups[lane]
        key, group = min(groups.items(), key=lambda item: item[1].waiting_since)
        rows = group.take(self._token_budget, self._max_rows)
        # Waiting starts anew with every batch, so queues take turns and a long one blocks no other.
        group.waiting_since = next(self._turns)
        if not group:
            del groups[key]
        self._leave(rows)
        return Batch(group.queue, group.run, rows)

    def _next_lane(self) -> Lane | None:
        interactive, bulk = (bool(self._groups[lane]) for lane in (Lane.INTERACTIVE, Lane.BULK))
        if interactive and not (bulk and self._streak >= self._in_a_row):
            self._streak = self._streak + 1 if bulk else 0
            return Lane.INTERACTIVE
        self._streak = 0
        return Lane.BULK if bulk else None

    def _drop(self, condition: Callable[[Request], bool]) -> list[Request]:
        dropped: list[Request] = []
        for groups in self._groups.values():
            for key, group in list(groups.items()):
                gone = {request for request in group.requests if condition(request)}
                if gone:
                    dropped.extend(request for request in group.requests if request in gone)
                    self._leave(group.remove(gone))
                if not group:
                    del groups[key]
        return dropped

    def _leave(self, rows: Iterable[Row]) -> None:
        for request, i in rows:
            self._waiting[request.queue] -= request.lengths[i]
            if not self._waiting[request.queue]:
                del self._waiting[request.queue]

    def _seconds_to_run(self, tokens: int, tokens_per_second: float | None) -> float:
        """When that many tokens of a queue will have run, with all queues taking turns."""
        if not tokens_per_second:
            return 1.0
        return min(60.0, max(0.05, tokens * max(1, len(self._waiting)) / tokens_per_second))


def _tokens(rows: Iterable[Row]) -> int:
    return sum(request.lengths[i] for request, i in rows)
