"""Neighbours, clusters and maps through both clients against a scripted transport."""

from __future__ import annotations

import numpy as np
import pytest
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference
from penult.v1 import server_service_pb2 as server
from penult_client import (
    Adjustment,
    Dataset,
    InputTypeError,
    InternalError,
    InvalidInputError,
    Limits,
    PreconditionError,
    UnavailableError,
)
from penult_client._core import analysis_results, cluster_results, enums
from penult_client._core.timing import ANALYSIS_MARGIN, Deadline, analysis_seconds
from support.wire_numbers import packed, vector_of
from support.wire_server import LIMITS

ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)
SOURCE = common.Provenance(model="models/m/versions/7", version=7, model_digest="d", embedding_space="s")


def ints(*values, shape=None):
    array = np.array(values, dtype="<i4").reshape(shape or (len(values),))
    return common.Tensor(shape=array.shape, data_type=common.DATA_TYPE_INT32, data=array.tobytes())


REPLIES = {
    "ComputeSimilarity": analysis.ComputeSimilarityResponse(scores=packed([[0.5]])),
    "SearchNeighbors": analysis.SearchNeighborsResponse(
        indices=ints(1, -1, shape=(1, 2)), scores=packed([[0.5, -np.inf]])
    ),
    "Cluster": analysis.ClusterResponse(labels=ints(0, -1), clusters=[analysis.ClusterInfo(size=1)]),
    "Project": analysis.ProjectResponse(coordinates=packed([[1.0, 2.0]])),
}


class Handler:
    """Answers everything; `trouble` is raised first, one an analysis."""

    def __init__(self, *trouble: Exception, **limits: float) -> None:
        self.asked: list[tuple[str, object]] = []
        self.trouble, self.limits = list(trouble), {**LIMITS, **limits}

    def __call__(self, method, request):
        self.asked.append((method, request))
        if method == "GetServerInfo":
            return server.GetServerInfoResponse(limits=server.Limits(**self.limits))
        if method == "Embed":
            texts = request.texts.texts
            return inference.EmbedResponse(
                embeddings=packed([vector_of(text) for text in texts]),
                token_counts=[1] * len(texts),
                truncations=[common.TRUNCATION_NONE] * len(texts),
                provenance=SOURCE,
            )
        if self.trouble:
            raise self.trouble.pop(0)
        return REPLIES[method]

    @property
    def last(self):
        return self.asked[-1][1]


def test_neighbors_reach_the_wire(flavour):
    handler = Handler()
    client = flavour.mocked(handler)
    made = flavour.run(
        client.neighbors(["a"], ROWS, np.int64(3), "euclidean", radius=2, model="reviews", pooling="mean")
    )
    request = handler.last
    assert list(request.queries.texts.texts) == ["a"]
    assert request.queries.options == common.EmbedOptions(
        model="reviews", pooling=common.POOLING_MEAN, truncate=common.TRUNCATE_MODE_RIGHT
    )
    assert request.corpus.vectors.data == ROWS.astype("<f4").tobytes()
    assert (request.k, request.metric, request.radius) == (3, analysis.METRIC_EUCLIDEAN, 2.0)
    assert request.max_response_bytes == LIMITS["max_response_bytes"]
    assert not request.exclude_self
    assert made.indices.tolist() == [[1, -1]]
    assert made.scores.tolist() == [[0.5, -np.inf]]
    flavour.run(client.neighbors(ROWS, exclude_self=True))
    assert handler.last.exclude_self
    assert handler.last.k == 10
    assert not handler.last.HasField("corpus")
    assert not handler.last.HasField("radius")


def test_clusters_reach_the_wire(flavour):
    handler = Handler()
    client = flavour.mocked(handler)
    flavour.run(client.cluster(ROWS))
    assert not any(
        handler.last.HasField(name)
        for name in ("n_clusters", "reduced_dimensions", "min_cluster_size", "min_samples")
    )
    assert (handler.last.method, handler.last.metric, handler.last.seed) == (
        analysis.CLUSTER_METHOD_UNSPECIFIED,
        analysis.METRIC_COSINE,
        42,
    )
    assert not handler.last.auto
    assert (handler.last.bootstraps, handler.last.keywords) == (0, 10)
    assert handler.last.reduction == analysis.REDUCTION_UNSPECIFIED
    flavour.run(
        client.cluster(
            ROWS,
            "hdbscan",
            None,
            "manhattan",
            "nearest",
            reduction="pca",
            reduced_dimensions=1,
            min_cluster_size=4,
            min_samples=2,
            seed=2**32 - 1,
            labels=["a", "b", 3, True, np.int8(2), ""],
        )
    )
    request = handler.last
    assert (request.method, request.metric, request.noise, request.reduction) == (
        analysis.CLUSTER_METHOD_HDBSCAN,
        analysis.METRIC_MANHATTAN,
        analysis.NOISE_MODE_NEAREST,
        analysis.REDUCTION_PCA,
    )
    assert (request.reduced_dimensions, request.min_cluster_size, request.min_samples) == (1, 4, 2)
    assert request.seed == 2**32 - 1
    assert list(request.labels) == ["a", "b", "3", "True", "2", ""]
    flavour.run(client.cluster(ROWS, "agglomerative", 3, linkage="single"))
    assert (handler.last.n_clusters, handler.last.linkage) == (3, analysis.LINKAGE_SINGLE)
    flavour.run(client.cluster(ROWS, "kmeans", "auto", bootstraps=20, keywords=0))
    assert handler.last.auto
    assert not handler.last.HasField("n_clusters")
    assert (handler.last.bootstraps, handler.last.keywords) == (20, 0)
    assert handler.last.HasField("keywords")


def test_maps_reach_the_wire(flavour):
    handler = Handler()
    client = flavour.mocked(handler)
    flavour.run(client.project(ROWS, "umap", 3, "euclidean", 0, n_neighbors=5, min_dist=0))
    request = handler.last
    assert (request.method, request.n_components, request.metric, request.seed) == (
        analysis.PROJECTION_METHOD_UMAP,
        3,
        analysis.METRIC_EUCLIDEAN,
        0,
    )
    assert request.HasField("seed")
    assert (request.n_neighbors, request.min_dist) == (5, 0.0)
    assert request.HasField("min_dist")
    assert not request.HasField("perplexity")
    flavour.run(client.project(ROWS, "tsne", perplexity=2.5, labels=range(6)))
    assert handler.last.perplexity == 2.5
    assert (handler.last.supervised, handler.last.density, handler.last.target_weight) == (False, False, 0.0)
    assert not handler.last.HasField("target_weight")
    assert handler.last.aligned_to == ""
    flavour.run(
        client.project(
            ROWS,
            labels=range(6),
            supervised=True,
            target_weight=0,
            density=True,
            aligned_to="projections/old",
        )
    )
    assert (handler.last.supervised, handler.last.density, handler.last.target_weight) == (True, True, 0.0)
    assert handler.last.HasField("target_weight")
    assert handler.last.aligned_to == "projections/old"
    assert list(handler.last.labels) == list("012345")


def test_pairs_reach_the_wire(flavour):
    handler = Handler()
    flavour.run(flavour.mocked(handler).similarity(ROWS, ROWS, pairs=True))
    assert handler.last.pairs
    assert not handler.last.HasField("background")
    assert not handler.last.center


def test_what_scores_are_held_against_reaches_the_wire(flavour):
    handler = Handler()
    client = flavour.mocked(handler)
    flavour.run(client.similarity(ROWS, center=True, background=Dataset("all")))
    assert handler.last.center
    assert handler.last.background.dataset == "all"
    assert not handler.last.HasField("b")
    flavour.run(client.similarity(ROWS, background=["a text"]))
    assert list(handler.last.background.texts.texts) == ["a text"]
    flavour.run(client.neighbors(ROWS, center=True, approximate=True))
    assert handler.last.center
    assert handler.last.approximate


TABLES = {
    "METRIC_": (enums.METRICS, analysis.Metric),
    "CLUSTER_METHOD_": (enums.CLUSTER_METHODS, analysis.ClusterMethod),
    "REDUCTION_": (enums.REDUCTIONS, analysis.Reduction),
    "LINKAGE_": (enums.LINKAGES, analysis.Linkage),
    "NOISE_MODE_": (enums.NOISE_MODES, analysis.NoiseMode),
    "PROJECTION_METHOD_": (enums.PROJECTION_METHODS, analysis.ProjectionMethod),
}


@pytest.mark.parametrize("prefix", TABLES)
def test_every_enum_value_has_its_word(prefix):
    table, enum = TABLES[prefix]
    wire = {name.removeprefix(prefix).lower(): value for name, value in enum.items() if value}
    assert table == wire


@pytest.mark.parametrize(
    ("method", "arguments", "reason", "field"),
    [
        ("neighbors", {"k": None}, "NOT_A_NUMBER", "k"),
        ("neighbors", {"k": 2.0}, "NOT_A_NUMBER", "k"),
        ("neighbors", {"k": True}, "NOT_A_NUMBER", "k"),
        ("neighbors", {"k": -1}, "OUT_OF_RANGE", "k"),
        ("neighbors", {"k": 2**31}, "OUT_OF_RANGE", "k"),
        ("neighbors", {"radius": "1"}, "NOT_A_NUMBER", "radius"),
        ("neighbors", {"radius": float("nan")}, "OUT_OF_RANGE", "radius"),
        ("neighbors", {"metric": "angle"}, "UNKNOWN_METRIC", "metric"),
        ("neighbors", {"corpus": "bare"}, "NOT_A_LIST", "corpus.texts"),
        ("neighbors", {"deadline": 0}, "BAD_SECONDS", "deadline"),
        ("neighbors", {"pooling": "best"}, "UNKNOWN_POOLING", "pooling"),
        ("cluster", {"method": "dbscan"}, "UNKNOWN_METHOD", "method"),
        ("cluster", {"n_clusters": "8"}, "NOT_A_NUMBER", "n_clusters"),
        ("cluster", {"bootstraps": None}, "NOT_A_NUMBER", "bootstraps"),
        ("cluster", {"keywords": -1}, "OUT_OF_RANGE", "keywords"),
        ("cluster", {"noise": "drop"}, "UNKNOWN_NOISE", "noise"),
        ("cluster", {"reduction": "svd"}, "UNKNOWN_REDUCTION", "reduction"),
        ("cluster", {"linkage": "mean"}, "UNKNOWN_LINKAGE", "linkage"),
        ("cluster", {"seed": None}, "NOT_A_NUMBER", "seed"),
        ("cluster", {"seed": 2**32}, "OUT_OF_RANGE", "seed"),
        ("cluster", {"labels": ["a"]}, "LABELS_MISMATCH", "labels"),
        ("cluster", {"labels": "abcdef"}, "NOT_A_LIST", "labels"),
        ("cluster", {"labels": [0, 1, 2, 3, 4, 0.5]}, "NOT_A_LABEL", "labels[5]"),
        ("project", {"method": "mds"}, "UNKNOWN_METHOD", "method"),
        ("project", {"n_components": None}, "NOT_A_NUMBER", "n_components"),
        ("project", {"min_dist": float("inf")}, "OUT_OF_RANGE", "min_dist"),
        ("project", {"labels": [None] * 6}, "NOT_A_LABEL", "labels[0]"),
        ("project", {"target_weight": "0.5"}, "NOT_A_NUMBER", "target_weight"),
        ("project", {"aligned_to": ""}, "BAD_NAME", "aligned_to"),
        ("duplicates", {"threshold": float("nan")}, "OUT_OF_RANGE", "threshold"),
        ("duplicates", {"max_pairs": 0}, "OUT_OF_RANGE", "max_pairs"),
        ("duplicates", {"metric": "angle"}, "UNKNOWN_METRIC", "metric"),
        ("outliers", {"k": 0}, "OUT_OF_RANGE", "k"),
        ("outliers", {"k": None}, "NOT_A_NUMBER", "k"),
        ("transform", {"projection": None}, "BAD_NAME", "projection"),
        ("transform", {"projection": "m", "model": ""}, "BAD_MODEL", "model"),
        ("assign", {"clustering": ""}, "BAD_NAME", "clustering"),
        ("grow", {"clustering": "c", "min_cluster_size": "2"}, "NOT_A_NUMBER", "min_cluster_size"),
    ],
)
def test_wrong_arguments_never_reach_the_wire(flavour, method, arguments, reason, field):
    handler = Handler()
    with pytest.raises(InvalidInputError) as caught:
        flavour.run(getattr(flavour.mocked(handler), method)(ROWS, **arguments))
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert handler.asked == []


@pytest.mark.parametrize("method", ["neighbors", "cluster", "project"])
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("a bare string", "NOT_A_LIST"),
        ([], "EMPTY_INPUT"),
        (np.zeros((0, 3)), "EMPTY_INPUT"),
        (np.zeros(3), "WRONG_SHAPE"),
        ([[1.0, 2.0]], "NOT_TEXT"),
        (["text", 1.0], "NOT_TEXT"),
        (np.array([[1.0], [np.nan]]), "NOT_FINITE"),
    ],
)
def test_wrong_sources_never_reach_the_wire(flavour, method, source, reason):
    handler = Handler()
    with pytest.raises(InvalidInputError) as caught:
        flavour.run(getattr(flavour.mocked(handler), method)(source))
    assert caught.value.reason == reason
    assert caught.value.field.startswith("queries" if method == "neighbors" else "source")
    assert handler.asked == []
    if reason in ("NOT_A_LIST", "NOT_TEXT"):
        assert isinstance(caught.value, InputTypeError)


def test_more_texts_than_one_request_are_embedded_first_and_named(flavour):
    handler = Handler()
    client = flavour.mocked(handler)
    texts = [f"text {i}" for i in range(20)]
    made = flavour.run(client.cluster(texts, labels=texts))
    methods = [method for method, _ in handler.asked]
    assert methods == ["GetServerInfo", "Embed", "Embed", "Embed", "Cluster"]
    vectors = handler.last.source.vectors
    assert vectors.data == np.array([vector_of(text) for text in texts], dtype="<f4").tobytes()
    assert vectors.embedding_space == "s"
    assert (made.model, made.version, made.digest, made.space) == ("m", 7, "d", "s")
    assert list(handler.last.labels) == texts


def test_rows_that_no_request_holds_are_refused_before_they_are_sent(flavour):
    handler = Handler(max_request_bytes=10_000)
    client = flavour.mocked(handler)
    flavour.run(client.neighbors(np.ones((100, 20)), np.ones((10, 20))))
    with pytest.raises(InvalidInputError) as caught:
        flavour.run(client.neighbors(np.ones((100, 20)), np.ones((110, 20))))
    assert (caught.value.reason, caught.value.field) == ("REQUEST_TOO_LARGE", "corpus")
    assert "16800 bytes" in caught.value.message
    assert "client.upload(name, ...), and pass Dataset(name) for corpus" in caught.value.message
    assert [method for method, _ in handler.asked].count("SearchNeighbors") == 1
    flavour.run(client.cluster(np.ones((100, 20))))
    with pytest.raises(InvalidInputError) as caught:
        flavour.run(client.cluster(np.ones((100, 20)), labels=["a label of some length"] * 100))
    assert (caught.value.reason, caught.value.field) == ("REQUEST_TOO_LARGE", "source")


def test_workers_that_warm_are_waited_for(flavour):
    warming = UnavailableError("not warm yet", reason="ANALYSIS_WARMING", retry_after=0.01)
    handler = Handler(warming, warming, warming)
    flavour.run(flavour.mocked(handler).project(ROWS))
    assert [method for method, _ in handler.asked].count("Project") == 4


def test_but_not_beyond_the_deadline(flavour):
    warming = UnavailableError("not warm yet", reason="ANALYSIS_WARMING", retry_after=0.25)
    handler = Handler(*[warming] * 100)
    with pytest.raises(UnavailableError) as caught:
        flavour.run(flavour.mocked(handler).project(ROWS, deadline=1.0))
    assert caught.value.reason == "ANALYSIS_WARMING"
    assert 2 <= [method for method, _ in handler.asked].count("Project") <= 4


def test_a_server_without_operations_is_taken_at_its_word(flavour):
    large = PreconditionError("about 90 s", reason="USE_START_ANALYSIS", metadata={"seconds": "90"})
    handler = Handler(large, PreconditionError("unknown method", code="UNIMPLEMENTED"))
    with pytest.raises(PreconditionError, match="about 90 s") as caught:
        flavour.run(flavour.mocked(handler).project(ROWS))
    assert caught.value.metadata == {"seconds": "90"}
    assert [method for method, _ in handler.asked][-2:] == ["Project", "StartAnalysis"]


def test_clusters_of_a_reply():
    reply = analysis.ClusterResponse(
        labels=ints(0, 1, 0, -1),
        clusters=[
            analysis.ClusterInfo(label=0, size=2, nearest_rows=[2, 0]),
            analysis.ClusterInfo(label=1, size=1, nearest_rows=[1]),
        ],
        silhouette=0.5,
        silhouette_rows=3,
        noise_share=0.25,
        agreement=analysis.Agreement(v_measure=0.1, adjusted_rand=-0.2, purity=0.3),
        used={"seed": "1", "method": "hdbscan"},
        adjustments=[analysis.Adjustment(parameter="n", asked="2", used="1", why="so")],
        zero_rows=[3],
        provenance=SOURCE,
    )
    made = cluster_results.clusters(reply, None)
    assert (made.labels.dtype, made.labels.tolist()) == (np.int32, [0, 1, 0, -1])
    assert (made.sizes.dtype, made.sizes.tolist()) == (np.int32, [2, 1])
    assert [rows.tolist() for rows in made.nearest] == [[2, 0], [1]]
    quality = made.quality
    assert (quality.silhouette, quality.silhouette_rows, quality.noise_share) == (0.5, 3, 0.25)
    assert (quality.v_measure, quality.adjusted_rand, quality.purity) == (0.1, -0.2, 0.3)
    assert made.used == {"method": "hdbscan", "seed": "1"}
    assert made.adjustments == (Adjustment(parameter="n", asked="2", used="1", why="so"),)
    assert made.zero_rows.tolist() == [3]
    assert (made.model, made.version, made.space) == ("m", 7, "s")
    assert "labels=int32[4]" in repr(made)
    reply.ClearField("silhouette")
    reply.ClearField("agreement")
    reply.ClearField("provenance")
    made = cluster_results.clusters(reply, None)
    assert made.quality.silhouette is None
    assert (made.quality.v_measure, made.quality.purity) == (None, None)
    assert (made.model, made.version) == ("", 0)


def test_a_map_of_a_reply():
    quality = analysis.ProjectionQuality(trustworthiness=0.9, rows=4, neighbors=2, label_purity=0.0)
    reply = analysis.ProjectResponse(
        coordinates=packed([[1, 2, 3], [4, 5, 6]]), quality=quality, explained_variance=[0.5, 0.25, 0.125]
    )
    made = analysis_results.projection(reply, None)
    assert made.coordinates.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert len(made) == 2
    assert (made.quality.trustworthiness, made.quality.rows, made.quality.neighbors) == (0.9, 4, 2)
    assert (made.quality.label_purity, made.quality.label_purity_source) == (0.0, None)
    assert (made.explained_variance.dtype, made.explained_variance.sum()) == (np.float64, 0.875)
    assert analysis_results.projection(analysis.ProjectResponse(coordinates=packed([[1]])), None).quality == (
        type(made.quality)(trustworthiness=None, rows=0, neighbors=0)
    )


@pytest.mark.parametrize(
    ("convert", "reply"),
    [
        (
            analysis_results.neighbors,
            analysis.SearchNeighborsResponse(indices=ints(1, 2, shape=(1, 2)), scores=packed([[0.5]])),
        ),
        (cluster_results.clusters, analysis.ClusterResponse(labels=ints(0, 1), clusters=[{"size": 2}])),
        (cluster_results.clusters, analysis.ClusterResponse(labels=ints(0, 0, shape=(1, 2)))),
    ],
)
def test_replies_that_cannot_be_right_are_refused(convert, reply):
    with pytest.raises(InternalError) as caught:
        convert(reply, None)
    assert caught.value.reason == "BAD_REPLY"


@pytest.mark.parametrize(
    ("told", "deadline", "timeout", "seconds"),
    [
        (60.0, None, 30.0, 60.0 + ANALYSIS_MARGIN),
        (60.0, None, 500.0, 500.0),
        (0.0, None, 10.0, ANALYSIS_MARGIN),
        (60.0, 5.0, 30.0, 5.0),
        (60.0, 3600.0, 30.0, 3600.0),
    ],
)
def test_how_long_an_analysis_may_take(told, deadline, timeout, seconds):
    limits = Limits(**{**LIMITS, "max_analysis_seconds": told})
    assert analysis_seconds(limits, Deadline.begin(deadline), timeout) == seconds
