"""Rows that may share batches: whose turn it is among their callers, and what is packed next.

Callers share alike, by tokens: rows are packed in windows, to which the caller with the fewest tokens served adds next
(start-time fair queueing, Goyal, Vin and Cheng 1996). Who comes anew starts where who waited all along would stand by
now (Parekh and Gallager 1993), so that ever new callers do not hold up who stays.

What has little time is not begun in vain: of more work than can be done in time, all would be begun and none ended.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

from penult_service.batching.pace import Pace
from penult_service.batching.plan import Limits, plan
from penult_service.batching.request import Batch, Request, Row, Run

# Rows that are planned together, at most: sorting more packs hardly better, and takes milliseconds.
_WINDOW = 2048
# Batches that they make, about, where several callers wait: each gets its share once in so many batches.
_SHARED_WINDOW = 16
# And at least, where requests have little time.
_TIGHT_WINDOW = 2
# Batches that wait for each stream, before any are computed at once: the last of them end at different times, and while
# one is computed in its stream alone the rest of the machine waits.
_MANY = 4
# The part of a batch's tokens that may run beside others, at most: one short text, or a few.
_LITTLE = 1 / 8
# A window may take so many times what its tokens say: padding, other lanes and models, a row left for the next one.
_MARGIN = 1.5


class _Caller:
    """Who waits: its requests in the order of arrival, their waiting tokens, and the tokens that it was served."""

    __slots__ = ("requests", "served", "tokens")

    def __init__(self, served: float) -> None:
        self.requests: dict[Request, None] = {}
        self.served = served
        self.tokens = 0


class Group:
    """Waiting rows of one queue, run and limits. `waiting_since` is its turn among groups."""

    def __init__(self, queue: Hashable, run: Run, limits: Limits, turn: int, pace: Pace) -> None:
        self.queue, self.run, self.limits = queue, run, limits
        self.waiting_since = turn
        self._pace = pace
        self.rows = self.tokens = 0
        self._callers: dict[Hashable, _Caller] = {}
        self._fair = 0.0  # tokens of a caller that waited all along, had all been served exactly alike
        self._planned: deque[list[Row]] = deque()
        self._window_full = False
        self._given = 0.0  # seconds, the longest that a request may take
        self._head: Batch | None = None

    def __bool__(self) -> bool:
        return bool(self.rows)

    def add(self, request: Request) -> None:
        """Its rows wait from here on."""
        caller = self._callers.get(request.caller)
        if caller is None:
            least = min((other.served for other in self._callers.values()), default=0.0)
            caller = self._callers[request.caller] = _Caller(max(least, self._fair))
            self._planned.clear()
        elif not self._window_full:
            self._planned.clear()
        given = math.inf if request.deadline is None else request.deadline - request.arrived
        self._given = max(self._given, given)
        caller.requests[request] = None
        caller.tokens += request.waiting_tokens
        self.rows += request.waiting_rows
        self.tokens += request.waiting_tokens

    def remove(self, request: Request) -> None:
        """Its rows wait no longer."""
        self._callers[request.caller].tokens -= request.waiting_tokens
        self._forget(request)
        self.rows -= request.waiting_rows
        self.tokens -= request.waiting_tokens
        if self._head is not None and request in self._head.shares:
            for other, (numbers, _) in self._head.shares.items():
                other.left[numbers] = True
            self._planned.appendleft(list(self._head.rows))
            self._head = None
        if not self._window_full:
            self._planned.clear()

    def requests(self) -> list[Request]:
        """All that wait."""
        return [request for caller in self._callers.values() for request in caller.requests]

    def tokens_of(self, caller: Hashable) -> int:
        """Tokens of one that wait."""
        found = self._callers.get(caller)
        return found.tokens if found else 0

    def tokens_within(self, share: float) -> float:
        """Tokens that are run until each caller was served that many, or all that it has."""
        return sum(min(caller.tokens, share) for caller in self._callers.values())

    def may_run(self, *, idle: bool) -> int:
        """How many batches may run at once, the next one with them. `idle`: none runs; then few go one at a time.

        A run of one step is not told whether it is alone, so it always is.
        """
        limits = self.limits
        if not hasattr(self.run, "prepare"):
            return 1
        many = _MANY * limits.at_once
        if idle and self.rows <= many * limits.max_rows and self.tokens <= many * limits.token_budget:
            return 1
        return limits.at_once

    @property
    def little(self) -> bool:
        """Whether all of it may run beside others: it is one batch that takes little time, and need not be alone."""
        few = self.rows <= self.limits.max_rows and self.tokens <= _LITTLE * self.limits.token_budget
        return few and self.may_run(idle=False) > 1

    @property
    def wants_preparing(self) -> bool:
        """Whether the next batch is settled, as rows that come would hardly find room in it, and not prepared yet."""
        enough = self.rows >= self.limits.max_rows or self.tokens >= self.limits.token_budget
        return enough and self._head is None

    def ahead(self) -> Batch:
        """What `take` will return next, whatever comes, unless a caller leaves; to be prepared by who asks."""
        self._head = self._head or self._next()
        return self._head

    def take(self) -> Batch:
        """The next batch."""
        batch, self._head = self._head or self._next(), None
        self._fair += batch.tokens / len(self._callers)
        for request, (numbers, tokens) in batch.shares.items():
            caller = self._callers[request.caller]
            caller.served += tokens
            caller.tokens -= tokens
            request.waiting_rows -= len(numbers)
            request.waiting_tokens -= tokens
            self.rows -= len(numbers)
            self.tokens -= tokens
            if not request.waiting_rows:
                self._forget(request)
        return batch

    def _forget(self, request: Request) -> None:
        caller = self._callers[request.caller]
        del caller.requests[request]
        if not caller.requests:
            del self._callers[request.caller]

    def _next(self) -> Batch:
        """Of all planned batches that with the row whose turn was first; its rows are in no other."""
        rows: list[Row] = []
        while not rows:
            if not self._planned:
                window = self._window()
                batches = plan([request.lengths[i] for request, i in window], self.limits)
                turns = self._turn_of_each(window)
                batches.sort(key=lambda batch: min(turns[i] for i in batch))
                self._planned.extend([window[i] for i in batch] for batch in batches)
            # Who has left takes its rows out of what is planned.
            rows = [row for row in self._planned.popleft() if row[0].waiting_rows]
        batch = Batch(self.queue, self.run, rows, self.limits)
        for request, (numbers, _) in batch.shares.items():
            request.left[numbers] = False
        return batch

    def _turn_of_each(self, window: Sequence[Row]) -> Sequence[int]:
        """Its turn within the window. The rows of a request of the only caller share one.

        So its batches stay in the order of `plan`, the longest first: two of one shape in turn are cheaper for an
        engine, and the last ones, which end at different times where several run at once, are short.
        """
        if len(self._callers) > 1:
            return range(len(window))
        turns: dict[Request, int] = {}
        return [turns.setdefault(request, len(turns)) for request, _ in window]

    def _window(self) -> list[Row]:
        """Rows to plan together, in the order of their turns."""
        most_rows, most_tokens = self._most()
        rows: list[Row] = []
        tokens = 0
        self._window_full = False
        for chunk, size in self._turns():
            rows.extend(chunk)
            tokens += size
            if len(rows) >= most_rows or tokens >= most_tokens:
                self._window_full = True
                break
        return rows[:most_rows]

    def _most(self) -> tuple[int, float]:
        """Rows and tokens of a window: it ends within a quarter of the time that requests are given."""
        rate, most_tokens = self._pace.tokens_per_second, math.inf
        if rate:
            most_tokens = max(rate * self._given / 4, float(_TIGHT_WINDOW * self.limits.token_budget))
        if len(self._callers) == 1:
            return _WINDOW, most_tokens
        most_rows = min(_WINDOW, _SHARED_WINDOW * self.limits.max_rows)
        return most_rows, min(most_tokens, _SHARED_WINDOW * self.limits.token_budget)

    def _turns(self) -> Iterator[tuple[list[Row], int]]:
        """Rows and their tokens, some of a caller at a time: of who was served least, then of who came first."""
        quantum = max(1, self.limits.token_budget // 4)
        if len(self._callers) == 1:
            yield from _chunks(self._in_order(next(iter(self._callers.values()))), quantum)
            return
        ways = {
            name: (caller.served, next(iter(caller.requests)).turn) for name, caller in self._callers.items()
        }
        chunks = {name: _chunks(self._in_order(caller), quantum) for name, caller in self._callers.items()}
        # `turn` is another for each caller, so that names are never compared.
        heap = [(*way, name) for name, way in ways.items()]
        heapq.heapify(heap)
        while heap:
            served, turn, name = heapq.heappop(heap)
            chunk = next(chunks[name], None)
            if chunk is not None:
                yield chunk
                heapq.heappush(heap, (served + chunk[1], turn, name))

    def _in_order(self, caller: _Caller) -> Iterator[Request]:
        """Its requests as they came; those not begun that would hardly be in time go last, the latest first."""
        most_rows, most_tokens = self._most()
        window = min(most_tokens, self.tokens * min(1.0, most_rows / self.rows))
        rows = tokens = 0
        late = []
        for request in caller.requests:
            # A row is run within as many batches as there are rows before it, and within the window at the latest; and
            # the others have their turns.
            within = _MARGIN * min(window, (rows + request.waiting_rows) * self.limits.token_budget)
            turns = (tokens + request.waiting_tokens) * (len(self._callers) - 1)
            if self._in_time(request, min(self.tokens, within + turns)) or request.waiting_rows < len(
                request.lengths
            ):
                rows += request.waiting_rows
                tokens += request.waiting_tokens
                yield request
            else:
                late.append(request)
        yield from reversed(late)  # who came last has most time

    def _in_time(self, request: Request, tokens: float) -> bool:
        """Whether it is, when so many tokens are run first."""
        now, rate = self._pace.now, self._pace.tokens_per_second
        return request.deadline is None or not rate or now + tokens / rate <= request.deadline


def _chunks(requests: Iterable[Request], quantum: int) -> Iterator[tuple[list[Row], int]]:
    """Their rows in order, some at a time, with their tokens: so many or a row more."""
    rows: list[Row] = []
    tokens = 0
    for request in requests:
        lengths = request.lengths
        for i in np.flatnonzero(request.left)[:_WINDOW].tolist():
            rows.append((request, i))
            tokens += lengths[i]
            if tokens >= quantum:
                yield rows, tokens
                rows, tokens = [], 0
    if rows:
        yield rows, tokens
