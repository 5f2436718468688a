"""The rows that an analysis is fitted on, and what it found scattered back to all rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.progress import silently
from penult_service.analysis.rows import distinct, unit_rows, zero_rows
from penult_service.analysis.search.neighbours import graph

FAR_QUANTILE = 0.99
_LARGE, _SMALL = 2.0**40, 2.0**-40


@dataclass(frozen=True, eq=False)
class Fitting:
    """Rows with a direction, each distinct one once.

    `rows` float32 [m, d], under cosine of unit length; `inverse` int32 [p] the distinct row of each of the p rows
    that are not left out; `kept` int32 [p] their numbers among all n; `zero` int32 those left out. The rows are those
    of the source, or their directions, times 2^-`exponent`.
    """

    rows: NDArray[np.float32]
    inverse: NDArray[np.int32]
    kept: NDArray[np.int32]
    zero: NDArray[np.int32]
    exponent: int = 0

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each distinct row appears, int64 [m]."""
        return np.bincount(self.inverse, minlength=len(self.rows))

    @property
    def first(self) -> NDArray[np.intp]:
        """Where among the kept rows each distinct one appears first, [m]."""
        return np.unique(self.inverse, return_index=True)[1]

    @property
    def all_rows(self) -> NDArray[np.float32]:
        """The kept rows, [p, d]."""
        return self.rows if len(self.rows) == len(self.inverse) else self.rows[self.inverse]


def fitting(source: NDArray[Any], metric: str) -> Fitting:
    """What is fitted of finite rows [n, d]. Under cosine all-zero rows are left out, and lengths do not count.

    Rows of extreme size are scaled by a power of two, so that no distance is beyond float32.
    """
    source = np.ascontiguousarray(source, dtype=np.float32)
    zero = np.empty(0, dtype=np.int32)
    if metric == "cosine":
        zero = zero_rows(source)
    kept = np.setdiff1d(np.arange(len(source), dtype=np.int32), zero, assume_unique=True)
    rows, exponent = source if not zero.size else source[kept], 0
    if metric == "cosine":
        # First scaled, then compared: rows of one direction are one row.
        rows = unit_rows(rows)
    elif rows.size:
        largest = float(np.abs(rows).max())
        if largest and not _SMALL < largest < _LARGE:
            exponent = int(np.frexp(largest)[1])
            rows = np.ldexp(rows, -exponent).astype(np.float32)
    found = distinct(rows)
    return Fitting(found.rows, found.inverse, kept, zero, exponent)


def for_later(
    fitted: Fitting, source: NDArray[Any], metric: str, near_distances: NDArray[np.floating] | None = None
) -> dict[str, Any]:
    """What `results.Fitted` has, by name, of rows that were fitted under the metric.

    Args:
        fitted: `fitting(source, metric)`.
        source: float32 [n, d].
        metric: A distance.
        near_distances: Those of `neighbours.graph(fitted.rows, k, metric)`, k at least 2; None: the graph is made.
    """
    first = fitted.kept[fitted.first]
    # Rows that were scaled are kept as they came: new ones are compared with them at any size.
    rows = np.asarray(source[first], dtype=np.float32) if fitted.exponent else fitted.rows
    if near_distances is None and len(fitted.rows) > 2:
        with silently():
            near_distances = graph(fitted.rows, 2, metric)[1]
    far = None if near_distances is None else far_distance(near_distances)
    return {
        "fitted_rows": rows,
        "fitted_first": first.astype(np.int32),
        "far_distance": None if far is None else float(np.ldexp(far, fitted.exponent)),
    }


def far_distance(near_distances: NDArray[np.floating]) -> float | None:
    """The 99 % quantile of the distances of rows to their nearest other one: what is farther away is far.

    `near_distances` [m, k] of a graph, each row itself first; None for fewer than 3 rows.
    """
    if len(near_distances) < 3 or near_distances.shape[1] < 2:
        return None
    return float(np.quantile(near_distances[:, 1].astype(np.float64), FAR_QUANTILE))


def beside(places: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """A place [dimensions] outside the box of the others [m, dimensions], for rows that have none among them."""
    if not len(places):
        return np.zeros(dimensions, dtype=np.float32)
    low, high = places.min(axis=0), places.max(axis=0)
    place = (low + high) / 2
    place[0] = high[0] + (np.max(high - low) * np.float32(0.1) or np.float32(1.0))
    return np.asarray(place, dtype=np.float32)
