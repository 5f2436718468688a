"""New rows among the rows that something was fitted on: the nearest of those to each, how far, and their weights.

What is said of a row depends on the row and on what is stored, not on the other rows, their order or their number:
the search is exact (`sieve.nearest`), equal distances go by row number, and each row is weighed alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.maps import placing_kernels as kernels
from penult_service.analysis.rows import unit_rows, zero_rows
from penult_service.analysis.search.neighbours import distances_of
from penult_service.analysis.search.rough import Threads, fixed
from penult_service.analysis.search.sieve import nearest

Floats = NDArray[np.float32]
Search = Callable[[Floats, Floats, int, str], tuple[NDArray[np.float64], NDArray[np.int32]]]

NEIGHBORS = 15
"""Fitted rows that speak for a new one."""
_STEP = 256  # rows that a thread takes at a time
_UNIT = 2.0**-50  # a number, of what rounding leaves of the cosine distance of equal rows


@dataclass(frozen=True, eq=False)
class Nearby:
    """Of the p new rows that have a direction their k nearest fitted rows.

    Attributes:
        kept: int32 [p], their numbers among all n new rows.
        zero: int32, the others: all-zero rows under cosine.
        lines: float32 [p, d], under cosine of unit length.
        rows: int32 [p, k] and `distances` float64 [p, k], nearest first, ties by row number.
        same: int32 [p], the fitted row that is this very row, -1 for none.
    """

    kept: NDArray[np.int32]
    zero: NDArray[np.int32]
    lines: Floats
    rows: NDArray[np.int32]
    distances: NDArray[np.float64]
    same: NDArray[np.int32]

    @property
    def nearest(self) -> NDArray[np.int32]:
        """int32 [p]: the row itself where it was fitted."""
        return np.where(self.same >= 0, self.same, self.rows[:, 0])

    def weights(self) -> NDArray[np.float64]:
        """How much each neighbour says, float64 [p, k], 0 to 1, the nearest 1 (see `placing_kernels.weigh`)."""
        weights = np.empty_like(self.distances)
        by_rows(lambda at: kernels.weigh(fixed(self.distances[at]), weights[at]), len(weights))
        return weights

    def far(self, far_distance: float | None) -> NDArray[np.bool_]:
        """bool [p]: those farther from all fitted rows than 99 % of these are from each other."""
        if far_distance is None:
            return np.zeros(len(self.kept), dtype=bool)
        return np.asarray(self.distances[:, 0] > far_distance)

    def of_all(self, values: NDArray[Any], otherwise: Any) -> NDArray[Any]:
        """Values [p, ...] of the kept rows as those of all n."""
        shape = len(self.kept) + len(self.zero), *values.shape[1:]
        found = np.full(shape, otherwise, dtype=values.dtype)
        found[self.kept] = values
        return found


def nearby(
    source: NDArray[Any], fitted_rows: Floats, k: int, metric: str, search: Search = nearest
) -> Nearby:
    """The `k` (fewer where there are fewer) nearest of the distinct `fitted_rows` [m, d] to each row [n, d].

    `fitted_rows` are as `fitting.for_later` keeps them. Distances are those of `neighbours.graph`, but float64. Another
    `search` than the exact one may miss some.
    """
    source = np.ascontiguousarray(source, dtype=np.float32)
    zero = zero_rows(source) if metric == "cosine" else np.empty(0, dtype=np.int32)
    kept = np.setdiff1d(np.arange(len(source), dtype=np.int32), zero, assume_unique=True)
    lines = source if not zero.size else source[kept]
    if metric == "cosine":
        lines = unit_rows(lines)
    fitted_rows = np.ascontiguousarray(fitted_rows, dtype=np.float32)
    k = min(k, len(fitted_rows))
    if not len(lines):
        return Nearby(kept, zero, lines, np.empty((0, k), np.int32), np.empty((0, k)), kept)
    keys, rows = search(lines, fitted_rows, k, metric)
    distances = distances_of(keys, metric)
    same = np.empty(len(lines), dtype=np.int32)
    suspects = distances[:, 0] <= _UNIT * lines.shape[1]
    kernels.equal_rows(fixed(lines), fixed(fitted_rows), fixed(rows), fixed(suspects), same)
    distances[same >= 0, 0] = 0.0
    return Nearby(kept, zero, lines, rows, distances, same)


def by_rows(work: Callable[[slice], None], rows: int) -> None:
    """Calls `work` with slices that cover so many rows, by several threads where they are many."""
    if rows <= _STEP:
        work(slice(0, rows))
        return
    with Threads() as threads:
        threads.each(work, slice(0, rows), _STEP)


def float32(distances: NDArray[np.float64]) -> Floats:
    """Distances as float32; those beyond its range are its largest number."""
    return np.minimum(distances, float(np.finfo(np.float32).max)).astype(np.float32)
