"""How good a map or a clustering is, in numbers between 0 and 1 (silhouette and Rand index: -1 and 1).

scikit-learn is imported where it is needed. All sums that BLAS does are of one thread, so that they are the same at
any number of cores.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis import kernels
from penult_service.analysis.neighbours import nearest_others
from penult_service.analysis.progress import counting, silently, tell
from penult_service.analysis.rough import Threads, fixed, rough_keys
from penult_service.analysis.rows import blocks
from penult_service.analysis.sieve import CODES, squared_norms
from penult_service.analysis.similarity import matrix

Floats = NDArray[np.float32]
Codes = NDArray[np.integer]

_PAIRS = 20_000_000  # how many distances a measure may take: up to 4,472 rows all, beyond that of a sample
_LEAST = 500  # rows of a sample
_TILE_ROWS = 64
_NO_DISTANCE = 1e-13
_STAGE = "quality"


def neighbors_of(rows: int, neighbors: int = 15) -> int:
    """How many neighbours trustworthiness is measured at: fewer than half of the rows; 0 where it is undefined."""
    return min(neighbors, (rows - 1) // 2) if rows >= 4 else 0


def trustworthiness(
    rows: Floats, coordinates: Floats, metric: str, neighbors: int = 15
) -> tuple[float | None, int]:
    """Whether neighbours on the map are neighbours among the rows (Venna and Kaski 2001), and of how many rows.

    `rows` [n, d] under the metric, `coordinates` [n, c] under euclidean; exact for up to 4,472 rows, beyond that for
    rows drawn evenly, at least 500, each against all others. At `neighbors_of(n, neighbors)` neighbours; None for
    n < 4. As `sklearn.manifold.trustworthiness`, but that rows equally far have the same, lowest rank. Tells the
    stage quality, in rows measured.
    """
    rows, k = np.ascontiguousarray(rows, dtype=np.float32), neighbors_of(len(rows), neighbors)
    if not k:
        return None, 0
    chosen = _sample(len(rows))
    more = counting(_STAGE, len(chosen))
    others = nearest_others(coordinates, chosen, k, "euclidean")[1]
    excess = np.maximum(_nearer(rows, chosen, others, metric, more) + 1 - k, 0)
    worst = len(chosen) * k * (2 * len(rows) - 3 * k - 1) / 2
    return 1.0 - float(excess.sum(dtype=np.int64)) / worst, len(chosen)


def label_purity(indices: Codes, labels: Codes) -> float | None:
    """Share of the neighbours [n, k] (each without the row itself) that have the row's label [n]; None of none."""
    return float(np.mean(labels[indices] == labels[:, None])) if indices.size else None


def silhouette(rows: Floats, labels: Codes, metric: str) -> tuple[float | None, int]:
    """Mean silhouette (Rousseeuw 1987) of the rows [n, d] in clusters (labels >= 0), and of how many of them.

    Under cosine of all rows; else beyond 4,472 of rows drawn evenly, at least 500, each against all others. None with
    fewer than two clusters, or as many as rows. As `sklearn.metrics.silhouette_score`: 0 for the one row of a cluster.
    Tells the stage quality, in rows measured.
    """
    inside = np.flatnonzero(labels >= 0)
    order = inside[np.argsort(labels[inside], kind="stable")]
    _, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    if not 2 <= len(sizes) < len(order):
        return None, 0
    members = np.ascontiguousarray(rows[order], dtype=np.float32)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    chosen = np.arange(len(order), dtype=np.int32) if metric == "cosine" else _sample(len(order))
    more = counting(_STAGE, len(chosen))
    with threadpool_limits(1, user_api="blas"):
        sums = (
            _cosine_sums(members, starts)
            if metric == "cosine"
            else _sums(members, chosen, starts, metric, more)
        )
    tell(_STAGE, len(chosen), len(chosen))
    own = np.arange(len(chosen)), cluster[chosen]
    within = sums[own] / np.maximum(sizes[own[1]] - 1, 1)
    means = sums / sizes
    means[own] = np.inf
    between = means.min(axis=1)
    larger = np.maximum(within, between)
    scores = np.divide(between - within, larger, out=np.zeros_like(larger), where=larger > 0)
    scores[sizes[own[1]] == 1] = 0
    return float(scores.mean()), len(chosen)


def agreement(clusters: Codes, labels: Codes) -> dict[str, float]:
    """How far clusters [n] agree with labels [n]: v_measure, adjusted_rand, purity; noise (-1) is one cluster."""
    from sklearn.metrics import adjusted_rand_score, v_measure_score
    from sklearn.metrics.cluster import contingency_matrix

    if not len(labels):
        return {}
    return {
        "v_measure": float(v_measure_score(labels, clusters)),
        "adjusted_rand": float(adjusted_rand_score(labels, clusters)),
        "purity": float(contingency_matrix(labels, clusters).max(axis=0).sum() / len(labels)),
    }


def _sample(rows: int) -> NDArray[np.int32]:
    """Row numbers, evenly drawn, as many as may be compared with all."""
    count = min(rows, max(_LEAST, _PAIRS // rows))
    return (np.arange(count, dtype=np.int64) * rows // count).astype(np.int32)


def _nearer(
    rows: Floats,
    chosen: NDArray[np.int32],
    others: NDArray[np.int32],
    metric: str,
    more: Callable[[int], None],
) -> NDArray[np.int32]:
    """How many rows are nearer to each chosen one than each of its others [b, k]: int32 [b, k]."""
    rough = rough_keys(rows[chosen], rows, metric)
    norms, out = squared_norms(rows), np.empty(others.shape, dtype=np.int32)

    def count(part: slice) -> None:
        tile = rough.tile(part, slice(0, len(rows)))
        bounds = rough.unit, rough.relative, rough.margins[part]
        kernels.ranks(CODES[metric], fixed(rows), norms, chosen[part], tile, *bounds, others[part], out[part])

    with Threads() as threads:
        threads.each(count, slice(0, len(chosen)), _TILE_ROWS, more)
    return out


def _cosine_sums(members: Floats, starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Cosine distances of each row to all of each cluster: the size minus the product with the sum of unit rows."""
    unit = members.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", unit, unit))[:, None]
    np.divide(unit, lengths, out=unit, where=lengths > 0)
    sizes = np.diff(np.append(starts, len(members)))
    sums = sizes - unit @ np.add.reduceat(unit, starts, axis=0).T
    # Of equal rows there is rounding left, which is no distance.
    return np.where(sums > _NO_DISTANCE * sizes, sums, 0)


def _sums(
    members: Floats,
    chosen: NDArray[np.int32],
    starts: NDArray[np.intp],
    metric: str,
    more: Callable[[int], None],
) -> NDArray[np.float64]:
    sums = np.empty((len(chosen), len(starts)))
    for block in blocks(len(chosen), 8 * len(members)):
        with silently():
            scores = matrix(members[chosen[block]], members, metric).astype(np.float64)
        sums[block] = np.add.reduceat(scores, starts, axis=1)
        more(block.stop - block.start)
    return sums
