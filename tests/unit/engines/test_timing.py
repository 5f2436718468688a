"""How settings are compared and batches sized, by engines whose cost is known and a clock that they move."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.engines.examples import of_lengths
from penult_service.engines.fake import DIMENSION, fake_manifest
from penult_service.engines.timing import Candidate, Stopwatch, best, mix
from penult_service.tuned import AUTO, BFLOAT16, FLOAT32, OPENVINO, TENSORFLOW, Measured, Setting


class Clock(threading.local):
    """Each thread has its own, so that what is computed at once takes no longer for it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Costly:
    """Takes `a` seconds a batch and `b` a padded token; from `full` tokens on, `c` for each more.

    `shared` times as long where it is not alone: of the streams in turn.
    """

    clock: Clock
    a: float
    b: float
    c: float = 0.0
    full: int = 0
    extra: list[float] = field(default_factory=list)
    batches: list[tuple[int, ...]] = field(default_factory=list)
    shared: tuple[float, ...] = (1.0,)

    def encode(
        self,
        inputs: Mapping[str, NDArray[Any]],
        layers: Sequence[str],
        *,
        alone: bool = True,
    ) -> dict[str, NDArray[np.float32]]:
        shape = inputs["ids"].shape
        self.batches.append(shape)
        tokens = inputs["ids"].size
        beyond = self.c * max(0, tokens - self.full) if self.full else 0.0
        taken = self.a + self.b * tokens + beyond + (self.extra.pop() if self.extra else 0.0)
        self.clock.now += taken if alone else taken * self._share()
        return {layer: np.zeros((shape[0], DIMENSION), np.float32) for layer in layers}

    def _share(self) -> float:
        number = int(threading.current_thread().name.rpartition("_")[2])  # as a pool names its threads
        return self.shared[number % len(self.shared)]

    def head(self, *_: Any) -> dict[str, NDArray[Any]]:
        raise AssertionError("only encoding is timed")


@dataclass
class Meeting:
    """Computes nothing until so many calls are in flight, of those that are not alone; None is beside one that is."""

    clock: Clock
    streams: int
    met: int = 0
    lonely: int = 0

    def __post_init__(self) -> None:
        self._barrier = threading.Barrier(self.streams)

    def encode(
        self, _: Mapping[str, NDArray[Any]], layers: Sequence[str], *, alone: bool = True
    ) -> dict[str, NDArray[np.float32]]:
        if alone:
            assert self._barrier.n_waiting == 0
            self.lonely += 1
        else:
            self._barrier.wait(timeout=20)
            self.met += 1
        self.clock.now += 0.01
        return {layer: np.zeros((1, DIMENSION), np.float32) for layer in layers}

    head = Costly.head


def watch(clock: Clock) -> Stopwatch:
    return Stopwatch(fake_manifest(), clock)


def test_the_mix_is_like_sentences() -> None:
    lengths = np.array(mix())
    assert np.median(lengths) == 20
    assert 0.03 < (lengths > 60).mean() < 0.08
    assert lengths.min() >= 1


def test_rates_are_real_tokens_by_the_engine_s_own_time() -> None:
    clock = Clock()
    engines = [Costly(clock, 0.001, 1e-5), Costly(clock, 0.001, 2e-5)]
    candidates = [Candidate(Setting(threads=i + 1), engine) for i, engine in enumerate(engines)]
    fast, slow = watch(clock).compare(candidates)
    lengths = of_lengths(fake_manifest(), mix()).lengths
    batches = engines[0].batches[: len(engines[0].batches) // 2]
    assert len(set(batches)) > 1, "batches of several shapes"
    assert fast.tokens_per_second == pytest.approx(1e5, rel=0.2), (
        "padding and the cost of a batch take their part"
    )
    assert fast.tokens_per_second < 1e5
    assert slow.tokens_per_second < fast.tokens_per_second
    assert fast.one_seconds == pytest.approx(0.001 + 16e-5)
    assert lengths.max() <= fake_manifest().max_length


def test_a_pause_of_the_machine_does_not_decide() -> None:
    clock = Clock()
    disturbed, steady = Costly(clock, 0.0, 1e-5), Costly(clock, 0.0, 1.5e-5)
    candidates = [Candidate(Setting(OPENVINO), disturbed), Candidate(Setting(TENSORFLOW), steady)]
    disturbed.extra = [0.0] * 20 + [5.0] + [0.0] * 5  # popped from the end: in the second round
    found = watch(clock).compare(candidates)
    assert best(found, FLOAT32) is found[0]


def test_what_is_far_behind_is_not_timed_to_the_end() -> None:
    clock = Clock()
    fast, slow = Costly(clock, 0.0, 1e-6), Costly(clock, 0.0, 1e-4)
    watch(clock).compare([Candidate(Setting(OPENVINO), fast), Candidate(Setting(), slow)])
    assert len(slow.batches) < len(fast.batches)


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        # A batch costs nothing by itself, tokens much: all do about as well, and the usual ones stay.
        ({"a": 0.0, "b": 1e-4}, (2048, 32)),
        # Tokens cost so little that what the server does for a batch decides.
        ({"a": 0.0, "b": 1e-6}, (4096, 256)),
        # Beyond a thousand tokens it is no longer in the cache.
        ({"a": 0.01, "b": 1e-5, "c": 1e-4, "full": 1024}, (1024, 64)),
        # A batch costs as much as 20,000 tokens: as large as the planning makes them.
        ({"a": 0.02, "b": 1e-6}, (4096, 256)),
    ],
)
def test_the_size_of_batches_follows_from_what_they_cost(
    engine: dict[str, Any], expected: tuple[int, int]
) -> None:
    clock = Clock()
    found = watch(clock).sizes(Candidate(Setting(threads=3), Costly(clock, **engine)))
    assert (found.setting.token_budget, found.setting.max_rows) == expected
    assert found.setting.threads == 3


def test_batches_that_would_keep_others_waiting_are_not_tried() -> None:
    clock = Clock()
    slow = Costly(clock, 0.4, 3e-4)  # 1,024 tokens take 0.7 s
    found = watch(clock).sizes(Candidate(Setting(), slow))
    assert found.setting.token_budget <= 1024
    assert max(rows * length for rows, length in slow.batches) <= 1024


def test_streams_are_timed_at_once_and_one_text_alone() -> None:
    clock = Clock()
    engine = Meeting(clock, 3)
    candidate = Candidate(Setting(OPENVINO, threads=6, streams=3), engine)
    (found,) = watch(clock).compare([candidate])
    assert engine.met > 3
    assert engine.lonely == 16, "one to get warm, and fifteen that are timed"
    assert found.one_seconds == pytest.approx(0.01)
    watch(clock).sizes(candidate)
    assert engine.lonely == 32


@pytest.mark.parametrize(
    ("streams", "shared", "faster"),
    [
        (2, (1.0,), 2.0),
        (2, (1.8,), 2 / 1.8),
        (4, (5.0,), 4 / 5),
        (
            2,
            (1.5, 2.5),
            1 / 1.5 + 1 / 2.5,
        ),  # each takes the next batch when it is ready: none waits for another
    ],
)
def test_the_rate_of_streams_is_that_of_all_together(
    streams: int, shared: tuple[float, ...], faster: float
) -> None:
    clock = Clock()
    costs: dict[str, Any] = {"a": 0.001, "b": 1e-5}
    by_one, by_many = (
        Candidate(Setting(OPENVINO, threads=4, streams=n), Costly(clock, **costs, shared=shared))
        for n in (1, streams)
    )
    one, many = watch(clock).compare([by_one, by_many])
    assert many.tokens_per_second / one.tokens_per_second == pytest.approx(faster)
    assert many.one_seconds == one.one_seconds == pytest.approx(0.001 + 16e-5)
    assert many.setting.streams == streams


def test_the_batch_of_one_stream_must_not_keep_others_waiting_either() -> None:
    clock = Clock()
    slow = Costly(
        clock, 0.1, 2e-4
    )  # in one of four streams 1,024 tokens take 0.3 s, and the plan 0.08 s for each
    found = watch(clock).sizes(Candidate(Setting(threads=4, streams=4), slow))
    assert found.setting.token_budget <= 1024
    assert max(rows * length for rows, length in slow.batches) <= 1024


def test_what_the_server_does_for_a_batch_is_shared_among_streams() -> None:
    clock = Clock()
    costs: dict[str, Any] = {"a": 0.001, "b": 1e-5}
    one, many = (
        watch(clock).sizes(Candidate(Setting(OPENVINO, threads=4, streams=n), Costly(clock, **costs)))
        for n in (1, 4)
    )
    assert many.tokens_per_second / one.tokens_per_second == pytest.approx(4.0)


class Failing(Costly):
    """Fails in one of its streams (of `shared`, none has a share), or where it is alone after so many calls."""

    lonely = 10**9

    def encode(self, *given: Any, alone: bool = True) -> dict[str, NDArray[np.float32]]:
        if alone and len(self.batches) >= self.lonely:
            raise MemoryError
        return super().encode(*given, alone=alone)

    def _share(self) -> float:
        if threading.current_thread().name.endswith("_1"):
            raise RuntimeError("no such kernel\nat some place")
        return 1.0


def test_a_stream_that_fails_costs_its_setting_alone() -> None:
    clock = Clock()
    streams = Candidate(Setting(OPENVINO, threads=2, streams=2), Failing(clock, 0.0, 1e-6))
    plain = Candidate(Setting(OPENVINO, threads=2), Costly(clock, 0.0, 1e-6))
    for order in ([streams, plain], [plain, streams]):
        found = {one.setting: one for one in watch(clock).compare(order)}
        problem = "it failed while it was timed: RuntimeError: no such kernel"
        assert found[streams.setting] == Measured(streams.setting, problem=problem)
        assert found[plain.setting].tokens_per_second > 0
        assert best(list(found.values()), FLOAT32) is found[plain.setting]


@pytest.mark.parametrize("after", [0, 1, 2, 5, 14, 30])
def test_one_that_fails_later_is_not_used_either(after: int) -> None:
    clock = Clock()
    failing, plain = Failing(clock, 0.0, 1e-5), Costly(clock, 0.0, 2e-5)
    failing.lonely = after
    first, second = watch(clock).compare([Candidate(Setting(OPENVINO), failing), Candidate(Setting(), plain)])
    assert first == Measured(
        Setting(OPENVINO), problem="it failed while it was timed: MemoryError: MemoryError"
    )
    assert second.problem == ""
    assert best([first, second], FLOAT32) is second


def test_when_all_fail_none_can_be_used() -> None:
    clock = Clock()
    engine = Failing(clock, 0.0, 1e-5)
    engine.lonely = 3
    found = watch(clock).compare([Candidate(Setting(OPENVINO, threads=n), engine) for n in (1, 2)])
    assert all(one.problem for one in found)
    assert best(found, FLOAT32) is None
    assert watch(clock).compare([]) == []


def test_a_stream_is_called_by_one_thread_until_the_watch_is_closed() -> None:
    clock = Clock()
    callers: dict[str, set[threading.Thread]] = {"a": set(), "b": set()}

    @dataclass
    class Watched(Costly):
        name: str = ""

        def encode(self, *given: Any, alone: bool = True) -> dict[str, NDArray[np.float32]]:
            if not alone:
                callers[self.name].add(threading.current_thread())
            return super().encode(*given, alone=alone)

    stopwatch = watch(clock)
    candidates = [
        Candidate(Setting(OPENVINO, threads=n, streams=n), Watched(clock, 0.0, 1e-5, name=name))
        for n, name in ((2, "a"), (3, "b"))
    ]
    stopwatch.compare(candidates)
    stopwatch.sizes(candidates[0])
    assert [len(found) for found in callers.values()] == [2, 3]
    assert not callers["a"] & callers["b"]
    stopwatch.close()
    assert not any(thread.is_alive() for found in callers.values() for thread in found)


def measured(engine: str, precision: str, rate: float, problem: str = "", threads: int = 1) -> Measured:
    return Measured(Setting(engine, precision, threads), rate, 0.001, problem)


def test_the_fastest_is_chosen_and_of_equals_the_first() -> None:
    first, second = measured(OPENVINO, FLOAT32, 990.0), measured(TENSORFLOW, FLOAT32, 1000.0)
    assert best([first, second], FLOAT32) is first
    assert best([second, first], FLOAT32) is second
    faster = measured(TENSORFLOW, FLOAT32, 1100.0)
    assert best([first, faster], FLOAT32) is faster


def test_what_cannot_be_used_is_not_chosen() -> None:
    broken, works = measured(OPENVINO, FLOAT32, 0.0, "no such operation"), measured(TENSORFLOW, FLOAT32, 1.0)
    assert best([broken, works], FLOAT32) is works
    assert best([broken], FLOAT32) is None
    assert best([], AUTO) is None


def test_precision_is_lowered_only_where_that_is_asked_for_and_worth_it() -> None:
    full = measured(OPENVINO, FLOAT32, 1000.0)
    little, much = measured(OPENVINO, BFLOAT16, 1140.0), measured(OPENVINO, BFLOAT16, 1160.0)
    assert best([full, much], FLOAT32) is full
    assert best([full, little], AUTO) is full
    assert best([full, much], AUTO) is much
    assert best([full, measured(OPENVINO, BFLOAT16, 9e9, "it costs too much")], AUTO) is full
    assert best([much], AUTO) is much
