"""Times ways to run a model on this machine, and finds the best.

All settings of a round are timed one after the other before the next round, so that a busy neighbour slows all of them;
of the rounds the median counts. A setting with streams is timed as it is used where many batches wait: in all of them,
each called by a thread of its own, the same one from the first batch to the last. What fails while it is timed is not
used, and costs the others nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.batching.plan import Limits, plan
from penult_service.engines.examples import of_lengths
from penult_service.engines.pricing import Computes, layers_read
from penult_service.prepared import Manifest
from penult_service.tuned import AUTO, BFLOAT16, FLOAT32, Measured, Setting

# Reduced precision is taken by itself only where it is faster by this.
WORTH = 1.15
# Of two settings as good as each other the first one: they stand in the order of `settings_for`.
ALIKE = 1.03
# A setting that takes so much longer than the best is not timed to the end.
FAR_BEHIND = 1.5
# Other batches than the usual ones are taken where they are faster by this: kernels are made anew for each new shape,
# which is not timed here.
CHANGE = 1.05
# Sizes that come this near to the best are timed again.
NEAR = 0.9
# A smaller batch is preferred where it loses no more: one short text waits for less.
SMALLER = 0.97
# Of (token budget, rows) of a batch.
SIZES = ((512, 32), (1024, 64), (2048, 32), (2048, 128), (4096, 256), (8192, 512))
_BESIDE = (
    0.001  # seconds that a batch takes in the server beside the engine: packed, stacked, pooled, answered
)
_LONGEST_BATCH = 0.25  # seconds: after one that takes so long, larger ones are not tried
_ROUNDS, _LEAST, _ROUND_SECONDS = 5, 3, 0.25  # of a comparison, and for a setting in a round
_SIZE_ROUNDS, _SIZE_SECONDS = 3, 3.0
_MOST_BATCHES, _SAMPLED = 4, 6144  # of a plan that are timed, and about how many tokens of it
_ONE_TOKENS, _ONE_RUNS = 16, 15
_TOGETHER = 60.0  # seconds that the streams wait for each other at most


def mix(rows: int = 4000) -> list[int]:
    """Tokens a row as sentences and short reviews have them: log-normal, median 20, a twentieth above 60.

    As many as a busy server has waiting: of fewer, batches would hold fewer than they may.
    """
    from statistics import NormalDist

    places = (np.arange(rows) + 0.5) / rows
    return [round(20 * np.exp(0.67 * NormalDist().inv_cdf(p))) for p in places]


@dataclass
class Candidate:
    """A setting with its engine."""

    setting: Setting
    engine: Computes


@dataclass(frozen=True)
class Sample:
    """Some batches of a plan, how many of the plan each stands for, and the real tokens of the whole plan."""

    batches: tuple[dict[str, NDArray[Any]], ...]
    weights: tuple[int, ...]
    tokens: int


class Stopwatch:
    """Times engines on a mix of lengths. `close` ends the threads that call their streams.

    Args:
        manifest: Of the model.
        clock: Seconds, asked by each stream for itself; for tests.
    """

    def __init__(self, manifest: Manifest, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock, self._layers = clock, layers_read(manifest)
        self._examples = of_lengths(manifest, mix())
        self._one = of_lengths(manifest, [_ONE_TOKENS]).batch([0])
        self._callers: dict[Setting, ThreadPoolExecutor] = {}

    def close(self) -> None:
        """Ends the threads, when they have ended what they compute."""
        for pool in self._callers.values():
            pool.shutdown()
        self._callers.clear()

    def compare(self, candidates: Sequence[Candidate]) -> list[Measured]:
        """All in rounds, in batches of one size; those far behind leave after the second.

        One that fails has that as its `problem`.
        """
        race = _Race(candidates)
        if not candidates:
            return []
        sample = self._sample(candidates[0].setting, 1)
        race.each(lambda one: self._time(one, sample))  # the first batch is always slow
        first = race.each(lambda one: self._time(one, sample)).values()
        fastest = min(first, default=1.0) / sum(sample.weights)
        sample = self._sample(candidates[0].setting, max(1, int(_ROUND_SECONDS / max(fastest, 1e-9))))
        race.each(lambda one: self._time(one, sample))
        seconds: dict[int, list[float]] = {i: [] for i in race.running}
        behind: set[int] = set()
        began = self._clock()
        for number in range(_ROUNDS):
            for i, taken in race.each(lambda one: self._time(one, sample), but=behind).items():
                seconds[i].append(taken)
            if not race.running:
                break
            best_so_far = min(float(np.median(seconds[i])) for i in race.running)
            if number:
                behind |= {i for i in race.running if min(seconds[i]) >= FAR_BEHIND * best_so_far}
            if number + 1 >= _LEAST and self._clock() - began > _ROUNDS * _ROUND_SECONDS * len(candidates):
                break
        one_seconds = race.each(lambda one: self._one_seconds(one.engine))
        return [
            Measured(one.setting, sample.tokens / float(np.median(seconds[i])), one_seconds[i])
            if i in race.running
            else Measured(one.setting, problem=race.problems[i])
            for i, one in enumerate(candidates)
        ]

    def sizes(self, candidate: Candidate) -> Measured:
        """The batches that do best for this engine, by the best of the rounds; the usual ones unless others gain.

        What a batch takes beside the engine is counted, also in the rate that is told.
        """
        rates: dict[tuple[int, int], float] = {}
        sizes = list(SIZES)
        began = self._clock()
        for _ in range(_SIZE_ROUNDS):
            for budget, rows in sizes:
                sample = self._sample(replace(candidate.setting, token_budget=budget, max_rows=rows))
                seconds = self._time(candidate, sample)
                count = sum(sample.weights)
                rate = sample.tokens / (seconds + _BESIDE * count / candidate.setting.streams)
                rates[budget, rows] = max(rates.get((budget, rows), 0.0), rate)
                if seconds * candidate.setting.streams > _LONGEST_BATCH * count:
                    break
            most = max(rates.values())
            sizes = [size for size in sizes if rates.get(size, 0.0) > NEAR * most]
            if self._clock() - began > _SIZE_SECONDS:
                break
        most = max(rates.values())
        usual = (candidate.setting.token_budget, candidate.setting.max_rows)
        if rates.get(usual, 0.0) * CHANGE >= most:
            budget, rows = usual
        else:
            budget, rows = next(size for size, rate in rates.items() if rate >= SMALLER * most)
        setting = replace(candidate.setting, token_budget=budget, max_rows=rows)
        return Measured(setting, rates[budget, rows], self._one_seconds(candidate.engine))

    def _sample(self, setting: Setting, most: int = _MOST_BATCHES) -> Sample:
        """Batches from the longest rows to the shortest, each in the middle of those it stands for."""
        plan_ = plan(self._examples.costs.tolist(), Limits(setting.token_budget, setting.max_rows))
        count = min(most, max(2, _SAMPLED // setting.token_budget), _MOST_BATCHES, len(plan_))
        parts = np.array_split(np.arange(len(plan_)), count)
        batches = tuple(self._examples.batch(plan_[part[len(part) // 2]]) for part in parts)
        return Sample(batches, tuple(len(part) for part in parts), int(self._examples.lengths.sum()))

    def _time(self, candidate: Candidate, sample: Sample) -> float:
        """Seconds that the whole plan would take, its batches shared among the streams."""
        streams = candidate.setting.streams
        if streams == 1:
            return self._of_one(candidate.engine, sample, alone=True)
        pool = self._callers.get(candidate.setting) or ThreadPoolExecutor(streams)
        self._callers[candidate.setting] = pool  # a thread has its stream for ever
        together = threading.Barrier(streams)

        def stream() -> float:
            together.wait(timeout=_TOGETHER)
            return self._of_one(candidate.engine, sample, alone=False)

        running = [pool.submit(stream) for _ in range(streams)]
        wait(running)  # also where one fails: the next is not timed beside them
        # Each took all of the plan; in the server the faster ones would take more of it than the slower.
        return 1 / sum(1 / max(each.result(), 1e-9) for each in running)

    def _of_one(self, engine: Computes, sample: Sample, *, alone: bool) -> float:
        """Seconds that the whole plan would take this thread."""
        total = 0.0
        for batch, weight in zip(sample.batches, sample.weights, strict=True):
            began = self._clock()
            engine.encode(batch, self._layers, alone=alone)
            total += weight * (self._clock() - began)
        return total

    def _one_seconds(self, engine: Computes) -> float:
        engine.encode(self._one, self._layers)
        taken = []
        for _ in range(_ONE_RUNS):
            began = self._clock()
            engine.encode(self._one, self._layers)
            taken.append(self._clock() - began)
        return float(np.median(taken))


class _Race:
    """Candidates that are timed in turn; who fails leaves. `running` are places of those that did not."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self.running = list(range(len(candidates)))
        self.problems: dict[int, str] = {}

    def each(self, do: Callable[[Candidate], float], but: Collection[int] = ()) -> dict[int, float]:
        """What `do` gives of all that run but some, by place; without those that it failed of."""
        found = {}
        for i in [i for i in self.running if i not in but]:
            try:
                found[i] = do(self._candidates[i])
            except Exception as error:  # noqa: BLE001  (an engine that breaks on made-up rows is not used)
                self.running.remove(i)
                self.problems[i] = f"it failed while it was timed: {said(error)}"
        return found


def said(error: Exception) -> str:
    """What kind it is and what it says first."""
    first = (str(error) or type(error).__name__).splitlines()[0][:300]
    return f"{type(error).__name__}: {first}"


def best(measured: Sequence[Measured], precision: str) -> Measured | None:
    """The fastest that can be used, the first of those about as fast; None: none can.

    With `precision` ``auto`` one of reduced precision only where it is `WORTH` it.
    """
    usable = [each for each in measured if not each.problem]
    if precision == AUTO:
        full, reduced = (
            _fastest([each for each in usable if each.setting.precision == kind])
            for kind in (FLOAT32, BFLOAT16)
        )
        if full is None or reduced is None:
            return full or reduced
        return reduced if reduced.tokens_per_second >= WORTH * full.tokens_per_second else full
    return _fastest([each for each in usable if each.setting.precision == precision])


def _fastest(measured: Sequence[Measured]) -> Measured | None:
    most = max((each.tokens_per_second for each in measured), default=0.0)
    return next((each for each in measured if each.tokens_per_second * ALIKE >= most), None)
