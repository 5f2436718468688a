"""UMAP (McInnes, Healy and Melville 2018): umap-learn's fuzzy graph of our neighbours, our start, our layout.

With a seed umap-learn computes on one thread, and is still not the same bytes at another number of BLAS threads:
the eigensolver is not. Here it has one thread; only the neighbours, which are exact, and the layout, which does not
depend on it (`layout`), have several. Density-preserving maps keep umap-learn's own layout, on one thread.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis.maps.layout import laid_out
from penult_service.analysis.maps.spectral import spectral_places
from penult_service.analysis.progress import heard, silently, tell

Floats = NDArray[np.float32]
Graph = tuple[NDArray[np.int32], Floats]

TARGET_WEIGHT = 0.5
_MANY = 10_000  # rows beyond which umap-learn takes fewer epochs
_MORE = 200  # epochs that umap-learn adds for density
_LOOK = 0.05  # seconds between looks at the epochs
_SIDE = 10.0  # of the box that a layout starts in
_EQUAL = 1e-6  # of distances: what differs less is rounding
_STEP, _STEP_ANCHORED = 1.0, 0.25  # of the first epoch: what starts in its place does not have to find it


@dataclass(frozen=True, eq=False)
class Target:
    """Labels int32 [m] of the rows, -1 where not known, and how much they count against the rows, 0 to 1."""

    labels: NDArray[np.int32]
    weight: float = TARGET_WEIGHT


@dataclass(frozen=True, eq=False)
class _Begun:
    """Edges with their strengths [m, m], without those that are never drawn; places to start from, and how far the
    first epoch goes; the curve."""

    strengths: Any
    start: NDArray[np.float64]
    step: float
    curve: tuple[float, float]
    random: np.random.RandomState


def epochs(rows: int, density: bool = False) -> int:
    """How many epochs umap-learn chooses for so many rows."""
    return (500 if rows <= _MANY else 200) + (_MORE if density else 0)


def fit(
    rows: Floats,
    graph: Graph,
    dimensions: int,
    *,
    min_dist: float,
    seed: int,
    target: Target | None = None,
    start: Floats | None = None,
) -> Floats:
    """Places float32 [m, dimensions] of distinct rows [m, d], m at least dimensions + 2.

    Args:
        rows: Used where the graph has several parts.
        graph: `neighbours.graph(rows, n_neighbors, metric)`: each row itself first.
        dimensions: At least 1.
        min_dist: How close places may lie, 0 to 1.
        seed: 0 to 2^32 - 1.
        target: Labels that pull rows together, as `umap.UMAP(target_weight=...).fit(rows, labels)` takes them.
        start: Places float32 [m, dimensions] to start from, in their own proportions; None: the spectral ones.

    Tells the stages graph, start, layout (in epochs).
    """
    count, start = epochs(len(rows)), _spread(start)
    with threadpool_limits(1):
        strengths, _ = _fuzzy(rows, graph, target, distances=False)
        begun = _begin(rows, strengths, dimensions, min_dist, seed, count, start)
    box = _boxed(begun.start, each=start is None)
    return laid_out(box, begun.strengths, count, *begun.curve, seed, begun.step)


def fit_density(
    rows: Floats,
    graph: Graph,
    dimensions: int,
    *,
    min_dist: float,
    seed: int,
    target: Target | None = None,
    start: Floats | None = None,
) -> Floats | None:
    """The same, keeping how dense rows lie (densMAP, Narayan, Berger and Cho 2021): umap-learn's own layout.

    None where all rows lie equally dense, so that there is nothing to keep.
    """
    from umap.umap_ import simplicial_set_embedding

    along = graph[1][:, 1:]
    if not np.ptp(along) > _EQUAL * along.max(initial=0):
        return None
    count, start = epochs(len(rows), density=True), _spread(start)
    with threadpool_limits(1), np.errstate(divide="ignore", invalid="ignore"):
        strengths, distances = _fuzzy(rows, graph, target, distances=True)
        begun = _begin(rows, strengths, dimensions, min_dist, seed, count, start)
        tell("layout", 0, count)
        places, _ = simplicial_set_embedding(
            rows, begun.strengths, dimensions, initial_alpha=begun.step, a=begun.curve[0], b=begun.curve[1], gamma=1.0,
            negative_sample_rate=5, n_epochs=count, init=begun.start, random_state=begun.random, metric="euclidean",
            metric_kwds={}, densmap=True,
            densmap_kwds={
                "lambda": 2.0, "frac": 0.3, "var_shift": 0.1, "n_neighbors": graph[0].shape[1],
                "graph_dists": distances,
            },
            output_dens=False, parallel=False, tqdm_kwds=_bar(count),
        )  # fmt: skip
    tell("layout", count, count)
    if not np.isfinite(places).all():
        return None
    return np.ascontiguousarray(places, dtype=np.float32)


def _spread(start: Floats | None) -> Floats | None:
    """A start, unless it is one point."""
    return None if start is None or not np.ptp(start, axis=0).any() else start


def _fuzzy(rows: Floats, graph: Graph, target: Target | None, distances: bool) -> tuple[Any, Any]:
    """The strengths of the edges, symmetric [m, m], and if asked for the distances along them."""
    from umap.umap_ import discrete_metric_simplicial_set_intersection, fuzzy_simplicial_set

    tell("graph")
    strengths, _, _, along = fuzzy_simplicial_set(
        rows, graph[0].shape[1], None, "euclidean",
        knn_indices=graph[0], knn_dists=graph[1], return_dists=distances,
    )  # fmt: skip
    if target is not None:
        # As UMAP.fit chooses it.
        far = 2.5 / (1.0 - target.weight) if target.weight < 1 else 1e12
        strengths = discrete_metric_simplicial_set_intersection(strengths, target.labels, far_dist=far)
    return strengths, along


def _begin(
    rows: Floats,
    strengths: Any,
    dimensions: int,
    min_dist: float,
    seed: int,
    count: int,
    start: Floats | None,
) -> _Begun:
    from umap.umap_ import noisy_scale_coords

    random = np.random.RandomState(seed)
    strengths = _pruned(strengths, count)
    tell("start")
    if start is not None:
        places = start.astype(np.float64) - start.mean(axis=0, dtype=np.float64)
    else:
        with silently():
            places = spectral_places(rows, strengths, dimensions, random)
    step = _STEP if start is None else _STEP_ANCHORED
    return _Begun(strengths, noisy_scale_coords(places, random), step, _curve(min_dist), random)


def _boxed(places: NDArray[np.float64], each: bool) -> Floats:
    """Places in the box that UMAP starts in, filled along each dimension or along the longest."""
    spans = np.ptp(places, axis=0)
    spans = np.where(spans > 0, spans, 1.0) if each else spans.max()
    return np.asarray(_SIDE * (places - places.min(axis=0)) / spans, dtype=np.float32)


def _bar(count: int) -> dict[str, Any] | None:
    """umap-learn's own progress bar over its epochs, drawn where somebody listens; else none."""
    if not heard():
        return None
    return {"disable": False, "file": _Bar(count), "bar_format": "{n}", "mininterval": _LOOK}


class _Bar(io.StringIO):
    """What a bar is drawn on: each drawing is the number of epochs done."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self._total = total

    def write(self, text: str) -> int:
        """One drawing, a carriage return before it."""
        if text.strip().isdecimal():
            tell("layout", int(text), self._total)
        return len(text)


@lru_cache
def _curve(min_dist: float) -> tuple[float, float]:
    from umap.umap_ import find_ab_params

    with threadpool_limits(1):
        a, b = find_ab_params(1.0, min_dist)
    return float(a), float(b)


def _pruned(strengths: Any, count: int) -> Any:
    """Without the edges that are too weak to be drawn once: the start is of the same graph as the layout."""
    strengths = strengths.tocoo()
    strengths.sum_duplicates()
    strengths.data[strengths.data < strengths.data.max(initial=0) / float(count)] = 0.0
    strengths.eliminate_zeros()
    return strengths
