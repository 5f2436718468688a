"""What waits: bounded in tokens a queue, taken by lane, then by who waited longest, then packed by length.

Plain data, used under the scheduler's lock: nothing here is thread-safe, blocks, or answers a caller.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Hashable, Sequence

from penult_service.batching.plan import plan
from penult_service.batching.request import Batch, Lane, Request, Row, Run
from penult_service.errors import InvalidInput, ResourceExhausted

# Rows of a group that are planned together, at most: sorting more packs no better, and takes milliseconds.
_WINDOW = 2048


class _Group:
    """Waiting rows that may share batches, with a plan that is kept until something comes or goes."""

    def __init__(self, queue: Hashable, run: Run, turn: int) -> None:
        self.queue, self.run = queue, run
        self.waiting_since = turn
        self.requests: list[Request] = []
        self._changed = False
        self._coming: deque[Request] = deque()
        self._batches: deque[list[Row]] = deque()

    def __bool__(self) -> bool:
        return bool(self.requests)

    def add(self, request: Request) -> None:
        self.requests.append(request)
        self._coming.append(request)
        self._changed = True

    def remove(self, gone: set[Request]) -> None:
        self.requests = [request for request in self.requests if request not in gone]
        self._coming = deque(request for request in self._coming if request not in gone)
        self._batches = deque([row for row in batch if row[0] not in gone] for batch in self._batches)
        self._changed = True

    def take(self, token_budget: int, max_rows: int) -> list[Row]:
        """The next batch: of all planned ones, that with the row that waited longest."""
        if self._changed or not self._batches:
            self._plan(token_budget, max_rows)
        taken = self._batches.popleft()
        for request, i in taken:
            request.waiting_rows -= 1
            request.waiting_tokens -= request.lengths[i]
        if any(not request.waiting_rows for request, _ in taken):
            self.requests = [request for request in self.requests if request.waiting_rows]
        return taken

    def _plan(self, token_budget: int, max_rows: int) -> None:
        rows = sorted(itertools.chain.from_iterable(self._batches), key=lambda row: (row[0].turn, row[1]))
        while self._coming and len(rows) < _WINDOW:
            request = self._coming[0]
            first, request.planned = request.planned, request.planned + _WINDOW - len(rows)
            rows.extend((request, i) for i in range(len(request.payloads))[first : request.planned])
            if request.planned >= len(request.payloads):
                self._coming.popleft()
        batches = plan([r.lengths[i] for r, i in rows], token_budget=token_budget, max_rows=max_rows)
        self._batches = deque([rows[i] for i in batch] for batch in sorted(batches, key=min))
        self._changed = False


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

    def has_room(self, request: Request) -> bool:
        """Whether the queue can take it now."""
        return self.waiting(request.queue) + request.waiting_tokens <= self._bound

    def add(self, request: Request, tokens_per_second: float | None) -> None:
        """Queue all rows of a request.

        Raises:
            InvalidInput: more tokens than the queue ever holds (REQUEST_TOO_LARGE).
            ResourceExhausted: no room now (QUEUE_FULL); `retry_after` is estimated from `tokens_per_second`.
        """
        tokens, waiting = request.waiting_tokens, self.waiting(request.queue)
        if tokens > self._bound:
            raise InvalidInput(
                f"the request has {tokens} tokens, the queue of a model holds {self._bound}; "
                "send fewer texts a call",
                reason="REQUEST_TOO_LARGE",
                metadata={"tokens": str(tokens), "max_tokens": str(self._bound)},
            )
        if not self.has_room(request):
            raise ResourceExhausted(
                f"{waiting} tokens wait for this model and the request has {tokens}; "
                f"its queue holds {self._bound}, so try again later",
                retry_after=self._seconds_to_run(waiting + tokens - self._bound, tokens_per_second),
                metadata={"waiting_tokens": str(waiting), "max_tokens": str(self._bound)},
            )
        self._waiting[request.queue] = waiting + tokens
        request.turn = next(self._turns)
        groups, key = self._groups[request.lane], (request.queue, request.run)
        if key not in groups:
            groups[key] = _Group(request.queue, request.run, request.turn)
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
        batch = Batch(group.queue, group.run, rows)
        self._leave(batch.queue, batch.tokens)
        return batch

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
                gone = [request for request in group.requests if condition(request)]
                if gone:
                    group.remove(set(gone))
                    dropped.extend(gone)
                if not group:
                    del groups[key]
        for request in dropped:
            self._leave(request.queue, request.waiting_tokens)
        return dropped

    def _leave(self, queue: Hashable, tokens: int) -> None:
        self._waiting[queue] -= tokens
        if not self._waiting[queue]:
            del self._waiting[queue]

    def _seconds_to_run(self, tokens: int, tokens_per_second: float | None) -> float:
        """When that many tokens of a queue will have run, with all queues taking turns."""
        if not tokens_per_second:
            return 1.0
        return min(60.0, max(0.05, tokens * max(1, len(self._waiting)) / tokens_per_second))
