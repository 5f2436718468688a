"""The neighbour graph of the rows that are fitted: made once, taken again where it is kept, read by many.

Maps, clusters, duplicates and outliers read one graph. It is exact, and its neighbours are in order, so a graph of
more columns begins with that of fewer: whether it was made or taken, and with how many, changes no result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import GRAPH_NEIGHBORS
from penult_service.analysis.fitting import Fitting
from penult_service.analysis.search.neighbours import graph

Floats = NDArray[np.float32]
Pair = tuple[NDArray[np.int32], Floats]

_PROBED = 64  # rows of a graph that was kept whose distances are computed again
_CLOSE = 1e-5


@dataclass(frozen=True, eq=False)
class Graph:
    """Each of m distinct rows with its nearest others.

    Attributes:
        indices: int32 [m, k], the row itself first, then nearest first, ties by number.
        distances: float32 [m, k]; cosine distance is 1 - cosine.
        made: Whether it was made here; else it was taken from `near_rows` and `near_distances`.
    """

    indices: NDArray[np.int32]
    distances: Floats
    made: bool

    @property
    def columns(self) -> int:
        return self.indices.shape[1]

    def first(self, k: int) -> Pair:
        """The first k columns (all, where there are fewer), in memory of their own: int32 and float32 [m, k]."""
        return self.indices[:, :k].copy(), self.distances[:, :k].copy()

    def kept(self, keep: bool) -> dict[str, Any]:
        """The fields of `results.Graphed`: the graph, where it is to be kept and was made here."""
        if not (keep and self.made):
            return {}
        return {"near_rows": self.indices, "near_distances": self.distances}


def graph_of(
    fitted: Fitting, k: int, metric: str, arrays: Mapping[str, NDArray[Any]], keep: bool = False
) -> Graph:
    """The graph of the fitted rows, at least one: k columns or more, the row itself included, or as many as rows.

    It is taken from the arrays `near_rows` and `near_distances` where these are of the same rows and have columns
    enough; else it is made, with `GRAPH_NEIGHBORS` columns at least when it is to be kept.
    Tells the stages of `sieve` when it is made.
    """
    least = min(len(fitted.rows), k)
    taken = graph_that_is_kept(fitted, metric, arrays, least)
    if taken is not None:
        return taken
    columns = min(len(fitted.rows), max(k, GRAPH_NEIGHBORS)) if keep else least
    return Graph(*graph(fitted.rows, columns, metric), made=True)


def graph_that_is_kept(
    fitted: Fitting, metric: str, arrays: Mapping[str, NDArray[Any]], least: int = 1
) -> Graph | None:
    """The graph of the arrays `near_rows` and `near_distances`, where it is of these rows, and has so many columns."""
    indices, distances = arrays.get("near_rows"), arrays.get("near_distances")
    if indices is None or distances is None or not len(fitted.rows):
        return None
    if not _is_of(fitted.rows, least, metric, indices, distances):
        return None
    return Graph(indices, distances, made=False)


def _is_of(rows: Floats, least: int, metric: str, indices: NDArray[np.int32], distances: Floats) -> bool:
    """Whether a graph can be of these rows: its shape, its numbers, and the distances of some of the rows."""
    if indices.ndim != 2 or indices.shape != distances.shape or len(indices) != len(rows):
        return False
    if indices.shape[1] < least or indices.dtype != np.int32 or distances.dtype != np.float32:
        return False
    if (indices[:, 0] != np.arange(len(rows))).any() or indices.min() < 0 or indices.max() >= len(rows):
        return False
    probed = np.unique(np.linspace(0, len(rows) - 1, _PROBED).astype(np.intp))
    right = _distances(rows, probed, indices[probed], metric)
    return bool(np.allclose(distances[probed], right, rtol=_CLOSE, atol=_CLOSE if metric == "cosine" else 0))


def _distances(
    rows: Floats, probed: NDArray[np.intp], indices: NDArray[np.int32], metric: str
) -> NDArray[np.float64]:
    """Float64 [p, k], of the probed rows to those of `indices` [p, k]."""
    right = np.empty(indices.shape)
    for at, (row, others) in enumerate(zip(probed, indices, strict=True)):
        x, y = rows[row].astype(np.float64), rows[others].astype(np.float64)
        match metric:
            case "cosine":
                right[at] = 1 - y @ x
            case "euclidean":
                right[at] = np.sqrt(np.square(y - x).sum(axis=1))
            case _:
                right[at] = np.abs(y - x).sum(axis=1)
    return right
