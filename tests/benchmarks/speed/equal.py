"""Whether all sides give the same vectors, before any is timed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST_COSINE = 0.9999
# Half precision is compared at what it is: told, not refused.
LEAST_HALF = 0.99


def cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Row by row, float64 [n]."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / lengths)
