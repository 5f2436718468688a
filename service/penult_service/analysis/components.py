"""Principal components (Pearson 1901), with signs and sums that are the same every time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

_NOTHING = 1e-12  # a component with less of the variance than this is rounding


def principal(rows: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The first components of rows [n, d]: places float32 [n, count], and shares of the variance float64 [count].

    The largest weight of each component is positive. Components beyond the rank are 0, with share 0.
    """
    with threadpool_limits(1):
        wide = rows.astype(np.float64)
        wide -= wide.mean(axis=0)
        largest = float(np.abs(wide).max(initial=0.0))
        wide /= largest or 1.0  # squares of the largest numbers would overflow
        variances, weights = np.linalg.eigh(wide.T @ wide)
        variances, weights = variances[::-1][:count], weights[:, ::-1][:, :count]
        total = float(np.square(wide).sum())
        shares = np.maximum(variances, 0) / total if total > 0 else np.zeros(len(variances))
        weights = weights * np.where(
            weights[np.abs(weights).argmax(axis=0), range(weights.shape[1])] < 0, -1, 1
        )
        places = (wide @ weights) * (largest or 1.0)
    real = shares > _NOTHING
    missing = count - len(shares)
    places = np.pad(np.where(real, places, 0), ((0, 0), (0, missing)))
    limit = np.finfo(np.float32).max
    return np.clip(places, -limit, limit).astype(np.float32), np.pad(np.where(real, shares, 0), (0, missing))
