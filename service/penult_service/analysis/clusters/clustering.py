"""Clusters of rows: found, numbered from the largest down, measured and described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import Cluster, settled
from penult_service.analysis.clusters import cluster_quality
from penult_service.analysis.clusters.advice import advice
from penult_service.analysis.clusters.description import (
    centres_of,
    exemplars,
    from_largest,
    label_counts,
    merges,
)
from penult_service.analysis.clusters.finding import Found, find
from penult_service.analysis.clusters.keywords import Keywords, keywords
from penult_service.analysis.clusters.stability import stability
from penult_service.analysis.fitting import Fitting, fitting, for_later
from penult_service.analysis.progress import silently, tell
from penult_service.analysis.results import Adjustment, ClusterResult
from penult_service.analysis.search.graphs import graph_of

Arrays = Mapping[str, NDArray[Any]]


def cluster(
    call: Cluster,
    source: NDArray[Any],
    labels: NDArray[np.int32] | None = None,
    arrays: Arrays = MappingProxyType({}),
) -> ClusterResult:
    """Clusters of finite rows float32 [n, d], n at least 1; labels int32 [n] to compare with; more `arrays` as of
    `calls`.

    Equal rows are in one cluster. All-zero rows under cosine are in none. The same rows and seed give the same bytes
    at any number of threads. More clusters than distinct rows, and whatever else does not suit the rows, is lowered
    and told.

    Tells its stages (`progress`): rows; those of a reduction; numbers of clusters (with `auto`); clusters
    (agglomerative: distances, merges); bootstraps; quality; keywords; labels.
    """
    tell("rows")
    call = settled(call)
    fitted = fitting(source, call.metric)
    found = find(call, fitted, arrays)
    numbered = from_largest(found.labels)
    clusters = _of_all(fitted, numbered)
    count = int(numbered.max(initial=-1)) + 1
    stable = stability(call, fitted, numbered)
    rows = fitted.all_rows
    silhouettes = cluster_quality.silhouettes(rows, numbered, call.metric)
    space = rows if found.reduced is None else found.reduced.rows[fitted.inverse]
    separation = cluster_quality.separation(space, numbered)
    centres = centres_of(rows[numbered >= 0], numbered[numbered >= 0], count)
    shown = exemplars(rows, numbered, centres, call.metric).of(fitted.kept)
    result = ClusterResult(
        labels=clusters,
        sizes=np.bincount(numbered[numbered >= 0], minlength=count).astype(np.int32),
        nearest=shown.nearest,
        zero_rows=fitted.zero,
        silhouette=silhouettes.mean,
        silhouette_rows=silhouettes.rows,
        noise_share=float(np.mean(clusters < 0)),
        used={"method": call.method, "metric": call.metric, **found.used},
        adjustments=found.adjustments,
        border=shown.border,
        odd=shown.odd,
        silhouettes=silhouettes.of_each,
        davies_bouldin=separation.davies_bouldin,
        calinski_harabasz=separation.calinski_harabasz,
        stability=stable,
        curve=found.curve,
        merges=merges(centres, call.metric),
        moved=fitted.kept[np.flatnonzero(found.moved)].astype(np.int32),
        advice=advice(call, fitted, found, count),
        keywords=_keywords(call, clusters, count, arrays),
        **_kept(call, fitted, found, source, centres, arrays),
    )
    return result if labels is None else _beside_labels(result, labels)


def labels_of(call: Cluster, source: NDArray[Any]) -> tuple[NDArray[np.int32], tuple[Adjustment, ...]]:
    """The labels of `cluster` alone, int32 [n], with what was not used as asked: for whom quality is nothing."""
    call = settled(call)
    fitted = fitting(source, call.metric)
    found = find(call, fitted, {})
    return _of_all(fitted, from_largest(found.labels)), found.adjustments


def _of_all(fitted: Fitting, numbered: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels of the kept rows as those of all; rows left out are in no cluster."""
    clusters = np.full(len(fitted.kept) + len(fitted.zero), -1, dtype=np.int32)
    clusters[fitted.kept] = numbered
    return clusters


def _keywords(call: Cluster, clusters: NDArray[np.int32], count: int, arrays: Arrays) -> Keywords:
    if "text_ends" not in arrays or not call.keywords:
        return ()
    tell("keywords")
    return keywords(arrays["text_bytes"], arrays["text_ends"], clusters, count, call.keywords)


def _kept(
    call: Cluster,
    fitted: Fitting,
    found: Found,
    source: NDArray[Any],
    centres: NDArray[np.float64],
    arrays: Arrays,
) -> dict[str, Any]:
    """The fields of `ClusterResult` that `keep` and `keep_graph` ask for."""
    near = None if found.reduced is None else found.reduced.graph
    if near is None and call.keep and len(fitted.rows):
        with silently():
            near = graph_of(fitted, 2, call.metric, arrays, call.keep_graph)
    kept = {} if near is None else near.kept(call.keep_graph)
    if not call.keep:
        return kept
    inverse = np.full(len(source), -1, dtype=np.int32)
    inverse[fitted.kept] = fitted.inverse
    kept["fitted_inverse"] = inverse
    kept |= for_later(fitted, source, call.metric, None if near is None else near.distances)
    if found.reduced is not None and found.reduced.used["reduction"] != "none":
        kept["reduced"] = found.reduced.rows
    elif call.method == "kmeans":
        kept["centres"] = np.ldexp(centres, fitted.exponent).astype(np.float32)
    return kept


def _beside_labels(result: ClusterResult, labels: NDArray[np.int32]) -> ClusterResult:
    tell("labels")
    return replace(
        result,
        agreement=cluster_quality.agreement(result.labels, labels),
        label_counts=label_counts(result.labels, labels, len(result.sizes)),
    )
