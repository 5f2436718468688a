"""How good clusters are: by the rows alone (silhouette, Davies-Bouldin, Calinski-Harabasz), and beside given labels.

scikit-learn is imported where it is needed. All sums that BLAS does are of one thread, so that they are the same at
any number of cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis.progress import counting, silently
from penult_service.analysis.quality import sampled
from penult_service.analysis.rows import blocks
from penult_service.analysis.similarity import matrix

Floats = NDArray[np.float32]
Codes = NDArray[np.integer]
Part = tuple[slice, NDArray[np.float64]]
"""Some rows, and the sums of their distances to the rows of each cluster."""

_NO_DISTANCE = 1e-13
_STAGE = "quality"


@dataclass(frozen=True, eq=False)
class Silhouettes:
    """Silhouettes of rows in clusters: their `mean`, None where undefined; of `rows` rows; `of_each` cluster float32
    [k], NaN where none of its rows was measured."""

    mean: float | None = None
    rows: int = 0
    of_each: Floats = field(default_factory=lambda: np.empty(0, np.float32))


@dataclass(frozen=True)
class Separation:
    """How far clusters lie apart, for how wide they are; None where undefined."""

    davies_bouldin: float | None = None
    calinski_harabasz: float | None = None


def silhouettes(rows: Floats, labels: Codes, metric: str) -> Silhouettes:
    """Silhouettes (Rousseeuw 1987) of the rows [n, d] in clusters 0 to k - 1, each with rows; -1 is in none.

    Under cosine of all rows; else beyond 4,472 of rows drawn evenly, at least 500, each against all others. None with
    fewer than two clusters, or as many as rows. As `sklearn.metrics.silhouette_score`: 0 for the one row of a cluster.
    Tells the stage quality, in rows measured.
    """
    inside = np.flatnonzero(labels >= 0)
    order = inside[np.argsort(labels[inside], kind="stable")]
    names, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    if not 2 <= len(sizes) < len(order):
        return Silhouettes(of_each=np.full(len(names), np.nan, dtype=np.float32))
    members = np.ascontiguousarray(rows[order], dtype=np.float32)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    chosen = np.arange(len(order), dtype=np.int32) if metric == "cosine" else sampled(len(order))
    more, scores = counting(_STAGE, len(chosen)), np.empty(len(chosen))
    with threadpool_limits(1, user_api="blas"):
        parts = (
            _cosine_sums(members, starts) if metric == "cosine" else _sums(members, chosen, starts, metric)
        )
        for block, sums in parts:
            scores[block] = from_sums(sums, cluster[chosen[block]], sizes)
            more(block.stop - block.start)
    measured = np.bincount(cluster[chosen], minlength=len(sizes))
    totals = np.bincount(cluster[chosen], scores, minlength=len(sizes))
    means = np.divide(totals, measured, out=np.full(len(sizes), np.nan), where=measured > 0)
    return Silhouettes(float(scores.mean()), len(chosen), means.astype(np.float32))


def from_sums(sums: NDArray[np.float64], own: Codes, sizes: Codes) -> NDArray[np.float64]:
    """Silhouettes [b] of rows from the sums of their distances to the rows of each cluster, [b, k].

    `own` [b] is the cluster of each, `sizes` [k] the rows of each cluster.
    """
    at = np.arange(len(own)), own
    within = sums[at] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes
    means[at] = np.inf
    between = means.min(axis=1)
    larger = np.maximum(within, between)
    scores = np.divide(between - within, larger, out=np.zeros_like(larger), where=larger > 0)
    scores[sizes[own] == 1] = 0
    return np.asarray(scores)


def separation(rows: Floats, labels: Codes) -> Separation:
    """Davies-Bouldin (1979) and Calinski-Harabasz (1974) of the rows [n, d] in clusters 0 to k - 1; -1 is in none.

    As `sklearn.metrics` has them, about euclidean distances; None with fewer than two clusters, or as many as rows, and
    where all rows of each cluster are equal.
    """
    from scipy.spatial.distance import cdist

    inside = np.flatnonzero(labels >= 0)
    own = labels[inside]
    sizes = np.bincount(own)
    count, total = len(sizes), len(inside)
    if not 2 <= count < total:
        return Separation()
    centres = _means(rows, inside, own, sizes)
    far = np.empty(total)
    for block in blocks(total, 8 * rows.shape[1]):
        far[block] = ((rows[inside[block]] - centres[own[block]]) ** 2).sum(axis=1)
    within = float(far.sum())
    if not within > 0:
        return Separation()
    between = float((sizes * ((centres - sizes @ centres / total) ** 2).sum(axis=1)).sum())
    spread = np.bincount(own, np.sqrt(far), minlength=count) / sizes
    worst = np.empty(count)
    for block in blocks(count, 24 * count):
        apart = cdist(centres[block], centres)
        ratios = np.divide(spread[block, None] + spread, apart, out=np.zeros(apart.shape), where=apart > 0)
        worst[block] = ratios.max(axis=1)
    return Separation(float(worst.mean()), between / (count - 1) / (within / (total - count)))


def agreement(clusters: Codes, labels: Codes) -> dict[str, float]:
    """How far clusters [n] agree with labels [n]; noise (-1) is one cluster, a row whose label is -1 does not count.

    v_measure, adjusted_rand, purity, normalized_mutual_information; nothing without labels.
    """
    from sklearn import metrics
    from sklearn.metrics.cluster import contingency_matrix

    known = labels >= 0
    clusters, labels = clusters[known], labels[known]
    if not len(labels):
        return {}
    return {
        "v_measure": float(metrics.v_measure_score(labels, clusters)),
        "adjusted_rand": float(metrics.adjusted_rand_score(labels, clusters)),
        "purity": float(contingency_matrix(labels, clusters, sparse=True).max(axis=0).sum() / len(labels)),
        "normalized_mutual_information": float(metrics.normalized_mutual_info_score(labels, clusters)),
    }


def _means(rows: Floats, inside: NDArray[np.intp], own: Codes, sizes: Codes) -> NDArray[np.float64]:
    order = inside[np.argsort(own, kind="stable")]
    ends = np.cumsum(sizes)
    return np.stack(
        [
            rows[order[end - size : end]].mean(axis=0, dtype=np.float64)
            for size, end in zip(sizes, ends, strict=True)
        ]
    )


def _cosine_sums(members: Floats, starts: NDArray[np.intp]) -> Iterator[Part]:
    """Cosine distances of each row to all of each cluster: the size minus the product with the sum of unit rows."""
    unit = members.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", unit, unit))[:, None]
    np.divide(unit, lengths, out=unit, where=lengths > 0)
    sizes, totals = np.diff(np.append(starts, len(members))), np.add.reduceat(unit, starts, axis=0).T
    for block in blocks(len(members), 24 * len(starts)):
        sums = sizes - unit[block] @ totals
        # Of equal rows there is rounding left, which is no distance.
        yield block, np.where(sums > _NO_DISTANCE * sizes, sums, 0)


def _sums(
    members: Floats, chosen: NDArray[np.int32], starts: NDArray[np.intp], metric: str
) -> Iterator[Part]:
    for block in blocks(len(chosen), 8 * len(members)):
        with silently():
            scores = matrix(members[chosen[block]], members, metric).astype(np.float64)
        yield block, np.add.reduceat(scores, starts, axis=1)
