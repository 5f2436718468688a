"""What a call must satisfy, in the words of the contract."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from penult.v1 import analysis_service_pb2 as pb
from penult_service.analysis.calls import (
    Assign,
    Call,
    Cluster,
    CompareDropout,
    Duplicates,
    EditClusters,
    Grow,
    Neighbors,
    Outliers,
    Project,
    Similarity,
    Transform,
)
from penult_service.analysis.checks import check
from penult_service.errors import InvalidInput, PreconditionFailed

AB = {"a": (5, 3), "b": (5, 3)}
QUERIES = {"queries": (5, 3)}
CORPUS = {"queries": (5, 3), "corpus": (2, 3)}
ROWS = {"source": (20, 3)}
FITTED = {**ROWS, "fitted_rows": (50, 3), "fitted_first": (50,)}
GROWING = {**ROWS, "fitted_rows": (50, 3), "fitted_first": (50,), "stored_labels": (60,)}
REQUESTS: dict[type, Any] = {
    Similarity: pb.ComputeSimilarityRequest,
    Neighbors: pb.SearchNeighborsRequest,
    Cluster: pb.ClusterRequest,
    Project: pb.ProjectRequest,
    CompareDropout: pb.CompareDropoutRequest,
    Duplicates: pb.FindDuplicatesRequest,
    Outliers: pb.FindOutliersRequest,
    Transform: pb.TransformRequest,
    Assign: pb.AssignClustersRequest,
    Grow: pb.GrowClusteringRequest,
    EditClusters: pb.EditClusteringRequest,
}

LABELLED = {**ROWS, "labels": (20,)}
GOOD = [
    (Similarity(), {"a": (1, 1)}),
    (Similarity("manhattan", pairs=True), AB),
    (Neighbors(k=1), {"queries": (1, 1)}),
    (Neighbors(k=10_000, metric="dot"), CORPUS),
    (Neighbors(k=1, exclude_self=True), {"queries": (2, 1)}),
    (Neighbors(radius=-0.5), QUERIES),
    (Neighbors(radius=0.0, metric="euclidean"), QUERIES),
    (Cluster(), {"source": (1, 1)}),
    (Cluster(n_clusters=10_000), ROWS),
    (Cluster("hdbscan", metric="manhattan", min_cluster_size=2, min_samples=1, noise="nearest"), ROWS),
    (Cluster("agglomerative", metric="manhattan"), ROWS),
    (Cluster("agglomerative", metric="manhattan", linkage="single"), ROWS),
    (Cluster("agglomerative", metric="manhattan", linkage="ward", reduction="umap"), ROWS),
    (Cluster("gaussian_mixture", reduced_dimensions=1), ROWS),
    (Cluster("hdbscan", reduced_dimensions=2), ROWS),
    (Cluster(reduction="pca", reduced_dimensions=2, seed=2**32 - 1), {**ROWS, "labels": (20,)}),
    (Cluster(min_cluster_size=5, min_samples=2, noise="nearest"), ROWS),
    (Cluster(metric="manhattan"), ROWS),
    (Cluster(n_clusters=3, metric="manhattan"), ROWS),
    (Cluster(reduced_dimensions=2), ROWS),
    (Cluster(auto=True, bootstraps=100, keywords=0), ROWS),
    (Cluster("agglomerative", auto=True, linkage="average"), ROWS),
    (
        Cluster(bootstraps=1, keywords=50),
        {**ROWS, "near_rows": (18, 16), "text_bytes": (0,), "text_ends": (20,)},
    ),
    (Grow(), GROWING),
    (Grow(min_cluster_size=2, min_samples=1), GROWING),
    (Transform(), FITTED),
    (Transform("pca", "euclidean"), {**FITTED, "source": (1, 3)}),
    (Assign(), FITTED),
    (EditClusters(merge=(4, 0, 2)), {}),
    (EditClusters(split=0, n_clusters=7), {}),
    (Project(), {"source": (1, 1)}),
    (Project(n_neighbors=2, min_dist=0.0, metric="manhattan", seed=0), ROWS),
    (Project(min_dist=1.0, n_components=3), {**ROWS, "labels": (20,)}),
    (Project("pca", metric="euclidean"), ROWS),
    (Project("tsne", metric="manhattan", perplexity=1.0), ROWS),
    (Project(supervised=True, target_weight=1.0), LABELLED),
    (Project(supervised=True, target_weight=0.0, density=True), {**LABELLED, "anchor": (20, 2)}),
    (Project(n_components=3), {**ROWS, "anchor": (20, 3)}),
    (Similarity(center=True), {**AB, "background": (1, 3)}),
    (Neighbors(center=True), CORPUS),
    (Duplicates(), {"source": (1, 1)}),
    (Duplicates(-1.0, max_pairs=1), ROWS),
    (Duplicates(1.0, max_pairs=10_000_000), {**ROWS, "near_rows": (7, 5)}),
    (Duplicates(0.0, "manhattan"), ROWS),
    (Duplicates(1e30, "euclidean"), ROWS),
    (Outliers(k=1), {"source": (3, 1)}),
    (Outliers(k=10_000, metric="manhattan"), ROWS),
]
BAD = [
    (Similarity(), {"a": (0, 3)}, "EMPTY_INPUT", "a"),
    (Similarity(), {"a": (3, 0)}, "EMPTY_INPUT", "a"),
    (Similarity(), {"a": (3,)}, "EMPTY_INPUT", "a"),
    (Similarity(), {"a": (3, 3), "b": (3, 4)}, "DIMENSION_MISMATCH", "b"),
    (Similarity("angle"), AB, "UNKNOWN_METRIC", "metric"),
    (Similarity(pairs=True), {"a": (3, 3)}, "WRONG_COMBINATION", "pairs"),
    (Similarity(pairs=True), {"a": (3, 3), "b": (4, 3)}, "ROWS_MISMATCH", "b"),
    (Neighbors(), {"queries": (5, 3), "corpus": (2, 2)}, "DIMENSION_MISMATCH", "corpus"),
    (Neighbors(k=0), QUERIES, "OUT_OF_RANGE", "k"),
    (Neighbors(k=-1), QUERIES, "OUT_OF_RANGE", "k"),
    (Neighbors(metric="Cosine"), QUERIES, "UNKNOWN_METRIC", "metric"),
    (Neighbors(exclude_self=True), CORPUS, "WRONG_COMBINATION", "exclude_self"),
    (Neighbors(exclude_self=True), {"queries": (1, 3)}, "TOO_FEW_ROWS", "queries"),
    (Neighbors(radius=float("nan")), QUERIES, "OUT_OF_RANGE", "radius"),
    (Neighbors(radius=float("inf"), metric="euclidean"), QUERIES, "OUT_OF_RANGE", "radius"),
    (Neighbors(radius=-0.1, metric="manhattan"), QUERIES, "OUT_OF_RANGE", "radius"),
    (Similarity(), {**AB, "background": (3, 4)}, "DIMENSION_MISMATCH", "background"),
    (Similarity(), {**AB, "background": (0, 3)}, "EMPTY_INPUT", "background"),
    (Similarity("dot", center=True), AB, "WRONG_COMBINATION", "center"),
    (Neighbors(metric="euclidean", center=True), CORPUS, "WRONG_COMBINATION", "center"),
    (Duplicates(metric="dot"), ROWS, "WRONG_COMBINATION", "metric"),
    (Duplicates(metric="angle"), ROWS, "UNKNOWN_METRIC", "metric"),
    (Duplicates(), {"source": (0, 3)}, "EMPTY_INPUT", "source"),
    (Duplicates(1.01), ROWS, "OUT_OF_RANGE", "threshold"),
    (Duplicates(-1.01), ROWS, "OUT_OF_RANGE", "threshold"),
    (Duplicates(float("nan")), ROWS, "OUT_OF_RANGE", "threshold"),
    (Duplicates(float("inf"), "euclidean"), ROWS, "OUT_OF_RANGE", "threshold"),
    (Duplicates(-0.1, "manhattan"), ROWS, "OUT_OF_RANGE", "threshold"),
    (Duplicates(max_pairs=0), ROWS, "OUT_OF_RANGE", "max_pairs"),
    (Duplicates(max_pairs=10_000_001), ROWS, "OUT_OF_RANGE", "max_pairs"),
    (Outliers(), {"source": (2, 3)}, "TOO_FEW_ROWS", "source"),
    (Outliers(k=0), ROWS, "OUT_OF_RANGE", "k"),
    (Outliers(metric="dot"), ROWS, "WRONG_COMBINATION", "metric"),
    (Cluster("dbscan"), ROWS, "UNKNOWN_METHOD", "method"),
    (Cluster(metric="dot"), ROWS, "WRONG_COMBINATION", "metric"),
    (Cluster("kmeans", metric="manhattan"), ROWS, "WRONG_COMBINATION", "metric"),
    (Cluster(n_clusters=3, reduction="pca", metric="manhattan"), ROWS, "WRONG_COMBINATION", "metric"),
    (Cluster(auto=True, n_clusters=3), ROWS, "WRONG_COMBINATION", "auto"),
    (Cluster("hdbscan", auto=True), ROWS, "WRONG_COMBINATION", "auto"),
    (Cluster(bootstraps=-1), ROWS, "OUT_OF_RANGE", "bootstraps"),
    (Cluster(bootstraps=101), ROWS, "OUT_OF_RANGE", "bootstraps"),
    (Cluster(keywords=51), ROWS, "OUT_OF_RANGE", "keywords"),
    (Cluster("gaussian_mixture", metric="manhattan"), ROWS, "WRONG_COMBINATION", "metric"),
    (Cluster("hdbscan", n_clusters=8), ROWS, "WRONG_COMBINATION", "n_clusters"),
    (Cluster(n_clusters=0), ROWS, "OUT_OF_RANGE", "n_clusters"),
    (Cluster(n_clusters=-3), ROWS, "OUT_OF_RANGE", "n_clusters"),
    (Cluster(reduction="svd"), ROWS, "UNKNOWN_REDUCTION", "reduction"),
    (Cluster("kmeans", reduced_dimensions=2), ROWS, "WRONG_COMBINATION", "reduced_dimensions"),
    (
        Cluster("hdbscan", reduction="none", reduced_dimensions=2),
        ROWS,
        "WRONG_COMBINATION",
        "reduced_dimensions",
    ),
    (Cluster("hdbscan", reduced_dimensions=0), ROWS, "OUT_OF_RANGE", "reduced_dimensions"),
    (Cluster(linkage="ward"), ROWS, "WRONG_COMBINATION", "linkage"),
    (Cluster("agglomerative", linkage="mean"), ROWS, "UNKNOWN_LINKAGE", "linkage"),
    (
        Cluster("agglomerative", linkage="ward", metric="manhattan"),
        ROWS,
        "WRONG_COMBINATION",
        "linkage",
    ),
    (Cluster(n_clusters=2, min_cluster_size=5), ROWS, "WRONG_COMBINATION", "min_cluster_size"),
    (Cluster("hdbscan", min_cluster_size=1), ROWS, "OUT_OF_RANGE", "min_cluster_size"),
    (Cluster("agglomerative", min_samples=5), ROWS, "WRONG_COMBINATION", "min_samples"),
    (Cluster("hdbscan", min_samples=0), ROWS, "OUT_OF_RANGE", "min_samples"),
    (Cluster(noise="drop"), ROWS, "UNKNOWN_NOISE", "noise"),
    (Cluster(auto=True, noise="nearest"), ROWS, "WRONG_COMBINATION", "noise"),
    (Cluster(seed=-1), ROWS, "OUT_OF_RANGE", "seed"),
    (Cluster(seed=2**32), ROWS, "OUT_OF_RANGE", "seed"),
    (Cluster(), {**ROWS, "labels": (19,)}, "LABELS_MISMATCH", "labels"),
    (Grow(), {**GROWING, "source": (20, 4)}, "DIMENSION_MISMATCH", "source"),
    (Grow(), {**GROWING, "source": (0, 3)}, "EMPTY_INPUT", "source"),
    (Grow(min_cluster_size=1), GROWING, "OUT_OF_RANGE", "min_cluster_size"),
    (Transform(), {**FITTED, "source": (20, 4)}, "DIMENSION_MISMATCH", "source"),
    (Transform(), {**FITTED, "source": (0, 3)}, "EMPTY_INPUT", "source"),
    (Assign(), {**FITTED, "source": (20, 2)}, "DIMENSION_MISMATCH", "source"),
    (Assign(), {**FITTED, "source": (20, 0)}, "EMPTY_INPUT", "source"),
    (EditClusters(), {}, "OUT_OF_RANGE", "merge.labels"),
    (EditClusters(merge=(3, 3)), {}, "OUT_OF_RANGE", "merge.labels"),
    (EditClusters(split=1, n_clusters=1), {}, "OUT_OF_RANGE", "split.n_clusters"),
    (Project("mds"), ROWS, "UNKNOWN_METHOD", "method"),
    (Project(metric="dot"), ROWS, "WRONG_COMBINATION", "metric"),
    (Project("pca", metric="manhattan"), ROWS, "WRONG_COMBINATION", "metric"),
    (Project(n_components=1), ROWS, "OUT_OF_RANGE", "n_components"),
    (Project(n_components=4), ROWS, "OUT_OF_RANGE", "n_components"),
    (Project(n_neighbors=1), ROWS, "OUT_OF_RANGE", "n_neighbors"),
    (Project("pca", n_neighbors=5), ROWS, "WRONG_COMBINATION", "n_neighbors"),
    (Project(min_dist=-0.1), ROWS, "OUT_OF_RANGE", "min_dist"),
    (Project(min_dist=1.1), ROWS, "OUT_OF_RANGE", "min_dist"),
    (Project(min_dist=float("nan")), ROWS, "OUT_OF_RANGE", "min_dist"),
    (Project("tsne", min_dist=0.1), ROWS, "WRONG_COMBINATION", "min_dist"),
    (Project(perplexity=30.0), ROWS, "WRONG_COMBINATION", "perplexity"),
    (Project("tsne", perplexity=0.5), ROWS, "OUT_OF_RANGE", "perplexity"),
    (Project("tsne", perplexity=float("inf")), ROWS, "OUT_OF_RANGE", "perplexity"),
    (Project(seed=-1), ROWS, "OUT_OF_RANGE", "seed"),
    (Project(), {**ROWS, "labels": (21,)}, "LABELS_MISMATCH", "labels"),
    (Project(supervised=True), ROWS, "WRONG_COMBINATION", "labels"),
    (Project("tsne", supervised=True), LABELLED, "WRONG_COMBINATION", "supervised"),
    (Project("pca", density=True), ROWS, "WRONG_COMBINATION", "density"),
    (Project(target_weight=0.5), LABELLED, "WRONG_COMBINATION", "target_weight"),
    (Project(supervised=True, target_weight=1.1), LABELLED, "OUT_OF_RANGE", "target_weight"),
    (Project(supervised=True, target_weight=float("nan")), LABELLED, "OUT_OF_RANGE", "target_weight"),
    (Project("pca"), {**ROWS, "anchor": (20, 2)}, "WRONG_COMBINATION", "aligned_to"),
    (Project(), {**ROWS, "anchor": (19, 2)}, "ROWS_MISMATCH", "aligned_to"),
    (Project(), {**ROWS, "anchor": (20, 3)}, "WRONG_COMBINATION", "n_components"),
]


@pytest.mark.parametrize(("call", "shapes"), GOOD, ids=str)
def test_what_suits_is_silent(call: Call, shapes: dict[str, tuple[int, ...]]) -> None:
    check(call, shapes)


@pytest.mark.parametrize(("call", "shapes", "reason", "field"), BAD, ids=str)
def test_what_does_not_is_named(
    call: Call, shapes: dict[str, tuple[int, ...]], reason: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(call, shapes)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert field in caught.value.message
    assert caught.value.message.isprintable()


def test_fields_are_those_of_the_contract() -> None:
    for call, _, _, field in BAD:
        named = REQUESTS[type(call)].DESCRIPTOR
        for part in field.split("."):
            assert part in named.fields_by_name
            named = named.fields_by_name[part].message_type
    assert set(REQUESTS) == set(get_args(Call))


@pytest.mark.parametrize(
    ("call", "shapes", "least"),
    [
        (Neighbors(k=0), QUERIES, "1"),
        (Outliers(), {"source": (2, 3)}, "3"),
        (Neighbors(exclude_self=True), {"queries": (1, 3)}, "2"),
        (Cluster("hdbscan", min_cluster_size=1), ROWS, "2"),
        (Project(n_neighbors=0), ROWS, "2"),
    ],
    ids=str,
)
def test_the_least_number_is_told(call: Call, shapes: dict[str, tuple[int, ...]], least: str) -> None:
    with pytest.raises(InvalidInput, match=f"at least {least}") as caught:
        check(call, shapes)
    assert caught.value.metadata["least"] == least


@pytest.mark.parametrize(("call", "reason"), [(Transform(), "CANNOT_TRANSFORM"), (Assign(), "CANNOT_ASSIGN")])
def test_nothing_lies_near_rows_without_direction(call: Call, reason: str) -> None:
    with pytest.raises(PreconditionFailed, match="all-zero rows") as caught:
        check(call, {**FITTED, "fitted_rows": (0, 3)})
    assert caught.value.reason == reason


def test_both_widths_are_told() -> None:
    with pytest.raises(InvalidInput, match="have 4 numbers, those of the projection 3") as caught:
        check(Transform(), {**FITTED, "source": (20, 4)})
    assert caught.value.metadata == {"source": "4", "fitted_rows": "3"}
