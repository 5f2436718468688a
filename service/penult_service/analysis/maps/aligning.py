"""A map laid onto another one of the same rows: rotated, mirrored, scaled and moved (Gower 1975)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float32]
Wide = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Alignment:
    """What lays places onto an anchor, and the disparity that is left, 0 (one shape) to 1."""

    middle: Wide
    turn: Wide
    target: Wide
    disparity: float

    def of(self, places: Floats) -> Floats:
        """Places float32 [n, c] as they lie then."""
        moved = np.einsum("ia,ab->ib", places.astype(np.float64) - self.middle, self.turn) + self.target
        return np.asarray(moved, dtype=np.float32)


def alignment(places: Floats, anchor: Floats) -> Alignment | None:
    """How places [n, c] come to lie as `anchor` [n, c] does, with the least sum of squares; None where one is a point.

    The disparity is that of `scipy.spatial.procrustes`: the sum of squares when either side has unit size.
    """
    if not len(places):
        return None
    wide = [side.astype(np.float64) for side in (places, anchor)]
    middles = [np.einsum("ij->j", side) / len(side) for side in wide]
    sides = [side - middle for side, middle in zip(wide, middles, strict=True)]
    sizes = [float(np.sqrt(np.einsum("ij,ij->", side, side))) for side in sides]
    # What is left of equal places is rounding.
    spans = [float(np.abs(side).max()) for side in wide]
    least = len(places) * np.finfo(np.float64).eps
    if any(size <= least * span for size, span in zip(sizes, spans, strict=True)):
        return None
    cross = np.einsum("ia,ib->ab", sides[1] / sizes[1], sides[0] / sizes[0])
    with threadpool_limits(1, user_api="blas"):
        left, values, right = np.linalg.svd(cross)
        turn = (left @ right).T * (values.sum() * sizes[1] / sizes[0])
    return Alignment(middles[0], turn, middles[1], float(np.clip(1.0 - values.sum() ** 2, 0.0, 1.0)))
