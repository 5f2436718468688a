"""Wrong requests for analyses over a real socket: what is said, and which field is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2 as common
from penult_client import Client, InvalidInputError
from support.bad_input import length_delimited, rows, texts
from support.calling import call
from support.serving import open_channel

MANY = np.random.default_rng(2).standard_normal((1000, 16), dtype=np.float32)
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def client(analysing: str) -> Iterator[Client]:
    with Client(analysing, timeout=200) as made:
        made.neighbors(MANY[:2], k=1)  # waits until a worker is warm
        yield made


@pytest.fixture
def channel(analysing: str, client: Client) -> Iterator[grpc.Channel]:  # noqa: ARG001 - it is warm
    with open_channel(analysing) as opened:
        yield opened


def refused(call_: Any, *arguments: Any, **options: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        call_(*arguments, **options)
    return caught.value


@pytest.mark.parametrize("method", ["ComputeSimilarity", "SearchNeighbors", "Cluster", "Project"])
def test_no_rows(channel: grpc.Channel, method: str) -> None:
    field = {"ComputeSimilarity": "a", "SearchNeighbors": "queries"}.get(method, "source")
    made = {
        "ComputeSimilarity": pb.ComputeSimilarityRequest,
        "SearchNeighbors": pb.SearchNeighborsRequest,
        "Cluster": pb.ClusterRequest,
        "Project": pb.ProjectRequest,
    }[method]
    none = rows([1.0], rows=0, data=b"")
    for source, where in ((none, ".vectors"), (common.Source(texts=texts()), ".texts"), (None, "")):
        outcome = call(channel, method, made(**{field: source}))
        assert (outcome.code, outcome.reason, outcome.field) == (
            "INVALID_ARGUMENT",
            "EMPTY_INPUT",
            field + where,
        )
        assert (
            "at least one" in outcome.message
            or "give it texts, records, vectors or a dataset" in outcome.message
        )


def test_k_below_nothing(channel: grpc.Channel) -> None:
    outcome = call(channel, "SearchNeighbors", pb.SearchNeighborsRequest(queries=rows([1.0]), k=-1))
    assert (outcome.code, outcome.reason, outcome.field) == ("INVALID_ARGUMENT", "OUT_OF_RANGE", "k")
    assert "at least 1" in outcome.message


REQUESTS = [
    ("ComputeSimilarity", "a", lambda source: pb.ComputeSimilarityRequest(a=source)),
    ("ComputeSimilarity", "b", lambda source: pb.ComputeSimilarityRequest(a=rows([1.0, 2.0]), b=source)),
    ("SearchNeighbors", "queries", lambda source: pb.SearchNeighborsRequest(queries=source, k=1)),
    (
        "SearchNeighbors",
        "corpus",
        lambda source: pb.SearchNeighborsRequest(queries=rows([1.0, 2.0]), corpus=source, k=1),
    ),
    ("Cluster", "source", lambda source: pb.ClusterRequest(source=source)),
    ("Project", "source", lambda source: pb.ProjectRequest(source=source)),
]
WRONG_ROWS = [
    (rows([1, 2], [1, NAN], [NAN, 1]), "NOT_FINITE", ".vectors[1]", "2 such rows"),
    (rows([1, 2], [1, INF]), "NOT_FINITE", ".vectors[1]", "row 1"),
    (rows([-INF, 2]), "NOT_FINITE", ".vectors[0]", "row 0"),
    (rows([1, 2], data=bytes(7)), "WRONG_BYTE_COUNT", ".vectors.data", "7 bytes"),
    (rows([1, 2], columns=3), "WRONG_BYTE_COUNT", ".vectors.data", "take 12"),
    (rows([1, 2], rows=2), "WRONG_BYTE_COUNT", ".vectors.data", "take 16"),
    (rows([1, 2], rows=-1), "WRONG_SHAPE", ".vectors", "negative"),
    (rows([1, 2], data_type=common.DATA_TYPE_FLOAT64), "WRONG_DATA_TYPE", ".vectors.data_type", "FLOAT32"),
    # Texts where numbers belong.
    (rows([1, 2], data=b"a few words"), "WRONG_BYTE_COUNT", ".vectors.data", "11 bytes"),
]


@pytest.mark.parametrize("source", WRONG_ROWS, ids=[f"{r}{f} {m}" for _, r, f, m in WRONG_ROWS])
@pytest.mark.parametrize("request_", REQUESTS, ids=[f"{m}.{f}" for m, f, _ in REQUESTS])
def test_wrong_rows_are_named(channel: grpc.Channel, request_: Any, source: Any) -> None:
    method, field, make = request_
    message, reason, where, said = source
    outcome = call(channel, method, make(message))
    assert (outcome.code, outcome.reason, outcome.field) == ("INVALID_ARGUMENT", reason, field + where)
    assert said in outcome.message


def test_numbers_where_texts_belong_are_named(channel: grpc.Channel) -> None:
    """Bytes of float32 in the field of the texts, as a client with crossed fields sends them."""
    source = length_delimited(1, length_delimited(1, MANY[0, :4].tobytes()))
    for method, field in (("Cluster", "source"), ("Project", "source"), ("SearchNeighbors", "queries")):
        outcome = call(channel, method, length_delimited(1, source))
        assert (outcome.code, outcome.reason) == ("INVALID_ARGUMENT", "NOT_UTF8")
        assert outcome.field == f"{field}.texts[0]"


def test_texts_and_arrays_mixed_up_in_the_client(client: Client) -> None:
    for wrong in (
        ["a text", MANY[0]],
        [MANY[0].tolist()],
        "a bare text",
        [["a", "b"]],
        np.array([["a", "b"]]),
    ):
        for method in (client.neighbors, client.cluster, client.project, client.similarity):
            assert refused(method, wrong).reason in ("NOT_TEXT", "NOT_A_LIST", "MISSING_INPUT")


def test_texts_on_one_side_and_arrays_on_the_other(client: Client) -> None:
    error = refused(client.neighbors, ["a text"], MANY[:, :5])
    assert (error.reason, error.field) == ("DIMENSION_MISMATCH", "corpus")
    assert "16" in error.message
    assert "5" in error.message
    made = client.neighbors(["a text"], MANY, k=2)
    assert not made.space_checked
    other = client.embed(["a", "b"], pooling="mean")
    with pytest.raises(Exception, match="embedding space") as caught:
        client.neighbors(["a text"], other)
    assert caught.value.reason == "SPACE_MISMATCH"


def test_a_text_that_cannot_be_embedded_is_named(client: Client) -> None:
    error = refused(client.cluster, ["fine", "word " * 3000], truncate="error")
    assert (error.reason, error.field) == ("TEXT_TOO_LONG", "source.texts[1]")
    error = refused(client.neighbors, MANY[:2], ["fine", "word " * 3000], truncate="error")
    assert error.field == "corpus.texts[1]"


@pytest.mark.parametrize(
    ("method", "request_", "field", "known"),
    [
        ("SearchNeighbors", pb.SearchNeighborsRequest(queries=rows([1]), k=1, metric=9), "metric", "DOT"),
        ("ComputeSimilarity", pb.ComputeSimilarityRequest(a=rows([1]), metric=9), "metric", "DOT"),
        ("Cluster", pb.ClusterRequest(source=rows([1]), metric=9), "metric", "COSINE"),
        ("Cluster", pb.ClusterRequest(source=rows([1]), method=9), "method", "CLUSTER_METHOD_HDBSCAN"),
        ("Project", pb.ProjectRequest(source=rows([1]), metric=9), "metric", "COSINE"),
        ("Project", pb.ProjectRequest(source=rows([1]), method=9), "method", "PROJECTION_METHOD_UMAP"),
    ],
)
def test_an_unknown_metric_or_method(
    channel: grpc.Channel, method: str, request_: Any, field: str, known: str
) -> None:
    outcome = call(channel, method, request_)
    assert (outcome.code, outcome.reason, outcome.field) == ("INVALID_ARGUMENT", "UNKNOWN_ENUM_VALUE", field)
    assert known in outcome.message


@pytest.mark.parametrize(
    ("method", "options", "reason", "field"),
    [
        ("cluster", {"metric": "dot"}, "WRONG_COMBINATION", "metric"),
        ("cluster", {"method": "kmeans", "metric": "manhattan"}, "WRONG_COMBINATION", "metric"),
        ("cluster", {"method": "hdbscan", "n_clusters": 3}, "WRONG_COMBINATION", "n_clusters"),
        ("cluster", {"method": "kmeans", "min_samples": 3}, "WRONG_COMBINATION", "min_samples"),
        ("cluster", {"n_clusters": 0}, "OUT_OF_RANGE", "n_clusters"),
        ("project", {"metric": "dot"}, "WRONG_COMBINATION", "metric"),
        ("project", {"method": "pca", "perplexity": 5}, "WRONG_COMBINATION", "perplexity"),
        ("project", {"n_components": 4}, "OUT_OF_RANGE", "n_components"),
        ("project", {"n_neighbors": 1}, "OUT_OF_RANGE", "n_neighbors"),
        ("neighbors", {"radius": -1, "metric": "euclidean"}, "OUT_OF_RANGE", "radius"),
        ("neighbors", {"corpus": MANY[:2], "exclude_self": True}, "WRONG_COMBINATION", "exclude_self"),
        ("neighbors", {"center": True, "metric": "dot"}, "WRONG_COMBINATION", "center"),
        ("similarity", {"center": True, "metric": "euclidean"}, "WRONG_COMBINATION", "center"),
        ("similarity", {"background": MANY[:5, :3]}, "DIMENSION_MISMATCH", "background"),
        ("similarity", {"pairs": True}, "WRONG_COMBINATION", "pairs"),
        ("similarity", {"b": MANY[:3], "pairs": True}, "ROWS_MISMATCH", "b"),
    ],
)
def test_what_does_not_go_together(
    client: Client, method: str, options: dict[str, Any], reason: str, field: str
) -> None:
    error = refused(getattr(client, method), MANY[:20], **options)
    assert (error.reason, error.field) == (reason, field)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range(channel: grpc.Channel, seed: int) -> None:
    outcome = call(channel, "Project", pb.ProjectRequest(source=rows([1.0]), seed=seed))
    assert (outcome.code, outcome.reason, outcome.field) == ("INVALID_ARGUMENT", "OUT_OF_RANGE", "seed")


def test_labels_that_are_not_one_a_row(channel: grpc.Channel) -> None:
    for method, make in (("Cluster", pb.ClusterRequest), ("Project", pb.ProjectRequest)):
        outcome = call(channel, method, make(source=rows([1.0], [2.0]), labels=["a"]))
        assert (outcome.code, outcome.reason, outcome.field) == (
            "INVALID_ARGUMENT",
            "LABELS_MISMATCH",
            "labels",
        )
