"""Rows that are equal, or nearly: all pairs within a threshold, the groups they connect, and whom to keep of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.background import background, score_that_few_reach, share_within
from penult_service.analysis.calls import LARGER_IS_CLOSER, MOST_PAIRS, THRESHOLD, Duplicates
from penult_service.analysis.fitting import fitting
from penult_service.analysis.pairs import pair_kernels
from penult_service.analysis.pairs.best_pairs import BestPairs, Rows
from penult_service.analysis.pairs.within import Scored, pairs_within
from penult_service.analysis.progress import tell
from penult_service.analysis.results import Background, DuplicatesResult
from penult_service.analysis.rows import blocks, distinct
from penult_service.analysis.search.graphs import Graph, graph_that_is_kept
from penult_service.errors import InvalidInput
from penult_service.vectors import in_float32

MOST_FOUND = 100_000_000
"""Pairs of distinct rows that are looked through; where more are to be expected, the threshold means nothing."""
USUAL_SHARE, USUAL_PAIRS = 0.5, 100_000
"""Nor does it where more than this share of so many pairs reach it: fewer rows may well be near-copies all."""
_FEW = 0.001  # of the pairs
_MEDOID_PAIRS = 1 << 24
# What a distance in a graph, of rows at unit length and rounded, may be beside the true one.
_GRAPH_SLACK = 2.0**-20


@dataclass(frozen=True, eq=False)
class _Distinct:
    """The distinct rows: `rows` [m, d], one of each; distinct row r is the rows members[starts[r]:starts[r + 1]] of n.

    `zero` int32: rows without direction, which are none of them.
    """

    rows: NDArray[np.float32]
    starts: NDArray[np.int64]
    members: Rows
    zero: Rows

    @property
    def counts(self) -> NDArray[np.int64]:
        return np.diff(self.starts)


def find(call: Duplicates, arrays: Mapping[str, NDArray[Any]]) -> DuplicatesResult:
    """Pairs of rows of `source` float32 [n, d] within the threshold, and their groups; see `DuplicatesResult`.

    Exact: float64 scores decide, those of one row of each distinct one. Under cosine rows that are equal at unit length
    are equal, and their score is 1; all-zero rows are like none. Where a graph is kept (`near_rows`), the rows whose
    last neighbour in it is beyond the threshold are read from it; none is made, the search for pairs is quicker.
    A keeper is the medoid of its group: the row of the largest mean cosine, or the least mean distance, to the others;
    of distances in a group of more than 4,096 distinct rows to evenly drawn ones.

    Tells its stages (`progress`): rows; pairs; keepers.

    Raises:
        InvalidInput: most pairs are within the threshold, of some 450 distinct rows or more, or about `MOST_FOUND` are
            (THRESHOLD_TOO_LOW); with a threshold that few pairs reach.
    """
    tell("rows")
    threshold = (
        call.threshold if call.threshold is not None else THRESHOLD if call.metric == "cosine" else 0.0
    )
    found, graph = _distinct(call.metric, arrays)
    usual = background([found.rows], call.metric) if len(found.rows) else None
    if usual is not None:
        _check_threshold(usual, len(found.rows), threshold, call.metric)
    scored = Scored.of(found.rows, call.metric, threshold)
    pairs = BestPairs(found.counts, call.max_pairs, call.metric in LARGER_IS_CLOSER)
    _search(scored, graph, pairs)
    tell("keepers")
    groups, keepers = _groups(scored, found, pairs.groups())
    rows, scores = _spread(found, pairs, call)
    equal = int((found.counts * (found.counts - 1) // 2).sum())
    return DuplicatesResult(
        pairs=rows,
        scores=scores,
        groups=groups,
        keepers=keepers,
        total_pairs=pairs.total + equal,
        equal_pairs=equal,
        threshold=threshold,
        zero_rows=found.zero,
        background=usual,
    )


def _distinct(metric: str, arrays: Mapping[str, NDArray[Any]]) -> tuple[_Distinct, Graph | None]:
    """The distinct rows, as they came rather than at unit length, and their graph, where it is kept."""
    source = np.ascontiguousarray(arrays["source"], dtype=np.float32)
    fitted = fitting(source, metric)
    kept, inverse, graph = fitted.kept, fitted.inverse, None
    if fitted.exponent:
        inverse = distinct(source).inverse  # small differences may have been lost in scaling
    else:
        graph = graph_that_is_kept(fitted, metric, arrays)
    order = np.argsort(inverse, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(inverse))]) if len(inverse) else np.zeros(1, np.int64)
    members = kept[order]
    rows = source if len(starts) > len(source) else source[members[starts[:-1]]]
    return _Distinct(rows, starts, members, fitted.zero), graph


def _check_threshold(usual: Background, rows: int, threshold: float, metric: str) -> None:
    """That no more pairs are to be expected than can be looked through."""
    share, all_pairs = share_within(usual, threshold, metric), rows * (rows - 1) / 2
    if share * all_pairs < MOST_FOUND and (share <= USUAL_SHARE or all_pairs < USUAL_PAIRS):
        return
    better = score_that_few_reach(usual, min(_FEW, MOST_PAIRS / all_pairs), metric)
    reach, more = ("reach", "more") if metric in LARGER_IS_CLOSER else ("are within", "less")
    raise InvalidInput(
        f"about {share:.1%} of all pairs {reach} threshold {threshold:g}, {share * all_pairs:,.0f} of them: that is"
        f" usual here, and says little of duplicates; few {reach} {better:g}, so give that or {more}",
        reason="THRESHOLD_TOO_LOW",
        field="threshold",
        metadata={"pairs": str(round(share * all_pairs)), "few": repr(better)},
    )


def _search(scored: Scored, graph: Graph | None, pairs: BestPairs) -> None:
    """All pairs of distinct rows within the threshold: from the graph what it is complete in, then the others."""
    if scored.threshold == 0 and scored.metric not in LARGER_IS_CLOSER:
        return  # distinct rows are some way apart
    if graph is None:
        pairs_within(scored, pairs.take)
        return
    cosine = scored.metric in LARGER_IS_CLOSER
    far = 1 - scored.threshold if cosine else scored.threshold
    far += _GRAPH_SLACK * (1 if cosine else far)
    complete = graph.distances[:, -1] > far
    if graph.columns == len(scored.rows):
        complete[:] = True
    for part in blocks(len(complete), 32 * graph.columns):
        near, distances = graph.indices[part], graph.distances[part]
        rows = np.arange(part.start, part.stop, dtype=np.int32)[:, None]
        # A pair of two that are complete is in both lists, and is taken from that of the smaller number.
        wanted = (
            complete[part, None] & (distances <= far) & (near != rows) & (~complete[near] | (rows < near))
        )
        at, column = np.nonzero(wanted)
        ones, others = rows[at, 0], near[at, column]
        firsts, seconds = np.minimum(ones, others), np.maximum(ones, others)
        scores = scored.pairs(firsts, seconds)
        within = scored.is_within(scores)
        pairs.take(firsts[within], seconds[within], scores[within])
    left = np.flatnonzero(~complete).astype(np.int32)
    pairs_within(scored.among(left), lambda one, other, scores: pairs.take(left[one], left[other], scores))


def _groups(scored: Scored, found: _Distinct, group: Rows) -> tuple[Rows, Rows]:
    """Groups int32 [n] of all rows, from the largest down, and the keeper of each; `group` [m] as of `BestPairs`."""
    count = len(found.members) + len(found.zero)
    groups = np.full(count, -1, dtype=np.int32)
    if not len(group):
        return groups, np.empty(0, np.int32)
    sizes = np.bincount(group, weights=found.counts, minlength=len(group)).astype(np.int64)
    roots = np.flatnonzero(sizes > 1)
    # Distinct rows are in the order of their first rows, and a group's root is its first.
    roots = roots[np.argsort(-sizes[roots], kind="stable")]
    number = np.full(len(group), -1, dtype=np.int32)
    number[roots] = np.arange(len(roots), dtype=np.int32)
    of_distinct = number[group]
    groups[found.members] = np.repeat(of_distinct, found.counts)
    order = np.argsort(of_distinct, kind="stable").astype(np.int32)
    order = order[np.searchsorted(of_distinct[order], 0) :]
    starts = np.searchsorted(of_distinct[order], np.arange(len(roots) + 1))
    keepers = np.empty(len(roots), dtype=np.int32)
    pair_kernels.medoids(
        scored.code, scored.rows, scored.norms, found.counts, starts, order, _MEDOID_PAIRS, keepers
    )
    return groups, found.members[found.starts[keepers]]


def _spread(found: _Distinct, pairs: BestPairs, call: Duplicates) -> tuple[Rows, NDArray[np.float32]]:
    """The first `max_pairs` pairs of all rows int32 [p, 2], and their scores."""
    keys, firsts, seconds = pairs.best()
    cosine = call.metric in LARGER_IS_CLOSER
    several = np.flatnonzero(found.counts > 1).astype(np.int32)
    if several.size:
        ideal = -1.0 if cosine else 0.0
        keys = np.concatenate([np.full(len(several), ideal), keys])
        firsts, seconds = np.concatenate([several, firsts]), np.concatenate([several, seconds])
        order = np.argsort(keys, kind="stable")
        keys, firsts, seconds = keys[order], firsts[order], seconds[order]
    every = pairs.total + int((found.counts * (found.counts - 1) // 2).sum())
    most = min(call.max_pairs, every)
    rows, spread = np.empty((most, 2), dtype=np.int32), np.empty(most)
    count = pair_kernels.spread(keys, firsts, seconds, found.starts, found.members, rows, spread)
    assert count == most
    return rows, in_float32(-spread + 0.0 if cosine else spread)
