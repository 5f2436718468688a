"""The search itself: tiles of rough keys go through a sieve, and what stays in it is ranked by exact keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.progress import counting, tell
from penult_service.analysis.search import kernels, sift_kernels
from penult_service.analysis.search.byte_kernel import COLUMNS
from penult_service.analysis.search.byte_keys import ByteKeys, byte_keys, worth_it
from penult_service.analysis.search.rough import RoughKeys, Threads, fixed, rough_keys

Floats = NDArray[np.float32]

CODES = {
    "dot": kernels.DOT,
    "cosine": kernels.COSINE,
    "euclidean": kernels.EUCLIDEAN,
    "manhattan": kernels.MANHATTAN,
}
SEARCHING, CROWDED, RANKING = "neighbours", "neighbours among near-copies", "ranking neighbours"
"""The stages that `nearest` tells, in rows."""
FEW = 8  # so few queries are cheaper without any preparation
_TILE_ROWS, _TILE_COLUMNS, _MARKED_COLUMNS = 512, 2048, 1024
_SIEVE_BYTES = 1 << 28
_SAMPLE = 256  # corpus rows that give the first limits


def nearest(
    queries: Floats, corpus: Floats | None, k: int, metric: str
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The k nearest rows of `corpus` [m, d] (None: the queries) to each query [n, d]: keys and row numbers, in order.

    float64 [n, k] and int32 [n, k]; k is at most m. Equal rows are not looked for: many cost time, never the answer.
    """
    other = queries if corpus is None else corpus
    ranking = _Ranking(metric, queries, other, k)
    with Threads() as threads:
        if len(queries) <= FEW or len(other) <= 4 * k:
            more = counting(SEARCHING, len(queries))
            everything = slice(0, len(queries))
            threads.each(lambda rows: ranking.rank(Sieve.empty(rows, k, 0)), everything, 4, more)
        elif worth_it(len(queries), len(other), queries.shape[1], metric):
            bytes_of = byte_keys(queries, other, metric, threads)
            room = min(len(other), 8 * k + 1024)
            _search_blocks(bytes_of, ranking, room, threads, counting(SEARCHING, len(queries)))
            if ranking.crowded.any():
                crowded, again = np.flatnonzero(ranking.crowded), counting(CROWDED)
                once_more = _Ranking(metric, queries[crowded], other, k)
                rough = rough_keys(once_more.queries, other, metric)
                room = min(len(other), 8 * once_more.room)  # some thousands that are nearly the same
                _search_blocks(rough, once_more, room, threads, again)
                _search_again(rough, once_more, room, threads, again)
                ranking.replace(crowded, once_more)
        else:
            rough = rough_keys(queries, other, metric)
            if corpus is None and len(queries) <= _SIEVE_BYTES // (4 * k + 8 * ranking.room):
                _search_pairs(rough, ranking, Sieve.empty(slice(0, len(queries)), k, ranking.room), threads)
            else:
                more = counting(SEARCHING, len(queries))
                _search_blocks(rough, ranking, ranking.room, threads, more)
            if ranking.crowded.any():
                _search_again(rough, ranking, ranking.room, threads, counting(CROWDED))
    return ranking.keys, ranking.rows


def squared_norms(rows: Floats) -> NDArray[np.float64]:
    """Squared Euclidean lengths float64 [n] of float32 [n, d], as the exact keys take them."""
    norms = np.empty(len(rows))
    kernels.squared_norms(fixed(rows), norms)
    return norms


@dataclass(eq=False)
class Sieve:
    """What may be among the k nearest of a block of queries (see `sift_kernels.sift_rows`); without room every row."""

    queries: slice
    heap: Floats
    seen: NDArray[np.int32]
    limits: Floats
    found: NDArray[np.int32]
    values: Floats
    counts: NDArray[np.int32]

    @classmethod
    def empty(cls, queries: slice, k: int, room: int) -> Sieve:
        count = queries.stop - queries.start
        return cls(
            queries,
            heap=np.empty((count, k), dtype=np.float32),
            seen=np.zeros(count, dtype=np.int32),
            limits=np.full(count, np.inf, dtype=np.float32),
            found=np.empty((count, room), dtype=np.int32),
            values=np.empty((count, room), dtype=np.float32),
            counts=np.full(count, 0 if room else -1, dtype=np.int32),
        )

    def start(self, rough: RoughKeys | ByteKeys) -> None:
        """First limits, from rows drawn evenly: else near-copies that come first would fill the sieve."""
        step = max(1, rough.shape[1] // max(_SAMPLE, 4 * self.heap.shape[1]))
        tile = rough.tile(self.queries, slice(0, rough.shape[1], step))
        sift_kernels.first_limits(tile, rough.slope, rough.allowances[self.queries], self.heap, self.limits)

    def keep_to(self, limits: Floats) -> None:
        """From now on takes what is within these limits, which stay."""
        self.limits[:], self.heap[:], self.seen[:] = limits, -np.inf, self.heap.shape[1]

    def of(self, queries: slice) -> Sieve:
        """The part of some of the queries, which shares the arrays."""
        at = slice(queries.start - self.queries.start, queries.stop - self.queries.start)
        return Sieve(queries, *(array[at] for array in self.arrays))

    @property
    def arrays(self) -> tuple[Any, ...]:
        """What the kernels fill."""
        return self.heap, self.seen, self.limits, self.found, self.values, self.counts

    def take_rows(self, rough: RoughKeys, tile: Floats, start: int) -> None:
        """A tile whose rows are the queries and whose columns are the corpus rows from `start` on."""
        sift_kernels.sift_rows(tile, start, rough.slope, rough.allowances[self.queries], *self.arrays)

    def take_marked(self, rough: ByteKeys, columns: slice) -> None:
        """These corpus rows."""
        keys, marks = rough.marked(self.queries, columns, self.limits)
        first, last, _ = columns.indices(rough.shape[1])
        allowances = rough.allowances[self.queries]
        which = np.arange(len(keys), dtype=np.int32)
        sift_kernels.sift_marked(
            keys, marks, which, COLUMNS, last - first, first, rough.slope, allowances, *self.arrays
        )

    def take_columns(self, rough: RoughKeys, tile: Floats, first: int, start: int) -> None:
        """A tile whose columns from `first` on are the queries and whose rows are the corpus rows from `start` on."""
        sift_kernels.sift_columns(
            tile, first, start, rough.slope, rough.allowances[self.queries], *self.arrays
        )


class _Ranking:
    """Exact keys and row numbers [n, k] of all queries, filled block by block."""

    def __init__(
        self, metric: str, queries: Floats, corpus: Floats, k: int, limits: Floats | None = None
    ) -> None:
        self.k, self.metric, self.queries, self.corpus = k, metric, queries, corpus
        self.known = limits is not None
        self.limits = np.full(len(queries), np.inf, dtype=np.float32) if limits is None else limits
        self.keys, self.rows = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int32)
        self.crowded = np.zeros(len(queries), dtype=bool)
        self._metric, self._queries, self._corpus = CODES[metric], fixed(queries), fixed(corpus)
        self._norms = squared_norms(queries), squared_norms(corpus)

    @property
    def room(self) -> int:
        """Rows that a sieve of float32 keys holds, at first."""
        return min(len(self.corpus), 4 * self.k + 256)

    def replace(self, queries: NDArray[np.intp], other: _Ranking) -> None:
        """Takes over what another ranking says of these queries."""
        self.keys[queries], self.rows[queries] = other.keys, other.rows
        self.crowded[queries] = other.crowded

    def rank(self, sieve: Sieve) -> None:
        """Keys and rows of a sieve's queries; those whose sieve overflowed are marked as crowded, and left."""
        at, counts = sieve.queries, sieve.counts
        if sieve.found.shape[1]:
            self.crowded[at], self.limits[at] = counts < 0, sieve.limits
            counts = np.maximum(counts, 0)
        kernels.rank(
            self._metric, self._queries[at], self._corpus, self._norms[0][at], self._norms[1],
            sieve.limits, sieve.found, sieve.values, counts, self.keys[at], self.rows[at],
        )  # fmt: skip


def _search_again(
    rough: RoughKeys, ranking: _Ranking, room: int, threads: Threads, more: Callable[[int], None]
) -> None:
    """Where there was no room, as where near-copies come first.

    Again with the limits known by then, next with more room, at last for all.
    """
    while ranking.crowded.any():
        crowded = np.flatnonzero(ranking.crowded)
        once_more = _Ranking(
            ranking.metric, ranking.queries[crowded], ranking.corpus, ranking.k, ranking.limits[crowded]
        )
        _search_blocks(rough.of(crowded), once_more, room, threads, more)
        ranking.replace(crowded, once_more)
        room = min(8 * room, len(ranking.corpus))


def _search_blocks(
    rough: RoughKeys | ByteKeys,
    ranking: _Ranking,
    room: int,
    threads: Threads,
    more: Callable[[int], None],
) -> None:
    count = len(ranking.queries)
    most = _SIEVE_BYTES // (4 * ranking.k + 8 * room) // threads.count
    step = max(1, min(_TILE_ROWS, -(-count // threads.count), most))

    def search(rows: slice) -> None:
        sieve = Sieve.empty(rows, ranking.k, room)
        if ranking.known:
            sieve.keep_to(ranking.limits[rows])
        else:
            sieve.start(rough)
        if isinstance(rough, ByteKeys):
            for start in range(0, rough.shape[1], _MARKED_COLUMNS):
                sieve.take_marked(rough, slice(start, start + _MARKED_COLUMNS))
        else:
            for start in range(0, rough.shape[1], _TILE_COLUMNS):
                sieve.take_rows(rough, rough.tile(rows, slice(start, start + _TILE_COLUMNS)), start)
        ranking.rank(sieve)

    threads.each(search, slice(0, count), step, more)


def _search_pairs(rough: RoughKeys, ranking: _Ranking, sieve: Sieve, threads: Threads) -> None:
    """Where the queries are the corpus, each pair once: a tile serves its columns as it serves its rows."""
    total, lock = rough.shape[0], Lock()
    tell(SEARCHING, 0, total)
    threads.each(lambda rows: sieve.of(rows).start(rough), slice(0, total), _TILE_ROWS)
    for start in range(0, total, _TILE_ROWS):
        rows = slice(start, min(start + _TILE_ROWS, total))

        # The threads' columns are theirs alone; the rows are shared.
        def take(columns: slice, rows: slice = rows) -> None:
            tile = rough.tile(rows, columns)
            first = max(columns.start, rows.stop)
            if first < columns.stop:
                later = sieve.of(slice(first, columns.stop))
                later.take_columns(rough, tile, first - columns.start, rows.start)
            with lock:
                sieve.of(rows).take_rows(rough, tile, columns.start)

        threads.each(take, slice(start, total), _TILE_COLUMNS)
        # As many rows as have this share of all pairs: each row meets only those that come after it.
        tell(SEARCHING, total - (total - rows.stop) ** 2 // total, total)
    threads.each(lambda rows: ranking.rank(sieve.of(rows)), slice(0, total), 64, counting(RANKING, total))
