"""Whether clusters are the same on other samples of the rows: bootstrap samples, clustered by the whole procedure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import Cluster
from penult_service.analysis.clusters.finding import find
from penult_service.analysis.fitting import Fitting
from penult_service.analysis.progress import counting, silently
from penult_service.analysis.results import Stability


def stability(call: Cluster, fitted: Fitting, labels: NDArray[np.integer]) -> Stability | None:
    """How far clusters of `call.bootstraps` samples agree with `labels` [p] of the kept rows, noise being one cluster.

    A sample is as many rows, drawn with replacement (Efron 1979); the whole procedure, with its reduction and, with
    `auto`, its choice of a number, is done again with the same seed. Compared are the distinct rows that were drawn, by
    the adjusted Rand index; the interval is that of percentiles. None where all rows have one label.
    Tells the stage bootstraps, in samples.
    """
    from sklearn.metrics import adjusted_rand_score

    if not call.bootstraps or len(np.unique(labels)) < 2:
        return None
    own = labels[fitted.first]
    indices = np.empty(call.bootstraps)
    more = counting("bootstraps", call.bootstraps)
    for number in range(call.bootstraps):
        drawn, sample = _drawn(fitted, np.random.default_rng([call.seed, number]))
        with silently():
            again = find(call, sample, {}).labels[sample.first]
        indices[number] = adjusted_rand_score(own[drawn], again)
        more(1)
    low, high = np.percentile(indices, [2.5, 97.5])
    return Stability(float(indices.mean()), float(low), float(high), call.bootstraps)


def _drawn(fitted: Fitting, random: np.random.Generator) -> tuple[NDArray[Any], Fitting]:
    """The distinct rows of a bootstrap sample by number, and what is fitted of it."""
    rows = len(fitted.inverse)
    chosen = fitted.inverse[random.integers(0, rows, rows)]
    drawn, inverse = np.unique(chosen, return_inverse=True)
    none = np.empty(0, dtype=np.int32)
    sample = Fitting(fitted.rows[drawn], inverse.astype(np.int32), np.arange(rows, dtype=np.int32), none)
    return drawn, sample
