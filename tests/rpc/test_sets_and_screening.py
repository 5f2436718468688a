"""Duplicates, outliers, kept graphs, texts of rows and estimates, over a socket with real workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.longrunning import operations_pb2 as lro
from google.protobuf.duration_pb2 import Duration
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2
from penult_client import Client, Dataset
from penult_service.analysis.calls import ArrayFile
from penult_service.analysis.workers.pool import WorkerPool
from penult_service.config import Limits
from support.bad_input import rows as source_of
from support.calling import call, call_stream
from support.fakes import fake_model
from support.serving import SERVING, health, open_channel, serving, wait_until

RANDOM = np.random.default_rng(8)
ROWS = RANDOM.normal(size=(150, 12)).astype(np.float32)
TWICE = np.concatenate([ROWS, ROWS[:20] * np.float32(2.0)])


@pytest.fixture
def channel(analysing: str) -> Iterator[grpc.Channel]:
    with open_channel(analysing) as opened:
        wait_until(lambda: health(opened, "penult.v1.AnalysisService") == SERVING, 120)
        yield opened


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """What workers were asked."""
    seen: list[tuple[Any, dict[str, Any]]] = []
    run = WorkerPool.run

    async def noted(pool: WorkerPool, asked: Any, arrays: Any, **more: Any) -> Any:
        seen.append((asked, {name: _array(array) for name, array in arrays.items()}))
        return await run(pool, asked, arrays, **more)

    monkeypatch.setattr(WorkerPool, "run", noted)
    return seen


def _array(array: Any) -> Any:
    return np.array(array.open()) if isinstance(array, ArrayFile) else array


def matrix(message: Any, kind: str = "<f4") -> Any:
    shape = message.shape if kind == "<i4" else (message.rows, message.columns)
    return np.frombuffer(message.data, kind).reshape(shape)


def test_equal_rows_are_found(channel: grpc.Channel) -> None:
    reply = call(channel, "FindDuplicates", pb.FindDuplicatesRequest(source=source_of(*TWICE))).reply
    assert matrix(reply.pairs, "<i4").tolist() == [[i, 150 + i] for i in range(20)]
    assert matrix(reply.scores) == pytest.approx(1.0, abs=1e-6)
    groups = matrix(reply.groups, "<i4")
    assert groups[:20].tolist() == groups[150:].tolist() == list(range(20))
    assert (groups[20:150] == -1).all()
    assert list(reply.keepers) == list(range(20))
    assert (reply.total_pairs, reply.equal_pairs, reply.rows_kept) == (20, 20, 150)
    assert (reply.threshold, reply.metric) == (0.95, pb.METRIC_COSINE)
    assert (len(reply.background.quantiles), reply.background.rows) == (1001, 150)
    few = pb.FindDuplicatesRequest(source=source_of(*TWICE), max_pairs=3, metric=pb.METRIC_EUCLIDEAN)
    few.threshold = 1.5
    reply = call(channel, "FindDuplicates", few).reply
    assert (matrix(reply.pairs, "<i4").shape[0], reply.threshold) == (min(3, reply.total_pairs), 1.5)


def test_pairs_are_spread_over_the_parts_of_a_result(channel: grpc.Channel) -> None:
    request = pb.FindDuplicatesRequest(source=source_of(*TWICE), max_response_bytes=1 << 24)
    whole = call(channel, "FindDuplicates", request).reply
    started = call(channel, "StartAnalysis", pb.StartAnalysisRequest(find_duplicates=request)).reply
    done = call(
        channel,
        "WaitOperation",
        lro.WaitOperationRequest(name=started.name, timeout=Duration(seconds=60)),
        timeout=65,
    ).reply
    reply = pb.FindDuplicatesResponse()
    assert done.response.Unpack(reply)
    assert reply == whole
    parts, outcome = call_stream(
        channel, "ReadResult", pb.ReadResultRequest(name=started.name, max_part_bytes=12_400)
    )
    assert (outcome.code, len(parts) > 3) == ("OK", True)
    read = [part.find_duplicates for part in parts]
    for field, kind in (("groups", "<i4"), ("pairs", "<i4"), ("scores", "<f4")):
        joined = np.concatenate([matrix(getattr(part, field), kind) for part in read])
        assert joined.tobytes() == matrix(getattr(whole, field), kind).tobytes(), field
    assert read[0].keepers == whole.keepers
    assert not read[1].keepers


def test_rows_apart_from_the_others(channel: grpc.Channel) -> None:
    rows = np.concatenate([ROWS / 10 + 1, -ROWS[:1]])
    request = pb.FindOutliersRequest(source=source_of(*rows), k=5)
    reply = call(channel, "FindOutliers", request).reply
    assert (reply.order[0], reply.k) == (150, 5)
    assert matrix(reply.scores).shape == (151, 1)
    assert int(matrix(reply.occurrences, "<i4").sum()) == 151 * 5
    assert call(channel, "FindOutliers", pb.FindOutliersRequest(source=source_of(*rows))).reply.k == 10
    few = call(channel, "FindOutliers", pb.FindOutliersRequest(source=source_of(*rows[:2])))
    assert (few.reason, few.field) == ("TOO_FEW_ROWS", "source")


def test_the_graph_of_a_set_is_made_once(
    channel: grpc.Channel, analysing: str, ran: list[tuple[Any, dict[str, Any]]]
) -> None:
    source = common_pb2.Source(dataset="graphed")
    outliers = pb.FindOutliersRequest(source=source, k=6)
    with Client(analysing) as client:
        client.upload("graphed", TWICE, ids=[f"r{i}" for i in range(170)], overwrite=True)
        first = call(channel, "FindOutliers", outliers).reply
        second = call(channel, "FindOutliers", outliers).reply
        assert second == first
        sent = call(channel, "FindOutliers", pb.FindOutliersRequest(source=source_of(*TWICE), k=6)).reply
        assert sent == first
        (call_1, arrays_1), (call_2, arrays_2), (call_3, arrays_3) = ran
        assert (call_1.keep_graph, call_2.keep_graph, call_3.keep_graph) == (True, False, False)
        assert "near_rows" not in arrays_1
        assert "near_rows" not in arrays_3
        assert arrays_2["near_rows"].shape == arrays_2["near_distances"].shape == (150, 32)
        assert arrays_2["near_rows"][:, 0].tolist() == list(range(150))
        # It serves another analysis, but no other metric, and not more neighbours than it has.
        for request in (
            pb.FindOutliersRequest(source=source, k=40),
            pb.FindOutliersRequest(source=source, k=6, metric=pb.METRIC_EUCLIDEAN),
        ):
            assert call(channel, "FindOutliers", request).code == "OK"
            assert "near_rows" not in ran[-1][1]
        assert call(channel, "FindOutliers", outliers).reply == first
        assert ran[-1][1]["near_rows"].shape[1] >= 41  # that of the call with k=40
        client.append("graphed", ROWS[:3] + 1, ids=["x", "y", "z"])
        assert call(channel, "FindOutliers", outliers).code == "OK"
        assert "near_rows" not in ran[-1][1]
        assert call(channel, "FindOutliers", outliers).code == "OK"
        assert ran[-1][1]["near_rows"].shape == (153, 32)
        client.delete_dataset("graphed")


@pytest.mark.usefixtures("channel")
def test_keywords_are_looked_for_in_the_texts_of_a_set(
    analysing: str, ran: list[tuple[Any, dict[str, Any]]]
) -> None:
    corners = (np.repeat(np.eye(2, 12), 75, axis=0) * 30 + ROWS).astype(np.float32)
    texts = [f"{'green apple' if i < 75 else 'schnelle züge'} number {i}" for i in range(150)]
    with Client(analysing) as client:
        client.upload("texts", corners, texts=texts, overwrite=True)
        made = client.cluster(Dataset("texts"), "kmeans", 2, "euclidean", reduction="none")
        given = ran[-1][1]
        assert bytes(given["text_bytes"]).decode() == "".join(texts)
        assert np.diff(given["text_ends"], prepend=0).tolist() == [len(text.encode()) for text in texts]
        words = [{word for word, _ in each.keywords} for each in made.clusters]
        assert sorted("apple" in each for each in words) == [False, True]
        assert sorted("züge" in each for each in words) == [False, True]
        client.cluster(Dataset("texts"), "kmeans", 2, "euclidean", reduction="none", keywords=0)
        assert "text_bytes" not in ran[-1][1]
        client.upload("none", corners, overwrite=True)
        client.cluster(Dataset("none"), "kmeans", 2, "euclidean", reduction="none")
        assert "text_bytes" not in ran[-1][1]
        client.cluster(["a fine film", "a dull film", "trains"], "kmeans", 2, "euclidean", reduction="none")
        assert bytes(ran[-1][1]["text_bytes"]).decode() == "a fine filma dull filmtrains"
        for name in ("texts", "none"):
            client.delete_dataset(name)


def estimate(channel: grpc.Channel, **analysis: Any) -> Any:
    request = pb.EstimateAnalysisRequest(analysis=pb.StartAnalysisRequest(**analysis))
    return call(channel, "EstimateAnalysis", request)


def test_what_an_analysis_would_take(channel: grpc.Channel, ran: list[Any]) -> None:
    source = source_of(*ROWS)
    told = estimate(channel, project=pb.ProjectRequest(source=source)).reply
    assert told.way == pb.ANALYSIS_WAY_CALL
    assert 0 < told.seconds < told.max_call_seconds
    assert 0 < told.bytes < told.max_call_bytes < told.max_operation_bytes
    assert (told.processors > 0, told.load >= 0, told.rows_to_embed, told.problem) == (True, True, 0, "")
    texts = common_pb2.Source(texts=common_pb2.TextList(texts=["a", "b"]))
    told = estimate(channel, search_neighbors=pb.SearchNeighborsRequest(queries=texts, k=1)).reply
    assert told.rows_to_embed == 2
    for wrong, reason, field in (
        ({}, "EMPTY_INPUT", "analysis.analysis"),
        ({"project": pb.ProjectRequest()}, "EMPTY_INPUT", "analysis.project.source"),
        (
            {"search_neighbors": pb.SearchNeighborsRequest(queries=source)},
            "OUT_OF_RANGE",
            "analysis.search_neighbors.k",
        ),
        (
            {"transform": pb.TransformRequest(source=source, projection="nothing")},
            "PROJECTION_NOT_FOUND",
            "analysis.transform.projection",
        ),
    ):
        refused = estimate(channel, **wrong)
        assert (refused.reason, refused.field) == (reason, field), refused
    assert not ran


def test_what_is_too_large_is_told_with_the_way_out() -> None:
    limits = Limits(max_analysis_seconds=0.05)
    with (
        serving(fake_model("reviews", 3), limits=limits, analysis_workers=1, analysis_memory=0.004) as server,
        server.channel() as channel,
    ):
        source = source_of(*ROWS)
        told = estimate(channel, search_neighbors=pb.SearchNeighborsRequest(queries=source, k=1)).reply
        assert told.way == pb.ANALYSIS_WAY_REFUSED  # 8 MiB of blocks are over 4 MiB
        assert "--analysis-memory" in told.problem
        assert "4 MiB" in told.problem
        assert told.max_operation_bytes == int(0.004 * (1 << 30))
        refused = call(channel, "SearchNeighbors", pb.SearchNeighborsRequest(queries=source, k=1))
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "ANALYSIS_TOO_LARGE")
        assert refused.message == told.problem
    with (
        serving(fake_model("reviews", 3), limits=limits, analysis_workers=1) as server,
        server.channel() as channel,
    ):
        tsne = pb.ProjectRequest(source=source_of(*ROWS), method=pb.PROJECTION_METHOD_TSNE)
        told = estimate(channel, project=tsne).reply
        assert (told.way, told.problem) == (pb.ANALYSIS_WAY_OPERATION, "")
        assert told.seconds > told.max_call_seconds == 0.05


def test_a_server_without_workers_says_so() -> None:
    with serving(fake_model("reviews", 3)) as server, server.channel() as channel:
        told = estimate(channel, project=pb.ProjectRequest(source=source_of(*ROWS))).reply
        assert told.way == pb.ANALYSIS_WAY_REFUSED
        assert "--analysis-workers" in told.problem
        small = pb.ComputeSimilarityRequest(a=source_of(*ROWS))
        assert estimate(channel, compute_similarity=small).reply.way == pb.ANALYSIS_WAY_CALL
