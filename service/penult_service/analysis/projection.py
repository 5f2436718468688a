"""Maps: a place in two or three dimensions for every row, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis import pca, quality
from penult_service.analysis.calls import Project
from penult_service.analysis.fitting import Fitting, fitting
from penult_service.analysis.neighbours import graph, nearest_others
from penult_service.analysis.progress import heard, iterations_printed, tell
from penult_service.analysis.results import Adjustment, ProjectResult
from penult_service.analysis.umap_fit import epochs, fit

Number = TypeVar("Number", int, float)
Floats = NDArray[np.float32]
Graph = tuple[NDArray[np.int32], Floats]

N_NEIGHBORS, MIN_DIST, PERPLEXITY = 15, 0.1, 30.0
_QUALITY_NEIGHBORS = 15
_TSNE_STEPS = 1_000
_PURITY_ROWS = 4_000  # rows that label purity is measured on


@dataclass(frozen=True, eq=False)
class _Map:
    places: Floats
    used: dict[str, Any]
    adjustments: tuple[Adjustment, ...] = ()
    explained: NDArray[np.float64] | None = None
    graph: Graph | None = None


def project(
    call: Project,
    source: NDArray[Any],
    labels: NDArray[np.int32] | None = None,
    arrays: Mapping[str, NDArray[Any]] = MappingProxyType({}),
) -> ProjectResult:
    """A map of finite rows float32 [n, d], n at least 1; labels int32 [n]; more `arrays` as `calls` says.

    Distinct rows are fitted, equal ones have one place. The same rows and seed give the same bytes at any number of
    threads. All-zero rows under cosine lie together beside the map. A handful of rows (no more than dimensions + 1
    distinct ones) is placed by principal components, and told. Trustworthiness is of the distinct rows.

    Tells its stages (`progress`): rows; components; or neighbours, graph and start (t-SNE: components), layout;
    quality; labels.
    """
    tell("rows")
    fitted = fitting(source, call.metric)
    made = _map(call, fitted)
    places = np.zeros((len(source), call.n_components), dtype=np.float32)
    places[fitted.kept] = made.places[fitted.inverse]
    places[fitted.zero] = _beside(made.places, call.n_components)
    trust, rows = None, 0
    if len(fitted.rows) >= 4:
        trust, rows = quality.trustworthiness(fitted.rows, made.places, call.metric, _QUALITY_NEIGHBORS)
    purity: tuple[float | None, float | None] = (None, None)
    if labels is not None and len(fitted.kept) > 1:
        tell("labels")
        purity = _purity(fitted, places[fitted.kept], call.metric, labels[fitted.kept], made.graph)
    return ProjectResult(
        coordinates=places,
        explained_variance=np.empty(0) if made.explained is None else made.explained,
        zero_rows=fitted.zero,
        trustworthiness=trust,
        quality_rows=rows,
        quality_neighbors=quality.neighbors_of(len(fitted.rows), _QUALITY_NEIGHBORS),
        label_purity=purity[0],
        label_purity_source=purity[1],
        used={"n_components": call.n_components, "metric": call.metric, **made.used},
        adjustments=made.adjustments,
    )


def _map(call: Project, fitted: Fitting) -> _Map:
    size = len(fitted.rows)
    if size == 0:
        return _Map(np.zeros((0, call.n_components), dtype=np.float32), {"method": "pca"})
    if call.method == "pca":
        return _components(call, fitted)
    if size <= call.n_components + 1:
        why = f"{size} distinct rows are too few for {call.method}, which needs {call.n_components + 2}"
        few = _components(call, fitted)
        return _Map(few.places, few.used, (Adjustment("method", call.method, "pca", why),), few.explained)
    return _umap(call, fitted) if call.method == "umap" else _tsne(call, fitted)


def _components(call: Project, fitted: Fitting) -> _Map:
    found = pca.components(fitted.rows, call.n_components, fitted.counts)
    return _Map(found.coordinates, {"method": "pca"}, explained=found.explained)


def _umap(call: Project, fitted: Fitting) -> _Map:
    size = len(fitted.rows)
    asked = N_NEIGHBORS if call.n_neighbors is None else call.n_neighbors
    neighbors, told = lowered("n_neighbors", asked, size - 1, f"there are {size} distinct rows")
    min_dist = MIN_DIST if call.min_dist is None else call.min_dist
    # One more than umap-learn counts, the row itself, for the purity of labels.
    near = graph(fitted.rows, min(size, max(neighbors, _QUALITY_NEIGHBORS + 1)), call.metric)
    places = fit(
        fitted.rows, (near[0][:, :neighbors], near[1][:, :neighbors]), call.n_components,
        min_dist=min_dist, seed=call.seed,
    )  # fmt: skip
    used = {"method": "umap", "n_neighbors": neighbors, "min_dist": min_dist, "n_epochs": epochs(size)}
    return _Map(places, {**used, "seed": call.seed}, told, graph=near)


def _tsne(call: Project, fitted: Fitting) -> _Map:
    from scipy.sparse import csr_array
    from sklearn.manifold import TSNE

    size = len(fitted.rows)
    asked = PERPLEXITY if call.perplexity is None else call.perplexity
    why = f"there are {size} distinct rows, and t-SNE looks at three times as many"
    perplexity, told = lowered("perplexity", float(asked), max(1.0, (size - 1) / 3), why)
    count = min(size, int(3 * perplexity + 1) + 1)
    near = graph(fitted.rows, max(count, min(size, _QUALITY_NEIGHBORS + 1)), call.metric)
    start = pca.components(fitted.rows, call.n_components, np.ones(size)).coordinates
    start = (start / (np.std(start[:, 0]) or 1.0) * 1e-4).astype(np.float32)
    pointers = np.arange(size + 1) * count
    distances = csr_array((near[1][:, :count].ravel(), near[0][:, :count].ravel(), pointers), (size, size))
    # Its gradients are summed by threads in whatever order: one.
    model = TSNE(
        call.n_components, perplexity=perplexity, metric="precomputed", init=start, random_state=call.seed,
        max_iter=_TSNE_STEPS, verbose=2 if heard() else 0,
    )  # fmt: skip
    with threadpool_limits(1), iterations_printed("layout", _TSNE_STEPS):
        places = model.fit_transform(distances)
    used = {"method": "tsne", "perplexity": perplexity, "seed": call.seed}
    return _Map(np.ascontiguousarray(places, dtype=np.float32), used, told, graph=near)


def lowered(parameter: str, asked: Number, most: Number, why: str) -> tuple[Number, tuple[Adjustment, ...]]:
    """The lesser of what was asked and the most, and what is told when that is less."""
    if asked <= most:
        return asked, ()
    return most, (Adjustment(parameter, f"{asked:g}", f"{most:g}", why),)


def _beside(places: Floats, dimensions: int) -> Floats:
    """A place outside the box of the others."""
    if not len(places):
        return np.zeros(dimensions, dtype=np.float32)
    low, high = places.min(axis=0), places.max(axis=0)
    place = (low + high) / 2
    place[0] = high[0] + (np.max(high - low) * np.float32(0.1) or np.float32(1.0))
    return np.asarray(place, dtype=np.float32)


def _purity(
    fitted: Fitting, places: Floats, metric: str, labels: NDArray[np.int32], near: Graph | None
) -> tuple[float | None, float | None]:
    """Label purity on the map and among the rows; of rows drawn evenly where there are many."""
    size = len(places)
    count = min(size, _PURITY_ROWS)
    chosen = (np.arange(count, dtype=np.int64) * size // count).astype(np.int32)
    k = min(_QUALITY_NEIGHBORS, size - 1)
    on_map = nearest_others(places, chosen, k, "euclidean")[1]
    if near is not None and len(fitted.rows) == size:
        among = near[0][chosen, 1 : k + 1]
    else:
        among = nearest_others(fitted.all_rows, chosen, k, metric)[1]

    def share(indices: NDArray[np.int32]) -> float:
        return float(np.mean(labels[indices] == labels[chosen][:, None]))

    return share(on_map), share(among)
