"""How good a map is, in numbers between 0 and 1; what clusters are is measured in `cluster_quality`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis import kernels
from penult_service.analysis.neighbours import nearest_others
from penult_service.analysis.progress import counting
from penult_service.analysis.rough import Threads, fixed, rough_keys
from penult_service.analysis.sieve import CODES, squared_norms

Floats = NDArray[np.float32]
Codes = NDArray[np.integer]

_PAIRS = 20_000_000  # how many distances a measure may take: up to 4,472 rows all, beyond that of a sample
_LEAST = 500  # rows of a sample
_TILE_ROWS = 64
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
    chosen = sampled(len(rows))
    more = counting(_STAGE, len(chosen))
    others = nearest_others(coordinates, chosen, k, "euclidean")[1]
    excess = np.maximum(_nearer(rows, chosen, others, metric, more) + 1 - k, 0)
    worst = len(chosen) * k * (2 * len(rows) - 3 * k - 1) / 2
    return 1.0 - float(excess.sum(dtype=np.int64)) / worst, len(chosen)


def label_purity(indices: Codes, labels: Codes) -> float | None:
    """Share of the neighbours [n, k] (each without the row itself) that have the row's label [n]; None of none."""
    return float(np.mean(labels[indices] == labels[:, None])) if indices.size else None


def sampled(rows: int) -> NDArray[np.int32]:
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
