"""Where many batches wait several run at once, each on an executor of its own; few go one at a time, each alone."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from penult_service.batching import Lane, Limits, Scheduler
from penult_service.batching.backlog import Backlog
from penult_service.batching.request import Batch, Request
from penult_service.errors import Internal, Unavailable
from support.held_model import DIES, MANY, ONE, TWO, WAIT, HeldModel, submit
from support.scheduling import refuses, until


def test_of_many_two_run_at_once_and_never_three(make: Callable[..., Scheduler], model: HeldModel) -> None:
    """The last ones too: as long as one runs, they do not wait until all of the machine is free."""
    future = submit(make(executors=3), model, range(MANY))
    running = [model.next(), model.next()]
    assert model.nothing()
    for _ in range(7):
        running.pop(0).end()
        running.append(model.next())
        assert not any(batch.alone for batch in running)
    for batch in running:
        batch.end()
    assert future.result(WAIT) == [2 * number for number in range(MANY)]
    assert model.most == 2


def test_few_run_one_at_a_time_each_alone(make: Callable[..., Scheduler], model: HeldModel) -> None:
    future = submit(make(), model, range(MANY - 1))
    for _ in range(8):
        batch = model.next()
        assert batch.alone
        assert model.nothing()
        batch.end()
    assert future.result(WAIT)
    assert model.most == 1


def test_what_comes_while_one_runs_alone_waits(make: Callable[..., Scheduler], model: HeldModel) -> None:
    scheduler = make()
    submit(scheduler, model, [1])
    alone = model.next()
    assert alone.alone
    submit(scheduler, model, range(MANY))
    assert model.nothing()
    alone.end()
    assert not model.next().alone
    assert not model.next().alone


def test_a_small_request_takes_the_next_place_beside_bulk_work(
    make: Callable[..., Scheduler], model: HeldModel
) -> None:
    scheduler = make()
    submit(scheduler, model, range(MANY))
    first, _second = model.next(), model.next()
    small = submit(scheduler, model, [1000])  # of ten tokens, more than an eighth of a batch
    first.end()
    batch = model.next()
    assert batch.numbers == [1000]
    assert not batch.alone
    batch.end()
    assert small.result(WAIT) == [2000]


def test_a_model_that_runs_alone_waits_for_all_and_is_not_passed_by(
    make: Callable[..., Scheduler], model: HeldModel
) -> None:
    scheduler = make()
    submit(scheduler, model, range(MANY))
    first, second = model.next(), model.next()
    other = submit(scheduler, model, [7, 8, 9, 10, 11], ONE, queue="other")
    first.end()
    third = model.next()  # models take turns: the one batch behind those that run is of the first
    second.end()
    assert model.nothing()
    third.end()
    batch = model.next()
    assert batch.alone
    assert set(batch.numbers) <= {7, 8, 9, 10, 11}
    batch.end()
    del other


def test_beside_what_has_to_be_alone_every_batch_is(make: Callable[..., Scheduler], model: HeldModel) -> None:
    """A stream that waits for the other model's turn would compute beside nobody."""
    scheduler = make()
    submit(scheduler, model, [1])
    first = model.next()
    submit(scheduler, model, range(MANY))
    submit(scheduler, model, range(100, 100 + MANY), ONE, queue="other")
    first.end()
    for _ in range(6):
        batch = model.next()
        assert batch.alone
        batch.end()


def test_how_many_is_asked_of_the_batch_that_is_taken(model: HeldModel) -> None:
    """The fourth small batch in a row is followed by bulk work, whose number is not its own."""
    backlog = Backlog(max_waiting_tokens=10_000)
    add = lambda lane, count, limits: backlog.add(  # noqa: E731
        Request("m", model, range(count), [10] * count, lane, 0.0, limits=limits), None
    )
    add(Lane.BULK, MANY, TWO)
    for _ in range(4):
        add(Lane.INTERACTIVE, 4, ONE)
    taken = [batch for _ in range(5) if (batch := backlog.take(idle=False))]
    assert [(batch.limits, batch.at_once) for batch in taken] == [(ONE, 1)] * 4 + [(TWO, 2)]


def test_a_run_of_one_step_is_alone(make: Callable[..., Scheduler]) -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def run(payloads: Sequence[int]) -> list[int]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.001)
        with lock:
            inside -= 1
        return list(payloads)

    assert make().submit("m", run, range(200), [10] * 200, limits=TWO).result(WAIT) == list(range(200))
    assert most == 1


def test_a_request_that_fails_leaves_the_batch_beside_it(
    make: Callable[..., Scheduler], model: HeldModel
) -> None:
    scheduler = make()
    others = [submit(scheduler, model, range(4 * i, 4 * i + 4)) for i in range(9)]
    bad, good = model.next(), model.next()
    bad.end("told to")
    good.end()
    until(lambda: sum(future.done() for future in others) >= 2)
    failed = [future for future in others if future.done() and future.exception()]
    assert len(failed) == 1
    assert isinstance(failed[0].exception(), Internal)


def test_one_executor_dies_and_the_batch_of_the_other_is_answered(
    make: Callable[..., Scheduler], model: HeldModel
) -> None:
    scheduler = make()
    futures = [submit(scheduler, model, range(4 * i, 4 * i + 4)) for i in range(9)]
    dying, other = model.next(), model.next()
    dying.end(DIES)
    until(lambda: sum(future.done() for future in futures) == 8)
    open_ = next(future for future in futures if not future.done())
    assert all(isinstance(future.exception(), Unavailable) for future in futures if future is not open_)
    other.end()
    assert open_.result(WAIT) == [2 * number for number in other.numbers]
    again = submit(scheduler, model, range(MANY))
    model.next()
    model.next()  # both live
    assert scheduler.health().deaths == 1
    assert not again.done()


def test_one_that_hangs_is_seen_beside_one_that_gets_on(
    make: Callable[..., Scheduler], model: HeldModel
) -> None:
    clock = [0.0]
    scheduler = make(stall_seconds=60.0, clock=lambda: clock[0])
    submit(scheduler, model, range(MANY))
    _hangs, running = model.next(), model.next()
    for clock[0] in (30.0, 55.0, 61.0):
        running.end()
        running = model.next()
    health = scheduler.health()
    assert health.stalled
    assert health.since_progress == 61.0


def test_executors_that_die_together_die_of_one_accident(
    make: Callable[..., Scheduler], model: HeldModel
) -> None:
    limits = Limits(token_budget=40, max_rows=4, at_once=3)
    scheduler = make(executors=3, max_deaths=2)
    submit(scheduler, model, range(4 * 3 * 4 + 1), limits)
    running = [model.next(), model.next(), model.next()]
    for batch in running:
        batch.end(DIES)
    until(lambda: scheduler.health().deaths == 3)
    assert not scheduler.health().fatal
    model.open = True
    assert submit(scheduler, model, range(MANY)).result(WAIT)
    until(lambda: scheduler.health().healthy)


def test_what_is_fatal_is_said_once_and_stays(make: Callable[..., Scheduler], model: HeldModel) -> None:
    told: list[BaseException] = []
    scheduler = make(max_deaths=1, fatal=told.append)
    submit(scheduler, model, range(MANY))
    first, second = model.next(), model.next()
    first.end(DIES)
    until(lambda: len(told) == 1)
    second.end(DIES)
    until(lambda: scheduler.health().deaths == 2)
    assert scheduler.health().fatal
    assert len(told) == 1
    with pytest.raises(Unavailable):
        submit(scheduler, model, [1])


def test_a_death_while_closing_lets_the_others_end(model: HeldModel) -> None:
    scheduler = Scheduler(executors=2)
    submit(scheduler, model, range(9), ONE)
    batch = model.next()
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(scheduler.close, 3 * WAIT)
        until(lambda: refuses(lambda: submit(scheduler, model, [9])))
        batch.end(DIES)
        closing.result(WAIT)


def test_closing_waits_for_all_and_tells_those_that_do_not_end(model: HeldModel) -> None:
    scheduler = Scheduler(executors=2)
    futures = [submit(scheduler, model, range(4 * i, 4 * i + 4)) for i in range(9)]
    first, second = model.next(), model.next()
    began = time.monotonic()
    scheduler.close(0.2)
    assert time.monotonic() - began < WAIT / 2
    assert all(isinstance(future.exception(WAIT), Unavailable) for future in futures)
    for batch in (first, second):
        batch.end()

    scheduler = Scheduler(executors=2)
    model.open = True
    future = submit(scheduler, model, range(MANY))
    scheduler.close(WAIT)
    assert future.result(0) == [2 * number for number in range(MANY)]


def test_rows_that_end_at_one_time_are_all_counted() -> None:
    """Between reading what is missing and writing it another executor may count too."""

    class Slow(int):
        def __sub__(self, rows: int) -> Slow:
            time.sleep(0.01)
            return Slow(int(self) - rows)

    request = Request("m", list, [0] * 8, [1] * 8, Lane.BULK, 0.0)
    request.missing = Slow(8)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(request.given, [2] * 4))
    assert request.future.done()


def test_every_row_of_every_request_is_answered_once(
    make: Callable[..., Scheduler], model: HeldModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of a request end on several executors at one time: none is lost in the count of what is missing."""
    scheduler, model.open = make(executors=4), True
    limits = Limits(token_budget=48, max_rows=4, at_once=4)
    beside: list[Batch] = []

    def take_little(take: Callable[[], Batch] = scheduler._backlog.take_little) -> Batch:
        beside.append(take())
        return beside[-1]

    monkeypatch.setattr(scheduler._backlog, "take_little", take_little)

    def caller(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(60):
            numbers = [draw.randrange(10_000) for _ in range(draw.choice((1, 3, 40, 150)))]
            lengths = [draw.randint(1, 12) for _ in numbers]
            future = scheduler.submit("m", model, numbers, lengths, limits=limits, caller=seed)
            if draw.random() < 0.1:
                future.cancel()
                continue
            assert future.result(WAIT) == [2 * number for number in numbers]

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(caller, seed) for seed in range(6)]:
            done.result(60)
    until(lambda: not scheduler.health().busy)
    assert scheduler.waiting_tokens("m") == 0
    assert model.most > 1
    assert beside
