"""The next batch is made ready while one runs; what runs next is still decided at its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import pytest
from penult_service.batching import Limits, Scheduler
from penult_service.errors import Internal
from support.scheduling import until

WAIT = 10.0  # seconds after which a test that hangs fails
LIMITS = Limits(token_budget=40, max_rows=4)


class TwoSteps:
    """Remembers what it prepared, on which thread, and what it computed; computes while the gate is open."""

    def __init__(self) -> None:
        self.prepared: list[tuple[list[int], str]] = []
        self.computed: list[list[int]] = []
        self.fails: set[int] = set()
        self.gate, self.entered = threading.Event(), threading.Event()

    def __call__(self, payloads: Sequence[int]) -> list[int]:
        return self.compute(self.prepare(payloads))

    def prepare(self, payloads: Sequence[int]) -> list[int]:
        self.prepared.append((list(payloads), threading.current_thread().name))
        if self.fails & set(payloads):
            raise RuntimeError("cannot be stacked")
        return list(payloads)

    def compute(self, prepared: list[int], *, alone: bool = True) -> list[int]:
        del alone
        self.computed.append(prepared)
        self.entered.set()
        assert self.gate.wait(WAIT)
        return [2 * number for number in prepared]

    def ahead(self) -> list[list[int]]:
        return [numbers for numbers, thread in self.prepared if thread == "penult-packer"]


@pytest.fixture
def run() -> Iterator[TwoSteps]:
    made = TwoSteps()
    yield made
    made.gate.set()


@pytest.fixture
def scheduler(run: TwoSteps) -> Iterator[Scheduler]:
    made = Scheduler()
    yield made
    run.gate.set()
    made.close(WAIT)


def submit(scheduler: Scheduler, run: TwoSteps, numbers: Sequence[int]) -> Future[list[int]]:
    return scheduler.submit("m", run, numbers, [10] * len(numbers), limits=LIMITS)


def busy(scheduler: Scheduler, run: TwoSteps) -> Future[list[int]]:
    future = submit(scheduler, run, [0])
    assert run.entered.wait(WAIT)
    return future


def test_the_next_batch_is_prepared_while_one_runs_and_once(scheduler: Scheduler, run: TwoSteps) -> None:
    busy(scheduler, run)
    bulk = submit(scheduler, run, range(100, 112))
    until(lambda: run.ahead() == [[100, 101, 102, 103]])
    run.gate.set()
    assert bulk.result(WAIT) == [2 * number for number in range(100, 112)]
    assert sorted(numbers for numbers, _ in run.prepared) == [
        [0],
        *([first, first + 1, first + 2, first + 3] for first in (100, 104, 108)),
    ]


def test_a_small_request_overtakes_what_is_prepared(scheduler: Scheduler, run: TwoSteps) -> None:
    busy(scheduler, run)
    bulk = submit(scheduler, run, range(100, 108))
    until(lambda: bool(run.ahead()))
    small = submit(scheduler, run, [1])
    run.gate.set()
    assert (small.result(WAIT), len(bulk.result(WAIT))) == ([2], 8)
    assert run.computed == [[0], [1], [100, 101, 102, 103], [104, 105, 106, 107]]


def test_a_batch_that_has_room_waits_for_more(scheduler: Scheduler, run: TwoSteps) -> None:
    busy(scheduler, run)
    futures = [submit(scheduler, run, [number]) for number in (1, 2, 3)]
    assert run.ahead() == []
    futures.append(submit(scheduler, run, [4]))
    until(lambda: run.ahead() == [[1, 2, 3, 4]])
    run.gate.set()
    assert [future.result(WAIT) for future in futures] == [[2], [4], [6], [8]]
    assert run.computed == [[0], [1, 2, 3, 4]]


def test_a_caller_who_leaves_is_not_in_the_batch_though_it_was_prepared(
    scheduler: Scheduler, run: TwoSteps
) -> None:
    busy(scheduler, run)
    stays, leaves = submit(scheduler, run, [1, 2]), submit(scheduler, run, [3, 4])
    until(lambda: run.ahead() == [[1, 2, 3, 4]])
    assert leaves.cancel()
    run.gate.set()
    assert stays.result(WAIT) == [2, 4]
    assert run.computed == [[0], [1, 2]]


def test_what_cannot_be_prepared_fails_its_own_request_alone(scheduler: Scheduler, run: TwoSteps) -> None:
    busy(scheduler, run)
    run.fails = {3}
    good, bad = submit(scheduler, run, [1, 2]), submit(scheduler, run, [3, 4])
    until(lambda: run.ahead() == [[1, 2, 3, 4]])
    run.gate.set()
    assert good.result(WAIT) == [2, 4]
    assert isinstance(bad.exception(WAIT), Internal)
    later = submit(scheduler, run, range(5, 13))
    assert later.result(WAIT) == [2 * number for number in range(5, 13)]


def test_the_packer_ends_with_the_scheduler(run: TwoSteps) -> None:
    run.gate.set()

    def packers() -> int:
        return sum(thread.name == "penult-packer" for thread in threading.enumerate())

    before = packers()
    scheduler = Scheduler()
    assert submit(scheduler, run, range(50)).result(WAIT) == [2 * number for number in range(50)]
    scheduler.close(WAIT)
    until(lambda: packers() == before)
