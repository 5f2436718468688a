"""Whether clusters can be found, grown and changed as asked: said before anything is computed (`checks`)."""

from __future__ import annotations

from penult_service.analysis.calls import (
    CLUSTER_METHODS,
    CLUSTER_METRICS,
    LINKAGES,
    METRICS,
    NOISE_MODES,
    REDUCTIONS,
    Cluster,
    EditClusters,
    Grow,
    Shapes,
    reduction_of,
)
from penult_service.analysis.refusals import (
    at_least,
    known_word,
    labels_suit,
    listed,
    one_width,
    only_of,
    out_of_range,
    seed_suits,
    wrong,
)

MOST_BOOTSTRAPS, MOST_KEYWORDS = 100, 50


def cluster(call: Cluster, shapes: Shapes) -> None:
    """What `Cluster` asks for, settled."""
    known_word("method", call.method, CLUSTER_METHODS)
    known_word("noise", call.noise, NOISE_MODES)
    seed_suits(call.seed)
    labels_suit(shapes)
    _cluster_metric(call)
    only_of("hdbscan", call.method, min_cluster_size=call.min_cluster_size, min_samples=call.min_samples)
    only_of("hdbscan", call.method, noise=None if call.noise == "keep" else call.noise)
    only_of("agglomerative", call.method, linkage=call.linkage)
    if call.auto:
        _auto(call)
    if call.n_clusters is not None and call.method == "hdbscan":
        raise wrong(
            "n_clusters",
            "hdbscan finds the number of clusters; leave n_clusters out (min_cluster_size steers it), or use kmeans",
        )
    at_least("n_clusters", call.n_clusters, 1)
    at_least("min_cluster_size", call.min_cluster_size, 2)
    at_least("min_samples", call.min_samples, 1)
    _at_most("bootstraps", call.bootstraps, MOST_BOOTSTRAPS)
    _at_most("keywords", call.keywords, MOST_KEYWORDS)
    _reduction(call)
    _linkage(call)


def _cluster_metric(call: Cluster) -> None:
    known_word("metric", call.metric, METRICS)
    if call.metric not in CLUSTER_METRICS:
        raise wrong(
            "metric",
            f"metric {call.metric} gives no clusters; use {listed(CLUSTER_METRICS)}",
            CLUSTER_METRICS,
        )
    on_distances = call.method in ("agglomerative", "hdbscan") or reduction_of(call) == "umap"
    if call.metric == "manhattan" and not on_distances:
        raise wrong(
            "metric",
            f"metric manhattan does not go with {call.method} on the rows themselves; use cosine or euclidean, or"
            " reduction umap, or agglomerative or hdbscan",
            ("cosine", "euclidean"),
        )


def _reduction(call: Cluster) -> None:
    if call.reduction is not None:
        known_word("reduction", call.reduction, REDUCTIONS)
    at_least("reduced_dimensions", call.reduced_dimensions, 1)
    if call.reduced_dimensions is not None and reduction_of(call) == "none":
        raise wrong(
            "reduced_dimensions",
            f"{call.method} without a reduction has no reduced_dimensions; give reduction umap or pca too",
        )


def _linkage(call: Cluster) -> None:
    if call.linkage is None:
        return
    known_word("linkage", call.linkage, LINKAGES)
    if call.linkage == "ward" and call.metric == "manhattan" and call.reduction in (None, "none"):
        raise wrong(
            "linkage",
            "linkage ward is about squared distances, which metric manhattan has not; use average, complete or single",
        )


def _auto(call: Cluster) -> None:
    if call.n_clusters is not None:
        raise wrong("auto", "auto finds n_clusters, and n_clusters is given too; leave one of them out")
    if call.method == "hdbscan":
        raise wrong(
            "auto",
            "hdbscan finds the number of clusters by itself; leave auto out, or use kmeans or agglomerative",
        )


def grow(call: Grow, shapes: Shapes) -> None:
    """What `Grow` asks for."""
    one_width("fitted_rows", "source", shapes)
    seed_suits(call.seed)
    at_least("min_cluster_size", call.min_cluster_size, 2)
    at_least("min_samples", call.min_samples, 1)


def edit(call: EditClusters) -> None:
    """What `EditClusters` asks for; whether its labels are there is found out by `growing.edit`."""
    if call.split is not None:
        at_least("split.n_clusters", call.n_clusters, 2)
    elif len(set(call.merge)) < 2:
        raise out_of_range(
            "merge.labels",
            len(set(call.merge)),
            "how many different clusters are merged; give the labels of 2 or more",
        )


def _at_most(field: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise out_of_range(field, value, f"give 0 to {most}")
