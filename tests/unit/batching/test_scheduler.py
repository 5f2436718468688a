"""The executor's thread: order, bounds, and an answer for everybody whatever happens."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

import pytest
from penult_service.batching import BatchStats, Lane, Scheduler
from penult_service.errors import (
    DeadlineExceeded,
    Internal,
    InvalidInput,
    PenultError,
    PreconditionFailed,
    ResourceExhausted,
    Unavailable,
)
from support.scheduling import refuses, until

WAIT = 10.0  # seconds after which a test that hangs fails


class Model:
    """Doubles numbers; remembers its batches; each waits while the gate is shut; raises what it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.raises: dict[int, BaseException] = {}
        self.entered = threading.Event()
        self._gate = threading.Event()
        self._gate.set()

    def __call__(self, payloads: Sequence[int]) -> list[int]:
        self.batches.append(list(payloads))
        self.entered.set()
        assert self._gate.wait(WAIT)
        for payload in payloads:
            if payload in self.raises:
                raise self.raises[payload]
        return [2 * payload for payload in payloads]

    def open(self) -> None:
        self._gate.set()

    def shut(self) -> None:
        self._gate.clear()


Make = Callable[..., Scheduler]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def make(model: Model) -> Iterator[Make]:
    """A scheduler; all that were made are closed."""
    made: list[Scheduler] = []

    def scheduler(**settings: Any) -> Scheduler:
        made.append(Scheduler(**{"token_budget": 40, "max_rows": 4} | settings))
        return made[-1]

    yield scheduler
    model.open()
    for each in made:
        each.close(WAIT)


def submit(
    scheduler: Scheduler, model: Model, payloads: Sequence[int], length: int = 10, **how: Any
) -> Future[list[int]]:
    return scheduler.submit(how.pop("queue", "m"), model, payloads, [length] * len(payloads), **how)


def busy(scheduler: Scheduler, model: Model) -> Future[list[int]]:
    """Occupy the executor until the gate opens."""
    model.shut()
    model.entered.clear()
    future = submit(scheduler, model, [0], queue="other")
    assert model.entered.wait(WAIT)
    return future


def error_of(future: Future[Any]) -> PenultError:
    error = future.exception(WAIT)
    assert isinstance(error, PenultError)
    return error


def test_results_come_in_the_order_of_the_payloads(make: Make, model: Model) -> None:
    lengths = [3, 40, 7, 1, 22, 9, 9, 30]
    future = make().submit("m", model, list(range(8)), lengths)
    assert future.result(WAIT) == [0, 2, 4, 6, 8, 10, 12, 14]


def test_on_an_idle_server_the_packing_is_a_function_of_the_request(make: Make, model: Model) -> None:
    lengths = [(7 * i) % 40 + 1 for i in range(50)]
    scheduler = make()
    scheduler.submit("m", model, list(range(50)), lengths).result(WAIT)
    first, model.batches = model.batches, []
    scheduler.submit("m", model, list(range(50)), lengths).result(WAIT)
    assert model.batches == first
    assert len(first) > 10


def test_requests_that_wait_are_packed_together(make: Make, model: Model) -> None:
    scheduler = make()
    busy(scheduler, model)
    futures = [submit(scheduler, model, [i]) for i in range(1, 5)]
    model.open()
    assert [future.result(WAIT) for future in futures] == [[2], [4], [6], [8]]
    assert model.batches == [[0], [1, 2, 3, 4]]


def test_many_threads_get_their_own_results(make: Make, model: Model) -> None:
    scheduler = make(max_waiting_tokens=10**6)

    def call(k: int) -> bool:
        payloads = [100 * k + i for i in range(k % 9 + 1)]
        future = scheduler.submit(k % 3, model, payloads, [1 + i % 40 for i in payloads])
        return future.result(WAIT) == [2 * p for p in payloads]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(call, range(300)))


def test_no_payloads_no_work(make: Make, model: Model) -> None:
    assert submit(make(), model, []).result(0) == []
    assert model.batches == []


def test_small_requests_overtake_bulk_work(make: Make, model: Model) -> None:
    scheduler = make()
    busy(scheduler, model)
    bulk = submit(scheduler, model, list(range(100, 108)))
    small = submit(scheduler, model, [1])
    model.open()
    assert len(bulk.result(WAIT)) == 8
    assert small.result(WAIT) == [2]
    assert model.batches == [[0], [1], [100, 101, 102, 103], [104, 105, 106, 107]]


def test_the_lane_can_be_given(make: Make, model: Model) -> None:
    scheduler = make()
    busy(scheduler, model)
    futures = [
        submit(scheduler, model, [1], lane=Lane.BULK, queue="a"),
        submit(scheduler, model, [2], lane=Lane.INTERACTIVE, queue="b"),
    ]
    model.open()
    assert [future.result(WAIT) for future in futures] == [[2], [4]]
    assert model.batches == [[0], [2], [1]]


def test_a_full_queue_refuses_what_runs_does_not_count(make: Make, model: Model) -> None:
    scheduler = make(max_waiting_tokens=40)
    running = busy(scheduler, model)
    assert scheduler.waiting_tokens("other") == 0
    waits = submit(scheduler, model, [1, 2, 3])
    with pytest.raises(ResourceExhausted) as refused:
        submit(scheduler, model, [4, 5])
    assert refused.value.reason == "QUEUE_FULL"
    assert refused.value.retry_after > 0
    assert scheduler.waiting_tokens("m") == 30
    model.open()
    assert (running.result(WAIT), waits.result(WAIT)) == ([0], [2, 4, 6])
    assert submit(scheduler, model, [4, 5]).result(WAIT) == [8, 10]


def test_a_request_that_never_fits_is_refused(make: Make, model: Model) -> None:
    with pytest.raises(InvalidInput, match="holds 40"):
        submit(make(max_waiting_tokens=40), model, [1] * 5)


def test_cancelled_work_is_not_run(make: Make, model: Model) -> None:
    scheduler = make()
    busy(scheduler, model)
    cancelled, other = submit(scheduler, model, [1, 2]), submit(scheduler, model, [3])
    assert cancelled.cancel()
    model.open()
    assert other.result(WAIT) == [6]
    assert model.batches == [[0], [3]]
    with pytest.raises(CancelledError):
        cancelled.result(0)


def test_the_rest_of_a_request_cancelled_midway_is_not_run(make: Make, model: Model) -> None:
    scheduler = make()
    model.shut()
    future = submit(scheduler, model, list(range(12)))
    assert model.entered.wait(WAIT)
    assert future.cancel()
    other = submit(scheduler, model, [20], queue="n")
    model.open()
    assert other.result(WAIT) == [40]
    assert submit(scheduler, model, [21]).result(WAIT) == [42]
    assert model.batches == [[0, 1, 2, 3], [20], [21]]


def test_cancelled_work_makes_room(make: Make, model: Model) -> None:
    scheduler = make(max_waiting_tokens=40)
    busy(scheduler, model)
    submit(scheduler, model, [1] * 4).cancel()
    future = submit(scheduler, model, [2] * 4)
    model.open()
    assert future.result(WAIT) == [4] * 4


def test_what_made_room_by_expiring_is_answered_even_if_it_was_not_enough(make: Make, model: Model) -> None:
    scheduler = make(max_waiting_tokens=40)
    busy(scheduler, model)
    submit(scheduler, model, [1, 1, 1])
    expired = submit(scheduler, model, [2], deadline=0.0)
    with pytest.raises(ResourceExhausted):
        submit(scheduler, model, [3, 3])
    assert isinstance(error_of(expired), DeadlineExceeded)


def test_expired_work_is_not_run(make: Make, model: Model) -> None:
    scheduler = make()
    busy(scheduler, model)
    expired = submit(scheduler, model, [1], deadline=time.monotonic())
    other = submit(scheduler, model, [2], deadline=time.monotonic() + 1000)
    model.open()
    assert other.result(WAIT) == [4]
    assert error_of(expired).reason == "DEADLINE_EXCEEDED"
    assert model.batches == [[0], [2]]


def test_a_failing_batch_fails_its_requests_and_no_others(
    make: Make, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = make()
    busy(scheduler, model)
    model.raises[101] = RuntimeError("shape mismatch")
    failing = submit(scheduler, model, list(range(100, 108)))  # its second batch is never run
    other = submit(scheduler, model, [7], queue="n", lane=Lane.BULK)
    with caplog.at_level(logging.ERROR):
        model.open()
        assert other.result(WAIT) == [14]
        assert isinstance(error_of(failing), Internal)
    assert model.batches == [[0], [100, 101, 102, 103], [7]]
    assert "shape mismatch" in caplog.text
    assert scheduler.health().healthy


def test_one_requests_texts_do_not_fail_the_others_in_its_batch(make: Make, model: Model) -> None:
    scheduler = make()
    busy(scheduler, model)
    model.raises[2] = RuntimeError("shape mismatch")
    first, failing, last = (submit(scheduler, model, [number], length=1) for number in (1, 2, 3))
    model.open()
    assert (first.result(WAIT), last.result(WAIT)) == ([2], [6])
    assert isinstance(error_of(failing), Internal)
    assert model.batches == [[0], [1, 2, 3], [1], [2], [3]]


def test_who_left_meanwhile_is_not_run_alone(make: Make, model: Model) -> None:
    scheduler = make()
    busy(scheduler, model)
    model.raises[2] = RuntimeError("shape mismatch")
    first, failing, leaves = (submit(scheduler, model, [number], length=1) for number in (1, 2, 3))
    first.add_done_callback(lambda _: leaves.cancel())
    model.open()
    assert first.result(WAIT) == [2]
    assert isinstance(error_of(failing), Internal)
    assert submit(scheduler, model, [4]).result(WAIT) == [8]
    assert model.batches == [[0], [1, 2, 3], [1], [2], [4]]


def test_an_error_of_ours_is_passed_on(make: Make, model: Model) -> None:
    model.raises[1] = PreconditionFailed("cannot", reason="WHY")
    assert error_of(submit(make(), model, [1])) is model.raises[1]


def test_a_run_that_forgets_rows_is_an_error(make: Make) -> None:
    future = make().submit("m", lambda payloads: payloads[1:], [1, 2, 3], [5, 5, 5])
    assert isinstance(error_of(future), Internal)


@pytest.mark.parametrize("death", [SystemExit(3), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_when_the_executor_dies_all_who_wait_are_told_and_it_recovers(
    make: Make, model: Model, death: BaseException
) -> None:
    scheduler = make()
    running = busy(scheduler, model)
    model.raises[0] = death
    waiting = submit(scheduler, model, [5])
    model.open()
    assert [error_of(f).reason for f in (running, waiting)] == ["EXECUTOR_DIED"] * 2
    assert [type(error_of(f)) for f in (running, waiting)] == [Unavailable] * 2
    assert not scheduler.health().healthy
    assert scheduler.health().deaths == 1
    assert submit(scheduler, model, [5]).result(WAIT) == [10]
    until(lambda: scheduler.health().healthy)  # noted once the caller has its answer
    assert scheduler.waiting_tokens("m") == 0


def test_a_batch_that_fails_does_not_prove_a_recovery(make: Make, model: Model) -> None:
    scheduler = make()
    model.raises.update({1: SystemExit(), 2: RuntimeError()})
    error_of(submit(scheduler, model, [1]))
    error_of(submit(scheduler, model, [2]))
    assert not scheduler.health().healthy


def test_too_many_deaths_are_the_end(make: Make, model: Model) -> None:
    told: list[BaseException] = []
    ended = threading.Event()

    def fatal(death: BaseException) -> None:
        told.append(death)
        ended.set()

    scheduler = make(max_deaths=2, fatal=fatal)
    model.raises[1] = SystemExit()
    error_of(submit(scheduler, model, [1]))
    assert not told
    error_of(submit(scheduler, model, [1]))
    assert ended.wait(WAIT)
    assert told == [model.raises[1]]
    health = scheduler.health()
    assert (health.healthy, health.fatal, health.deaths) == (False, True, 2)
    with pytest.raises(Unavailable) as refused:
        submit(scheduler, model, [2])
    assert refused.value.reason == "EXECUTOR_DIED"


def test_a_thread_that_cannot_be_started_again_is_the_end(
    make: Make, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    scheduler = make(fatal=lambda _: ended.set())
    running = busy(scheduler, model)
    model.raises[0] = SystemExit()

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    model.open()
    assert error_of(running).reason == "EXECUTOR_DIED"
    assert ended.wait(WAIT)
    assert scheduler.health().fatal


def test_a_batch_that_hangs_means_not_healthy_until_it_ends(make: Make, model: Model) -> None:
    scheduler = make(stall_seconds=0.0)
    assert scheduler.health().healthy
    running = busy(scheduler, model)
    health = scheduler.health()
    assert (health.busy, health.stalled, health.healthy, health.alive) == (True, True, False, True)
    model.open()
    running.result(WAIT)
    scheduler.close(WAIT)
    assert not scheduler.health().stalled


def test_an_idle_executor_is_not_stalled(make: Make, model: Model) -> None:
    scheduler = make(stall_seconds=0.0)
    submit(scheduler, model, [1]).result(WAIT)
    end = time.monotonic() + WAIT
    while scheduler.health().busy:
        assert time.monotonic() < end
    assert scheduler.health().healthy


def test_a_slow_batch_within_the_limit_is_healthy(make: Make, model: Model) -> None:
    scheduler = make(stall_seconds=1000.0)
    busy(scheduler, model)
    health = scheduler.health()
    assert (health.busy, health.stalled, health.healthy) == (True, False, True)


def test_closing_runs_what_waits_and_takes_no_more(make: Make, model: Model) -> None:
    scheduler = make()
    running = busy(scheduler, model)
    waiting = submit(scheduler, model, [1, 2])
    closing = threading.Thread(target=scheduler.close, args=(WAIT,))
    closing.start()
    # Refused from the moment that closing begins.
    while not refuses(lambda: submit(scheduler, model, [9])):
        pass
    model.open()
    closing.join(WAIT)
    assert (running.result(0), waiting.result(0)) == ([0], [2, 4])


def test_closing_without_grace_fails_what_waits_and_what_runs(make: Make, model: Model) -> None:
    scheduler = make()
    running = busy(scheduler, model)
    waiting = submit(scheduler, model, [1, 2])
    scheduler.close(0.0)
    assert [error_of(f).reason for f in (running, waiting)] == ["DRAINING"] * 2
    model.open()  # the late batch is delivered to nobody, quietly
    scheduler.close(WAIT)
    assert not scheduler.health().alive


class Told:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.depths: list[tuple[Any, int]] = []
        self.batches: list[BatchStats] = []

    def queue_changed(self, queue: Any, waiting_tokens: int) -> None:
        self.depths.append((queue, waiting_tokens))

    def batch_finished(self, stats: BatchStats) -> None:
        self.batches.append(stats)


def test_the_observer_is_told_of_queues_and_batches(make: Make, model: Model) -> None:
    told = Told()
    scheduler = make(observer=told)
    running = busy(scheduler, model)
    model.raises[9] = RuntimeError()
    good = scheduler.submit("m", model, [1, 2, 3], [10, 4, 1])
    submit(scheduler, model, [4], queue="gone").cancel()
    model.open()
    running.result(WAIT)
    good.result(WAIT)
    error_of(submit(scheduler, model, [9]))
    assert [depth for queue, depth in told.depths if queue == "m"] == [15, 0, 10, 0]
    assert [depth for queue, depth in told.depths if queue == "gone"] == [10, 0]
    shapes = [(s.queue, s.rows, s.tokens, s.padded_tokens, s.failed) for s in told.batches]
    assert shapes == [("other", 1, 10, 10, False), ("m", 3, 15, 30, False), ("m", 1, 10, 10, True)]
    assert all(s.seconds >= 0 and s.waited >= 0 for s in told.batches)
