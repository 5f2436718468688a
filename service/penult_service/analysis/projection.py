"""Maps: a place in two or three dimensions for every row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis import quality, umap_fit
from penult_service.analysis.calls import Project
from penult_service.analysis.components import principal
from penult_service.analysis.neighbours import graph, nearest_others
from penult_service.analysis.results import Adjustment, ProjectResult
from penult_service.analysis.rows import Distinct, distinct, unit_rows, zero_rows

Floats = NDArray[np.float32]
Graph = tuple[NDArray[np.int32], Floats]

N_NEIGHBORS, MIN_DIST, PERPLEXITY = 15, 0.1, 30.0
QUALITY_NEIGHBORS = 15
_TSNE_LEAST = 5  # distinct rows: with perplexity 1 a row has three neighbours
_GRAPH_STEP = 1e-4  # of t-SNE's start, as scikit-learn scales its own
_BESIDE = 0.1  # of the map's width, between it and the rows that have no direction


def project(call: Project, source: Floats, labels: NDArray[np.int32] | None = None) -> ProjectResult:
    """A map of the rows of `source` [n, d]; see `ProjectResult`. `labels` [n] are codes.

    Distinct rows are mapped and the others put where their like is, so equal rows have equal places. Too few distinct
    rows for the method are placed by their principal components, and that is told. The same call and rows give the
    same bytes, at any number of threads.
    """
    source = np.ascontiguousarray(source, dtype=np.float32)
    zero = zero_rows(source) if call.metric == "cosine" else np.empty(0, np.int32)
    kept = np.delete(np.arange(len(source), dtype=np.int32), zero)
    rows = source if not zero.size else source[kept]
    drawn = _drawn(call, distinct(rows)) if len(rows) else _Map.of_nothing(call)
    places = drawn.places[drawn.inverse]
    measured = _measured(rows, places, call.metric, drawn, labels[kept] if labels is not None else None)
    return ProjectResult(
        coordinates=_with_zeros(places, kept, zero, len(source)),
        explained_variance=drawn.shares,
        zero_rows=zero,
        used=drawn.used,
        adjustments=drawn.adjustments,
        **measured,
    )


class _Map:
    """Places of distinct rows and how they were made; `graph` is the neighbour graph of the distinct rows, if made."""

    def __init__(
        self,
        places: Floats,
        inverse: NDArray[np.int32],
        used: dict[str, Any],
        adjustments: tuple[Adjustment, ...] = (),
        shares: NDArray[np.float64] | None = None,
        made: Graph | None = None,
    ) -> None:
        self.places, self.inverse, self.used, self.adjustments = places, inverse, used, adjustments
        self.shares = np.empty(0) if shares is None else shares
        self.graph = made

    @classmethod
    def of_nothing(cls, call: Project) -> _Map:
        """The map of rows that are all zero."""
        nothing = np.empty((0, call.n_components), np.float32)
        return cls(nothing, np.empty(0, np.int32), _used(call, call.method))


def _drawn(call: Project, among: Distinct) -> _Map:
    count = len(among.rows)
    least = {
        "umap": umap_fit.least_rows(call.n_components),
        "tsne": max(_TSNE_LEAST, call.n_components + 2),
        "pca": 1,
    }[call.method]
    if count < least:
        why = f"there are {count} distinct rows, {call.method} needs {least}"
        told = Adjustment("method", call.method, "pca", why)
        return _pca(call, among, (told,))
    return {"umap": _umap, "tsne": _tsne, "pca": _pca}[call.method](call, among)


def _umap(call: Project, among: Distinct) -> _Map:
    count = len(among.rows)
    asked = N_NEIGHBORS if call.n_neighbors is None else call.n_neighbors
    n_neighbors = min(asked, count - 1)
    told = () if n_neighbors == asked else (_lowered("n_neighbors", asked, n_neighbors, count),)
    min_dist = MIN_DIST if call.min_dist is None else call.min_dist
    wide = graph(among.rows, min(max(n_neighbors, QUALITY_NEIGHBORS + 1), count), call.metric)
    narrow = np.ascontiguousarray(wide[0][:, :n_neighbors]), np.ascontiguousarray(wide[1][:, :n_neighbors])
    places = umap_fit.fit(
        among.rows,
        narrow,
        call.metric,
        n_components=call.n_components,
        min_dist=min_dist,
        seed=call.seed,
    )
    used = _used(call, "umap", n_neighbors=n_neighbors, min_dist=min_dist, seed=call.seed)
    return _Map(places, among.inverse, used, told, made=wide)


def _tsne(call: Project, among: Distinct) -> _Map:
    """t-SNE (van der Maaten and Hinton 2008; Barnes-Hut) as scikit-learn does it, on our graph."""
    from scipy.sparse import csr_array
    from sklearn.manifold import TSNE

    count = len(among.rows)
    asked = PERPLEXITY if call.perplexity is None else call.perplexity
    perplexity = min(asked, (count - 2) / 3)  # it looks at 3 * perplexity + 1 others
    told = () if perplexity == asked else (_lowered("perplexity", asked, round(perplexity, 3), count),)
    others = min(count - 1, int(3 * perplexity + 1))
    indices, distances = made = graph(among.rows, others + 1, call.metric)
    pairs = csr_array(
        (distances.ravel(), indices.ravel(), np.arange(0, indices.size + 1, others + 1)), shape=(count, count)
    )
    start, _ = principal(unit_rows(among.rows) if call.metric == "cosine" else among.rows, call.n_components)
    spread = float(start[:, 0].std())
    with threadpool_limits(1):  # its sums are taken in the order of its threads
        places = TSNE(
            call.n_components,
            perplexity=perplexity,
            metric="precomputed",
            init=start / spread * _GRAPH_STEP if spread > 0 else start,
            random_state=call.seed,
        ).fit_transform(pairs)
    used = _used(call, "tsne", perplexity=perplexity, seed=call.seed)
    return _Map(np.asarray(places, dtype=np.float32), among.inverse, used, told, made=made)


def _pca(call: Project, among: Distinct, told: tuple[Adjustment, ...] = ()) -> _Map:
    # Not of the distinct rows alone: a row that is there twice counts twice.
    rows = unit_rows(among.rows) if call.metric == "cosine" else among.rows
    places, shares = principal(rows[among.inverse], call.n_components)
    used = _used(call, "pca")
    rank = int(np.count_nonzero(shares))
    if rank < call.n_components:
        why = f"the rows have {rank} component{'s' if rank != 1 else ''}; the other coordinates are 0"
        told = (*told, Adjustment("n_components", str(call.n_components), str(rank), why))
    return _Map(places[among.first], among.inverse, used, told, shares)


def _used(call: Project, method: str, **more: Any) -> dict[str, Any]:
    return {"method": method, "metric": call.metric, "n_components": call.n_components, **more}


def _lowered(parameter: str, asked: float, used: float, count: int) -> Adjustment:
    return Adjustment(parameter, f"{asked:g}", f"{used:g}", f"there are {count} distinct rows")


def _with_zeros(places: Floats, kept: NDArray[np.int32], zero: NDArray[np.int32], count: int) -> Floats:
    """All rows in order: those without direction together in one place outside the box of the others."""
    if not zero.size:
        return places
    everywhere = np.empty((count, places.shape[1]), np.float32)
    everywhere[kept] = places
    low, high = (places.min(axis=0), places.max(axis=0)) if len(places) else (np.zeros(2), np.zeros(2))
    everywhere[zero] = low - _BESIDE * max(float(np.max(high - low)), 1.0) if len(places) else 0
    return everywhere


def _measured(
    rows: Floats, places: Floats, metric: str, drawn: _Map, labels: NDArray[np.int32] | None
) -> dict[str, Any]:
    neighbors = quality.neighbors_of(len(rows), QUALITY_NEIGHBORS)
    trust, measured_on = quality.trustworthiness(rows, places, metric, QUALITY_NEIGHBORS)
    on_map = in_source = None
    k = min(QUALITY_NEIGHBORS, len(rows) - 1)
    if labels is not None and k > 0:
        every = np.arange(len(rows), dtype=np.int32)
        on_map = quality.label_purity(nearest_others(places, every, k, "euclidean")[1], labels)
        if drawn.graph is not None and len(drawn.places) == len(rows) and drawn.graph[0].shape[1] > k:
            near = drawn.graph[0][:, 1 : k + 1]
        else:
            near = nearest_others(rows, every, k, metric)[1]
        in_source = quality.label_purity(near, labels)
    return {
        "trustworthiness": trust,
        "quality_rows": measured_on,
        "quality_neighbors": neighbors,
        "label_purity": on_map,
        "label_purity_source": in_source,
    }
