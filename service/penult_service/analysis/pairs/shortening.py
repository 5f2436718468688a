"""Rows in fewer numbers, from which it is seen that most pairs are far apart.

In an orthonormal basis whose first directions hold most of what rows differ by, a row is (p, r): what it is along
those, and the length of what is left. By Cauchy and Schwarz x.y is at most p.p' + r r', and by the triangle inequality
|x - y| is at least |(p, r) - (p', r')|: what is not alike in the short rows is not alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.rows import blocks, unit_rows

Floats = NDArray[np.float32]
Wide = NDArray[np.float64]

_LEAST_ROWS, _LEAST_WIDTH = 2_048, 48  # where it pays
_SAMPLE, _PAIRS_OF = 1_024, 512
_WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
# Of a multiplication in a tile, and of a pair that is compared in full: seconds on one core, for the choice alone.
_MULTIPLY, _COMPARE, _COMPARE_NUMBER = 2.5e-11, 2e-8, 5e-10
_SIZES = 1e-20, 1e30  # of lengths whose float32 roundings are what they are taken for


@dataclass(frozen=True, eq=False)
class Short:
    """Short rows float32 [n, w], and how wrong their scores may be beside the rounding of those of any float32 rows.

    `slack` float64 [n]: of a cosine; of a distance, where the other row is no farther than the threshold.
    """

    rows: Floats
    slack: Wide


def shortened(rows: Floats, metric: str, threshold: float) -> Short | None:
    """Short rows of finite ones [n, d] under cosine or euclidean; None where they would not pay."""
    count, width = rows.shape
    if count < _LEAST_ROWS or width < _LEAST_WIDTH:
        return None
    sample = rows[np.linspace(0, count - 1, _SAMPLE).astype(np.intp)]
    if metric == "cosine":
        wide, centre = unit_rows(sample).astype(np.float64), np.zeros(width)
    else:
        wide = sample.astype(np.float64)
        centre = np.median(wide, axis=0)
        wide -= centre
    basis = _basis(wide)
    short = _width(wide @ basis, width, metric, threshold)
    if short is None:
        return None
    found, lengths = _along(rows, centre, basis[:, :short], metric == "cosine")
    if metric == "cosine":
        return Short(found, np.full(count, 2.0**-21))
    if not lengths.max() < _SIZES[1] or not lengths.max() > _SIZES[0]:
        return None
    # Each of both rows is wrong by 2^-24 of its length; the other one's is at most this one's and the threshold.
    return Short(found, 2.0**-23 * (2 * lengths + threshold) + 2.0**-140)


def _basis(sample: Wide) -> Wide:
    """Orthonormal directions float64 [d, at most d], those that the rows are longest along first."""
    if sample.shape[1] <= len(sample):
        directions = np.linalg.eigh(sample.T @ sample)[1][:, ::-1]
    else:
        directions = sample.T @ np.linalg.eigh(sample @ sample.T)[1][:, ::-1]
        directions = directions[:, : _WIDTHS[-1]]
    return np.asarray(np.linalg.qr(directions)[0])


def _width(sample: Wide, width: int, metric: str, threshold: float) -> int | None:
    """How many directions cost least in all, by pairs of a sample that is given along them."""
    some = sample[:: len(sample) // _PAIRS_OF][:_PAIRS_OF]
    squares, pairs = np.square(some), np.triu_indices(len(some), 1)
    whole = np.einsum("ij->i", squares)
    best, least = None, width * _MULTIPLY
    for short in _WIDTHS:
        if short >= min(width, sample.shape[1]):
            break
        left = np.sqrt(np.maximum(whole - squares[:, :short].sum(axis=1), 0))
        products = some[:, :short] @ some[:, :short].T + np.outer(left, left)
        if metric == "cosine":
            within = products[pairs] >= threshold
        else:
            within = (whole[:, None] + whole - 2 * products)[pairs] <= threshold * threshold
        cost = short * _MULTIPLY + within.mean() * (_COMPARE + width * _COMPARE_NUMBER)
        if cost < least:
            best, least = short, cost
    return best


def _along(rows: Floats, centre: Wide, basis: Wide, unit: bool) -> tuple[Floats, Wide]:
    """Short rows float32 [n, w + 1] and the lengths float64 [n] of rows from the centre."""
    short, lengths = np.empty((len(rows), basis.shape[1] + 1), dtype=np.float32), np.empty(len(rows))
    with np.errstate(over="ignore"):
        for part in blocks(len(rows), 16 * rows.shape[1]):
            wide = rows[part] - centre
            if unit:
                wide /= np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
            along = wide @ basis
            wide -= along @ basis.T  # subtracted, not by Pythagoras: that would lose half of the digits
            short[part, :-1] = along
            left = np.einsum("ij,ij->i", wide, wide)
            short[part, -1] = np.sqrt(left)
            lengths[part] = np.sqrt(np.einsum("ij,ij->i", along, along) + left)
    return short, lengths
