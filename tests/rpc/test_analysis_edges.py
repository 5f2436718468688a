"""The edges of the analyses over a real socket: what is used instead, or what is said.

Every one ends with an answer in our own words, and with a server that answers the next call.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2 as common
from penult_client import Client, Clusters, InvalidInputError, Projection
from sklearn.metrics.pairwise import cosine_similarity
from support.bad_input import length_delimited, rows, texts
from support.calling import call
from support.serving import open_channel

SIZES = (1, 2, 3, 5, 14, 16)
MANY = np.random.default_rng(2).standard_normal((1000, 16), dtype=np.float32)
CLUSTERINGS = ("kmeans", "agglomerative", "gaussian_mixture", "hdbscan")
MAPS = ("umap", "pca", "tsne")
NAN, INF = float("nan"), float("inf")
COPIES = MANY.copy()
COPIES[200:600] = MANY[200]
ALIKE = np.repeat(MANY[:1], 30, axis=0)
ZEROS = MANY[:60].copy()
ZERO_ROWS = [0, 7, 59]
ZEROS[ZERO_ROWS] = 0


@pytest.fixture(scope="module")
def client(analysing: str) -> Iterator[Client]:
    with Client(analysing, timeout=200) as made:
        made.neighbors(MANY[:2], k=1)  # waits until a worker is warm
        yield made


@pytest.fixture
def channel(analysing: str, client: Client) -> Iterator[grpc.Channel]:  # noqa: ARG001 - it is warm
    with open_channel(analysing) as opened:
        yield opened


def adjusted(made: Any) -> dict[str, tuple[str, str]]:
    """What was asked and used, by parameter; each with its reason."""
    assert all(each.why for each in made.adjustments)
    return {each.parameter: (each.asked, each.used) for each in made.adjustments}


def refused(call_: Any, *arguments: Any, **options: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        call_(*arguments, **options)
    return caught.value


def check_clusters(made: Clusters, n: int) -> None:
    """What holds for any clusters."""
    assert (made.labels.shape, made.labels.dtype) == ((n,), np.int32)
    assert made.labels.min() >= -1
    assert np.array_equal(made.sizes, np.bincount(made.labels[made.labels >= 0], minlength=len(made.sizes)))
    assert np.all(np.diff(made.sizes) <= 0)
    assert np.all(made.sizes > 0)
    assert made.quality.noise_share == pytest.approx((made.labels < 0).mean())
    defined = len(made.sizes) >= 2
    assert defined or made.quality.silhouette is None
    assert made.quality.silhouette is None or -1 <= made.quality.silhouette <= 1


def check_map(made: Projection, n: int, components: int) -> None:
    """What holds for any map."""
    assert made.coordinates.shape == (n, components)
    assert np.isfinite(made.coordinates).all()
    quality = made.quality.trustworthiness
    assert quality is None or 0 <= quality <= 1


# A handful of rows


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
        assert "at least one" in outcome.message or "give it texts or vectors" in outcome.message


@pytest.mark.parametrize("n", SIZES)
def test_neighbors_of_a_handful(client: Client, n: int) -> None:
    few = MANY[:n]
    made = client.neighbors(few, k=10)
    k = min(10, n)
    scores = cosine_similarity(few.astype(np.float64))
    assert np.array_equal(made.indices, np.argsort(-scores, axis=1, kind="stable")[:, :k])
    assert np.allclose(made.scores, -np.sort(-scores, axis=1)[:, :k], rtol=0, atol=1e-6)
    assert adjusted(made) == ({} if n >= 10 else {"k": ("10", str(n))})
    if n == 1:
        error = refused(client.neighbors, few, exclude_self=True)
        assert (error.reason, error.field, error.metadata["least"]) == ("TOO_FEW_ROWS", "queries", "2")
        return
    others = client.neighbors(few, k=10, exclude_self=True)
    assert others.indices.shape == (n, min(10, n - 1))
    assert not (others.indices == np.arange(n)[:, None]).any()
    assert adjusted(others) == ({} if n > 10 else {"k": ("10", str(n - 1))})


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("method", CLUSTERINGS)
def test_clusters_of_a_handful(client: Client, method: str, n: int) -> None:
    made = client.cluster(MANY[:n], method, labels=range(n))
    check_clusters(made, n)
    assert made.quality.v_measure is not None
    if method == "hdbscan":
        return
    assert len(made.sizes) <= min(8, n)
    if n < 8:
        assert adjusted(made)["n_clusters"] == ("8", str(len(made.sizes)))
    else:
        assert "n_clusters" not in adjusted(made)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("components", [2, 3])
@pytest.mark.parametrize("method", MAPS)
def test_maps_of_a_handful(client: Client, method: str, components: int, n: int) -> None:
    made = client.project(MANY[:n], method, components, labels=range(n))
    check_map(made, n, components)
    assert len(np.unique(made.coordinates, axis=0)) == n
    again = client.project(MANY[:n], method, components)
    assert again.coordinates.tobytes() == made.coordinates.tobytes()
    if method == "umap" and n <= 15:
        assert {"n_neighbors", "method"} & adjusted(made).keys()
    if method == "tsne":
        assert {"perplexity", "method"} & adjusted(made).keys()


# Numbers that do not suit


def test_k(client: Client) -> None:
    for k in (0, 10_000):
        if k:
            made = client.neighbors(MANY[:3], MANY[:20], k=k)
            assert made.indices.shape == (3, 20)
            assert adjusted(made) == {"k": ("10000", "20")}
            continue
        error = refused(client.neighbors, MANY[:3], k=0)
        assert (error.reason, error.field, error.metadata["least"]) == ("OUT_OF_RANGE", "k", "1")


def test_k_below_nothing(channel: grpc.Channel) -> None:
    outcome = call(channel, "SearchNeighbors", pb.SearchNeighborsRequest(queries=rows([1.0]), k=-1))
    assert (outcome.code, outcome.reason, outcome.field) == ("INVALID_ARGUMENT", "OUT_OF_RANGE", "k")
    assert "at least 1" in outcome.message


@pytest.mark.parametrize("method", ["kmeans", "agglomerative", "gaussian_mixture"])
def test_more_clusters_than_distinct_rows(client: Client, method: str) -> None:
    three = np.repeat(MANY[:3], 10, axis=0)
    made = client.cluster(three, method, 5)
    check_clusters(made, 30)
    assert made.sizes.tolist() == [10, 10, 10]
    assert adjusted(made)["n_clusters"] == ("5", "3")
    assert len({tuple(made.labels[i : i + 10]) for i in (0, 10, 20)}) == 3


# Rows that are equal


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_all_rows_equal_are_one_cluster(client: Client, method: str) -> None:
    made = client.cluster(ALIKE, method)
    check_clusters(made, 30)
    assert len(set(made.labels.tolist())) == 1
    assert made.quality.silhouette is None
    if method != "hdbscan":
        assert adjusted(made)["n_clusters"] == ("8", "1")


@pytest.mark.parametrize("method", MAPS)
def test_all_rows_equal_have_one_place(client: Client, method: str) -> None:
    made = client.project(ALIKE, method)
    check_map(made, 30, 2)
    assert len(np.unique(made.coordinates, axis=0)) == 1


def test_all_rows_equal_are_neighbours_by_number(client: Client) -> None:
    made = client.neighbors(ALIKE, k=3)
    assert made.indices.tolist() == [[0, 1, 2]] * 30
    assert np.allclose(made.scores, 1, atol=1e-6)
    others = client.neighbors(ALIKE, k=2, exclude_self=True)
    assert others.indices[:4].tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


@pytest.mark.parametrize("method", MAPS)
def test_400_copies_among_1000_have_one_place(client: Client, method: str) -> None:
    made = client.project(COPIES, method)
    check_map(made, 1000, 2)
    assert len(np.unique(made.coordinates[200:600], axis=0)) == 1
    assert len(np.unique(made.coordinates, axis=0)) == 601
    if method == "pca":  # which is of all rows, so the copies weigh 400 times
        return
    # They do not push the others into a corner.
    spread = made.coordinates.std(axis=0)
    others = np.delete(made.coordinates, np.arange(200, 600), axis=0).std(axis=0)
    assert np.all(others > 0.5 * spread)


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_400_copies_among_1000_are_together(client: Client, method: str) -> None:
    made = client.cluster(COPIES, method)
    check_clusters(made, 1000)
    assert len(set(made.labels[200:600].tolist())) == 1


def test_400_copies_among_1000_are_each_others_neighbours(client: Client) -> None:
    made = client.neighbors(COPIES, k=5, exclude_self=True)
    assert made.indices[300].tolist() == [200, 201, 202, 203, 204]
    assert made.indices[200].tolist() == [201, 202, 203, 204, 205]
    assert np.allclose(made.scores[200:600], 1, atol=1e-6)


# Rows without a direction


def test_zero_rows_among_neighbours(client: Client) -> None:
    made = client.neighbors(ZEROS, k=60)
    assert made.zero_queries.tolist() == made.zero_corpus.tolist() == ZERO_ROWS
    assert np.isfinite(made.scores).all()
    assert np.all(made.scores[ZERO_ROWS] == 0)
    directed = np.delete(made.indices, ZERO_ROWS, axis=0)
    assert np.array_equal(np.sort(directed[:, -3:], axis=1), np.tile(ZERO_ROWS, (57, 1)))
    few = client.neighbors(ZEROS, k=5)
    assert not np.isin(few.indices, ZERO_ROWS).any()
    assert client.neighbors(ZEROS, k=5, metric="euclidean").zero_queries.size == 0


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_zero_rows_are_in_no_cluster(client: Client, method: str) -> None:
    made = client.cluster(ZEROS, method)
    check_clusters(made, 60)
    assert made.zero_rows.tolist() == ZERO_ROWS
    assert (made.labels[ZERO_ROWS] == -1).all()
    assert not np.isin(np.concatenate([*made.nearest, np.zeros(0, int)]), ZERO_ROWS).any()
    assert client.cluster(ZEROS, method, metric="euclidean").zero_rows.size == 0


@pytest.mark.parametrize("method", MAPS)
def test_zero_rows_lie_together_beside_the_map(client: Client, method: str) -> None:
    made = client.project(ZEROS, method)
    check_map(made, 60, 2)
    assert made.zero_rows.tolist() == ZERO_ROWS
    assert len(np.unique(made.coordinates[ZERO_ROWS], axis=0)) == 1
    others = np.delete(made.coordinates, ZERO_ROWS, axis=0)
    place = made.coordinates[0]
    assert np.any((place < others.min(axis=0)) | (place > others.max(axis=0)))


@pytest.mark.parametrize("method", [*CLUSTERINGS, *MAPS])
def test_nothing_but_zero_rows(client: Client, method: str) -> None:
    zeros = np.zeros((20, 4), np.float32)
    if method in MAPS:
        made = client.project(zeros, method)
        check_map(made, 20, 2)
        assert len(np.unique(made.coordinates, axis=0)) == 1
    else:
        found = client.cluster(zeros, method)
        check_clusters(found, 20)
        assert (found.labels == -1).all()
    assert client.neighbors(zeros, k=2).scores.tolist() == [[0.0, 0.0]] * 20
    assert client.similarity(zeros).scores.tolist() == [[0.0] * 20] * 20


# Rows that are wrong


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
            assert refused(method, wrong).reason in ("NOT_TEXT", "NOT_A_LIST")


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
        ("cluster", {"metric": "manhattan"}, "WRONG_COMBINATION", "metric"),
        ("cluster", {"method": "hdbscan", "n_clusters": 3}, "WRONG_COMBINATION", "n_clusters"),
        ("cluster", {"min_samples": 3}, "WRONG_COMBINATION", "min_samples"),
        ("cluster", {"n_clusters": 0}, "OUT_OF_RANGE", "n_clusters"),
        ("project", {"metric": "dot"}, "WRONG_COMBINATION", "metric"),
        ("project", {"method": "pca", "perplexity": 5}, "WRONG_COMBINATION", "perplexity"),
        ("project", {"n_components": 4}, "OUT_OF_RANGE", "n_components"),
        ("project", {"n_neighbors": 1}, "OUT_OF_RANGE", "n_neighbors"),
        ("neighbors", {"radius": -1, "metric": "euclidean"}, "OUT_OF_RANGE", "radius"),
        ("neighbors", {"corpus": MANY[:2], "exclude_self": True}, "WRONG_COMBINATION", "exclude_self"),
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


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("method", [*CLUSTERINGS, *MAPS])
def test_rows_of_one_or_two_numbers(client: Client, method: str, columns: int) -> None:
    narrow: NDArray[np.float32] = np.abs(MANY[:40, :columns]) + 0.1
    if method in MAPS:
        check_map(client.project(narrow, method, 3, "euclidean"), 40, 3)
    else:
        check_clusters(client.cluster(narrow, method, metric="euclidean"), 40)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("method", [*CLUSTERINGS, *MAPS])
def test_rows_of_tiny_and_huge_numbers(client: Client, method: str, scale: float) -> None:
    far = MANY[:40] * np.float32(scale)
    if method in MAPS:
        check_map(client.project(far, method), 40, 2)
    else:
        check_clusters(client.cluster(far, method), 40)
    made = client.neighbors(far, k=3)
    assert np.array_equal(made.indices, client.neighbors(MANY[:40], k=3).indices)
