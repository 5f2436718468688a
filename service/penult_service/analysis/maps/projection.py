"""Maps: a place in two or three dimensions for every row, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis import quality
from penult_service.analysis.calls import Project
from penult_service.analysis.fitting import Fitting, beside, fitting, for_later
from penult_service.analysis.maps import pca
from penult_service.analysis.maps.aligning import Alignment, alignment
from penult_service.analysis.maps.umap_fit import TARGET_WEIGHT, Target, epochs, fit, fit_density
from penult_service.analysis.progress import heard, iterations_printed, silently, tell
from penult_service.analysis.results import Adjustment, ProjectResult
from penult_service.analysis.search.graphs import Graph, graph_of, graph_that_is_kept
from penult_service.analysis.search.neighbours import nearest_others

Number = TypeVar("Number", int, float)
Floats = NDArray[np.float32]
Codes = NDArray[np.int32]
Arrays = Mapping[str, NDArray[Any]]

N_NEIGHBORS, MIN_DIST, PERPLEXITY = 15, 0.1, 30.0
_QUALITY_NEIGHBORS = 15
_TSNE_STEPS = 1_000
_PURITY_ROWS = 4_000  # rows that label purity is measured on
_GRAPH_ROWS = 20_000  # distinct rows whose graph is made for the quality of a map that needs none
_SAME_BYTES = "at any number of threads, after a restart"


@dataclass(frozen=True, eq=False)
class _Map:
    places: Floats
    used: dict[str, Any]
    adjustments: tuple[Adjustment, ...] = ()
    components: pca.Components | None = None
    graph: Graph | None = None


def project(
    call: Project,
    source: NDArray[Any],
    labels: Codes | None = None,
    arrays: Arrays = MappingProxyType({}),
) -> ProjectResult:
    """A map of finite rows float32 [n, d], n at least 1; labels int32 [n]; more `arrays` as `calls` says.

    Distinct rows are fitted, equal ones have one place (with `supervised` the label that most of them have, of equally
    many the first). The same rows and seed give the same bytes at any number of threads. All-zero rows under cosine lie
    together beside the map. A handful of rows (no more than dimensions + 1 distinct ones) is placed by principal
    components, and told. Quality is of the distinct rows; how many neighbours each row keeps is not known of a row that
    is not among the `quality_rows`, of PCA of more than 20,000 rows whose graph is not kept.

    Tells its stages (`progress`): rows; components; or neighbours, graph and start (t-SNE: components), layout;
    quality; labels.
    """
    tell("rows")
    fitted = fitting(source, call.metric)
    made = _map(call, fitted, labels, arrays)
    aligned = None
    if "anchor" in arrays:
        aligned = alignment(made.places[fitted.inverse], arrays["anchor"][fitted.kept])
        if aligned is not None:
            made = replace(made, places=aligned.of(made.places))
    places = np.zeros((len(source), call.n_components), dtype=np.float32)
    places[fitted.kept] = made.places[fitted.inverse]
    places[fitted.zero] = beside(made.places, call.n_components)
    near = made.graph or _graph_for_quality(call, fitted, arrays)
    good = quality.of_map(
        fitted.rows, made.places, call.metric, None if near is None else near.indices, _QUALITY_NEIGHBORS
    )
    kept = np.full(len(source), np.nan, dtype=np.float32)
    kept[fitted.kept] = good.row_neighbors_kept[fitted.inverse]
    purity: tuple[float | None, float | None] = (None, None)
    if labels is not None and len(fitted.kept) > 1:
        tell("labels")
        purity = _purity(fitted, places[fitted.kept], call.metric, labels[fitted.kept], near)
    return ProjectResult(
        coordinates=places,
        explained_variance=np.empty(0) if made.components is None else made.components.explained,
        zero_rows=fitted.zero,
        trustworthiness=good.trustworthiness,
        quality_rows=good.rows,
        quality_neighbors=good.neighbors,
        label_purity=purity[0],
        label_purity_source=purity[1],
        used={"n_components": call.n_components, "metric": call.metric, **made.used},
        adjustments=made.adjustments,
        continuity=good.continuity,
        neighbors_kept=good.neighbors_kept,
        row_neighbors_kept=kept,
        distance_correlation=good.distance_correlation,
        alignment_disparity=None if aligned is None else aligned.disparity,
        **_kept(call, fitted, source, made, near, aligned),
    )


def _kept(
    call: Project,
    fitted: Fitting,
    source: NDArray[Any],
    made: _Map,
    near: Graph | None,
    aligned: Alignment | None,
) -> dict[str, Any]:
    """What is given for later: of the graph with `keep_graph`, of the fit with `keep`."""
    given = {} if near is None else near.kept(call.keep_graph)
    if not call.keep:
        return given
    distances = None if near is None or near.columns < 2 else near.distances
    given |= for_later(fitted, source, call.metric, distances)
    if made.components is not None and aligned is None:
        # Of rows as they come, not as they are fitted.
        given["mean"] = np.ldexp(made.components.mean, fitted.exponent)
        given["loadings"] = np.ldexp(made.components.loadings, -fitted.exponent)
    return given


def _map(call: Project, fitted: Fitting, labels: Codes | None, arrays: Arrays) -> _Map:
    size = len(fitted.rows)
    if size == 0:
        return _Map(np.zeros((0, call.n_components), dtype=np.float32), {"method": "pca"})
    if call.method == "pca":
        return _components(call, fitted)
    if size <= call.n_components + 1:
        why = f"{size} distinct rows are too few for {call.method}, which needs {call.n_components + 2}"
        return replace(
            _components(call, fitted), adjustments=(Adjustment("method", call.method, "pca", why),)
        )
    if call.method == "tsne":
        return _tsne(call, fitted, arrays)
    return _umap(call, fitted, labels, arrays)


def _components(call: Project, fitted: Fitting) -> _Map:
    found = pca.components(fitted.rows, call.n_components, fitted.counts)
    return _Map(
        found.coordinates, {"method": "pca", "layout": "penult", "same_bytes": _SAME_BYTES}, components=found
    )


def _umap(call: Project, fitted: Fitting, labels: Codes | None, arrays: Arrays) -> _Map:
    size = len(fitted.rows)
    asked = N_NEIGHBORS if call.n_neighbors is None else call.n_neighbors
    neighbors, told = lowered("n_neighbors", asked, size - 1, f"there are {size} distinct rows")
    min_dist = MIN_DIST if call.min_dist is None else call.min_dist
    # One more than umap-learn counts, the row itself, for the quality.
    near = graph_of(fitted, max(neighbors, _QUALITY_NEIGHBORS + 1), call.metric, arrays, call.keep_graph)
    used: dict[str, Any] = {
        "method": "umap",
        "n_neighbors": neighbors,
        "min_dist": min_dist,
        "seed": call.seed,
    }
    target = None
    if call.supervised and labels is not None:
        weight = TARGET_WEIGHT if call.target_weight is None else call.target_weight
        codes, differing = _labels_of_distinct(fitted, labels)
        target = Target(codes, weight)
        used |= {"supervised": True, "target_weight": weight}
        if differing:
            why = f"{differing} rows are equal to rows of another label, and equal rows are one on the map"
            told += (
                Adjustment("labels", "each row's own", "of equal rows what most have, or the first", why),
            )
    anchor = arrays["anchor"][fitted.kept[fitted.first]] if "anchor" in arrays else None
    places, layout = None, "umap-learn"
    given = fitted.rows, near.first(neighbors), call.n_components
    more: dict[str, Any] = {"min_dist": min_dist, "seed": call.seed, "target": target, "start": anchor}
    if call.density:
        places = fit_density(*given, **more)
        if places is None:
            told += (Adjustment("density", "true", "false", "all rows lie equally dense"),)
    used["density"] = places is not None
    if places is None:
        places, layout = fit(*given, **more), "penult"
    used |= {"n_epochs": epochs(size, used["density"]), "layout": layout, "same_bytes": _SAME_BYTES}
    return _Map(places, used, told, graph=near)


def _tsne(call: Project, fitted: Fitting, arrays: Arrays) -> _Map:
    from scipy.sparse import csr_array
    from sklearn.manifold import TSNE

    size = len(fitted.rows)
    asked = PERPLEXITY if call.perplexity is None else call.perplexity
    why = f"there are {size} distinct rows, and t-SNE looks at three times as many"
    perplexity, told = lowered("perplexity", float(asked), max(1.0, (size - 1) / 3), why)
    count = min(size, int(3 * perplexity + 1) + 1)
    near = graph_of(fitted, max(count, _QUALITY_NEIGHBORS + 1), call.metric, arrays, call.keep_graph)
    indices, along = near.first(count)
    start = pca.components(fitted.rows, call.n_components, np.ones(size)).coordinates
    start = (start / (np.std(start[:, 0]) or 1.0) * 1e-4).astype(np.float32)
    distances = csr_array((along.ravel(), indices.ravel(), np.arange(size + 1) * count), (size, size))
    # Its gradients are summed by threads in whatever order: one.
    model = TSNE(
        call.n_components, perplexity=perplexity, metric="precomputed", init=start, random_state=call.seed,
        max_iter=_TSNE_STEPS, verbose=2 if heard() else 0,
    )  # fmt: skip
    with threadpool_limits(1), iterations_printed("layout", _TSNE_STEPS):
        places = model.fit_transform(distances)
    used = {
        "method": "tsne", "perplexity": perplexity, "seed": call.seed,
        "layout": "scikit-learn", "same_bytes": _SAME_BYTES,
    }  # fmt: skip
    return _Map(np.ascontiguousarray(places, dtype=np.float32), used, told, graph=near)


def lowered(parameter: str, asked: Number, most: Number, why: str) -> tuple[Number, tuple[Adjustment, ...]]:
    """The lesser of what was asked and the most, and what is told when that is less."""
    if asked <= most:
        return asked, ()
    return most, (Adjustment(parameter, f"{asked:g}", f"{most:g}", why),)


def _labels_of_distinct(fitted: Fitting, labels: Codes) -> tuple[Codes, int]:
    """The label int32 [m] that most rows equal to each distinct one have, of equally many the first; -1: none known.

    And how many rows have another one.
    """
    codes = np.full(len(fitted.rows), -1, dtype=np.int32)
    known = np.flatnonzero(labels[fitted.kept] >= 0)
    pairs = np.stack([fitted.inverse[known], labels[fitted.kept][known]], axis=1)
    found, first, counts = np.unique(pairs, axis=0, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts, found[:, 0]))
    rows, at = np.unique(found[order, 0], return_index=True)
    codes[rows] = found[order[at], 1]
    return codes, int((codes[pairs[:, 0]] != pairs[:, 1]).sum())


def _graph_for_quality(call: Project, fitted: Fitting, arrays: Arrays) -> Graph | None:
    """The graph of a map that was made without: one that is kept, or of not too many rows."""
    least = min(len(fitted.rows), _QUALITY_NEIGHBORS + 1)
    with silently():
        if least > 1 and len(fitted.rows) <= _GRAPH_ROWS:
            return graph_of(fitted, least, call.metric, arrays, call.keep_graph)
        return graph_that_is_kept(fitted, call.metric, arrays, least)


def _purity(
    fitted: Fitting, places: Floats, metric: str, labels: Codes, near: Graph | None
) -> tuple[float | None, float | None]:
    """Label purity on the map and among the rows; of rows with a label, drawn evenly where there are many."""
    size = len(places)
    known = np.flatnonzero(labels >= 0)
    count = min(len(known), _PURITY_ROWS)
    if not count:
        return None, None
    chosen = known[np.arange(count, dtype=np.int64) * len(known) // count].astype(np.int32)
    k = min(_QUALITY_NEIGHBORS, size - 1)
    on_map = nearest_others(places, chosen, k, "euclidean")[1]
    if near is not None and len(fitted.rows) == size:
        among = near.indices[chosen, 1 : k + 1]
    else:
        among = nearest_others(fitted.all_rows, chosen, k, metric)[1]

    def share(indices: Codes) -> float:
        return float(np.mean(labels[indices] == labels[chosen][:, None]))

    return share(on_map), share(among)
