"""All pairs of rows within a threshold, exactly: float32 keys say what may be, float64 scores say what is.

As in the search for neighbours (`sieve`) the error of a rough key is bounded, and whatever lies within the bound of the
threshold is computed again. Most pairs are ruled out by short rows (`shortening`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.pairs import pair_kernels
from penult_service.analysis.pairs.shortening import shortened
from penult_service.analysis.progress import tell
from penult_service.analysis.search.rough import RoughKeys, Threads, fixed, rough_keys
from penult_service.analysis.search.sieve import CODES, squared_norms

Floats = NDArray[np.float32]
Rows = NDArray[np.int32]
Scores = NDArray[np.float64]
Take = Callable[[Rows, Rows, Scores], None]

STAGE = "pairs"
_TILE_ROWS, _TILE_COLUMNS = 512, 2048
_BLOCK_ROWS = 32  # of absolute differences
_ROOM = 1 << 16
_SPREAD = 1_024  # rows that say along which numbers rows differ most


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows float32 [n, d], under cosine none all zero, what scores their pairs, and which scores count."""

    rows: Floats
    norms: Scores
    metric: str
    threshold: float

    @classmethod
    def of(cls, rows: Floats, metric: str, threshold: float) -> Scored:
        return cls(fixed(rows), squared_norms(rows), metric, threshold)

    @property
    def code(self) -> int:
        return CODES[self.metric]

    def pairs(self, firsts: Rows, seconds: Rows) -> Scores:
        """Scores float64 [p] of rows firsts[i] and seconds[i]."""
        out = np.empty(len(firsts))
        pair_kernels.scores(self.code, self.rows, self.norms, firsts, seconds, out)
        return out

    def is_within(self, scores: Scores) -> NDArray[np.bool_]:
        """Which scores count."""
        return scores >= self.threshold if self.metric == "cosine" else scores <= self.threshold

    def among(self, chosen: NDArray[Any]) -> Scored:
        """The same of some of the rows."""
        return Scored(fixed(self.rows[chosen]), self.norms[chosen], self.metric, self.threshold)


def pairs_within(scored: Scored, take: Take) -> None:
    """Calls `take` with all pairs within the threshold, the smaller number first, each once, in any order.

    int32 [p], int32 [p] and float64 [p], in memory that is used again; never in two threads at a time. Tells the stage
    pairs, in rows.
    """
    count = len(scored.rows)
    if count < 2:
        return
    tell(STAGE, 0, count)
    search = (_Absolutes if scored.metric == "manhattan" else _Tiles)(scored, take)
    with Threads() as threads:
        for start in range(0, count, _TILE_ROWS):
            rows = slice(start, min(start + _TILE_ROWS, count))
            search.of(rows, threads)
            # As many rows as have this share of all pairs: each row meets only those that come after it.
            tell(STAGE, count - (count - rows.stop) ** 2 // count, count)


class _Search:
    def __init__(self, scored: Scored, take: Take) -> None:
        self._scored, self._take = scored, take
        self._lock, self._own = Lock(), local()
        self._fixed = scored.code, scored.rows, scored.norms, scored.threshold

    def of(self, rows: slice, threads: Threads) -> None:
        """All pairs of these rows with those that come after."""
        raise NotImplementedError

    def _room(self) -> tuple[Rows, Rows, Scores]:
        """Where this thread writes what it finds."""
        if not hasattr(self._own, "room"):
            self._own.room = np.empty(_ROOM, np.int32), np.empty(_ROOM, np.int32), np.empty(_ROOM)
        found: tuple[Rows, Rows, Scores] = self._own.room
        return found

    def _give(self, count: int) -> None:
        if count:
            firsts, seconds, scores = self._room()
            with self._lock:
                self._take(firsts[:count], seconds[:count], scores[:count])


class _Tiles(_Search):
    """By matrix products, of short rows where these pay."""

    def __init__(self, scored: Scored, take: Take) -> None:
        super().__init__(scored, take)
        short = shortened(scored.rows, scored.metric, scored.threshold)
        rows = scored.rows if short is None else short.rows
        self._rough = rough_keys(rows, rows, scored.metric)
        self._limits = _limits(self._rough, scored, 0.0 if short is None else short.slack)

    def of(self, rows: slice, threads: Threads) -> None:
        def search(columns: slice) -> None:
            tile, limits, room = self._rough.tile(rows, columns), self._limits[rows], self._room()
            at, row, column = (rows.start, columns.start), 0, 0
            while row < len(tile):
                count, row, column = pair_kernels.within_tile(
                    tile, row, column, *at, limits, *self._fixed, *room
                )
                self._give(count)

        threads.each(search, slice(rows.start, len(self._scored.rows)), _TILE_COLUMNS)


class _Absolutes(_Search):
    """By sums of absolute differences, those numbers first that rows differ most in."""

    def __init__(self, scored: Scored, take: Take) -> None:
        super().__init__(scored, take)
        rough = rough_keys(scored.rows, scored.rows, scored.metric)
        some = rough.corpus[:: -(-len(rough.corpus) // _SPREAD)]
        order = np.argsort(-some.std(axis=0, dtype=np.float64), kind="stable")
        self._rough = fixed(np.ascontiguousarray(rough.corpus[:, order]))
        self._limit = _limits(rough, scored, 0.0)[0]

    def of(self, rows: slice, threads: Threads) -> None:
        def search(some: slice) -> None:
            for start in range(some.start, len(self._rough), _TILE_COLUMNS):
                stop = min(start + _TILE_COLUMNS, len(self._rough))
                count = pair_kernels.within_absolutes(
                    self._rough, some.start, some.stop, start, stop, self._limit, *self._fixed, *self._room()
                )
                self._give(count)

        threads.each(search, rows, _BLOCK_ROWS)


def _limits(rough: RoughKeys, scored: Scored, slack: Scores | float) -> Floats:
    """What the rough keys of each row's pairs within the threshold do not pass, float32 [n]."""
    if scored.metric == "cosine":
        keys = slack - scored.threshold
    else:
        far = scored.threshold + np.asarray(slack)
        keys = far * far if scored.metric == "euclidean" else far
    with np.errstate(over="ignore"):
        limits = (rough.unit * keys * (1 + rough.relative) + rough.margins).astype(np.float32)
        return np.asarray(np.nextafter(limits, np.float32(np.inf)))
