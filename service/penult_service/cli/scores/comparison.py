"""Two sides of rows that are compared: their scores block by block, and the most and least alike pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import LARGER_IS_CLOSER
from penult_service.cli.outputs import drafts
from penult_service.cli.scores import usual
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput
from penult_service.vectors import rows_not_finite
from penult_service.vectors import similarity as scores_of

if TYPE_CHECKING:
    from penult_client import Background

BLOCK = 512


class Pair(NamedTuple):
    """Two rows and their score."""

    score: float
    a: int
    b: int


def prepared(
    a: Side, b: Side | None, usual_side: Side | None, metric: str, center: bool
) -> tuple[Side, Side | None, Background | None]:
    """The sides as they are compared, centred where that is asked for, and what is usual among their rows."""
    from penult_service.analysis.background import compared

    given = [side for side in (a, b, usual_side) if side is not None]
    good = [side.good() for side in given]
    if not all(map(len, good)):
        return a, b, None
    rows = [
        side.vectors if len(g) == len(side.vectors) else side.vectors[g]
        for side, g in zip(given, good, strict=True)
    ]
    first, second, known = compared(
        rows[0],
        None if b is None else rows[1],
        None if usual_side is None else rows[-1],
        metric,
        center,
    )
    if center:
        a = _with_rows(a, good[0], first)
        b = None if b is None or second is None else _with_rows(b, good[1], second)
    return a, b, usual.background(known, metric)


def _with_rows(side: Side, rows: NDArray[np.intp], vectors: NDArray[np.float32]) -> Side:
    """The side with other numbers in these rows."""
    every = np.full(side.vectors.shape, np.nan, np.float32)
    every[rows] = vectors
    return replace(side, vectors=every)


class Comparison:
    """Two sides under a metric, and what is usual; `b` None: `a` with itself, each pair once."""

    def __init__(self, a: Side, b: Side | None, metric: str, known: Background | None = None) -> None:
        self.a, self.metric, self.within, self.known = a, metric, b is None, known
        self.b = a if b is None else b
        self.shape = (len(self.a.vectors), len(self.b.vectors))
        self.pairs = (
            self.shape[0] * (self.shape[0] - 1) // 2 if self.within else self.shape[0] * self.shape[1]
        )
        if self.pairs == 0:
            raise InvalidInput("there is one row, and nothing to compare it with; give two texts or --file-b")

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Number of the first row, scores float32 [rows, columns]; NaN where a row has no embedding."""
        others, missing = _finite(self.b.vectors)
        for first in range(0, self.shape[0], BLOCK):
            rows, bad = _finite(self.a.vectors[first : first + BLOCK])
            scores = scores_of(rows, others, self.metric)
            scores[bad] = np.nan
            scores[:, missing] = np.nan
            yield first, scores

    def save(self, path: Path) -> None:
        """All scores as .npy, whole or not at all."""
        with drafts(path) as (draft,):
            matrix = np.lib.format.open_memmap(draft, mode="w+", dtype=np.float32, shape=self.shape)
            for first, scores in self.blocks():
                matrix[first : first + len(scores)] = scores
            matrix.flush()

    def extremes(self, top: int) -> tuple[list[Pair], list[Pair]]:
        """The `top` most and least alike pairs, most extreme first; equal scores by row numbers."""
        sign = -1.0 if self.metric in LARGER_IS_CLOSER else 1.0
        most: list[Pair] = []
        least: list[Pair] = []
        for first, scores in self.blocks():
            if self.within:
                scores[np.arange(self.shape[1]) <= np.arange(first, first + len(scores))[:, None]] = np.nan
            most = sorted(most + _smallest(sign * scores, first, top))[:top]
            least = sorted(least + _smallest(-sign * scores, first, top))[:top]
        return [p._replace(score=sign * p.score) for p in most], [
            p._replace(score=-sign * p.score) for p in least
        ]


def _finite(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The rows, zeros in place of those without an embedding, which must not touch the others; and their numbers."""
    missing = rows_not_finite(rows)
    if missing.size:
        rows = rows.copy()
        rows[missing] = 0.0
    return rows, missing


def _smallest(scores: NDArray[np.float32], first: int, top: int) -> list[Pair]:
    """The `top` smallest scores of a block that are numbers, ties by row and column."""
    flat = scores.ravel()
    count = min(top, int(np.count_nonzero(~np.isnan(flat))))
    if count == 0:
        return []
    last = np.partition(flat, count - 1)[count - 1]  # NaN sorts behind every number
    places = np.flatnonzero(flat <= last)
    order = places[np.argsort(flat[places], kind="stable")[:count]]
    return [Pair(float(flat[i]), first + int(i) // scores.shape[1], int(i) % scores.shape[1]) for i in order]
