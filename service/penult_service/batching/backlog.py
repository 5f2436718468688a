"""What waits: bounded in tokens a queue, taken by lane, then by who waited longest, then packed by length.

Plain data, used under the scheduler's lock: nothing here is thread-safe, blocks, or answers a caller.
"""

from __future__ import annotations

import heapq
import itertools
import weakref
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from penult_service.batching.group import Group
from penult_service.batching.pace import Pace
from penult_service.batching.plan import Limits
from penult_service.batching.request import Batch, Lane, Request, Run
from penult_service.errors import InvalidInput, ResourceExhausted

_Key = tuple[Hashable, Run, Limits]
_FEW = 1024  # deadlines that are kept without looking whether anybody still waits for them


class Backlog:
    """All waiting requests.

    Args:
        max_waiting_tokens: The most that may wait in a queue (a model version).
        interactive_in_a_row: Interactive batches taken while bulk work waits before one of that is taken.

    Attributes:
        pace: To be kept by who takes batches: what would hardly be in time waits for what will be.
    """

    def __init__(self, *, max_waiting_tokens: int, interactive_in_a_row: int = 4) -> None:
        self._bound = max_waiting_tokens
        self._in_a_row, self._streak = interactive_in_a_row, 0
        self._groups: dict[Lane, dict[_Key, Group]] = {lane: {} for lane in Lane}
        self._waiting: dict[Hashable, int] = {}
        self._turns = itertools.count()
        self.pace = Pace()
        self._leaving = _Leaving()

    def waiting(self, queue: Hashable) -> int:
        """Tokens that wait in the queue."""
        return self._waiting.get(queue, 0)

    def __bool__(self) -> bool:
        return any(self._groups.values())

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
        groups, key = self._groups[request.lane], _key(request)
        if key not in groups:
            groups[key] = Group(*key, request.turn, self.pace)
        groups[key].add(request)
        self._leaving.watch(request)

    def until_run(
        self, queue: Hashable, caller: Hashable, lane: Lane, tokens: float
    ) -> dict[Hashable, float]:
        """Tokens of each model that run until so many more of that caller had run, if nothing else came: with those of
        its own that wait, with as many of each other caller of the model, as many of each other model, and the other
        lane's turns.
        """
        groups = self._groups[lane].values()
        here = [group for group in groups if group.queue == queue]
        own = tokens + sum(group.tokens_of(caller) for group in here)
        turns = tokens + sum(group.tokens_within(own) for group in here)
        until: dict[Hashable, float] = {
            name: min(waiting, turns) for name, waiting in _by_queue(groups).items() if name != queue
        }
        until[queue] = turns
        other = Lane.BULK if lane is Lane.INTERACTIVE else Lane.INTERACTIVE
        share = 1 / self._in_a_row if lane is Lane.INTERACTIVE else self._in_a_row
        beside = _by_queue(self._groups[other].values())
        part = min(1.0, share * sum(until.values()) / max(1.0, sum(beside.values())))
        for name, waiting in beside.items():
            until[name] = until.get(name, 0.0) + part * waiting
        return until

    def drop_gone(self, now: float) -> list[Request]:
        """Take out the requests for which nobody waits any more, and return them."""
        return self._drop(self._leaving.gone(now))

    def drop_all(self) -> list[Request]:
        """Take everything out, and return it."""
        groups = [group for groups in self._groups.values() for group in groups.values()]
        return self._drop(request for group in groups for request in group.requests())

    def may_run(self, *, idle: bool) -> int:
        """How many batches may run at once, the next one with them; 0: nothing waits. `idle`: none runs."""
        lane = self._next_lane()
        if lane is None:
            return 0
        found = _first(self._groups[lane])[1].may_run(idle=idle)
        # What has to be alone has its turn soon: before it, one stream would compute beside nobody.
        return 1 if idle and found > 1 and self._some_alone() else found

    def _some_alone(self) -> bool:
        return any(
            group.may_run(idle=False) == 1 for groups in self._groups.values() for group in groups.values()
        )

    def take(self, *, idle: bool = True) -> Batch | None:
        """The next batch to run; None when nothing waits. `idle` as in `may_run`."""
        lane, at_once = self._next_lane(), self.may_run(idle=idle)
        if lane is None:
            return None
        bulk = bool(self._groups[Lane.BULK])
        self._streak = self._streak + 1 if lane is Lane.INTERACTIVE and bulk else 0
        batch = self._taken(lane)
        batch.at_once = at_once
        return batch

    @property
    def may_take_little(self) -> bool:
        """Whether what is next of the interactive lane may run beside others."""
        groups = self._groups[Lane.INTERACTIVE]
        return bool(groups) and _first(groups)[1].little

    def take_little(self) -> Batch:
        """What is next of the interactive lane, to run beside others where it may; it is no turn of the lanes."""
        batch = self._taken(Lane.INTERACTIVE)
        batch.at_once, batch.beside = 1, True
        return batch

    def _taken(self, lane: Lane) -> Batch:
        groups = self._groups[lane]
        key, group = _first(groups)
        batch = group.take()
        batch.more = bool(group)
        # Waiting starts anew with every batch, so queues take turns and a long one blocks no other.
        group.waiting_since = next(self._turns)
        if not group:
            del groups[key]
        self._leave(batch.queue, batch.tokens)
        return batch

    def ahead(self) -> Batch | None:
        """A batch that will be taken soon, to be prepared: each is returned once, that which is next first."""
        group = self._to_prepare()
        return group.ahead() if group else None

    def wants_preparing(self) -> bool:
        """Whether `ahead` would return one; much quicker."""
        return self._to_prepare() is not None

    def _to_prepare(self) -> Group | None:
        first = self._next_lane()
        for lane in Lane if first is Lane.INTERACTIVE else reversed(Lane):
            groups = self._groups[lane]
            if groups and (group := _first(groups)[1]).wants_preparing:
                return group
        return None

    def _next_lane(self) -> Lane | None:
        interactive, bulk = (bool(self._groups[lane]) for lane in (Lane.INTERACTIVE, Lane.BULK))
        if interactive and not (bulk and self._streak >= self._in_a_row):
            return Lane.INTERACTIVE
        return Lane.BULK if bulk else None

    def _drop(self, requests: Iterable[Request]) -> list[Request]:
        dropped = list(requests)
        for request in dropped:
            groups, key = self._groups[request.lane], _key(request)
            groups[key].remove(request)
            if not groups[key]:
                del groups[key]
            self._leave(request.queue, request.waiting_tokens)
            request.waiting_rows = request.waiting_tokens = 0
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


class _Leaving:
    """Which waiting requests were cancelled, have failed or expired, without looking at the others.

    Requests are held weakly: what is answered is not kept until its deadline.
    """

    def __init__(self) -> None:
        self._ended: deque[weakref.ref[Request]] = deque()
        self._deadlines: list[tuple[float, int, weakref.ref[Request]]] = []
        self._most = _FEW

    def watch(self, request: Request) -> None:
        """From when it waits."""
        reference = weakref.ref(request)
        if request.deadline is not None:
            heapq.heappush(self._deadlines, (request.deadline, request.turn, reference))

        def ended(_: Future[Any]) -> None:  # on whichever thread ends it
            if _waits(reference()):
                self._ended.append(reference)

        request.future.add_done_callback(ended)

    def gone(self, now: float) -> list[Request]:
        """Those that left since it was asked last, and wait."""
        left: dict[Request, None] = {}
        while self._ended:
            self._note(self._ended.popleft(), left)
        while self._deadlines and self._deadlines[0][0] <= now:
            self._note(heapq.heappop(self._deadlines)[2], left)
        if len(self._deadlines) > self._most:  # most are of requests that were answered long ago
            self._deadlines = [entry for entry in self._deadlines if _waits(entry[2]())]
            heapq.heapify(self._deadlines)
            self._most = max(_FEW, 2 * len(self._deadlines))
        return list(left)

    @staticmethod
    def _note(reference: weakref.ref[Request], left: dict[Request, None]) -> None:
        request = reference()
        if request is not None and _waits(request):
            left[request] = None


def _waits(request: Request | None) -> bool:
    return request is not None and request.waiting_rows > 0


def _key(request: Request) -> _Key:
    return (request.queue, request.run, request.limits)


def _by_queue(groups: Iterable[Group]) -> Counter[Hashable]:
    """Tokens that wait."""
    found: Counter[Hashable] = Counter()
    for group in groups:
        found[group.queue] += group.tokens
    return found


def _first(groups: dict[_Key, Group]) -> tuple[_Key, Group]:
    """The group that waited longest."""
    return min(groups.items(), key=lambda item: item[1].waiting_since)


def lane_for(lengths: Sequence[int], limits: Limits) -> Lane:
    """Interactive when the whole request is no more than a batch."""
    return lane_of(len(lengths), sum(lengths), limits)


def lane_of(rows: int, tokens: float, limits: Limits) -> Lane:
    """The same, of so many rows with so many tokens in all; a row alone always is."""
    fits = rows == 1 or (rows <= limits.max_rows and tokens <= limits.token_budget)
    return Lane.INTERACTIVE if fits else Lane.BULK
