"""Results of analyses as messages, and what is refused for its size before it is one."""

from __future__ import annotations

import numpy as np
import pytest
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2 as common
from penult_service.analysis.calls import Call, Cluster, Cost, Neighbors, Project, Similarity
from penult_service.analysis.results import (
    Adjustment,
    Background,
    ClusterResult,
    NeighborsResult,
    ProjectResult,
    SimilarityResult,
)
from penult_service.config import Limits
from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.rpc.analysis import cluster_replies, replies
from penult_service.rpc.analysis.limits import (
    check_cost,
    check_memory,
    check_reply,
    check_result,
    check_scores,
)

ORIGIN = common.Provenance(model="models/m/versions/1")
NONE = np.zeros(0, np.int32)
USUAL = Background(tuple(np.linspace(0, 1, 1_001).tolist()), 20_000, 0.5, 0.1, 100)
FEWER = Adjustment("k", "10", "2", "there are 2 rows")


def test_neighbors() -> None:
    result = NeighborsResult(
        np.array([[1, -1]], np.int32),
        np.array([[0.5, -np.inf]], np.float32),
        np.array([0], np.int32),
        np.array([2, 3], np.int32),
        (FEWER,),
    )
    reply = replies.neighbors(result, "dot", pb.SPACE_CHECK_EQUAL, ORIGIN)
    assert np.frombuffer(reply.indices.data, "<i4").reshape(reply.indices.shape).tolist() == [[1, -1]]
    assert np.frombuffer(reply.scores.data, "<f4").tolist() == [0.5, -np.inf]
    assert (reply.metric, reply.space_check) == (pb.METRIC_DOT, pb.SPACE_CHECK_EQUAL)
    assert (list(reply.zero_queries), list(reply.zero_corpus)) == ([0], [2, 3])
    assert list(reply.adjustments) == [
        pb.Adjustment(parameter="k", asked="10", used="2", why="there are 2 rows")
    ]
    assert reply.provenance == ORIGIN


def test_clusters() -> None:
    result = ClusterResult(
        labels=np.array([0, 1, 0, -1], np.int32),
        sizes=np.array([2, 1], np.int32),
        nearest=np.array([[2, 0], [1, -1]], np.int32),
        zero_rows=np.array([3], np.int32),
        silhouette=0.0,
        silhouette_rows=3,
        noise_share=0.25,
        used={"method": "hdbscan", "min_dist": 0.1, "n_clusters": None, "seed": 42, "small": 1e-7},
        agreement={"v_measure": 0.5, "adjusted_rand": -0.1, "purity": 1.0},
    )
    reply = cluster_replies.clusters(result, None)
    assert [(c.label, c.size, list(c.nearest_rows)) for c in reply.clusters] == [(0, 2, [2, 0]), (1, 1, [1])]
    assert reply.HasField("silhouette")
    assert reply.agreement == pb.Agreement(v_measure=0.5, adjusted_rand=-0.1, purity=1.0)
    assert dict(reply.used) == {"method": "hdbscan", "min_dist": "0.1", "seed": "42", "small": "1e-07"}
    assert list(reply.zero_rows) == [3]
    assert not reply.HasField("provenance")


def test_clusters_without_what_is_undefined() -> None:
    result = ClusterResult(
        np.array([-1], np.int32), NONE, np.zeros((0, 5), np.int32), NONE, None, 0, 1.0, {"method": "hdbscan"}
    )
    reply = cluster_replies.clusters(result, None)
    assert not reply.HasField("silhouette")
    assert not reply.HasField("agreement")
    assert not reply.clusters


def test_maps() -> None:
    coordinates = np.array([[1, 2], [3, 4]], np.float32)
    result = ProjectResult(coordinates, np.zeros(0), NONE, None, 0, 0, None, None, {"method": "umap"})
    reply = replies.projection(result, ORIGIN)
    assert (reply.coordinates.rows, reply.coordinates.columns) == (2, 2)
    assert not reply.quality.HasField("trustworthiness")
    assert not reply.quality.HasField("label_purity")
    whole = ProjectResult(coordinates, np.array([0.75, 0.25]), NONE, 0.9, 2, 1, 0.0, 1.0, {})
    reply = replies.projection(whole, None)
    assert list(reply.explained_variance) == [0.75, 0.25]
    assert (reply.quality.trustworthiness, reply.quality.rows, reply.quality.neighbors) == (0.9, 2, 1)
    assert (reply.quality.label_purity, reply.quality.label_purity_source) == (0.0, 1.0)
    assert reply.quality.HasField("label_purity")


MANY = {"queries": (1000, 4), "corpus": (30, 4)}
SIZES = [
    (
        Neighbors(k=10),
        MANY,
        lambda: replies.neighbors(
            NeighborsResult(
                np.zeros((1000, 10), np.int32), np.zeros((1000, 10), np.float32), NONE, NONE, (FEWER,)
            ),
            "cosine",
            pb.SPACE_CHECK_EQUAL,
            ORIGIN,
        ),
    ),
    (
        Cluster(n_clusters=900),
        {"source": (2000, 4)},
        lambda: cluster_replies.clusters(
            ClusterResult(
                np.full(2000, 899, np.int32),
                np.full(900, 2000, np.int32),
                np.full((900, 5), 2**31 - 1, np.int32),
                NONE,
                0.5,
                2000,
                0.0,
                {"method": "kmeans"},
                border=np.full((900, 5), 2**31 - 1, np.int32),
                odd=np.full((900, 5), 2**31 - 1, np.int32),
                silhouettes=np.full(900, 0.5, np.float32),
                merges=np.full((899, 4), 1799.0),
            ),
            ORIGIN,
        ),
    ),
    (
        Project(n_components=3),
        {"source": (2000, 4)},
        lambda: replies.projection(
            ProjectResult(
                np.zeros((2000, 3), np.float32),
                np.zeros(3),
                NONE,
                0.5,
                2000,
                15,
                0.5,
                0.5,
                {"method": "pca"},
                row_neighbors_kept=np.full(2000, np.nan, np.float32),
            ),
            ORIGIN,
        ),
    ),
    (
        Similarity(),
        {"a": (100, 4), "b": (70, 4)},
        lambda: replies.similarity(
            SimilarityResult(np.zeros((100, 70), np.float32), USUAL), "dot", pb.SPACE_CHECK_EQUAL, ORIGIN
        ),
    ),
    (
        Similarity(pairs=True),
        {"a": (3000, 4), "b": (3000, 4)},
        lambda: replies.similarity(
            SimilarityResult(np.zeros((3000, 1), np.float32), USUAL), "dot", pb.SPACE_CHECK_EQUAL, ORIGIN
        ),
    ),
]


@pytest.mark.parametrize(("call", "shapes", "make"), SIZES, ids=[str(call) for call, _, _ in SIZES])
def test_the_size_that_is_foretold_is_that_of_the_reply(call: Call, shapes: dict, make) -> None:
    size = make().ByteSize()
    with pytest.raises(InvalidInput) as caught:
        check_reply(call, shapes, size - 1)
    assert caught.value.reason == "RESPONSE_TOO_LARGE"
    foretold = int(caught.value.metadata["response_bytes"])
    assert size <= foretold <= 1.3 * size + 5000
    check_reply(call, shapes, foretold)


def test_fewer_neighbours_than_asked_take_less() -> None:
    check_reply(Neighbors(k=10_000), MANY, 1000 * 30 * 8 + 8_100 + 5000)


def test_what_cannot_be_sent_names_neighbors() -> None:
    shapes = {"a": (4000, 4), "b": (5000, 4)}
    with pytest.raises(InvalidInput, match="neighbors") as caught:
        check_scores(Similarity(), shapes, Limits(max_scores=10_000))
    assert (caught.value.reason, caught.value.metadata["limit"]) == ("TOO_MANY_SCORES", "10000")
    assert "at most 2 rows of a" in caught.value.message
    with pytest.raises(InvalidInput, match="neighbors") as caught:
        check_scores(Similarity(), shapes, Limits(max_scores=4999))
    assert "at most" not in caught.value.message
    with pytest.raises(InvalidInput, match="neighbors") as caught:
        check_reply(Similarity(), shapes, 1 << 22)
    assert int(caught.value.metadata["most_rows"]) == ((1 << 22) - 4096 - 8_100) // 20_000
    check_scores(Similarity(pairs=True), {"a": (5000, 4), "b": (5000, 4)}, Limits(max_scores=5000))


def test_what_costs_too_much_is_told_with_the_estimate() -> None:
    limits = Limits(max_analysis_seconds=2.5, max_analysis_bytes=1 << 30)
    check_cost(Project(), Cost(2.5, 1 << 30), limits)
    with pytest.raises(PreconditionFailed, match="about 12 s") as caught:
        check_cost(Project(), Cost(12.04, 1 << 29), limits)
    assert caught.value.reason == "USE_START_ANALYSIS"
    assert caught.value.metadata == {
        "estimated_seconds": "12.040",
        "estimated_bytes": str(1 << 29),
        "max_analysis_seconds": "2.5",
        "max_analysis_bytes": str(1 << 30),
    }
    assert "fewer rows" in caught.value.message
    assert "StartAnalysis" in caught.value.message
    with pytest.raises(PreconditionFailed, match="3 GiB of memory; a call may take"):
        check_cost(Cluster(), Cost(1.0, 3 << 30), limits)


def test_what_no_worker_has_the_memory_for_is_no_operation_either() -> None:
    check_memory(Project(), Cost(1e6, 1 << 40), None)
    check_memory(Project(), Cost(1e6, 1 << 30), 1 << 30)
    check_memory(Project(), Cost(1e6, 3 << 28), 1 << 30, 1 << 28)
    with pytest.raises(
        PreconditionFailed, match=r"about 1 s and 3 GiB .* may take 1 GiB: send fewer .*--analysis-memory"
    ) as caught:
        check_memory(Cluster(), Cost(1.0, 3 << 30), 1 << 30)
    assert caught.value.reason == "ANALYSIS_TOO_LARGE"
    assert caught.value.metadata == {"estimated_bytes": str(3 << 30), "limit_bytes": str(1 << 30)}


def test_a_result_that_is_too_large_for_an_operation() -> None:
    shapes = {"a": (100, 4), "b": (5000, 4)}
    check_result(Similarity(), shapes, Limits(max_response_bytes=100 * 5000 * 4 + 8_100))
    with pytest.raises(InvalidInput, match=r"at most 99 at a time; .*neighbors") as caught:
        check_result(Similarity(), shapes, Limits(max_response_bytes=100 * 5000 * 4 + 8_099))
    assert (caught.value.reason, caught.value.metadata["most_rows"]) == ("RESULT_TOO_LARGE", "99")
