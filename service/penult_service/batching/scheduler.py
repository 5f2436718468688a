"""Threads that decide what runs next, run it, and answer everybody who waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from penult_service.batching.admission import check_time, note_late
from penult_service.batching.ahead import Packer
from penult_service.batching.backlog import Backlog, lane_for, lane_of
from penult_service.batching.executors import Executors
from penult_service.batching.pace import Recent, Stretch
from penult_service.batching.places import Places
from penult_service.batching.plan import Limits
from penult_service.batching.reports import Health, Observer
from penult_service.batching.request import Batch, Lane, Request, fail_all
from penult_service.batching.vitals import Vitals
from penult_service.errors import DeadlineExceeded, Internal, PenultError, Unavailable

Payload = TypeVar("Payload")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Scheduler:
    """Packs the rows of many requests into batches and runs them: one at a time, or, where many wait and their limits
    allow it, several at once, each on a thread of its own (an executor).

    While a batch runs the next one is packed, and its input made ready where its `run` has two steps (see `TwoSteps`);
    what runs next is decided when the batch before it has ended, so that a small request still goes first. Where
    all places have bulk work, a very small one waits for none of them to end: there is an executor for it.

    Args:
        token_budget, max_rows: Of a batch (see `Limits`), where `submit` says nothing.
        max_waiting_tokens: The most that may wait in a queue (a model version).
        stall_seconds: A batch that takes longer means not healthy.
        max_deaths: So many deaths of executors within a minute are the end: they are not started again.
        executors: Batches that run at once, at most; of several there is one more for what is very small.
        observer: Told of queues and batches.
        fatal: Called once, from the dying thread, when an executor is not started again.
        clock: Seconds, monotonic; those of deadlines.
    """

    def __init__(
        self,
        *,
        token_budget: int = 2048,
        max_rows: int = 32,
        max_waiting_tokens: int = 1 << 18,
        stall_seconds: float = 60.0,
        max_deaths: int = 3,
        executors: int = 1,
        observer: Observer | None = None,
        fatal: Callable[[BaseException], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = Limits(token_budget, max_rows)
        self._backlog = Backlog(max_waiting_tokens=max_waiting_tokens)
        self.max_waiting_tokens = max_waiting_tokens
        self._observer, self._on_fatal = observer, fatal
        self._clock = clock
        lock = threading.Lock()
        self._changed, self._changed_beside = threading.Condition(lock), threading.Condition(lock)
        self._places = Places(self._backlog, executors)
        self._vitals = Vitals(stall_seconds, max_deaths, clock())
        self._recent, self._stretch = Recent(), Stretch()
        self._closing = False
        self._packer = Packer(lock, self._backlog)
        works: list[Callable[[], None]] = [self._work] * executors
        if executors > 1:
            works.append(partial(self._work, beside=True))
        self._executors = Executors(works)

    def submit(
        self,
        queue: Hashable,
        run: Callable[[Sequence[Payload]], Sequence[Result]],
        payloads: Sequence[Payload],
        lengths: Sequence[int],
        *,
        deadline: float | None = None,
        lane: Lane | None = None,
        limits: Limits | None = None,
        caller: Hashable = None,
    ) -> Future[list[Result]]:
        """Queue all rows of a request in one step.

        Args:
            queue: The model version; what waits is bounded for each, and they take turns.
            run: Payloads of a batch -> one result each, in order. Rows of requests whose `run` and limits are equal
                are packed together; it may have two steps (see `TwoSteps`). A `PenultError` that it raises is passed
                on, any other becomes `Internal`.
            payloads, lengths: One a row; tokens a row, at least 1.
            deadline: Seconds of the monotonic clock; what waits longer is dropped.
            lane: Interactive goes first; unless given, what is no more than a batch is interactive.
            limits: Of the batches.
            caller: Callers share alike, whatever each has submitted; requests of one are served as they came, but for
                what would hardly be in time: that goes last.

        Returns:
            The results in the order of the payloads. Cancelling it drops the rows that have not run.

        Raises:
            InvalidInput: more tokens than a queue ever holds.
            ResourceExhausted: the queue is full.
            Unavailable: draining, or the executor is dead for good.
        """
        if not payloads:
            done: Future[list[Result]] = Future()
            done.set_result([])
            return done
        limits = limits or self._limits
        chosen = lane or lane_for(lengths, limits)
        request = Request(queue, run, payloads, lengths, chosen, self._clock(), deadline, limits, caller)
        gone: list[Request] = []
        try:
            with self._changed:
                self._check_open()
                if not self._backlog.has_room(request):
                    gone = self._drop_gone(request.arrived)
                    self._wake()  # what held up the others may have left
                self._add(request)
        finally:
            _answer_gone(gone)
        return request.future

    def check_time(
        self,
        queue: Hashable,
        rows: int,
        tokens: float,
        deadline: float | None,
        *,
        limits: Limits | None = None,
        caller: Hashable = None,
    ) -> None:
        """Refuse a request that would not be done in time, before its rows are made; all as in `submit`.

        `tokens` may be estimated. What has no deadline is bounded by `max_waiting_tokens` alone.

        Raises:
            ResourceExhausted: as `admission.check_time` (OVERLOADED).
        """
        if deadline is None or not self._stretch.known:
            return
        lane, left = lane_of(rows, tokens, limits or self._limits), deadline - self._clock()
        with self._changed:
            check_time(self._backlog, self._stretch, tokens, left, queue=queue, caller=caller, lane=lane)

    @property
    def pressed(self) -> bool:
        """Whether `check_time` may refuse; a moment ago."""
        return self._stretch.known

    def health(self) -> Health:
        """How it is, at this moment."""
        with self._changed:
            busy = bool(self._places or self._backlog)
            return self._vitals.health(self._clock(), busy=busy, alive=self._executors.alive)

    def waiting_tokens(self, queue: Hashable) -> int:
        """Tokens that wait in the queue; what runs is not counted."""
        with self._changed:
            return self._backlog.waiting(queue)

    def close(self, grace: float = 0.0) -> None:
        """Take no more, run what waits for up to `grace` seconds, then fail the rest. Blocks."""
        with self._changed:
            self._closing = True
            self._wake_all()
        self._executors.join(grace)
        with self._changed:
            rest = self._taken_out(self._places.batches)
            self._wake_all()
            self._packer.end()
        ending = Unavailable("the server is shutting down; send it to another, or later", reason="DRAINING")
        fail_all(rest, ending)

    def _check_open(self) -> None:
        if self._closing:
            raise Unavailable("the server is shutting down; try another, or later", reason="DRAINING")
        if self._vitals.fatal:
            raise Unavailable(
                "the executor died too often; the server has to be restarted", reason="EXECUTOR_DIED"
            )

    def _add(self, request: Request) -> None:
        if not (self._places.in_turn or self._backlog):
            now = self._clock()
            self._vitals.woken(now)
            self._stretch.begin(now)
        self._backlog.add(request, self._recent.tokens_per_second)
        self._observe_queues([request.queue])
        if self._places:
            self._packer.wake()
        self._wake()

    def _wake(self) -> None:
        if self._places.may_begin():
            self._changed.notify()
        elif self._places.may_begin(beside=True):
            self._changed_beside.notify()

    def _wake_all(self) -> None:
        self._changed.notify_all()
        self._changed_beside.notify_all()

    def _drop_gone(self, now: float) -> list[Request]:
        """Take out what nobody waits for; to be answered once the lock is released."""
        gone = self._backlog.drop_gone(now)
        note_late(self._stretch, gone, now)
        self._observe_queues(request.queue for request in gone)
        return gone

    def _work(self, *, beside: bool = False) -> None:
        try:
            while (batch := self._next(beside=beside)) is not None:
                self._run(batch)
                del batch  # nothing is kept alive by who waits
        except BaseException as death:  # noqa: BLE001  (whoever waits must be told, whatever happened)
            self._died(death)

    def _next(self, *, beside: bool) -> Batch | None:
        """Wait for the next batch; None when closing and nothing waits."""
        own = threading.get_ident()
        changed = self._changed_beside if beside else self._changed
        while True:
            with changed:
                self._places.leave(own)
                self._vitals.rests(own)
                if beside:
                    self._wake()  # what has to be alone may have waited for this one
                while not (self._places.may_begin(beside=beside) or self._finished):
                    changed.wait()
                now = self._backlog.pace.now = self._clock()
                self._backlog.pace.tokens_per_second = self._recent.tokens_per_second
                gone = self._drop_gone(now)
                batch = self._begin(own, now, beside=beside)
                finished = self._finished
                if finished:
                    self._wake_all()
            _answer_gone(gone)
            del gone
            if batch or finished:
                return batch

    @property
    def _finished(self) -> bool:
        return self._closing and not self._backlog

    def _begin(self, own: int, now: float, *, beside: bool) -> Batch | None:
        batch = self._places.begin(own, beside=beside)
        if batch:
            self._vitals.began(own, now)
            self._observe_queues([batch.queue])
            self._packer.wake()
            self._wake()
        return batch

    def _run(self, batch: Batch) -> None:
        started = self._clock()
        failure: PenultError | None = None
        try:
            results = batch.compute()
        except MemoryError:
            raise
        except PenultError as error:
            failure = error
        except Exception:
            log.exception("a batch of %d rows failed", len(batch.rows))
            failure = Internal("the model failed on a batch with this request's texts; see the server's log")
        ended = self._clock()
        if failure is None:
            batch.deliver(results)  # first: who waits wakes while the rest is noted
        self._note(batch, started, ended, failed=failure is not None)
        if failure is not None:
            self._failed(batch, failure)

    def _failed(self, batch: Batch, failure: PenultError) -> None:
        """Answer its request; of several each is run alone: one's texts must not fail the others'."""
        if len(batch.requests) == 1:
            fail_all(batch.requests, failure)
            return
        for own in batch.apart():
            if any(not request.future.done() for request in own.requests):
                self._run(own)

    def _note(self, batch: Batch, started: float, ended: float, *, failed: bool) -> None:
        with self._changed:
            now = self._clock()
            self._vitals.ended(threading.get_ident(), now, failed=failed)
            if not batch.beside:  # that had no turn: what it took is in the pace of the others
                full = batch.more and not failed
                self._stretch.ran(batch.queue, now, batch.tokens, full=full, began=started)
                if not failed:
                    self._recent.ran(batch.tokens, (ended - started) / max(1, len(self._places.in_turn)))
        if self._observer:
            self._observer.batch_finished(batch.stats(started, ended, failed=failed))

    def _died(self, death: BaseException) -> None:
        """Fail all who wait or were in its batch, and start again unless it happens too often."""
        now, own = self._clock(), threading.get_ident()
        with self._changed:
            batch, was = self._places.leave(own), self._vitals.fatal
            often = self._vitals.died(own, now)
            self._vitals.rests(own)
            victims = self._taken_out([batch] if batch else [])
            self._vitals.fatal = was or often or not (self._closing or self._executors.replace())
            fatal = self._vitals.fatal and not was
            self._wake_all()
        fail_all(
            victims, Unavailable("the executor died while this waited; try again", reason="EXECUTOR_DIED")
        )
        log.critical("the executor died (%s)", type(death).__name__, exc_info=death)
        if fatal and self._on_fatal:
            self._on_fatal(death)

    def _taken_out(self, batches: Iterable[Batch]) -> set[Request]:
        """All requests that wait, which do so no longer; and those of the batches."""
        requests = set(self._backlog.drop_all())
        self._observe_queues(request.queue for request in requests)
        return requests.union(*(batch.requests for batch in batches))

    def _observe_queues(self, queues: Iterable[Hashable]) -> None:
        if self._observer:
            for queue in set(queues):
                self._observer.queue_changed(queue, self._backlog.waiting(queue))


def _answer_gone(requests: Sequence[Request]) -> None:
    if requests:  # an error is made with care for what it says, which takes as long as to queue a short text
        fail_all(requests, DeadlineExceeded("the deadline passed while this waited for its turn"))
