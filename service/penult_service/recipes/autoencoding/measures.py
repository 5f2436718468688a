"""What the autoencoder's recipe measures: rows that are far off, blocks of rows, and errors of reconstruction.

Pure functions of arrays. Standardised numbers have mean 0 and deviation 1 over the rows trained on, so that 0 is what a
missing number is replaced by, and an error of 1 is what naming the mean always scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput

Matrix = NDArray[np.float64]
Reconstruct = Callable[[Matrix, Sequence[int]], Matrix]
"""Standardised rows [n, k], and which columns are 0 in them because they are missing -> their reconstruction [n, k]."""

_TO_DEVIATIONS = 1.4826
"""The median absolute deviation of a normal distribution times this is its standard deviation."""


@dataclass(frozen=True, eq=False)
class Errors:
    """Mean squared errors of reconstruction of k standardised columns, each over all rows measured.

    Attributes:
        clean: By column, float64 [k], with nothing missing.
        alone: By column, float64 [k, k]: row j with column j missing, and it alone.
        chosen: By column, float64 [k], with all chosen columns missing.
    """

    clean: Matrix
    alone: Matrix
    chosen: Matrix

    @property
    def itself(self) -> Matrix:
        """Of each column while it alone is missing, float64 [k]."""
        return self.alone.diagonal()


def errors_of(reconstruct: Reconstruct, rows: Matrix, chosen: Sequence[int]) -> Errors:
    """The errors on standardised rows [n, k]: of the rows as they are, and with columns missing."""

    def measured(missing: Sequence[int]) -> Matrix:
        given = rows.copy()
        given[:, list(missing)] = 0
        error: Matrix = np.square(reconstruct(given, missing) - rows).mean(axis=0)
        return error

    alone = np.array([measured([column]) for column in range(rows.shape[1])])
    return Errors(measured([]), alone, measured(chosen))


class Pca:
    """The principal components of standardised rows [n, k]: the best linear autoencoder of that width.

    Eckart and Young (1936): no linear one has a smaller squared error on the rows that it was fitted to.
    """

    def __init__(self, rows: Matrix, width: int) -> None:
        values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
        self.components: Matrix = vectors[:, np.argsort(-values, kind="stable")[:width]].T

    def reconstruct(self, rows: Matrix, missing: Sequence[int]) -> Matrix:
        """With missing columns at their mean."""
        del missing
        return rows @ self.components.T @ self.components

    def reconstruct_from_others(self, rows: Matrix, missing: Sequence[int]) -> Matrix:
        """With the scores that fit the columns that are there best (least squares)."""
        there = np.setdiff1d(np.arange(rows.shape[1]), list(missing))
        return rows[:, there] @ np.linalg.pinv(self.components[:, there]) @ self.components


def robust_distances(rows: Matrix, judged_by: NDArray[np.bool_]) -> Matrix:
    """How many robust deviations each number lies from its column's median, [n, k].

    A robust deviation is 1.4826 times the median absolute deviation (Hampel 1974) of the rows `judged_by`. Columns
    whose deviation is 0 (most rows have one value) are not judged: 0.
    """
    judges = rows[judged_by]
    median = np.median(judges, axis=0)
    deviation = _TO_DEVIATIONS * np.median(np.abs(judges - median), axis=0)
    off = np.abs(rows - median)
    return np.divide(off, deviation, out=np.zeros_like(off), where=deviation > 0)


def held_out_blocks(rows: int, fraction: float, blocks: int) -> NDArray[np.bool_]:
    """Which of the rows, in the order of time, are held out: whole blocks, spread evenly; bool [rows].

    Rows are cut into `blocks` of equal length, because rows beside each other are alike: chosen one by one, those held
    out would be known already. Of fraction 0 nothing is held out.

    Raises:
        InvalidInput: There are fewer rows than blocks, or no block would be held out, or all.
    """
    if not fraction:
        return np.zeros(rows, bool)
    if rows < blocks:
        what = f"there are {rows} rows; {blocks} blocks cannot be made of them"
        raise InvalidInput(what, reason="TOO_FEW_ROWS", field="blocks")
    count = round(fraction * blocks)
    if not 0 < count < blocks:
        what = f"of {blocks} blocks {fraction:g} is {count}: at least one must be held out, and one be left"
        raise InvalidInput(what, reason="NOTHING_HELD_OUT", field="valid_fraction")
    chosen = ((np.arange(count) + 0.5) * blocks / count).astype(int)
    return np.isin(np.arange(rows) * blocks // rows, chosen)
