"""Requests for analyses as calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2 as common
from penult_service.analysis import calls
from penult_service.analysis.calls import Cluster, Neighbors, Project, Similarity
from penult_service.config import Limits
from penult_service.errors import InvalidInput
from penult_service.rpc.analysis import codec as analysis_codec
from penult_service.rpc.analysis.bases import StoredName
from penult_service.rpc.analysis.codec import AnalysisCodec
from penult_service.rpc.analysis.sources import TextSide, VectorSide
from penult_service.rpc.codec import Codec
from support.bad_input import rows, texts

LIMITS = Limits(max_texts=3)
CODEC = AnalysisCodec(Codec(LIMITS), LIMITS)
SOURCE = rows([1.0, 2.0], [3.0, 4.0])


def test_defaults_are_those_of_the_calls() -> None:
    assert CODEC.similarity(pb.ComputeSimilarityRequest(a=SOURCE)).call == Similarity()
    assert CODEC.neighbors(pb.SearchNeighborsRequest(queries=SOURCE, k=10)).call == Neighbors()
    assert CODEC.cluster(pb.ClusterRequest(source=SOURCE)).call == Cluster()
    assert CODEC.project(pb.ProjectRequest(source=SOURCE)).call == Project()


def test_everything_that_is_said_is_in_the_call() -> None:
    asked = CODEC.neighbors(
        pb.SearchNeighborsRequest(
            queries=SOURCE, k=3, metric=pb.METRIC_DOT, exclude_self=True, radius=0.0, max_response_bytes=5000
        )
    )
    assert asked.call == Neighbors(3, "dot", True, 0.0)
    assert asked.max_bytes == 5000
    assert CODEC.cluster(
        pb.ClusterRequest(
            source=SOURCE,
            method=pb.CLUSTER_METHOD_HDBSCAN,
            n_clusters=0,
            metric=pb.METRIC_EUCLIDEAN,
            reduction=pb.REDUCTION_PCA,
            reduced_dimensions=7,
            linkage=pb.LINKAGE_SINGLE,
            min_cluster_size=4,
            min_samples=3,
            noise=pb.NOISE_MODE_NEAREST,
            seed=0,
        )
    ).call == Cluster("hdbscan", 0, "euclidean", "pca", 7, "single", 4, 3, "nearest", 0)
    assert CODEC.project(
        pb.ProjectRequest(
            source=SOURCE,
            method=pb.PROJECTION_METHOD_TSNE,
            n_components=3,
            metric=pb.METRIC_MANHATTAN,
            n_neighbors=0,
            min_dist=0.0,
            perplexity=5.5,
            seed=7,
        )
    ).call == Project("tsne", 3, "manhattan", 0, 0.0, 5.5, 7)
    assert CODEC.similarity(pb.ComputeSimilarityRequest(a=SOURCE, b=SOURCE, pairs=True)).call.pairs


def test_what_is_stored_keeps_what_new_rows_need() -> None:
    for name in ("", "topics"):
        assert CODEC.cluster(pb.ClusterRequest(source=SOURCE, name=name)).call.keep is bool(name)
        assert CODEC.project(pb.ProjectRequest(source=SOURCE, name=name)).call.keep is bool(name)
    call = CODEC.cluster(pb.ClusterRequest(source=SOURCE, auto=True, bootstraps=7, keywords=0)).call
    assert (call.auto, call.bootstraps, call.keywords) == (True, 7, 0)
    call = CODEC.project(
        pb.ProjectRequest(source=SOURCE, supervised=True, target_weight=0.0, density=True)
    ).call
    assert (call.supervised, call.target_weight, call.density) == (True, 0.0, True)


def test_calls_about_what_is_stored() -> None:
    asked = CODEC.transform(
        pb.TransformRequest(source=SOURCE, projection="projections/map", approximate=True)
    )
    assert asked.call == calls.Transform(approximate=True)
    assert asked.stored == StoredName("projections", "map", "projection")
    asked = CODEC.assign(pb.AssignClustersRequest(source=SOURCE, clustering="topics"))
    assert asked.stored == StoredName("clusterings", "topics", "clustering")
    asked = CODEC.grow(pb.GrowClusteringRequest(source=SOURCE, clustering="topics", request_id="r"))
    assert (asked.request_id, asked.call.min_cluster_size) == ("r", 0)
    asked = CODEC.project(pb.ProjectRequest(source=SOURCE, aligned_to="map"))
    assert asked.stored == StoredName("projections", "map", "aligned_to")
    assert CODEC.duplicates(pb.FindDuplicatesRequest(source=SOURCE)).call == calls.Duplicates()
    assert CODEC.duplicates(pb.FindDuplicatesRequest(source=SOURCE, threshold=0.0)).call.threshold == 0.0
    assert CODEC.outliers(pb.FindOutliersRequest(source=SOURCE)).call == calls.Outliers()


def test_labels_have_codes_and_names() -> None:
    request = pb.ProjectRequest(source=SOURCE, labels=["b", "", "a", "b"])
    asked = CODEC.project(request)
    assert asked.labels is not None
    assert (asked.labels.tolist(), asked.label_names) == ([0, 1, 2, 0], ("b", "", "a"))
    request.supervised = True
    asked = CODEC.project(request)
    assert asked.labels is not None
    assert (asked.labels.tolist(), asked.label_names) == ([0, -1, 1, 0], ("b", "a"))


WORDS = [
    (analysis_codec.METRICS, pb.Metric, calls.METRICS),
    (analysis_codec.CLUSTER_METHODS, pb.ClusterMethod, calls.CLUSTER_METHODS),
    (analysis_codec.REDUCTIONS, pb.Reduction, calls.REDUCTIONS),
    (analysis_codec.LINKAGES, pb.Linkage, calls.LINKAGES),
    (analysis_codec.NOISE_MODES, pb.NoiseMode, calls.NOISE_MODES),
    (analysis_codec.PROJECTION_METHODS, pb.ProjectionMethod, calls.PROJECT_METHODS),
]


@pytest.mark.parametrize(("table", "enum", "words"), WORDS, ids=[str(words) for _, _, words in WORDS])
def test_each_enum_value_is_one_word(table: dict[Any, str], enum: Any, words: tuple[str, ...]) -> None:
    assert set(table) == set(enum.values())
    assert {table[value] for value in enum.values() if value} == set(words)
    assert all(name.lower().endswith(table[value]) for name, value in enum.items() if value)


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("neighbors", pb.SearchNeighborsRequest(queries=SOURCE, metric=99), "metric"),
        ("cluster", pb.ClusterRequest(source=SOURCE, method=99), "method"),
        ("cluster", pb.ClusterRequest(source=SOURCE, reduction=99), "reduction"),
        ("cluster", pb.ClusterRequest(source=SOURCE, linkage=99), "linkage"),
        ("cluster", pb.ClusterRequest(source=SOURCE, noise=99), "noise"),
        ("project", pb.ProjectRequest(source=SOURCE, method=99), "method"),
    ],
)
def test_numbers_of_newer_stubs_are_named(method: str, request_: Message, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        getattr(CODEC, method)(request_)
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_ENUM_VALUE", field)
    assert "_UNSPECIFIED" not in caught.value.message


def test_sides_are_texts_or_rows() -> None:
    asked = CODEC.neighbors(
        pb.SearchNeighborsRequest(
            queries=common.Source(texts=texts("a", "b"), options=common.EmbedOptions(model="m@2", layer="l")),
            corpus=rows([1.0, 2.0], space="s"),
        )
    )
    queries, corpus = asked.sides["queries"], asked.sides["corpus"]
    assert isinstance(queries, TextSide)
    assert isinstance(corpus, VectorSide)
    assert list(queries.given) == ["a", "b"]
    assert (queries.reference.name, queries.options.layer) == ("m", "l")
    assert (corpus.matrix.tolist(), corpus.space) == ([[1.0, 2.0]], "s")
    assert list(CODEC.neighbors(pb.SearchNeighborsRequest(queries=SOURCE)).sides) == ["queries"]


def test_labels_are_codes_in_the_order_of_appearance() -> None:
    labels = CODEC.project(pb.ProjectRequest(source=SOURCE, labels=["b", "a", "b", "", "a"])).labels
    assert labels is not None
    assert (labels.dtype, labels.tolist()) == (np.int32, [0, 1, 0, 2, 1])
    assert CODEC.project(pb.ProjectRequest(source=SOURCE)).labels is None


@pytest.mark.parametrize(
    ("source", "reason", "field"),
    [
        (None, "EMPTY_INPUT", "source"),
        (common.Source(), "EMPTY_INPUT", "source"),
        (common.Source(texts=texts()), "EMPTY_INPUT", "source.texts"),
        (common.Source(texts=texts(*"abcd")), "TOO_MANY_TEXTS", "source.texts"),
        (
            common.Source(texts=texts("a"), options=common.EmbedOptions(model="../x")),
            "WRONG_MODEL_NAME",
            "source.options.model",
        ),
        (
            common.Source(texts=texts("a"), options=common.EmbedOptions(pooling=99)),
            "UNKNOWN_ENUM_VALUE",
            "source.options.pooling",
        ),
        (rows([1.0], rows=0, data=b""), "EMPTY_INPUT", "source.vectors"),
        (rows([1.0], [float("nan")]), "NOT_FINITE", "source.vectors[1]"),
        (rows([1.0], columns=2), "WRONG_BYTE_COUNT", "source.vectors.data"),
        (rows([1.0], rows=-1), "WRONG_SHAPE", "source.vectors"),
        (rows([1.0], data_type=common.DATA_TYPE_FLOAT64), "WRONG_DATA_TYPE", "source.vectors.data_type"),
    ],
)
@pytest.mark.parametrize("method", ["cluster", "project"])
def test_what_is_wrong_with_a_source_is_named(
    method: str, source: common.Source | None, reason: str, field: str
) -> None:
    request = {"cluster": pb.ClusterRequest, "project": pb.ProjectRequest}[method](source=source)
    with pytest.raises(InvalidInput) as caught:
        getattr(CODEC, method)(request)
    assert (caught.value.reason, caught.value.field) == (reason, field)
