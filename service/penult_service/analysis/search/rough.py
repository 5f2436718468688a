"""Float32 keys of all pairs of rows, tile by tile, with a bound on how wrong they are.

Keys are those of `kernels`: smaller is closer. The bounds are the usual ones of rounding, whatever the order of the
sums (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from penult_service.analysis.rows import unit_rows, zero_rows
from penult_service.analysis.search import kernels

Floats = NDArray[np.float32]

_UNIT = 2.0**-24  # half the distance from 1 to the next float32
# Lengths are scaled to at most this: squares do not overflow, and small ones hardly vanish.
_LARGEST = 2.0**58
_SMALLEST = 2.0**-149  # the least float32 above 0
_VANISHED = 2.0**-110  # per term, more than can be lost where float32 ends
_NOWHERE = 4.0  # what a row without direction adds to keys of -1 to 1


def cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@cache
def _libraries() -> ThreadpoolController:
    """NumPy's BLAS among them. To look for them takes some milliseconds, as long as the search for one row."""
    return ThreadpoolController()


class Threads:
    """Threads that share out rows; numba's kernels and BLAS leave Python's lock.

    BLAS itself has one thread meanwhile: its own wait for each other, which costs several times the work where the
    cores are wanted by others too.
    """

    def __init__(self) -> None:
        self.count = cores()

    def __enter__(self) -> Threads:
        self._limits = _libraries().limit(limits=1, user_api="blas")
        self._pool = ThreadPoolExecutor(self.count)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._limits.restore_original_limits()

    def each(
        self,
        work: Callable[[slice], None],
        rows: slice,
        step: int,
        more: Callable[[int], None] | None = None,
    ) -> None:
        """Calls `work` with slices of at most `step` that cover these rows, and `more` with the size of each.

        `more` is called in this thread, in the order of the rows.
        """
        slices = [slice(start, min(start + step, rows.stop)) for start in range(rows.start, rows.stop, step)]
        for part, _ in zip(slices, self._pool.map(work, slices), strict=True):
            if more is not None:
                more(part.stop - part.start)


@dataclass(frozen=True, eq=False)
class RoughKeys:
    """What float32 keys are made from: |rough key - unit * key| <= relative * unit * key + margin of the query.

    `queries` float32 [n, w] and `corpus` float32 [m, w] are the rows in a form whose tiles are the keys; `margins`
    float64 [n]. Under cosine all-zero rows have rough keys above all others.
    """

    queries: Floats
    corpus: Floats
    unit: float
    relative: float
    margins: NDArray[np.float64]
    absolute: bool = False

    @property
    def slope(self) -> float:
        """With `allowances`: the k nearest have rough keys of at most slope * (k-th smallest) + allowance."""
        return (1 + self.relative) / (1 - self.relative)

    @cached_property
    def allowances(self) -> NDArray[np.float64]:
        return self.margins * (1 + self.slope)

    @property
    def shape(self) -> tuple[int, int]:
        """Queries and corpus rows."""
        return len(self.queries), len(self.corpus)

    def of(self, queries: NDArray[np.intp]) -> RoughKeys:
        """Those of some of the queries."""
        return replace(self, queries=self.queries[queries], margins=self.margins[queries])

    def tile(self, rows: slice, columns: slice) -> Floats:
        """Keys float32 of these queries and these corpus rows."""
        left, right = self.queries[rows], np.ascontiguousarray(self.corpus[columns])
        if not self.absolute:
            return np.asarray(left @ right.T)
        tile = np.empty((len(left), len(right)), dtype=np.float32)
        kernels.rough_absolute_tile(left, right, tile)
        return tile


def fixed(rows: NDArray[Any]) -> NDArray[Any]:
    """The same rows, read-only: numba compiles another version for those that can be written to."""
    view = rows.view()
    view.flags.writeable = False
    return view


def rough_keys(queries: Floats, corpus: Floats, metric: str) -> RoughKeys:
    """Float32 keys of queries [n, d] and corpus rows [m, d]. With equal sides, tiles serve as those of either side."""
    width = queries.shape[1]
    # Sums of width + 2 products, inputs and squares rounded, and the roundings of float64 many times over.
    error = (width + 10) * _UNIT
    error = error / (1 - error) if error < 0.2 else np.inf
    make = {"cosine": _cosine, "dot": _dot, "euclidean": _euclidean, "manhattan": _manhattan}[metric]
    return make(queries, corpus, error, width * _VANISHED)


def _cosine(queries: Floats, corpus: Floats, error: float, vanished: float) -> RoughKeys:
    left, right = -unit_rows(queries), unit_rows(corpus)
    zeros = [zero_rows(side) for side in (queries, corpus)]
    if any(z.size for z in zeros):
        ones, marks = ([np.zeros(len(side), np.float32) for side in (left, right)] for _ in range(2))
        for one, mark, zero in zip(ones, marks, zeros, strict=True):
            one[:], mark[zero] = 1, _NOWHERE
        left, right = np.column_stack([left, ones[0], marks[0]]), np.column_stack([right, marks[1], ones[1]])
    return RoughKeys(left, right, 1.0, 0.0, np.full(len(left), error + vanished))


def _dot(queries: Floats, corpus: Floats, error: float, vanished: float) -> RoughKeys:
    lengths = [np.sqrt(np.einsum("ij,ij->i", side, side, dtype=np.float64)) for side in (queries, corpus)]
    scales = [scale_of(float(side.max())) for side in lengths]
    left, right = (_scaled(side, scale) for side, scale in zip((queries, corpus), scales, strict=True))
    unit = scales[0] * scales[1]
    longest = float(lengths[1].max())
    # Numbers at float32's end are rounded by more than their share, and meet those that are largest.
    rounded = np.sqrt(queries.shape[1]) * _SMALLEST * (scales[1] * longest + scales[0] * lengths[0])
    margins = error * unit * longest * lengths[0] + rounded + vanished
    return RoughKeys(-left, right, unit, 0.0, margins)


def _manhattan(queries: Floats, corpus: Floats, error: float, vanished: float) -> RoughKeys:
    scale = scale_of(max(float(np.abs(side).max(initial=0)) for side in (queries, corpus)))
    left, right = (_scaled(side, scale) for side in (queries, corpus))
    return RoughKeys(left, right, scale, error, np.full(len(left), vanished), absolute=True)


def _euclidean(queries: Floats, corpus: Floats, error: float, vanished: float) -> RoughKeys:
    """Squared distances from a centre that outliers do not move, as products: (-2x, |x|^2, 1) (y, 1, |y|^2).

    Their error is at most e (|x| + |y|)^2, and |y| <= |x| + distance, so at most e (8 |x|^2 + 2 distance^2).
    """
    centre = centre_of(corpus)
    sides = [side - centre for side in (queries, corpus)]
    scale = scale_of(max(float(np.sqrt(np.einsum("ij,ij->i", side, side).max())) for side in sides))
    left, right = (_scaled(side, scale) for side in sides)
    squares = [np.einsum("ij,ij->i", side, side, dtype=np.float64) for side in (left, right)]
    ones = [np.ones(len(side)) for side in (left, right)]
    return RoughKeys(
        np.column_stack([-2 * left, squares[0], ones[0]]).astype(np.float32),
        np.column_stack([right, ones[1], squares[1]]).astype(np.float32),
        scale * scale,
        2 * error,
        8 * error * squares[0] + vanished,
    )


def centre_of(rows: Floats) -> NDArray[np.float64]:
    """A centre of the rows that outliers do not move, float64 [d]."""
    return np.asarray(np.median(rows[:: max(1, len(rows) // 256)].astype(np.float64), axis=0))


def scale_of(largest: float) -> float:
    """The power of two that brings this length near the largest allowed."""
    return 2.0 ** np.floor(np.log2(_LARGEST / largest)) if largest > 0 else 1.0


def _scaled(matrix: NDArray[Any], scale: float) -> Floats:
    return (matrix * np.float64(scale)).astype(np.float32)
