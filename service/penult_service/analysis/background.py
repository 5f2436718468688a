"""What scores are usual: those of random pairs of rows. And rows without what all of them share.

Classifiers give cosines near 0.95 to everything: what a score says depends on where it lies among the others. Of word
vectors Mu, Bhat and Viswanath (2018, All-but-the-Top) take the mean away for the same reason.

NumPy only: the server computes small similarities itself (`rpc.analysis.small_similarity`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import LARGER_IS_CLOSER, SEED
from penult_service.analysis.results import Background
from penult_service.analysis.rows import blocks, distinct

Floats = NDArray[np.float32]

LEAST_ROWS = 30
QUANTILES = 1_001
# Drawn: each row is in as many pairs, so that no row counts for more than another.
_ROWS, _PAIRS = 4_000, 20_000
_COLUMNS_BYTES = 1 << 25
_NOTHING = 2.0**-40  # of the mean's length: what rounding leaves of a row that is the mean


def background(sides: Sequence[Floats], metric: str) -> Background | None:
    """The background of the rows of all sides [n, d], [m, d] ...; None where fewer than 30 are distinct.

    Of at most 4,000 rows, drawn evenly, the distinct ones count: all their pairs, or 20,000 of them in which each row
    is as often. Scores are float64, as those of `vectors.similarity` before they are rounded; the same rows give the
    same background.
    """
    rows = _drawn(sides, _ROWS)
    found = distinct(rows)
    if len(found.rows) < LEAST_ROWS and sum(map(len, sides)) > len(rows):
        found = distinct(np.concatenate(sides))  # where equal rows are most of all
    if len(found.rows) < LEAST_ROWS:
        return None
    rows = found.rows[np.random.default_rng(SEED).permutation(len(found.rows))[:_ROWS]]
    scores = _scores(rows, _shifts(len(rows)), metric)
    quantiles = np.quantile(scores, np.linspace(0, 1, QUANTILES))
    return Background(
        quantiles=tuple(quantiles.tolist()),
        pairs=len(scores),
        mean=float(scores.mean()),
        std=float(scores.std()),
        rows=len(rows),
    )


def compared(
    a: Floats, b: Floats | None, usual: Floats | None, metric: str, center: bool
) -> tuple[Floats, Floats | None, Background | None]:
    """What is compared of rows a [n, d] and b [m, d] (None: a), and what scores are usual among `usual` [u, d].

    None: among a and b. With `center` the mean of the rows that say what is usual is taken from all.
    """
    sides = [usual] if usual is not None else [a] if b is None else [a, b]
    if not center:
        return a, b, background(sides, metric)
    mean = mean_of(sides)
    a, b = centred(a, mean), None if b is None else centred(b, mean)
    if usual is not None:
        return a, b, background([centred(usual, mean)], metric)
    return a, b, background([a] if b is None else [a, b], metric)


def share_within(known: Background, threshold: float, metric: str) -> float:
    """The share of the pairs that are at least so similar, or at most so far apart, interpolated."""
    larger = metric in LARGER_IS_CLOSER
    # Many pairs may be at the threshold itself.
    beside = np.nextafter(threshold, -np.inf if larger else np.inf)
    below = float(np.interp(beside, known.quantiles, np.linspace(0, 1, QUANTILES)))
    return 1 - below if larger else below


def score_that_few_reach(known: Background, share: float, metric: str) -> float:
    """A score of few digits that no more than about this share of the pairs reaches (a distance: is within)."""
    levels = np.linspace(0, 1, QUANTILES)
    if metric in LARGER_IS_CLOSER:
        score = float(np.interp(1 - share, levels, known.quantiles))
        for digits in range(3, 9):
            higher = (math.floor(score * 10**digits) + 1) / 10**digits
            if metric != "cosine" or higher < 1:
                return higher
        return 1.0
    score = float(np.interp(share, levels, known.quantiles))
    if score <= 0:
        return 0.0
    size = 10.0 ** (math.floor(math.log10(score)) - 2)
    return float(f"{(math.ceil(score / size) - 1) * size:.3g}")


def mean_of(sides: Sequence[Floats]) -> NDArray[np.float64]:
    """The mean float64 [d] of all rows of all sides."""
    total = sum(side[part].sum(axis=0, dtype=np.float64) for side in sides for part in _parts(side))
    return np.asarray(total / sum(map(len, sides)), dtype=np.float64)


def centred(rows: Floats, mean: NDArray[np.float64]) -> Floats:
    """Rows float32 [n, d] without the mean, taken away in float64; a row that is the mean is all zero."""
    without = np.empty(rows.shape, dtype=np.float32)
    nothing = _NOTHING * np.linalg.norm(mean)
    for part in _parts(rows):
        wide = rows[part] - mean
        wide[np.linalg.norm(wide, axis=1) <= nothing] = 0
        without[part] = wide
    return without


def _parts(rows: Floats) -> list[slice]:
    return blocks(len(rows), 8 * rows.shape[1])


def _drawn(sides: Sequence[Floats], most: int) -> Floats:
    """Some of the rows of all sides, each as likely as another; in their order."""
    ends = np.cumsum([len(side) for side in sides])
    if ends[-1] <= most:
        return np.concatenate(sides) if len(sides) > 1 else sides[0]
    random = np.random.default_rng(SEED)
    chosen = np.sort(random.choice(ends[-1], most, replace=False, shuffle=False))
    within = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
    starts = ends - [len(side) for side in sides]
    return np.concatenate([side[at - start] for side, at, start in zip(sides, within, starts, strict=True)])


def _shifts(rows: int) -> NDArray[np.int64]:
    """How far apart the rows of pairs are, around the circle: with each of 1 to (rows - 1) / 2 all pairs are met once.

    With an even number of rows that of opposite ones is met from either side, and is left out unless all are taken.
    """
    most = (rows - 1) // 2
    wanted = -(-_PAIRS // rows)
    if wanted >= most:
        return np.arange(1, rows // 2 + 1)
    return 1 + np.sort(np.random.default_rng(SEED).choice(most, wanted, replace=False, shuffle=False))


def _scores(rows: Floats, shifts: NDArray[np.int64], metric: str) -> NDArray[np.float64]:
    """Float64 [pairs], of each row with those that come so many places later, around the circle."""
    count, width = rows.shape
    totals, squares = np.zeros((len(shifts), count)), np.zeros(count)
    step = max(1, _COLUMNS_BYTES // (8 * count))
    for start in range(0, width, step):
        part = rows[:, start : start + step].astype(np.float64)
        squares += np.einsum("ij,ij->i", part, part)
        for total, shift in zip(totals, shifts, strict=True):
            total[:-shift] += _compared(part[:-shift], part[shift:], metric)
            total[-shift:] += _compared(part[-shift:], part[:shift], metric)
    if metric == "cosine":
        lengths = np.sqrt(squares)
        for total, shift in zip(totals, shifts, strict=True):
            scale = lengths * np.roll(lengths, -shift)
            total[:] = np.clip(np.divide(total, scale, out=np.zeros(count), where=scale != 0), -1, 1)
    elif metric == "euclidean":
        np.sqrt(totals, out=totals)
    if 2 * shifts[-1] == count:
        return np.concatenate([totals[:-1].reshape(-1), totals[-1, : count // 2]])
    return totals.reshape(-1)


def _compared(x: NDArray[Any], y: NDArray[Any], metric: str) -> NDArray[np.float64]:
    """Of row i of either side, the sum over these columns."""
    match metric:
        case "euclidean":
            difference = x - y
            return np.asarray(np.einsum("ij,ij->i", difference, difference))
        case "manhattan":
            return np.asarray(np.abs(x - y).sum(axis=1))
        case _:
            return np.asarray(np.einsum("ij,ij->i", x, y))
