"""Times ways to run a model on this machine, and finds the best.

All settings of a round are timed one after the other before the next round, so that a busy neighbour slows all of them;
of the rounds the median counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from penult_service.batching.plan import Limits, plan
from penult_service.engines.examples import Examples, of_lengths
from penult_service.engines.pricing import Computes, layers_read
from penult_service.prepared import Manifest
from penult_service.tuned import AUTO, BFLOAT16, FLOAT32, Measured, Setting

# Reduced precision is taken by itself only where it is faster by this.
WORTH = 1.15
# Of two settings as good as each other the first one: they stand in the order of `settings_for`.
ALIKE = 1.03
# A smaller batch is preferred where it loses no more: one short text waits for less.
SMALLER = 0.97
# Of (token budget, rows) of a batch.
SIZES = ((512, 32), (1024, 32), (1024, 64), (2048, 32), (2048, 64), (4096, 64), (4096, 128), (8192, 256))
_LONGEST_BATCH = 0.5  # seconds: larger ones are not tried
_ROUNDS, _MOST_SECONDS = 5, 1.5  # per setting of a comparison, and for all of its rounds
_SIZE_SECONDS = 4.0
_BATCHES = 4  # of a size's batches that are timed, from the longest rows to the shortest
_ONE_TOKENS, _ONE_RUNS = 16, 15


def mix(rows: int = 640) -> list[int]:
    """Tokens a row as sentences and short reviews have them: log-normal, median 20, a twentieth above 60."""
    from statistics import NormalDist

    places = (np.arange(rows) + 0.5) / rows
    return [round(20 * np.exp(0.67 * NormalDist().inv_cdf(p))) for p in places]


@dataclass
class Candidate:
    """A setting with its engine, and what has been timed of it: seconds of a round."""

    setting: Setting
    engine: Computes
    seconds: list[float] = field(default_factory=list)


class Stopwatch:
    """Times engines on a mix of lengths.

    Args:
        manifest: Of the model.
        clock: Seconds; for tests.
        examples: The mix; by default made up.
    """

    def __init__(
        self,
        manifest: Manifest,
        clock: Callable[[], float] = time.perf_counter,
        examples: Examples | None = None,
    ) -> None:
        self._clock, self._layers = clock, layers_read(manifest)
        self._examples = examples or of_lengths(manifest, mix())
        self._one = of_lengths(manifest, [_ONE_TOKENS]).batch([0])

    def compare(self, candidates: Sequence[Candidate]) -> list[Measured]:
        """All in rounds, each at its own budget; those far behind leave after the second."""
        plans = {id(c): self._plan(c.setting) for c in candidates}
        for candidate in candidates:
            self._time(candidate.engine, plans[id(candidate)])  # warm
        began = self._clock()
        racing = list(candidates)
        for number in range(_ROUNDS):
            for candidate in racing:
                candidate.seconds.append(self._time(candidate.engine, plans[id(candidate)]))
            best = min(float(np.median(c.seconds)) / self._tokens(plans[id(c)]) for c in racing)
            if number:
                racing = [c for c in racing if min(c.seconds) / self._tokens(plans[id(c)]) < 1.5 * best]
            if self._clock() - began > _MOST_SECONDS * len(candidates):
                break
        return [self._measured(c, self._tokens(plans[id(c)])) for c in candidates]

    def sizes(self, candidate: Candidate) -> Measured:
        """The budget that does best for this engine, the smallest of those about as good."""
        rates: dict[tuple[int, int], list[float]] = {}
        took: dict[tuple[int, int], float] = {}
        began = self._clock()
        for number in range(3):
            slowest = 0.0
            for size in SIZES:
                if slowest > _LONGEST_BATCH / 2:  # one of twice the size would take too long
                    break
                batches = self._plan(replace(candidate.setting, token_budget=size[0], max_rows=size[1]))
                if not number:
                    self._time(candidate.engine, batches)
                seconds = self._time(candidate.engine, batches)
                rates.setdefault(size, []).append(self._tokens(batches) / seconds)
                took[size] = slowest = seconds / len(batches)
            if self._clock() - began > _SIZE_SECONDS:
                break
        medians = {size: float(np.median(found)) for size, found in rates.items()}
        best = max(medians.values())
        budget, rows = next(size for size, rate in medians.items() if rate >= SMALLER * best)
        setting = replace(candidate.setting, token_budget=budget, max_rows=rows)
        return Measured(setting, medians[budget, rows], self._one_seconds(candidate.engine))

    def _plan(self, setting: Setting) -> list[list[int]]:
        """A few batches of the mix, spread evenly over it."""
        batches = plan(self._examples.costs.tolist(), Limits(setting.token_budget, setting.max_rows))
        places = np.linspace(0, len(batches) - 1, min(_BATCHES, len(batches))).round().astype(int)
        return [batches[place] for place in places]

    def _tokens(self, batches: Sequence[Sequence[int]]) -> int:
        return int(sum(self._examples.lengths[list(rows)].sum() for rows in batches))

    def _time(self, engine: Computes, batches: Sequence[Sequence[int]]) -> float:
        inputs = [self._examples.batch(rows) for rows in batches]
        began = self._clock()
        for each in inputs:
            engine.encode(each, self._layers)
        return self._clock() - began

    def _measured(self, candidate: Candidate, tokens: int) -> Measured:
        seconds = float(np.median(candidate.seconds))
        return Measured(candidate.setting, tokens / seconds, self._one_seconds(candidate.engine))

    def _one_seconds(self, engine: Computes) -> float:
        engine.encode(self._one, self._layers)
        taken = []
        for _ in range(_ONE_RUNS):
            began = self._clock()
            engine.encode(self._one, self._layers)
            taken.append(self._clock() - began)
        return float(np.median(taken))


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
