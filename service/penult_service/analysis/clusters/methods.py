"""The methods that divide rows, by scikit-learn, each the same at any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis.clusters.description import from_largest
from penult_service.analysis.progress import heard, iterations_printed

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

COVARIANCE = "tied"
STARTS = 3
"""Of k-means, the best of which counts."""
_REGULARISATION = 1e-3  # of the mean variance: a component of one row, or of equal ones, has a width


def kmeans(
    rows: Floats,
    count: int,
    weights: NDArray[Any],
    seed: int,
    starts: int,
    more: Callable[[int], None] | None = None,
) -> Labels:
    """k-means (Lloyd) of rows [m, d], row i standing for `weights[i]` rows: the best of several starts.

    `more` is called after each start.
    """
    from sklearn.cluster import KMeans

    weights = weights.astype(np.float32)
    # One state of random numbers for all: as n_init draws them, and chooses.
    random = np.random.RandomState(seed)
    best: Any = None
    # Its threads add up centres in whatever order: one.
    with threadpool_limits(1):
        for _ in range(starts):
            model = KMeans(count, n_init=1, random_state=random).fit(rows, sample_weight=weights)
            if best is None or (model.inertia_ < best.inertia_ and not _same(model.labels_, best.labels_)):
                best = model
            if more is not None:
                more(1)
    return np.asarray(best.labels_, dtype=np.int64)


def mixture(rows: Floats, count: int, seed: int, stage: str = "") -> Labels:
    """A mixture of Gaussians of one shape, rows [p, d]; tells the stage, where one is named."""
    from sklearn.mixture import GaussianMixture

    wide = rows.astype(np.float64)
    wide -= wide.mean(axis=0)
    wide /= np.sqrt(np.mean(wide**2)) or 1.0
    model = GaussianMixture(
        count,
        covariance_type=COVARIANCE,
        reg_covar=_REGULARISATION,
        random_state=seed,
        verbose=int(bool(stage) and heard()),
        verbose_interval=1,
    )
    with threadpool_limits(1):
        if not stage:
            return np.asarray(model.fit_predict(wide), dtype=np.int64)
        with iterations_printed(stage):
            return np.asarray(model.fit_predict(wide), dtype=np.int64)


def hdbscan(rows: Floats, least: int, samples: int, metric: str, single: bool = False) -> Labels:
    """HDBSCAN (Campello, Moulavi and Sander 2013) of rows [p, d], noise -1; unit rows under cosine as euclidean.

    `least` rows make a cluster, `samples` a dense place; all may be one with `single`.
    """
    from sklearn.cluster import HDBSCAN

    model = HDBSCAN(
        min_cluster_size=least,
        min_samples=samples,
        metric="manhattan" if metric == "manhattan" else "euclidean",
        allow_single_cluster=single,
        copy=True,
    )
    with threadpool_limits(1):
        labels = model.fit(rows.astype(np.float64)).labels_
    return np.maximum(labels.astype(np.int64), -1)


def _same(labels: Labels, others: Labels) -> bool:
    """Whether both are the same clusters, however numbered: a better sum is then a matter of rounding."""
    return bool((from_largest(labels) == from_largest(others)).all())
