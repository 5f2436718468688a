"""Rows that lie far from all, and rows that are near to too many: both read from the neighbour graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import Outliers
from penult_service.analysis.fitting import Fitting, fitting
from penult_service.analysis.progress import tell
from penult_service.analysis.results import Adjustment, OutliersResult
from penult_service.analysis.rows import blocks
from penult_service.analysis.search import kernels
from penult_service.analysis.search.graphs import Graph, graph_of
from penult_service.vectors import in_float32

_TOLD = 1_000
_NO_DIRECTION = 1.0  # the score of a row without one: as far from all as rows that have nothing in common


def measure(call: Outliers, arrays: Mapping[str, NDArray[Any]]) -> OutliersResult:
    """How far each row of `source` float32 [n, d], n at least 3, is from its k nearest others; see `OutliersResult`.

    The score is the mean of the k distances (Angiulli and Pizzuti 2002, there their sum); rows that are equal are each
    other's neighbours at 0, ties go by row number. All-zero rows under cosine are nobody's neighbours, and are counted
    neither by `hubness` nor by `antihubs`. A k of more rows than there are others is lowered, and told.

    Tells its stages (`progress`): rows; those of `sieve` where the graph is made; outliers.
    """
    tell("rows")
    fitted = fitting(arrays["source"], call.metric)
    k, adjustments = _possible_k(call.k, len(fitted.kept), call.metric == "cosine")
    scores = np.full(len(fitted.kept) + len(fitted.zero), _NO_DIRECTION, dtype=np.float32)
    occurrences = np.zeros(len(scores), dtype=np.int32)
    kept: dict[str, Any] = {}
    if k:
        graph = graph_of(fitted, k + 1, call.metric, arrays, call.keep_graph)
        kept = graph.kept(call.keep_graph)
        tell("outliers")
        means, counts = _of_kept(fitted, graph, k)
        scores[fitted.kept] = in_float32(np.ldexp(means, fitted.exponent))
        occurrences[fitted.kept] = counts
    among = occurrences[fitted.kept]
    return OutliersResult(
        scores=scores,
        occurrences=occurrences,
        order=np.argsort(-scores, kind="stable")[:_TOLD].astype(np.int32),
        hubness=_skewness(among),
        antihubs=int(np.count_nonzero(among == 0)),
        k=k,
        zero_rows=fitted.zero,
        adjustments=adjustments,
        **kept,
    )


def _possible_k(asked: int, rows: int, cosine: bool) -> tuple[int, tuple[Adjustment, ...]]:
    most = max(rows - 1, 0)
    if asked <= most:
        return asked, ()
    why = f"a row has {most} other{'s' if most != 1 else ''}{' that are not all zero' if cosine else ''}"
    return most, (Adjustment("k", str(asked), str(most), why),)


def _of_kept(fitted: Fitting, graph: Graph, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each of p kept rows the mean distance to its k nearest others, and of how many rows it is one: [p] each."""
    near, distances = graph.first(k + 1)
    keys = distances.astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(fitted.counts)])
    members = np.argsort(fitted.inverse, kind="stable").astype(np.int32)
    means, counts = np.empty(len(members)), np.zeros(len(members), dtype=np.int64)
    itself = np.arange(len(members), dtype=np.int32)
    for part in blocks(len(members), 12 * k):
        shape = part.stop - part.start, k
        far, others = np.empty(shape), np.empty(shape, dtype=np.int32)
        kernels.expand(keys, near, starts, members, fitted.inverse[part], itself[part], far, others)
        means[part] = far.mean(axis=1)
        counts += np.bincount(others.reshape(-1), minlength=len(members))
    return means, counts


def _skewness(counts: NDArray[np.int32]) -> float | None:
    """Of the numbers (Fisher's, biased); None where all are alike."""
    if not counts.size or (counts == counts[0]).all():
        return None
    deviations = counts - counts.mean()
    return float(np.mean(deviations**3) / np.mean(deviations**2) ** 1.5)
