"""While bulk work runs several batches at once, a little runs beside all of them and waits for none to end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from penult_service.batching import Limits, Scheduler
from penult_service.errors import DeadlineExceeded, Internal, Unavailable
from support.held_model import DIES, MANY, ONE, WAIT, Entered, HeldModel, submit
from support.scheduling import refuses, until

# An eighth of its budget is one row of ten tokens.
WIDE = Limits(token_budget=80, max_rows=4, at_once=2)
Make = Callable[..., Scheduler]


def full(scheduler: Scheduler, model: HeldModel, limits: Limits = WIDE) -> tuple[Entered, Entered]:
    """Both places have bulk work."""
    submit(scheduler, model, range(MANY), limits)
    return model.next(), model.next()


def test_one_short_text_waits_for_none_of_those_that_run(make: Make, model: HeldModel) -> None:
    scheduler = make()
    first, second = full(scheduler, model)
    short = submit(scheduler, model, [1000], WIDE)
    batch = model.next()
    assert batch.numbers == [1000]
    assert batch.alone  # it is in no stream
    batch.end()
    assert short.result(WAIT) == [2000]
    assert model.nothing()  # bulk work has no third place
    first.end()
    second.end()
    assert {len(model.next().numbers), len(model.next().numbers)} == {4}


def test_one_at_a_time(make: Make, model: HeldModel) -> None:
    scheduler = make()
    full(scheduler, model)
    submit(scheduler, model, [1000], WIDE)
    beside = model.next()
    second = submit(scheduler, model, [1001], WIDE)
    assert model.nothing()
    beside.end()
    batch = model.next()
    assert batch.numbers == [1001]
    batch.end()
    assert second.result(WAIT) == [2002]


def test_what_waits_for_the_one_beside_takes_the_next_place_in_turn(make: Make, model: HeldModel) -> None:
    scheduler = make()
    first, _ = full(scheduler, model)
    submit(scheduler, model, [1000], WIDE)
    model.next()
    submit(scheduler, model, [1001], WIDE)
    first.end()
    batch = model.next()
    assert batch.numbers == [1001]
    assert not batch.alone


def test_more_than_a_little_waits_for_a_place(make: Make, model: HeldModel) -> None:
    scheduler = make()
    first, _ = full(scheduler, model)
    submit(scheduler, model, [1000, 1001], WIDE)
    assert model.nothing()
    first.end()
    assert model.next().numbers == [1000, 1001]


def test_not_beside_what_is_no_bulk_work(make: Make, model: HeldModel) -> None:
    """It would take the time of others that are as short."""
    scheduler = make()
    first, _ = full(scheduler, model)
    submit(scheduler, model, [1000, 1001], WIDE)
    first.end()
    small = model.next()
    submit(scheduler, model, [1002], WIDE)
    assert model.nothing()
    small.end()
    assert model.next().numbers == [1002]


def test_not_beside_a_batch_that_is_alone(make: Make, model: HeldModel) -> None:
    scheduler = make()
    submit(scheduler, model, range(8), WIDE)
    alone = model.next()
    assert alone.alone
    submit(scheduler, model, [1000], WIDE)
    assert model.nothing()
    alone.end()
    assert model.next().numbers == [1000]


def test_what_has_to_be_alone_is_not_run_beside(make: Make, model: HeldModel) -> None:
    scheduler = make()
    first, second = full(scheduler, model)
    submit(scheduler, model, [1000], replace(WIDE, at_once=1), queue="other")
    assert model.nothing()
    first.end()
    second.end()
    batch = model.next()
    assert batch.numbers == [1000]
    assert batch.alone


def test_what_has_to_be_alone_waits_for_the_one_beside(make: Make, model: HeldModel) -> None:
    scheduler = make()
    submit(scheduler, model, range(MANY), WIDE)
    running = [model.next(), model.next()]
    submit(scheduler, model, [1000], WIDE)
    beside = model.next()
    other = submit(scheduler, model, [7], ONE, queue="other")
    for batch in running:
        batch.end()
    assert model.nothing()
    beside.end()
    batch = model.next()
    assert batch.numbers == [7]
    assert batch.alone
    batch.end()
    assert other.result(WAIT) == [14]


def test_bulk_work_loses_no_turn(make: Make, model: HeldModel) -> None:
    """Four batches of the interactive lane may go before it; those that ran beside it went before nothing."""
    scheduler = make()
    first, _ = full(scheduler, model)
    for number in range(10):
        submit(scheduler, model, [1000 + number], WIDE)
        model.next().end()
    until(lambda: len(scheduler._places.batches) == 2)
    submit(scheduler, model, [1, 2], WIDE)  # its four turns are still there
    first.end()
    assert model.next().numbers == [1, 2]


def test_what_waits_for_nobody_else_is_not_held_up_by_the_one_beside(make: Make, model: HeldModel) -> None:
    """It may take long: what it reads may have to be compiled."""
    scheduler = make()
    submit(scheduler, model, range(MANY), WIDE)
    running = [model.next(), model.next()]
    submit(scheduler, model, [1000], WIDE)
    beside = model.next()
    for _ in range(7):
        running.pop(0).end()
        running.append(model.next())
    for batch in running:
        batch.end()
    until(lambda: not scheduler._places.in_turn)
    second = submit(scheduler, model, [1001], WIDE)
    batch = model.next()
    assert batch.numbers == [1001]
    assert not batch.alone
    batch.end()
    assert second.result(WAIT) == [2002]
    beside.end()


def test_no_more_rows_than_a_batch_has(make: Make, model: HeldModel) -> None:
    scheduler = make()
    first, _ = full(scheduler, model, replace(WIDE, token_budget=800))
    for number in range(5):  # of 50 tokens; an eighth is 100
        submit(scheduler, model, [1000 + number], replace(WIDE, token_budget=800))
        if not number:
            beside = model.next()
            assert beside.numbers == [1000]
    beside.end()
    assert model.next().numbers == [1001, 1002, 1003, 1004]
    for number in range(5):
        submit(scheduler, model, [1100 + number], replace(WIDE, token_budget=800))
    model.all[-1].end()
    assert model.nothing()
    first.end()
    assert model.next().numbers == [1100, 1101, 1102, 1103]


def test_fewer_executors_than_could_run_at_once(make: Make, model: HeldModel) -> None:
    limits = replace(WIDE, at_once=4)
    scheduler = make(executors=2)
    submit(scheduler, model, range(4 * 4 * 4 + 1), limits)
    model.next()
    model.next()
    submit(scheduler, model, [1000], limits)
    assert model.next().numbers == [1000]


def test_one_executor_has_none_beside_it() -> None:
    for executors, threads in ((1, 1), (2, 3)):
        scheduler = Scheduler(executors=executors)
        assert len(scheduler._executors._threads) == threads
        scheduler.close()


def test_it_begins_when_bulk_work_takes_the_last_place(make: Make, model: HeldModel) -> None:
    """Nobody comes in that moment who would wake it."""
    scheduler = make()
    first, _ = full(scheduler, model)
    for number in range(1000, 1008, 2):  # four of the interactive lane in a row
        submit(scheduler, model, [number, number + 1], WIDE)
        first.end()
        first = model.next()
        assert first.numbers == [number, number + 1]
    submit(scheduler, model, [1100], WIDE)
    assert model.nothing()
    first.end()
    begun = [model.next(), model.next()]
    assert sorted((len(batch.numbers), batch.alone) for batch in begun) == [(1, True), (4, False)]


def test_a_pause_of_bulk_work_is_none_of_its_time(make: Make, model: HeldModel) -> None:
    clock = [0.0]
    scheduler = make(clock=lambda: clock[0])
    submit(scheduler, model, range(MANY), WIDE)
    running = [model.next(), model.next()]
    submit(scheduler, model, [1000], WIDE)
    model.next()
    for _ in range(7):
        clock[0] += 1.0
        running.pop(0).end()
        running.append(model.next())
    assert scheduler.pressed
    for batch in running:
        batch.end()
    until(lambda: not scheduler._places.in_turn)
    clock[0] += 100.0
    submit(scheduler, model, range(MANY), WIDE)
    assert not scheduler.pressed  # it begins anew


def test_the_pace_is_that_of_bulk_work(make: Make, model: HeldModel) -> None:
    clock = [0.0]
    scheduler = make(clock=lambda: clock[0])
    first, second = full(scheduler, model)
    submit(scheduler, model, [1000], WIDE)
    beside = model.next()
    clock[0] = 2.0
    first.end()
    third = model.next()
    assert scheduler._recent.tokens_per_second == 40.0  # of four rows in two seconds, in one of two places
    clock[0] = 4.0
    second.end()
    model.next()
    known = scheduler._recent.tokens_per_second
    clock[0] = 4.5
    beside.end()
    until(lambda: len(scheduler._places.batches) == 2)
    assert scheduler._recent.tokens_per_second == known
    clock[0] = 5.0
    third.end()
    model.next()
    # What counts is the third, which began after the first had ended: its 40 tokens took the second from 4 to 5.
    assert scheduler._stretch.seconds({"m": 40}) == pytest.approx(1.0)


def test_one_that_fails_is_answered_and_the_next_runs(make: Make, model: HeldModel) -> None:
    scheduler = make()
    full(scheduler, model)
    bad = submit(scheduler, model, [1000], WIDE)
    model.next().end("told to")
    assert isinstance(bad.exception(WAIT), Internal)
    good = submit(scheduler, model, [1001], WIDE)
    model.next().end()
    assert good.result(WAIT) == [2002]


def test_the_executor_beside_dies_and_another_takes_its_place(make: Make, model: HeldModel) -> None:
    scheduler = make()
    first, second = full(scheduler, model)
    short = submit(scheduler, model, [1000], WIDE)
    model.next().end(DIES)
    assert isinstance(short.exception(WAIT), Unavailable)
    for batch in (first, second):
        batch.end()
    full(scheduler, model)
    again = submit(scheduler, model, [1001], WIDE)
    model.next().end()
    assert again.result(WAIT) == [2002]
    assert scheduler.health().deaths == 1


def test_one_that_hangs_beside_others_is_seen(make: Make, model: HeldModel) -> None:
    clock = [0.0]
    scheduler = make(stall_seconds=60.0, clock=lambda: clock[0])
    running = full(scheduler, model)
    submit(scheduler, model, [1000], WIDE)
    beside = model.next()
    clock[0] = 61.0
    for batch in running:
        batch.end()
        model.next()
    health = scheduler.health()
    assert health.stalled
    assert health.since_progress == 61.0
    beside.end()
    until(lambda: not scheduler.health().stalled)


def test_rows_that_fail_together_are_run_apart_beside_the_others(make: Make, model: HeldModel) -> None:
    limits = replace(WIDE, token_budget=160)
    scheduler = make()
    full(scheduler, model, limits)
    submit(scheduler, model, [1000], limits)
    beside = model.next()
    futures = [submit(scheduler, model, [number], limits) for number in (1001, 1002)]
    beside.end()
    model.next().end("told to")
    for future, number in zip(futures, (1001, 1002), strict=True):
        batch = model.next()
        assert batch.numbers == [number]
        assert batch.alone
        batch.end()
        assert future.result(WAIT) == [2 * number]
    assert scheduler._recent.tokens_per_second == 0.0


def test_an_executor_in_turn_dies_and_what_runs_beside_is_answered(make: Make, model: HeldModel) -> None:
    scheduler = make()
    first, _ = full(scheduler, model)
    short = submit(scheduler, model, [1000], WIDE)
    beside = model.next()
    first.end(DIES)
    until(lambda: scheduler.health().deaths == 1)
    beside.end()
    assert short.result(WAIT) == [2000]


def test_what_was_cancelled_is_not_run(make: Make, model: HeldModel) -> None:
    wider = Limits(token_budget=160, max_rows=4, at_once=2)
    scheduler = make()
    full(scheduler, model, wider)
    submit(scheduler, model, [1000], wider)
    beside = model.next()
    submit(scheduler, model, [1001], wider).cancel()
    third = submit(scheduler, model, [1002], wider)
    beside.end()
    batch = model.next()
    assert batch.numbers == [1002]
    batch.end()
    assert third.result(WAIT)


def test_what_is_too_late_is_not_run(make: Make, model: HeldModel) -> None:
    clock = [0.0]
    scheduler = make(clock=lambda: clock[0])
    full(scheduler, model)
    submit(scheduler, model, [1000], WIDE)
    beside = model.next()
    late = submit(scheduler, model, [1001], WIDE, deadline=1.0)
    clock[0] = 2.0
    beside.end()
    assert isinstance(late.exception(WAIT), DeadlineExceeded)
    assert model.nothing()


def test_closing_runs_beside_what_waits_for_that(make: Make, model: HeldModel) -> None:
    scheduler = make()
    bulk = submit(scheduler, model, range(MANY), WIDE)
    model.next()
    model.next()
    first = submit(scheduler, model, [1000], WIDE)
    beside = model.next()
    second = submit(scheduler, model, [1001], WIDE)
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(scheduler.close, 3 * WAIT)
        until(lambda: refuses(lambda: submit(scheduler, model, [9])))
        beside.end()
        batch = model.next()
        assert batch.numbers == [1001]
        batch.end()
        assert first.result(WAIT) == [2000]
        assert second.result(WAIT) == [2002]
        assert scheduler.health().alive
        model.let_go()
        closing.result(WAIT)
    assert len(bulk.result(0)) == MANY
    assert not any(thread.is_alive() for thread in scheduler._executors._threads)


def test_closing_tells_what_does_not_end_beside(make: Make, model: HeldModel) -> None:
    scheduler = make()
    full(scheduler, model)
    short = submit(scheduler, model, [1000], WIDE)
    model.next()
    scheduler.close(0.0)
    assert isinstance(short.exception(WAIT), Unavailable)
