"""Fewer dimensions before clusters are looked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import Cluster, reduction_of
from penult_service.analysis.fitting import Fitting
from penult_service.analysis.maps import pca
from penult_service.analysis.maps.umap_fit import fit
from penult_service.analysis.results import Adjustment
from penult_service.analysis.search.graphs import Graph, graph_of

N_NEIGHBORS = 15
DIMENSIONS = {"umap": 5, "pca": 50}
_LEAST = 4  # distinct rows of a UMAP of one dimension, with a neighbour to spare


@dataclass(frozen=True, eq=False)
class Reduced:
    """`rows` float32 [m, r], compared under `metric`; what was used, and what not as asked; the graph that was read."""

    rows: NDArray[np.float32]
    metric: str
    used: dict[str, Any]
    adjustments: tuple[Adjustment, ...] = ()
    graph: Graph | None = None


def reduce(call: Cluster, fitted: Fitting, arrays: Mapping[str, NDArray[Any]]) -> Reduced:
    """The distinct rows as clusters of `call` are looked for in them; after a reduction distances are euclidean.

    `arrays` as `calls` says: a neighbour graph that is there is not made again.
    """
    kind = reduction_of(call)
    if kind == "none":
        return Reduced(fitted.rows, call.metric, {"reduction": "none"})
    size, width = fitted.rows.shape
    asked = call.reduced_dimensions or DIMENSIONS[kind]
    if kind == "pca":
        dimensions = min(asked, width, size)
        # Fewer by default is what the rows are; less than asked is told.
        why = f"there are {size} distinct rows of {width} numbers"
        told = _told(call.reduced_dimensions, dimensions, why)
        rows = pca.components(fitted.rows, dimensions, fitted.counts).coordinates
        return Reduced(rows, "euclidean", {"reduction": "pca", "reduced_dimensions": dimensions}, told)
    if size < _LEAST:
        why = f"{size} distinct rows are too few for UMAP, which needs {_LEAST}"
        return Reduced(
            fitted.rows, call.metric, {"reduction": "none"}, (Adjustment("reduction", "umap", "none", why),)
        )
    dimensions = min(asked, size - 2)
    neighbors = min(N_NEIGHBORS, size - 1)
    near = graph_of(fitted, neighbors, call.metric, arrays, call.keep_graph)
    rows = fit(fitted.rows, near.first(neighbors), dimensions, min_dist=0.0, seed=call.seed)
    used = {"reduction": "umap", "reduced_dimensions": dimensions, "n_neighbors": neighbors}
    told = _told(asked, dimensions, f"there are {size} distinct rows")
    return Reduced(rows, "euclidean", used, told, near)


def _told(asked: int | None, used: int, why: str) -> tuple[Adjustment, ...]:
    if asked is None or asked == used:
        return ()
    return (Adjustment("reduced_dimensions", str(asked), str(used), why),)
