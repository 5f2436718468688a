"""Exact nearest neighbours: matrix products of bytes or float32 find what may be nearest, float64 says what is.

A tile of rough keys is worth only as much as its error, which is bounded (`byte_keys`; of float32 Higham 2002, section
3.1), and every row whose key lies within twice the bound of the k-th smallest is computed again in float64. So nothing
is missed, and the answer does not depend on threads, tiles or company. Neighbours are in the order of their float64
keys, equal ones by row number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.background import background, centred, mean_of
from penult_service.analysis.calls import LARGER_IS_CLOSER, Neighbors
from penult_service.analysis.progress import silently, tell
from penult_service.analysis.results import Adjustment, NeighborsResult
from penult_service.analysis.rows import distinct, zero_rows
from penult_service.analysis.search import kernels
from penult_service.analysis.search.approximate import approximate_nearest, pays
from penult_service.analysis.search.sieve import FEW, nearest
from penult_service.errors import InvalidInput

Floats = NDArray[np.float32]
Find: TypeAlias = Callable[[Floats, Floats | None, int, str], tuple[NDArray[np.float64], NDArray[np.int32]]]

_RECALLED = 256  # queries that are searched for exactly as well


def search(call: Neighbors, queries: Floats, corpus: Floats | None = None) -> NeighborsResult:
    """The nearest rows of `corpus` [m, d] (absent: `queries`) to each of `queries` [n, d]; see `NeighborsResult`.

    A k of more rows than there are is lowered, and told. Scores beyond float32's range are its largest number. An
    approximate search (`approximate`) tells its recall for up to 256 of the queries, compared with the exact search;
    where it would not pay it is the exact one.
    Tells its stages (`progress`): rows, and those of `sieve`.

    Raises:
        InvalidInput: there are too few rows for any neighbour, or k is below 1.
    """
    tell("rows")
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    other = queries if corpus is None else np.ascontiguousarray(corpus, dtype=np.float32)
    if call.center:
        mean = mean_of([other])
        queries = centred(queries, mean)
        other = queries if corpus is None else centred(other, mean)
    k, adjustments = _possible_k(call, len(other), alone=corpus is None)
    own = np.arange(len(queries), dtype=np.int32) if call.exclude_self and corpus is None else None
    asked = queries, None if corpus is None else other, k, call.metric
    recall = 1.0 if call.approximate else None
    if call.approximate and pays(len(queries), len(other), call.metric):
        keys, indices = _nearest(*asked, own, approximate_nearest)
        recall = _recall(indices, *asked, own)
    else:
        keys, indices = _nearest(*asked, own)
    scores = _scores(keys, call.metric)
    cosine = call.metric == "cosine"
    zero = [zero_rows(side) if cosine else np.empty(0, np.int32) for side in (queries, other)]
    if call.radius is not None:
        _within(indices, scores, call, zero[1])
    usual = background([other], call.metric)
    return NeighborsResult(indices, scores, zero[0], zero[1], adjustments, usual, recall)


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
        keys, indices[:, 1:] = _nearest(rows, None, k - 1, metric, own=np.arange(len(rows), dtype=np.int32))
        distances[:, 1:] = distances_of(keys, metric)
    return indices, distances


def nearest_others(
    rows: Floats, chosen: NDArray[np.int32], k: int, metric: str
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The k nearest of `rows` [n, d] to each chosen one but itself: keys float64 and row numbers int32, in order.

    It is a part of measuring something, and tells no stage of its own.
    """
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    with silently():
        return _nearest(rows[chosen], rows, k, metric, own=chosen)


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
    scores = -keys + 0.0 if metric in LARGER_IS_CLOSER else distances_of(keys, metric)
    largest = float(np.finfo(np.float32).max)
    return np.clip(scores, -largest, largest).astype(np.float32)


def distances_of(keys: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """Distances from keys; a row without direction is 1 from all."""
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
    if call.metric == "cosine" and zeros.size and radius <= 0:
        # Rows without direction come last, at 0, which is within the radius where rows before them are not.
        for i, (row, values) in enumerate(zip(indices, scores, strict=True)):
            others = (row >= 0) & ~np.isin(row, zeros)
            last = zeros[zeros != i] if call.exclude_self else zeros
            full = np.concatenate([row[others], last])[: len(row)]
            kept_scores = np.concatenate([values[others], np.zeros(len(last), np.float32)])[: len(row)]
            row[:], values[:] = -1, -np.inf
            row[: len(full)], values[: len(full)] = full, kept_scores


def _recall(
    found: NDArray[np.int32],
    queries: Floats,
    corpus: Floats | None,
    k: int,
    metric: str,
    own: NDArray[np.int32] | None,
) -> float:
    """The share of the exact neighbours that were found, of some queries drawn evenly."""
    tell("recall")
    chosen = np.linspace(0, len(queries) - 1, min(len(queries), _RECALLED)).astype(np.int32)
    other = queries if corpus is None else corpus
    with silently():
        _, exact = _nearest(queries[chosen], other, k, metric, None if own is None else own[chosen])
    return float(np.mean([np.isin(row, its).mean() for row, its in zip(exact, found[chosen], strict=True)]))


def _nearest(
    queries: Floats,
    corpus: Floats | None,
    k: int,
    metric: str,
    own: NDArray[np.int32] | None,
    find: Find = nearest,
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Keys float64 [n, k] and row numbers int32 [n, k], in order; row own[i] is left out for query i."""
    if corpus is not None and own is None and len(queries) <= FEW:
        return nearest(queries, corpus, k, metric)
    among = distinct(queries if corpus is None else corpus)
    asked = among if corpus is None else distinct(queries)
    # The first k of all rows stand for at most k distinct ones, one more where a row is left out.
    most = min(k + (own is not None), len(among.rows))
    keys, rows = find(asked.rows, None if corpus is None else among.rows, most, metric)
    starts = np.concatenate([[0], np.cumsum(np.bincount(among.inverse, minlength=len(among.rows)))])
    members = np.argsort(among.inverse, kind="stable").astype(np.int32)
    shape = len(asked.inverse), k
    all_keys, all_rows = np.empty(shape), np.empty(shape, dtype=np.int32)
    left_out = np.full(len(all_rows), -1, dtype=np.int32) if own is None else own
    kernels.expand(keys, rows, starts, members, asked.inverse, left_out, all_keys, all_rows)
    return all_keys, all_rows
