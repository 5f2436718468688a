"""A scheduler on a clock that is turned by hand and a model that answers when told to, beside what it must do.

`World` does a step (a request comes, is cancelled, the clock goes on, the running batch ends in some way, the executor
dies, the server drains), waits until the executor runs a batch or has nothing to do, and then holds every request,
every count of waiting tokens and the batch that runs against an account of its own.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

from penult_service.batching import Lane, Limits, Scheduler
from penult_service.errors import (
    DeadlineExceeded,
    Internal,
    InvalidInput,
    PenultError,
    ResourceExhausted,
    Unavailable,
)

WAIT = 20.0  # seconds after which a step that hangs fails
LIMITS = Limits(token_budget=40, max_rows=4, overhead=8)
BOUND = 300
IN_A_ROW = 4  # interactive batches, before bulk work that waits
DEATHS = 3  # within a minute
OK, RAISES, REFUSES, SHORT, DIES = "ok", "raises", "refuses", "short", "dies"

Key = tuple[Lane, Hashable, int]  # rows that may share batches


class Model:
    """Runs a batch when `end` says how: every batch that it is given comes out of `entered`."""

    def __init__(self) -> None:
        self.entered: queue.Queue[tuple[int, list[Any]]] = queue.Queue()
        self._ends: queue.Queue[str] = queue.Queue()

    def end(self, how: str) -> None:
        self._ends.put(how)

    def run(self, number: int, payloads: Sequence[Any]) -> list[Any]:
        self.entered.put((number, list(payloads)))
        how = self._ends.get(timeout=WAIT)
        if how == DIES:
            raise SystemExit
        if how == RAISES:
            raise RuntimeError("told to")
        if how == REFUSES:
            raise ResourceExhausted("told to", retry_after=1.0)
        return [(payload, "done") for payload in payloads][how == SHORT :]


@dataclass(frozen=True)
class TwoStepRun:
    """Passes that are equal share batches."""

    model: Model = field(compare=False)
    number: int

    def __call__(self, payloads: Sequence[Any]) -> list[Any]:
        return self.compute(self.prepare(payloads))

    def prepare(self, payloads: Sequence[Any]) -> list[Any]:
        return list(payloads)

    def compute(self, prepared: list[Any], *, alone: bool = True) -> list[Any]:
        del alone
        return self.model.run(self.number, prepared)


@dataclass(eq=False)
class Asked:
    """A request, and what must become of it: `answer` is a result, an error's type, or None while it is open."""

    number: int
    key: Key
    lengths: Sequence[int]
    deadline: float | None
    future: Future[list[Any]]
    waiting: set[int]
    answer: Any = None
    done: set[int] = field(default_factory=set)

    @property
    def tokens(self) -> int:
        return sum(self.lengths[i] for i in self.waiting)


class World:
    """See the module. Every method that does a step ends with `settle`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.model = Model()
        self.runs = [TwoStepRun(self.model, number) for number in range(2)]
        self.scheduler = Scheduler(
            token_budget=LIMITS.token_budget,
            max_waiting_tokens=BOUND,
            max_deaths=DEATHS,
            clock=lambda: self.now,
        )
        self.asked: list[Asked] = []
        self.running: list[tuple[Asked, int]] = []
        self._again: list[Asked] = []  # of a batch that failed: each is run alone next
        self._order: dict[Lane, list[Key]] = {lane: [] for lane in Lane}
        self._streak = 0
        self._deaths: list[float] = []
        self.closed = self.fatal = False
        self._closing: threading.Thread | None = None
        self._parts: dict[Asked, list[int]] = {}
        self.batches = 0

    def open(self) -> list[Asked]:
        """Requests without an answer."""
        return [each for each in self.asked if each.answer is None]

    def arrive(
        self,
        lengths: Sequence[int],
        *,
        model: str = "m",
        run: int = 0,
        caller: Hashable = None,
        lasts: float | None = None,
    ) -> None:
        """A request comes, whose deadline is in `lasts` seconds."""
        number, deadline = len(self.asked), None if lasts is None else self.now + lasts
        refused = self._refusal(model, sum(lengths))
        refusal, future = None, None
        try:
            future = self.scheduler.submit(
                model,
                self.runs[run],
                [(number, i) for i in range(len(lengths))],
                lengths,
                deadline=deadline,
                limits=LIMITS,
                caller=caller,
            )
        except PenultError as error:
            refusal = error
        assert type(refusal) is (refused or type(None)), refusal
        if future is not None:
            few = len(lengths) <= LIMITS.max_rows and sum(lengths) <= LIMITS.token_budget
            key = (Lane.INTERACTIVE if few or len(lengths) == 1 else Lane.BULK, model, run)
            self.asked.append(Asked(number, key, lengths, deadline, future, set(range(len(lengths)))))
            self._enter(key)
        self.settle()

    def cancel(self, which: int) -> None:
        """The caller of an open request leaves."""
        found = self.open()
        if found:
            one = found[which % len(found)]
            assert one.future.cancel()
            one.answer = CancelledError
        self.settle()

    def tick(self, seconds: float) -> None:
        """The clock goes on; who runs or waits does not notice by itself."""
        self.now += seconds
        self.settle()

    def end(self, how: str = OK) -> None:
        """The batch that runs ends."""
        if not self.running:
            return
        rows, self.running = self.running, []
        requests = list(dict.fromkeys(request for request, _ in rows))
        if how == DIES:
            self._die()
        elif how == OK:
            for request, i in rows:
                request.done.add(i)
                if request.answer is None and len(request.done) == len(request.lengths):
                    request.answer = [((request.number, k), "done") for k in range(len(request.lengths))]
        elif len(requests) > 1:
            self._again = requests
            self._parts = {one: [i for request, i in rows if request is one] for one in requests}
        elif requests[0].answer is None:
            requests[0].answer = ResourceExhausted if how == REFUSES else Internal
        self.model.end(how)
        self.settle()

    def drain(self) -> None:
        """The server takes no more, and runs what waits."""
        if not self.closed:
            self._closing = threading.Thread(target=self.scheduler.close, args=(WAIT,), daemon=True)
            self._closing.start()
            self.closed = True
            until(lambda: self.scheduler._closing)
        self.settle()

    def finish(self, *, at_once: bool) -> None:
        """The end: everything is run, or nothing more; then everybody has an answer."""
        if at_once and self._closing is None:
            self._fail_all()
            self.scheduler.close(0.0)
            self.closed = True
            self.settle(idle=True)
        else:
            while self.running:
                self.end()
            self.drain()
            assert self._closing is not None
            self._closing.join(WAIT)
        assert not self.open()
        if self.running:
            self.model.end(OK)
        self.scheduler.close(WAIT)

    def settle(self, *, idle: bool = False) -> None:
        """Wait for the executor, then hold everything against the account."""
        if not self.running and not idle:
            self._next()
        for each in self.asked:
            _check(each)
        for name in ("m", "n"):
            assert self.scheduler.waiting_tokens(name) == self._waits(name) <= BOUND

    def _next(self) -> None:
        """The batch that runs now, if there must be one."""
        while self._again:
            one = self._again.pop(0)
            if one.answer is None:
                self._entered(expected=[(one, i) for i in self._parts[one]])
                return
        self._look()
        if any(each.waiting for each in self.asked) and not self.fatal:
            self._entered()
        else:
            until(lambda: not self.scheduler.health().busy)
            assert self.model.entered.empty()

    def _entered(self, expected: list[tuple[Asked, int]] | None = None) -> None:
        number, payloads = self.model.entered.get(timeout=WAIT)
        self.running = [(self.asked[request], i) for request, i in payloads]
        if expected is not None:
            assert self.running == expected
            return
        self.batches += 1
        longest = max(request.lengths[i] for request, i in self.running)
        assert len(self.running) <= LIMITS.max_rows
        assert len(self.running) == 1 or longest * len(self.running) <= LIMITS.token_budget
        for request, i in self.running:
            assert request.answer is None, "nobody waits for it"
            request.waiting.remove(i)  # it was there, and is taken once
        (key,) = {request.key for request, _ in self.running}
        assert key[2] == number
        self._turn(key)

    def _turn(self, key: Key) -> None:
        """It was the turn of this lane, and in it of these rows."""
        interactive, bulk = self._order[Lane.INTERACTIVE], self._order[Lane.BULK]
        first = bool(interactive) and not (bulk and self._streak >= IN_A_ROW)
        assert key[0] is (Lane.INTERACTIVE if first else Lane.BULK)
        assert self._order[key[0]][0] == key
        self._streak = self._streak + 1 if first and bulk else 0
        self._order[key[0]].remove(key)
        self._enter(key)

    def _enter(self, key: Key) -> None:
        if key not in self._order[key[0]] and any(each.key == key and each.waiting for each in self.asked):
            self._order[key[0]].append(key)

    def _leave(self) -> None:
        for order in self._order.values():
            order[:] = [key for key in order if any(each.key == key and each.waiting for each in self.asked)]

    def _look(self) -> None:
        """The scheduler looks for who left."""
        for each in self.asked:
            late = each.deadline is not None and each.deadline <= self.now
            if each.waiting and each.answer is None and late:
                each.answer = DeadlineExceeded
            if each.answer is not None:
                each.waiting.clear()
        self._leave()

    def _die(self) -> None:
        self._deaths = [*self._deaths, self.now][-DEATHS:]
        self.fatal = len(self._deaths) == DEATHS and self.now - self._deaths[0] < 60.0
        self._fail_all()

    def _fail_all(self) -> None:
        for each in self.open():
            each.answer = Unavailable
        for each in self.asked:
            each.waiting.clear()
        self._again = []
        self._leave()

    def _refusal(self, model: str, tokens: int) -> type[PenultError] | None:
        if self.closed or self.fatal:
            return Unavailable
        if tokens + self._waits(model) > BOUND:
            self._look()
        if tokens > BOUND:
            return InvalidInput
        return ResourceExhausted if tokens + self._waits(model) > BOUND else None

    def _waits(self, model: str) -> int:
        """Tokens; of who left they count until somebody looks."""
        return sum(each.tokens for each in self.asked if each.key[1] == model)


def _check(each: Asked) -> None:
    if each.answer is None:
        assert not each.future.done()
    elif each.answer is CancelledError:
        assert each.future.cancelled()
    elif isinstance(each.answer, list):
        assert each.future.result(WAIT) == each.answer
    else:
        assert type(each.future.exception(WAIT)) is each.answer


def refuses(ask: Callable[[], Future[Any]]) -> bool:
    """Whether a scheduler takes no more, because it is closing; what it does take is cancelled."""
    try:
        ask().cancel()
    except Unavailable as refused:
        return refused.reason == "DRAINING"
    return False


def until(condition: Any) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "nothing happens any more"
        time.sleep(0.0001)
