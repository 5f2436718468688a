"""Principal components (Pearson 1901): the same bytes at any number of threads, with signs that are decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis.maps import placing_kernels
from penult_service.analysis.progress import counting
from penult_service.analysis.rows import blocks
from penult_service.analysis.search.rough import fixed


@dataclass(frozen=True, eq=False)
class Components:
    """`coordinates` float32 [m, c], 0 beyond the rank; `explained` float64 [c] shares of the variance.

    `mean` float64 [d] and `loadings` float64 [d, c], 0 beyond the rank, place other rows (`placed`).
    """

    coordinates: NDArray[np.float32]
    explained: NDArray[np.float64]
    mean: NDArray[np.float64]
    loadings: NDArray[np.float64]


def components(rows: NDArray[np.floating], count: int, weights: NDArray[Any]) -> Components:
    """The first `count` components of rows [m, d], row i standing for `weights[i]` rows.

    From the eigenvectors of the covariance in float64, or of the Gram matrix where that is smaller. As in
    scikit-learn the largest loading of a component is positive. Tells the stage components, in rows placed.
    """
    more = counting("components", len(rows))
    explained, loadings = np.zeros(count), np.zeros((rows.shape[1], count))
    shares = weights.astype(np.float64) / weights.sum()
    mean = np.einsum("i,ij->j", shares, rows, dtype=np.float64)
    with threadpool_limits(1, user_api="blas"):
        variances, found, total = _loadings(rows, mean, shares, count)
    loadings[:, : len(variances)] = found
    if total > 0:
        explained[: len(variances)] = variances / total
    return Components(placed(rows, mean, loadings, more), explained, mean, loadings)


def placed(
    rows: NDArray[np.floating],
    mean: NDArray[np.float64],
    loadings: NDArray[np.float64],
    more: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Coordinates float32 [n, c] of rows [n, d], known or new: of each by itself, bit for bit."""
    coordinates = np.empty((len(rows), loadings.shape[1]), dtype=np.float32)
    columns = np.ascontiguousarray(loadings.T, dtype=np.float64)
    for block in blocks(len(rows), 8 * rows.shape[1]):
        placing_kernels.components(fixed(rows[block] - mean), fixed(columns), coordinates[block])
        if more is not None:
            more(block.stop - block.start)
    return coordinates


def _loadings(
    rows: NDArray[np.floating], mean: NDArray[np.float64], shares: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Variances [r], loadings [d, r] with r up to `count` within the rank, and the total variance."""
    m, d = rows.shape
    if m < d:
        centred = (rows - mean) * np.sqrt(shares)[:, None]
        square = centred @ centred.T
    else:
        square = np.zeros((d, d))
        for block in blocks(m, 8 * d):
            centred = (rows[block] - mean) * np.sqrt(shares[block])[:, None]
            square += centred.T @ centred
    size = len(square)
    total = float(np.trace(square))
    if not total > 0:
        return np.empty(0), np.empty((d, 0)), 0.0
    last = [size - min(count, size), size - 1]
    values, vectors = scipy.linalg.eigh(square, subset_by_index=last)
    values, vectors = values[::-1], vectors[:, ::-1]
    # What rounding of float32 rows alone gives is no component.
    real = values > total * max(m, d) * np.finfo(np.float64).eps + (np.finfo(np.float32).eps ** 2) * (
        mean @ mean
    )
    values, vectors = values[real], vectors[:, real]
    if m < d:
        vectors = centred.T @ vectors / np.sqrt(values)
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
    return values, vectors * signs, total
