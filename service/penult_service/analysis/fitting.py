"""The rows that an analysis is fitted on, and what it found scattered back to all rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.rows import distinct, unit_rows, zero_rows

_LARGE, _SMALL = 2.0**40, 2.0**-40


@dataclass(frozen=True, eq=False)
class Fitting:
    """Rows with a direction, each distinct one once.

    `rows` float32 [m, d], under cosine of unit length; `inverse` int32 [p] the distinct row of each of the p rows
    that are not left out; `kept` int32 [p] their numbers among all n; `zero` int32 those left out.
    """

    rows: NDArray[np.float32]
    inverse: NDArray[np.int32]
    kept: NDArray[np.int32]
    zero: NDArray[np.int32]

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
    rows = source if not zero.size else source[kept]
    if metric == "cosine":
        # First scaled, then compared: rows of one direction are one row.
        rows = unit_rows(rows)
    elif rows.size:
        largest = float(np.abs(rows).max())
        if largest and not _SMALL < largest < _LARGE:
            rows = np.ldexp(rows, -int(np.frexp(largest)[1])).astype(np.float32)
    found = distinct(rows)
    return Fitting(found.rows, found.inverse, kept, zero)
