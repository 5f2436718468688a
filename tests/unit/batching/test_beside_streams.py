"""While bulk work runs several batches at once, a little runs beside all of them and waits for none to end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from penult_service.batching import Limits, Scheduler
from penult_service.errors import Internal, Unavailable
from support.held_model import DIES, MANY, ONE, WAIT, Entered, HeldModel, submit
from support.scheduling import until

# As `TWO`, and a batch of it has the tokens of eight that are little: rows of ten tokens.
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


def test_what_is_run_by_one_thread_is_not_run_beside(make: Make, model: HeldModel) -> None:
    scheduler = make()
    first, second = full(scheduler, model)
    submit(scheduler, model, [1000], Limits(token_budget=80, max_rows=4), queue="other")
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


def test_the_pace_is_that_of_bulk_work(make: Make, model: HeldModel) -> None:
    clock = [0.0]
    scheduler = make(clock=lambda: clock[0])
    first, _ = full(scheduler, model)
    clock[0] = 1.0
    short = submit(scheduler, model, [1000], WIDE)
    beside = model.next()
    clock[0] = 2.0
    beside.end()
    assert short.result(WAIT)
    until(lambda: len(scheduler._places.batches) == 2)
    assert scheduler._recent.tokens_per_second == 0.0
    first.end()
    model.next()
    assert scheduler._recent.tokens_per_second == 40.0  # of four rows in two seconds, in one of two places


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
    running, _ = full(scheduler, model)
    submit(scheduler, model, [1000], WIDE)
    model.next()
    clock[0] = 61.0
    running.end()
    model.next()
    assert scheduler.health().stalled


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


@pytest.mark.parametrize("grace", [0.0, WAIT])
def test_closing_answers_what_runs_beside(make: Make, model: HeldModel, grace: float) -> None:
    scheduler = make()
    full(scheduler, model)
    short = submit(scheduler, model, [1000], WIDE)
    model.next()
    if grace:
        model.let_go()
    scheduler.close(grace)
    assert short.result(WAIT) == [2000] if grace else isinstance(short.exception(WAIT), Unavailable)
    if grace:
        assert not scheduler._executors.alive
