"""Too much work: what could not be done in time is refused before it is tokenized, and nothing else is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from penult_service.batching import Lane, Limits, Scheduler
from penult_service.batching.admission import check_time, note_late
from penult_service.batching.backlog import Backlog
from penult_service.batching.pace import Stretch
from penult_service.batching.request import Request
from penult_service.errors import DeadlineExceeded, ResourceExhausted

LIMITS = Limits(token_budget=100, max_rows=10, overhead=0)
BIG = Limits(token_budget=512, max_rows=32)
RATE = 14_000.0  # tokens a second
WAIT = 20.0


def stretch_of(pace: float, *, seconds: float = 2.0) -> Stretch:
    """Work without a pause at that pace."""
    stretch = Stretch()
    stretch.begin(0.0)
    go_on(stretch, "m", pace, seconds)
    return stretch


def go_on(stretch: Stretch, queue: str, pace: float, seconds: float, since: float = 0.0) -> None:
    """Ten batches a second."""
    for i in range(1, 1 + round(seconds * 10)):
        stretch.ran(queue, since + i / 10, round(pace / 10), full=True)


def pace_of(stretch: Stretch, queue: str = "m") -> float:
    """Tokens a second."""
    return 1 / stretch.seconds({queue: 1})


def backlog_with(*waiting: tuple[str, str, Lane, int]) -> Backlog:
    """Rows of ten tokens each: model, caller, lane, tokens."""
    backlog = Backlog(max_waiting_tokens=10**9)
    for queue, caller, lane, tokens in waiting:
        lengths = [10] * (tokens // 10)
        backlog.add(Request(queue, len, lengths, lengths, lane, 0.0, None, LIMITS, caller), None)
    return backlog


BULK, QUICK = Lane.BULK, Lane.INTERACTIVE


def run(backlog: Backlog, lane: Lane = BULK) -> float:
    """Tokens until 50 more of "me" have run."""
    return sum(backlog.until_run("m", "me", lane, 50).values())


@pytest.mark.parametrize(
    ("waiting", "lane", "until"),
    [
        ([], BULK, 50),
        ([("m", "me", BULK, 1000)], BULK, 1050),
        # Of another caller as much as of this one, or all that it has.
        ([("m", "other", BULK, 1000)], BULK, 50 + 50),
        ([("m", "me", BULK, 300), ("m", "a", BULK, 1000), ("m", "b", BULK, 20)], BULK, 350 + 350 + 20),
        # Of another model as much as of this one.
        ([("n", "other", BULK, 1000)], BULK, 50 + 50),
        ([("n", "me", BULK, 1000), ("m", "me", BULK, 100)], BULK, 150 + 150),
        # Bulk work waits for four interactive batches, these for a quarter of it.
        ([("m", "other", QUICK, 1000)], BULK, 50 + 200),
        ([("m", "other", QUICK, 120)], BULK, 50 + 120),
        ([("m", "me", BULK, 1000)], QUICK, 50 + 12.5),
    ],
)
def test_what_runs_before_a_call_has_ended(waiting: list[Any], lane: Lane, until: float) -> None:
    assert run(backlog_with(*waiting), lane) == pytest.approx(until)


def test_what_runs_is_told_of_each_model() -> None:
    waiting = [("m", "a", BULK, 30), ("n", "a", BULK, 1000), ("n", "b", QUICK, 90), ("o", "b", QUICK, 30)]
    # Another model as much as this one; of the other lane, which has 120 and might have 4 * 160, all.
    expected = {"m": 50 + 30, "n": 80 + 90, "o": 30}
    assert backlog_with(*waiting).until_run("m", "me", BULK, 50) == pytest.approx(expected)
    # Of the other lane a quarter, in equal parts.
    of_lane = (50 + 50 + 30) / 4
    expected = {"m": 50 + 30 * of_lane / 1030, "n": 50 + 1000 * of_lane / 1030, "o": 30}
    assert backlog_with(*waiting).until_run("m", "me", QUICK, 50) == pytest.approx(expected)


def test_what_was_taken_or_has_left_is_not_counted() -> None:
    backlog = backlog_with(("m", "me", BULK, 300))
    gone = Request("m", len, [10] * 20, [10] * 20, BULK, 0.0, None, LIMITS, "me")
    backlog.add(gone, None)
    assert run(backlog) == 550
    batch = backlog.take()
    assert batch is not None
    assert batch.more
    assert run(backlog) == 550 - batch.tokens
    gone.future.cancel()
    backlog.drop_gone(0.0)
    assert run(backlog) == 50 + backlog.waiting("m")


def check(
    backlog: Backlog,
    stretch: Stretch,
    left: float,
    caller: str = "me",
    tokens: float = 100,
    queue: str = "m",
) -> None:
    check_time(backlog, stretch, tokens, left, queue=queue, caller=caller, lane=BULK)


def test_a_call_that_would_be_late_is_told_when_to_come_back() -> None:
    backlog, stretch = backlog_with(("m", "me", BULK, 900)), stretch_of(100.0)
    check(backlog, stretch, left=10.5)
    with pytest.raises(ResourceExhausted, match=r"of its 7\.0 s .* done in 10\.0 s") as refused:
        check(backlog, stretch, left=7.0)
    assert refused.value.reason == "OVERLOADED"
    assert refused.value.retry_after == pytest.approx(
        9 / 2
    )  # half of the wait, which is more than what is missing
    with pytest.raises(ResourceExhausted) as refused:
        check(backlog, stretch, left=1.0)
    assert refused.value.retry_after == pytest.approx(9.0)
    check(backlog, stretch, left=7.0, caller="another")


def test_once_there_is_too_much_a_call_must_have_its_turn_early() -> None:
    backlog, stretch = backlog_with(("m", "me", BULK, 900)), stretch_of(100.0)
    check(backlog, stretch, left=12.0)
    with pytest.raises(ResourceExhausted):
        check(backlog, stretch, left=9.0)
    with pytest.raises(ResourceExhausted):
        check(backlog, stretch, left=12.0)  # nine seconds before its turn
    check(backlog, stretch, left=18.5)
    stretch.begin(100.0)  # the executor had nothing to do meanwhile
    assert not stretch.too_much


def test_too_much_for_little_time_is_not_too_much_for_long() -> None:
    """Else one call with hardly any time would have others refused for as long as the executor has something to do."""
    backlog, stretch = backlog_with(("m", "me", BULK, 900)), stretch_of(100.0)
    with pytest.raises(ResourceExhausted):
        check(backlog, stretch, left=0.5)
    with pytest.raises(ResourceExhausted):
        check(backlog, stretch, left=0.5)
    go_on(stretch, "m", 100.0, 0.6, since=2.0)
    assert not stretch.too_much
    check(backlog, stretch, left=12.0)  # nine seconds before its turn
    with pytest.raises(ResourceExhausted):
        check(backlog, stretch, left=7.0)
    go_on(stretch, "m", 100.0, 6.0, since=2.6)
    with pytest.raises(ResourceExhausted):
        check(backlog, stretch, left=12.0)


def test_a_pace_is_that_of_its_model_alone() -> None:
    stretch = Stretch()
    stretch.begin(0.0)
    go_on(stretch, "slow", 10.0, 5.0)
    assert stretch.known
    quick = backlog_with(("m", "other", BULK, 1000))
    check(quick, stretch, left=0.1, tokens=1000)  # of its model nothing is known
    go_on(stretch, "m", 10_000.0, 2.0, since=5.0)
    check(quick, stretch, left=0.3, tokens=1000)
    with pytest.raises(ResourceExhausted, match=r"done in 0\.2 s"):
        check(quick, stretch, left=0.1, tokens=1000)
    slow = backlog_with(("slow", "other", BULK, 1000))
    with pytest.raises(ResourceExhausted, match=r"wait 10\.0 s for its turn, and be done in 20\.0 s"):
        check(slow, stretch, left=5.0, tokens=100, queue="slow")
    # Each has its turns: as many tokens of both.
    with pytest.raises(ResourceExhausted, match=r"done in 10\.0 s"):
        check(slow, stretch, left=5.0, tokens=100)


def test_a_first_batch_that_is_slow_is_no_pace() -> None:
    stretch = Stretch()
    stretch.begin(0.0)
    stretch.ran("m", 5.0, 100, full=True)
    assert not stretch.known
    go_on(stretch, "m", 10_000.0, 2.0, since=5.0)
    assert pace_of(stretch) == pytest.approx(10_000.0)


def test_nothing_is_refused_by_a_pace_that_is_not_known_or_on_an_idle_server() -> None:
    waits = backlog_with(("m", "me", BULK, 10**6))
    check(waits, Stretch(), left=0.1)
    check(waits, stretch_of(100.0, seconds=0.9), left=0.1)
    check(backlog_with(), stretch_of(1.0), left=0.1)
    check(waits, stretch_of(100.0), left=0.0)  # it is told that its time is over


def test_the_pace_is_of_full_batches_of_late_with_the_time_between_them() -> None:
    stretch = stretch_of(1000.0, seconds=60.0)
    assert pace_of(stretch) == pytest.approx(1000.0)
    for i in range(1, 100):  # small ones, as nothing else waited
        stretch.ran("m", 60 + i / 10, 1, full=False)
    assert pace_of(stretch) == pytest.approx(1000.0)
    go_on(stretch, "m", 500.0, 15.0, since=69.9)
    assert pace_of(stretch) == pytest.approx(500.0, rel=0.1)
    stretch.begin(90.0)
    assert not stretch.known
    assert stretch.seconds({"m": 1000}) == 0.0


class World:
    """A model of that speed on a clock of its own; calls come from callers at their rates, each with some seconds."""

    def __init__(self, callers: dict[str, float], *, rows: int, seconds: float, rate: float = RATE) -> None:
        self.backlog, self.stretch = Backlog(max_waiting_tokens=1 << 21), Stretch()
        self.now, self._pace = 0.0, rate
        self._callers, self._rows, self._seconds = callers, rows, seconds
        self._next = dict.fromkeys(callers, 0.0)
        self._random = np.random.default_rng(0)
        self.refused, self.late, self.done = (dict.fromkeys(callers, 0) for _ in range(3))
        self.most_waiting = 0

    def run(self, until: float) -> None:
        """Goes on until then; counts begin anew."""
        for counts in (self.refused, self.late, self.done):
            counts.update(dict.fromkeys(counts, 0))
        self.most_waiting = 0
        while self.now < until:
            for name, rate in self._callers.items():
                while self._next[name] <= self.now:
                    self._come(name, self._next[name])
                    self._next[name] += 1 / rate
            gone = self.backlog.drop_gone(self.now)
            note_late(self.stretch, gone, self.now)
            for one in gone:
                one.future.cancel()
                self.late[str(one.caller)] += 1
            self.most_waiting = max(self.most_waiting, self.backlog.waiting("m"))
            self._batch()

    def _batch(self) -> None:
        self.backlog.pace.now, self.backlog.pace.tokens_per_second = self.now, self._pace
        batch = self.backlog.take()
        if batch is None:
            self.now += 0.001
            return
        self.now += batch.padded_tokens / self._pace
        self.stretch.ran("m", self.now, batch.tokens, full=batch.more)
        batch.deliver([None] * len(batch.rows))
        for one in batch.requests:
            if not one.missing:
                counts = self.done if self.now <= (one.deadline or 0.0) else self.late
                counts[str(one.caller)] += 1

    def _come(self, caller: str, arrived: float) -> None:
        lengths = self._random.integers(5, 36, self._rows).tolist()
        if not self.backlog:
            self.stretch.begin(self.now)
        try:
            left = arrived + self._seconds - self.now
            lane = BULK if self._rows > 1 else QUICK
            about = 16 * self._rows
            check_time(self.backlog, self.stretch, about, left, queue="m", caller=caller, lane=lane)
        except ResourceExhausted:
            self.refused[caller] += 1
            return
        deadline = arrived + self._seconds
        self.backlog.add(Request("m", len, lengths, lengths, lane, arrived, deadline, BIG, caller), None)


CAPACITY = RATE / (20 * 32)  # calls of 32 rows a second


@pytest.mark.parametrize(
    ("callers", "seconds", "least"), [(1, 10.0, 0.93), (1, 3.0, 0.93), (8, 10.0, 0.93), (30, 10.0, 0.9)]
)
def test_ten_times_too_much_is_refused_and_what_is_taken_is_done(
    callers: int, seconds: float, least: float
) -> None:
    world = World({str(i): 10 * CAPACITY / callers for i in range(callers)}, rows=32, seconds=seconds)
    world.run(3 * seconds)
    world.run(6 * seconds)
    done, late, refused = (sum(counts.values()) for counts in (world.done, world.late, world.refused))
    assert done > least * CAPACITY * 3 * seconds
    assert late < 0.05 * done
    assert refused > 8 * done
    assert world.most_waiting < 1.1 * RATE * seconds


@pytest.mark.parametrize(("load", "callers"), [(1.1, 1), (1.2, 1), (1.1, 30)])
def test_a_little_too_much_is_refused_as_well(load: float, callers: int) -> None:
    """Who is late goes last, so that by what waits for whom all would be in time."""
    world = World({str(i): load * CAPACITY / callers for i in range(callers)}, rows=32, seconds=10.0)
    world.run(30.0)
    world.run(90.0)
    done, late, refused = (sum(counts.values()) for counts in (world.done, world.late, world.refused))
    assert done > 0.95 * CAPACITY * 60
    assert late < 0.05 * done
    assert refused > 0.5 * (load - 1.0) * CAPACITY * 60


def test_who_asks_for_little_is_not_refused_for_what_another_floods() -> None:
    world = World({"flood": 10 * CAPACITY, "modest": 0.3 * CAPACITY}, rows=32, seconds=10.0)
    world.run(20.0)
    world.run(60.0)
    assert world.refused["flood"] > 0
    assert world.refused["modest"] == world.late["modest"] == 0
    assert world.done["modest"] == pytest.approx(0.3 * CAPACITY * 40, rel=0.05)


@pytest.mark.parametrize(("rows", "seconds"), [(1, 0.5), (32, 5.0), (400, 10.0)])
def test_nothing_is_refused_where_there_is_no_more_than_can_be(rows: int, seconds: float) -> None:
    world = World({str(i): 0.85 * RATE / (20 * rows) / 4 for i in range(4)}, rows=rows, seconds=seconds)
    world.run(30.0)
    assert not any(world.refused.values())


@pytest.mark.parametrize(("rate", "flying"), [(RATE, 4), (3500.0, 2)])
def test_parts_of_a_large_call_do_not_refuse_each_other(rate: float, flying: int) -> None:
    backlog, stretch, now = Backlog(max_waiting_tokens=1 << 21), Stretch(), 0.0
    lengths = np.random.default_rng(0).integers(5, 36, 1024).tolist()
    stretch.begin(now)
    waiting: list[Request] = []
    for _ in range(20):
        while len(waiting) < flying:
            check_time(backlog, stretch, sum(lengths), 30.0, queue="m", caller="one", lane=BULK)
            waiting.append(Request("m", len, lengths, lengths, BULK, now, now + 30.0, BIG, "one"))
            backlog.add(waiting[-1], None)
        while waiting[0].missing:
            backlog.pace.now = now
            batch = backlog.take()
            assert batch is not None
            now += batch.padded_tokens / rate
            stretch.ran("m", now, batch.tokens, full=batch.more)
            batch.deliver([None] * len(batch.rows))
        assert now <= (waiting.pop(0).deadline or 0.0)


class Held:
    """A scheduler on a clock that is turned by hand, whose model waits for its gate."""

    def __init__(self) -> None:
        self.now, self.gate, self.entered = 100.0, threading.Semaphore(0), threading.Semaphore(0)
        self.scheduler = Scheduler(token_budget=40, max_rows=4, clock=lambda: self.now)
        self.batches, self.fails = 0, range(0)

    def run(self, payloads: Any) -> Any:
        self.entered.release()
        assert self.gate.acquire(timeout=WAIT)
        self.batches += 1
        if self.batches in self.fails:
            raise ValueError("in vain")
        return payloads

    def submit(self, rows: int, caller: str = "a") -> Any:
        return self.scheduler.submit("m", self.run, list(range(rows)), [10] * rows, caller=caller)

    def end(self, batches: int, seconds: float) -> None:
        """So many batches end, each after so many seconds."""
        for _ in range(batches):
            assert self.entered.acquire(timeout=WAIT)
            self.now += seconds
            self.gate.release()

    def check(self, left: float | None, caller: str = "a", rows: int = 8) -> None:
        deadline = None if left is None else self.now + left
        self.scheduler.check_time("m", rows, 10 * rows, deadline, caller=caller)


@pytest.fixture
def held() -> Iterator[Held]:
    one = Held()
    yield one
    for _ in range(1000):
        one.gate.release()
    one.scheduler.close(WAIT)


def test_the_scheduler_refuses_by_the_pace_since_it_has_been_busy(held: Held) -> None:
    held.submit(40)
    held.check(0.001)
    assert not held.scheduler.pressed
    held.end(batches=4, seconds=0.4)  # 100 tokens a second
    assert held.entered.acquire(timeout=WAIT)
    assert held.scheduler.pressed
    # 20 of the 40 rows wait.
    with pytest.raises(ResourceExhausted) as refused:
        held.check(2.5)
    assert refused.value.reason == "OVERLOADED"
    assert refused.value.metadata == {"wait_seconds": "2.8", "left_seconds": "2.5"}
    held.check(5.0)
    held.check(2.5, caller="b")
    held.check(0.2, rows=1)  # overtakes
    held.check(None)


def test_batches_that_fail_make_the_pace_no_slower(held: Held) -> None:
    held.fails = range(5, 8)
    for _ in range(16):
        held.submit(4)
    held.end(batches=7, seconds=0.4)
    assert held.entered.acquire(timeout=WAIT)
    held.check(4.1)  # of the 16 calls eight wait: with these 80 tokens 400, 100 a second
    with pytest.raises(ResourceExhausted, match=r"done in 4\.0 s"):
        held.check(3.0)


def test_a_call_that_waited_in_vain_is_a_sign_of_too_much(held: Held) -> None:
    held.submit(40)
    held.end(batches=4, seconds=0.4)
    assert held.entered.acquire(timeout=WAIT)
    held.check(3.0)
    late = held.scheduler.submit("m", held.run, list(range(8)), [10] * 8, deadline=held.now + 0.3, caller="a")
    held.now += 0.4
    held.gate.release()
    assert held.entered.acquire(timeout=WAIT)
    with pytest.raises(DeadlineExceeded):
        late.result(WAIT)
    with pytest.raises(ResourceExhausted, match=r"wait 1\.6 s"):
        held.check(3.0)
