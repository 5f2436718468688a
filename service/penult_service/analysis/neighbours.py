"""Exact nearest neighbours: float32 matrix products find what may be nearest, float64 says what is.

A tile of float32 keys is worth only as much as its rounding: the error of each is bounded (Higham 2002, section 3.1),
and every row whose key lies within twice the bound of the k-th smallest is computed again in float64. So nothing is
missed, and the answer does not depend on threads, tiles or company. Neighbours are in the order of their float64
keys, equal ones by row number.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis import kernels
from penult_service.analysis.calls import LARGER_IS_CLOSER, Neighbors
from penult_service.analysis.results import Adjustment, NeighborsResult
from penult_service.analysis.rows import distinct, unit_rows, zero_rows
from penult_service.errors import InvalidInput

Floats = NDArray[np.float32]

_CODES = {
    "dot": kernels.DOT,
    "cosine": kernels.COSINE,
    "euclidean": kernels.EUCLIDEAN,
    "manhattan": kernels.MANHATTAN,
}
_UNIT = 2.0**-24  # half the distance from 1 to the next float32
_TILE_ROWS, _TILE_COLUMNS = 1024, 4096
_BLOCK_BYTES = 1 << 26
_FEW = 8  # so few queries are cheaper without any preparation
_LARGEST = (
    2.0**58
)  # rows are scaled to at most this: squares and their sums neither overflow nor, mostly, vanish


def search(call: Neighbors, queries: Floats, corpus: Floats | None = None) -> NeighborsResult:
    """The nearest rows of `corpus` [m, d] (absent: `queries`) to each of `queries` [n, d]; see `NeighborsResult`.

    A k of more rows than there are is lowered, and told. Scores beyond float32's range are its largest number.

    Raises:
        InvalidInput: there are too few rows for any neighbour, or k is below 1.
    """
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    other = queries if corpus is None else np.ascontiguousarray(corpus, dtype=np.float32)
    k, adjustments = _possible_k(call, len(other), alone=corpus is None)
    keys, indices = _nearest(queries, None if corpus is None else other, k, call.metric, call.exclude_self)
    scores = _scores(keys, call.metric)
    cosine = call.metric == "cosine"
    zero = [zero_rows(side) if cosine else np.empty(0, np.int32) for side in (queries, other)]
    if call.radius is not None:
        _within(indices, scores, call, zero[1])
    return NeighborsResult(indices, scores, zero[0], zero[1], adjustments)


def graph(rows: Floats, k: int, metric: str) -> tuple[NDArray[np.int32], Floats]:
    """Each of `rows` [n, d] with its k - 1 nearest others: indices int32 [n, k] and distances float32 [n, k].

    The row itself comes first, at distance 0, also where it has duplicates; cosine distance is 1 - cosine. This is
    what `umap.UMAP(precomputed_knn=...)` takes. `k` is from 1 to n.
    """
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    if not 1 <= k <= len(rows):
        raise ValueError(f"k = {k} of {len(rows)} rows")
    indices = np.empty((len(rows), k), dtype=np.int32)
    distances = np.zeros((len(rows), k), dtype=np.float32)
    indices[:, 0] = np.arange(len(rows))
    if k > 1:
        keys, indices[:, 1:] = _nearest(rows, None, k - 1, metric, exclude_self=True)
        distances[:, 1:] = _distances(keys, metric)
    return indices, distances


def _possible_k(call: Neighbors, rows: int, alone: bool) -> tuple[int, tuple[Adjustment, ...]]:
    if call.k < 1:
        raise InvalidInput(f"k is {call.k}; at least 1", reason="K_TOO_SMALL", field="k")
    excluded = call.exclude_self and alone
    most = rows - excluded
    if most < 1:
        side = "queries" if alone else "corpus"
        without = " when each leaves itself out" if excluded else ""
        raise InvalidInput(
            f"{side} has {rows} rows; neighbours take at least {1 + excluded}{without}",
            reason="TOO_FEW_ROWS",
            field=side,
        )
    if call.k <= most:
        return call.k, ()
    why = f"there are {rows} rows" + (", and each leaves itself out" if excluded else "")
    return most, (Adjustment("k", str(call.k), str(most), why),)


def _scores(keys: NDArray[np.float64], metric: str) -> Floats:
    if metric == "cosine":
        # An infinite key is a row without direction. + 0: no negative zeros.
        return np.where(np.isinf(keys), 0.0, -keys + 0.0).astype(np.float32)
    scores = -keys + 0.0 if metric in LARGER_IS_CLOSER else _distances(keys, metric)
    largest = float(np.finfo(np.float32).max)
    return np.clip(scores, -largest, largest).astype(np.float32)


def _distances(keys: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    if metric == "euclidean":
        return np.sqrt(keys)
    if metric == "cosine":
        return 1.0 + np.where(np.isinf(keys), 0.0, keys)
    if metric == "manhattan":
        return keys
    raise ValueError(f"{metric} is no distance")


def _within(indices: NDArray[np.int32], scores: Floats, call: Neighbors, zeros: NDArray[np.int32]) -> None:
    """Leaves, in place, what is within the radius, as the float32 scores say it."""
    assert call.radius is not None
    larger = call.metric in LARGER_IS_CLOSER
    radius = np.float32(call.radius)
    kept = scores >= radius if larger else scores <= radius
    indices[~kept] = -1
    scores[~kept] = -np.inf if larger else np.inf
    if zeros.size and radius <= 0:
        # Zero rows come last, at cosine 0: within the radius where rows before them are not.
        for i, row in enumerate(indices):
            others = row[(row >= 0) & ~np.isin(row, zeros)]
            last = zeros[zeros != i] if call.exclude_self else zeros
            full = np.concatenate([others, last])[: len(row)]
            scores[i, len(others) : len(full)], scores[i, : len(others)] = 0, scores[i][np.isin(row, others)]
            row[: len(full)] = full


def _nearest(
    queries: Floats, corpus: Floats | None, k: int, metric: str, exclude_self: bool
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Keys float64 [n, k] and row numbers int32 [n, k], in order. `exclude_self` only without a corpus."""
    if corpus is not None and len(queries) <= _FEW:
        return _nearest_distinct(queries, corpus, k, metric)
    among = distinct(queries if corpus is None else corpus)
    asked = among if corpus is None else distinct(queries)
    # The first k of all rows stand for at most k distinct ones, one more where a row leaves itself out.
    keys, rows = _nearest_distinct(asked.rows, among.rows, min(k + exclude_self, len(among.rows)), metric)
    starts = np.concatenate([[0], np.cumsum(np.bincount(among.inverse, minlength=len(among.rows)))])
    members = np.argsort(among.inverse, kind="stable").astype(np.int32)
    shape = (len(asked.inverse), k)
    all_keys, all_rows = np.empty(shape), np.empty(shape, dtype=np.int32)
    kernels.expand(keys, rows, starts, members, asked.inverse, 0, exclude_self, all_keys, all_rows)
    return all_keys, all_rows


def _nearest_distinct(
    queries: Floats, corpus: Floats, k: int, metric: str
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    keys, rows = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int32)
    norms = [np.empty(len(side)) for side in (queries, corpus)]
    for side, into in zip((queries, corpus), norms, strict=True):
        kernels.squared_norms(side, into)
    every = len(queries) <= _FEW or len(corpus) <= 4 * k
    rough = None if every else _rough(queries, corpus, metric)
    room = 0 if every else min(len(corpus), 4 * k + 256)
    step = max(1, min(_TILE_ROWS, _BLOCK_BYTES // (4 * k + 8 * room)))
    with ThreadPoolExecutor(_threads()) as threads:
        for start in range(0, len(queries), step):
            block = slice(start, min(start + step, len(queries)))
            count = block.stop - start
            shape = (count, room)
            found, values = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.float32)
            counts, limits = np.full(count, -1, dtype=np.int64), np.empty(count)
            if rough is not None:
                counts[:] = 0
                limits = _sift(rough, block, k, found, values, counts, threads)

            def rank(
                part: slice, block: slice = block, found=found, values=values, counts=counts, limits=limits
            ) -> None:
                at = slice(block.start + part.start, block.start + part.stop)
                kernels.rank(
                    _CODES[metric],
                    queries[at],
                    corpus,
                    norms[0][at],
                    norms[1],
                    limits[part],
                    found[part],
                    values[part],
                    counts[part],
                    keys[at],
                    rows[at],
                )

            _each(threads, rank, count, 32)
    return keys, rows


def _sift(rough, block, k, found, values, counts, threads):
    count = block.stop - block.start
    heap, seen = np.empty((count, k), dtype=np.float32), np.zeros(count, dtype=np.int64)
    margins = rough.margins[block]
    tile = np.empty((count, _TILE_COLUMNS), dtype=np.float32)
    for start in range(0, len(rough.corpus), _TILE_COLUMNS):
        columns = rough.corpus[start : start + _TILE_COLUMNS]
        part_tile = (
            np.empty((count, len(columns)), dtype=np.float32) if len(columns) < _TILE_COLUMNS else tile
        )
        rough.tile(rough.queries[block], columns, part_tile, threads)

        def sift(part: slice, start=start, part_tile=part_tile) -> None:
            kernels.sift(
                part_tile[part],
                start,
                rough.slope,
                margins[part],
                heap[part],
                seen[part],
                found[part],
                values[part],
                counts[part],
            )

        _each(threads, sift, count, 128)
    return rough.slope * heap[:, 0].astype(np.float64) + margins


@dataclass(frozen=True, eq=False)
class _Rough:
    """Rows whose tiles are float32 keys, and how wrong these may be.

    Every row that may be among the nearest has a key of at most slope * (k-th smallest key) + margin of the query.
    """

    queries: Floats
    corpus: Floats
    slope: float
    margins: NDArray[np.float64]
    tile: Callable[[Floats, Floats, Floats, ThreadPoolExecutor], None]


def _rough(queries: Floats, corpus: Floats, metric: str) -> _Rough:
    error = (queries.shape[1] + 10) * _UNIT
    tiny = queries.shape[1] * 2.0**-110
    error = error / (1 - error) if error < 0.2 else np.inf
    if metric == "manhattan":
        scale = _scale(max(float(np.abs(side).max()) for side in (queries, corpus)))
        left, right = ((side * scale).astype(np.float32) for side in (queries, corpus))
        return _Rough(left, right, (1 + error) / (1 - error), np.full(len(queries), tiny), _absolute_tile)
    if metric == "euclidean":
        return _rough_euclidean(queries, corpus, error, tiny)
    left = -unit_rows(queries)
    if metric == "cosine":
        right = unit_rows(corpus)
        zeros = zero_rows(corpus)
        if zeros.size:
            # After all other rows: a column that adds 4 to their keys.
            left = np.column_stack([left, np.ones(len(left), dtype=np.float32)])
            right = np.column_stack([right, np.zeros(len(right), dtype=np.float32)])
            right[zeros, -1] = 4
        return _Rough(left, right, 1.0, np.full(len(queries), 2 * error + tiny), _product_tile)
    lengths = np.sqrt(np.einsum("ij,ij->i", corpus, corpus, dtype=np.float64))
    scale = _scale(float(lengths.max()))
    right = (corpus * scale).astype(np.float32)
    margin = 2 * error * float(lengths.max()) * scale + tiny
    return _Rough(left, right, 1.0, np.full(len(queries), margin), _product_tile)


def _rough_euclidean(queries, corpus, error, tiny):
    sample = corpus[:: max(1, len(corpus) // 256)]
    centre = np.median(sample.astype(np.float64), axis=0)
    left, right = (side - centre for side in (queries, corpus))
    scale = _scale(max(float(np.sqrt(np.einsum("ij,ij->i", side, side).max())) for side in (left, right)))
    left, right = ((side * scale).astype(np.float32) for side in (left, right))
    squares = [np.einsum("ij,ij->i", side, side, dtype=np.float64) for side in (left, right)]
    ones = [np.ones(len(side)) for side in (left, right)]
    slope = (1 + 2 * error) / (1 - 2 * error)
    margins = 8 * error * (1 + slope) * squares[0] + tiny
    left = np.column_stack([-2 * left, squares[0], ones[0]]).astype(np.float32)
    right = np.column_stack([right, ones[1], squares[1]]).astype(np.float32)
    return _Rough(left, right, slope, margins, _product_tile)


def _scale(largest: float) -> float:
    return 2.0 ** np.floor(np.log2(_LARGEST / largest)) if largest > 0 else 1.0


def _product_tile(left: Floats, right: Floats, tile: Floats, threads: ThreadPoolExecutor) -> None:
    np.matmul(left, right.T, out=tile)


def _absolute_tile(left: Floats, right: Floats, tile: Floats, threads: ThreadPoolExecutor) -> None:
    _each(threads, lambda part: kernels.absolute_tile(left[part], right, tile[part]), len(left), 64)


def _each(threads: ThreadPoolExecutor, work: Callable[[slice], None], count: int, step: int) -> None:
    parts = [slice(start, min(start + step, count)) for start in range(0, count, step)]
    for _ in threads.map(work, parts):
        pass


def _threads() -> int:
    """How many threads to use: the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
