"""Operations over a socket: standard messages, any client. What they compute is what the plain call computes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from google.longrunning import operations_pb2 as lro
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2
from penult_service.config import Limits
from support.bad_input import rows as source_of
from support.calling import Outcome, call, call_stream, status_outcome
from support.fakes import fake_model
from support.pools import data_that_is_warm
from support.served import served
from support.serving import SERVING, health, open_channel, serving, wait_until

ROWS = np.random.default_rng(6).normal(size=(300, 8)).astype(np.float32)
MANY = np.random.default_rng(7).normal(size=(30_000, 4)).astype(np.float32)
SOURCE = source_of(*ROWS, space="space-1")
LABELS = [str(i % 3) for i in range(len(ROWS))]
REQUESTS = {
    "ComputeSimilarity": (
        "compute_similarity",
        pb.ComputeSimilarityRequest(a=SOURCE, metric=pb.METRIC_DOT, max_response_bytes=1 << 24),
    ),
    "SearchNeighbors": ("search_neighbors", pb.SearchNeighborsRequest(queries=SOURCE, k=3)),
    "Cluster": ("cluster", pb.ClusterRequest(source=SOURCE, n_clusters=4, labels=LABELS)),
    "Project": ("project", pb.ProjectRequest(source=SOURCE, method=pb.PROJECTION_METHOD_PCA)),
}
REPLIES = {
    "compute_similarity": pb.ComputeSimilarityResponse,
    "search_neighbors": pb.SearchNeighborsResponse,
    "cluster": pb.ClusterResponse,
    "project": pb.ProjectResponse,
}
# Longer than any test waits, so that it has a process of its own.
LONG = pb.StartAnalysisRequest(
    project=pb.ProjectRequest(source=source_of(*MANY[:12_000]), method=pb.PROJECTION_METHOD_TSNE)
)


@pytest.fixture
def channel(analysing: str) -> Iterator[grpc.Channel]:
    with open_channel(analysing) as opened:
        wait_until(lambda: health(opened, "penult.v1.AnalysisService") == SERVING, 120)
        yield opened


def start(channel: grpc.Channel, field: str, request: Message, request_id: str = "") -> Outcome:
    return call(channel, "StartAnalysis", pb.StartAnalysisRequest(**{field: request}, request_id=request_id))  # type: ignore[arg-type]


def get(channel: grpc.Channel, name: str) -> Any:
    return call(channel, "GetOperation", lro.GetOperationRequest(name=name)).reply


def finished(channel: grpc.Channel, started: Outcome, seconds: float = 100) -> Any:
    assert started.code == "OK", started
    wait = lro.WaitOperationRequest(name=started.reply.name, timeout=Duration(seconds=int(seconds)))
    operation = call(channel, "WaitOperation", wait, timeout=seconds + 5).reply
    assert operation.done
    return operation


def metadata_of(operation: Any) -> pb.AnalysisMetadata:
    metadata = pb.AnalysisMetadata()
    assert operation.metadata.Unpack(metadata)
    return metadata


def response_of(operation: Any, kind: type[Any]) -> Any:
    response = kind()
    assert operation.response.Unpack(response), operation
    return response


def error_of(operation: Any) -> Outcome:
    assert operation.done
    code = grpc.StatusCode
    return status_outcome(
        operation.error, next(each.name for each in code if each.value[0] == operation.error.code)
    )


def processes() -> set[int]:
    """Every worker."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.mark.parametrize("method", REQUESTS)
def test_small_result_is_what_the_call_answers(channel, method):
    field, request = REQUESTS[method]
    plain = call(channel, method, request)
    assert plain.code == "OK", plain
    started = start(channel, field, request)
    assert started.reply.name.startswith("operations/")
    operation = finished(channel, started)
    assert response_of(operation, REPLIES[field]) == plain.reply
    metadata = metadata_of(operation)
    assert (metadata.stage, metadata.rows) == ("done", len(ROWS))
    assert metadata.analysis in field
    times = (metadata.create_time, metadata.start_time, metadata.end_time, metadata.expire_time)
    seconds = [time.ToNanoseconds() for time in times]
    assert sorted(seconds) == seconds
    assert seconds[0] > 0
    assert not metadata.HasField("time_left")
    assert not metadata.durable

    # The same in parts, from the first row and from one in the middle.
    for first in (0, 250, len(ROWS)):
        request = pb.ReadResultRequest(name=started.reply.name, first_row=first, max_part_bytes=4096 + 500)
        parts, outcome = call_stream(channel, "ReadResult", request)
        assert outcome.code == "OK"
        assert sum(part.row_count for part in parts) == len(ROWS) - first
        assert [part.rows for part in parts] == [len(ROWS)] * len(parts)
        assert len(parts) > (first == 0)
        assert_is_part_of(parts, plain.reply, field, first)
    assert call(channel, "DeleteOperation", lro.DeleteOperationRequest(name=started.reply.name)).code == "OK"
    parts, outcome = call_stream(channel, "ReadResult", pb.ReadResultRequest(name=started.reply.name))
    assert (parts, outcome.code, outcome.reason) == ([], "NOT_FOUND", "OPERATION_NOT_FOUND")


def assert_is_part_of(parts: list[Any], whole: Any, field: str, first: int) -> None:
    rows = ("scores", "indices", "labels", "coordinates", "row_neighbors_kept")
    replies = [getattr(part, field) for part in parts]
    for name in rows:
        if name in whole.DESCRIPTOR.fields_by_name:
            value = getattr(whole, name)
            size = len(value.data) // len(ROWS)
            assert b"".join(getattr(reply, name).data for reply in replies) == value.data[first * size :]
    for number, reply in enumerate(replies):
        told, said = type(whole)(), type(whole)()
        told.CopyFrom(reply)
        said.CopyFrom(whole)
        for name in rows:
            if name in whole.DESCRIPTOR.fields_by_name:
                told.ClearField(name)
                said.ClearField(name)
        assert told == (said if number == 0 else type(whole)())


def test_large_result_is_read_by_stream(channel):
    request = pb.SearchNeighborsRequest(queries=source_of(*MANY), k=8, max_response_bytes=1 << 24)
    operation = finished(channel, start(channel, "search_neighbors", request))
    stored = response_of(operation, pb.StoredResult)
    assert stored.name == operation.name
    assert (stored.rows, stored.analysis) == (len(MANY), "neighbors")
    assert stored.size_bytes >= len(MANY) * 8 * 8
    parts, outcome = call_stream(channel, "ReadResult", pb.ReadResultRequest(name=stored.name))
    assert outcome.code == "OK"
    assert max(part.ByteSize() for part in parts) <= 1 << 20
    plain = call(channel, "SearchNeighbors", request).reply
    assert b"".join(part.search_neighbors.indices.data for part in parts) == plain.indices.data
    assert b"".join(part.search_neighbors.scores.data for part in parts) == plain.scores.data


def test_named_result_and_the_one_that_took_its_place(channel):
    request = pb.ProjectRequest(source=SOURCE, method=pb.PROJECTION_METHOD_PCA, name="kept")
    operation = finished(channel, start(channel, "project", request))
    found = call(channel, "GetProjection", pb.GetProjectionRequest(name="kept")).reply.result
    assert response_of(operation, pb.ProjectResponse) == found
    assert found.stored.name == "projections/kept"
    (part,), _ = call_stream(channel, "ReadResult", pb.ReadResultRequest(name="projections/kept"))
    assert part.project == found

    taken = start(channel, "project", request)
    assert (taken.code, taken.reason, taken.field) == ("ALREADY_EXISTS", "PROJECTION_EXISTS", "project.name")
    request.overwrite, request.n_components = True, 3
    assert call(channel, "Project", request).code == "OK"
    stored = response_of(get(channel, operation.name), pb.StoredResult)
    assert stored.name == "projections/kept"
    _, outcome = call_stream(channel, "ReadResult", pb.ReadResultRequest(name=operation.name))
    assert (outcome.code, outcome.reason) == ("NOT_FOUND", "RESULT_NOT_FOUND")
    call(channel, "DeleteProjection", pb.DeleteProjectionRequest(name="kept"))


def test_result_that_was_there_already_and_the_one_that_took_its_place(channel):
    request = pb.ProjectRequest(
        source=SOURCE, method=pb.PROJECTION_METHOD_PCA, name="again", request_id="once"
    )
    request.max_response_bytes = 2048  # it is read in parts, whatever its size
    first = finished(channel, start(channel, "project", request))
    again = finished(channel, start(channel, "project", request))
    assert again.name != first.name
    assert again.response == first.response
    overwriting = pb.ProjectRequest(
        source=SOURCE, method=pb.PROJECTION_METHOD_PCA, name="again", overwrite=True
    )
    overwriting.n_components = 3
    assert call(channel, "Project", overwriting).code == "OK"
    for operation in (first, again):
        _, outcome = call_stream(channel, "ReadResult", pb.ReadResultRequest(name=operation.name))
        assert (outcome.code, outcome.reason) == ("NOT_FOUND", "RESULT_NOT_FOUND")
    call(channel, "DeleteProjection", pb.DeleteProjectionRequest(name="again"))


def test_texts_are_embedded_as_in_the_call(channel):
    texts = common_pb2.Source(texts=common_pb2.TextList(texts=[f"text {i}" for i in range(40)]))
    request = pb.ClusterRequest(source=texts, n_clusters=3)
    plain = call(channel, "Cluster", request).reply
    reply = response_of(finished(channel, start(channel, "cluster", request)), pb.ClusterResponse)
    assert reply == plain
    assert reply.provenance.model == "models/reviews/versions/3"


def test_wrong_requests_are_refused_at_once(channel):
    before = len(listed(channel))
    nothing = call(channel, "StartAnalysis", pb.StartAnalysisRequest())
    assert (nothing.code, nothing.field) == ("INVALID_ARGUMENT", "analysis")
    few = start(channel, "search_neighbors", pb.SearchNeighborsRequest(queries=SOURCE))
    assert (few.code, few.field) == ("INVALID_ARGUMENT", "search_neighbors.k")
    nan = ROWS[:3].copy()
    nan[1, 2] = np.nan
    bad = start(channel, "project", pb.ProjectRequest(source=source_of(*nan)))
    assert (bad.code, bad.field) == ("INVALID_ARGUMENT", "project.source.vectors[1]")
    unknown = start(channel, "cluster", pb.ClusterRequest(source=common_pb2.Source(dataset="none-such")))
    assert (unknown.code, unknown.field) == ("NOT_FOUND", "cluster.source.dataset")
    long = start(channel, "project", pb.ProjectRequest(source=SOURCE), request_id="x" * 257)
    assert (long.code, long.field) == ("INVALID_ARGUMENT", "request_id")
    assert len(listed(channel)) == before
    for method, request in (
        ("GetOperation", lro.GetOperationRequest(name="operations/none")),
        ("WaitOperation", lro.WaitOperationRequest(name="none")),
        ("CancelOperation", lro.CancelOperationRequest(name="none")),
        ("DeleteOperation", lro.DeleteOperationRequest(name="none")),
    ):
        gone = call(channel, method, request)
        assert (gone.code, gone.reason, gone.field) == ("NOT_FOUND", "OPERATION_NOT_FOUND", "name")
    for wrong in (
        lro.ListOperationsRequest(filter="stage=done"),
        lro.ListOperationsRequest(page_size=-1),
        lro.ListOperationsRequest(page_token="nothing"),
        lro.ListOperationsRequest(name="models"),
    ):
        assert call(channel, "ListOperations", wrong).code == "INVALID_ARGUMENT"
    for name in ("models/x", "operations/", "", "projections"):
        _, outcome = call_stream(channel, "ReadResult", pb.ReadResultRequest(name=name))
        assert (outcome.code, outcome.field) == ("INVALID_ARGUMENT", "name")


def listed(channel: grpc.Channel, **more: Any) -> list[Any]:
    return list(call(channel, "ListOperations", lro.ListOperationsRequest(**more)).reply.operations)


def test_same_request_id_is_the_same_operation(channel):
    _, request = REQUESTS["Project"]
    first = start(channel, "project", request, "r-7")
    assert start(channel, "project", request, "r-7").reply.name == first.reply.name
    finished(channel, first)
    assert start(channel, "project", request, "r-7").reply.done
    assert start(channel, "project", request, "r-8").reply.name != first.reply.name


def test_pages_go_on_where_one_was_deleted(channel):
    names = [finished(channel, start(channel, *REQUESTS["Project"])).name for _ in range(3)][::-1]
    page = call(channel, "ListOperations", lro.ListOperationsRequest(page_size=2)).reply
    assert [told.name for told in page.operations] == names[:2]
    assert call(channel, "DeleteOperation", lro.DeleteOperationRequest(name=names[1])).code == "OK"
    assert listed(channel, page_token=page.next_page_token)[0].name == names[2]


def test_wait_of_any_length(channel):
    name = finished(channel, start(channel, *REQUESTS["Project"])).name
    for seconds in (-(1 << 62), 0, 1 << 62):
        wait = lro.WaitOperationRequest(name=name, timeout=Duration(seconds=seconds))
        assert call(channel, "WaitOperation", wait).reply.done


@pytest.fixture(scope="module")
def long_server() -> Iterator[Any]:
    """Calls end within a second there, and two operations may run or wait."""
    limits = Limits(max_analysis_seconds=1.0)
    model = fake_model("reviews", 3, fails_on="poison")
    with serving(model, analysis_workers=1, limits=limits, analysis_operations=2) as server:
        yield server


def test_failure_of_the_analysis_is_the_error_of_the_operation(long_server):
    texts = common_pb2.Source(texts=common_pb2.TextList(texts=["a", "poison", "c"]))
    request = pb.SearchNeighborsRequest(queries=texts, k=1)
    with long_server.channel() as channel:
        operation = finished(channel, start(channel, "search_neighbors", request))
        error = error_of(operation)
        assert error.code == "INTERNAL"
        assert metadata_of(operation).stage == "failed"
        _, outcome = call_stream(channel, "ReadResult", pb.ReadResultRequest(name=operation.name))
        assert (outcome.code, outcome.reason) == (error.code, error.reason)


def test_long_work_beside_calls_cancelled_and_queued(long_server):
    with long_server.channel() as channel:
        refused = call(channel, "Project", LONG.project)
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "USE_START_ANALYSIS")
        first = call(channel, "StartAnalysis", LONG).reply.name
        wait_until(lambda: metadata_of(get(channel, first)).stage not in ("waiting", "starting"), 120)
        running = processes()
        metadata = metadata_of(get(channel, first))
        assert metadata.HasField("start_time")
        assert metadata.time_left.ToTimedelta().total_seconds() > 0
        second = call(channel, "StartAnalysis", LONG).reply.name
        wait_until(lambda: metadata_of(get(channel, second)).stage == "waiting")
        assert not metadata_of(get(channel, second)).HasField("start_time")
        full = call(channel, "StartAnalysis", LONG)
        assert (full.code, full.reason) == ("RESOURCE_EXHAUSTED", "OPERATIONS_FULL")
        assert full.retry_seconds

        # Calls are answered meanwhile.
        neighbors = pb.SearchNeighborsRequest(queries=SOURCE, k=3)
        assert call(channel, "SearchNeighbors", neighbors).code == "OK"
        waited = call(channel, "WaitOperation", lro.WaitOperationRequest(name=first, timeout=Duration()))
        assert not waited.reply.done
        # A deadline of the call ends the wait as well, with an answer.
        assert not call(channel, "WaitOperation", lro.WaitOperationRequest(name=first), 1.0).reply.done
        assert [each.name for each in listed(channel, filter="done = false")] == [second, first]
        page = call(channel, "ListOperations", lro.ListOperationsRequest(page_size=1)).reply
        assert [each.name for each in page.operations] == [second]
        rest = listed(channel, page_token=page.next_page_token)
        assert rest[0].name == first
        early = call(channel, "DeleteOperation", lro.DeleteOperationRequest(name=first))
        assert (early.code, early.reason) == ("FAILED_PRECONDITION", "OPERATION_RUNNING")
        _, unread = call_stream(channel, "ReadResult", pb.ReadResultRequest(name=first))
        assert (unread.code, unread.reason) == ("FAILED_PRECONDITION", "OPERATION_NOT_DONE")

        for name in (second, first):
            assert call(channel, "CancelOperation", lro.CancelOperationRequest(name=name)).code == "OK"
            error = error_of(get(channel, name))
            assert (error.code, error.reason) == ("CANCELLED", "OPERATION_CANCELLED")
            assert call(channel, "CancelOperation", lro.CancelOperationRequest(name=name)).code == "OK"
        wait_until(lambda: len(processes() & running) < len(running), 10)
        assert call(channel, "SearchNeighbors", neighbors).code == "OK"


def test_what_did_not_end_before_a_restart_has_failed(tmp_path):
    settings: dict[str, Any] = {
        "analysis_workers": 1,
        "data": data_that_is_warm(tmp_path),
        "limits": Limits(max_analysis_seconds=1.0),
        "grace": 0.5,
    }
    model = fake_model("reviews", 3)
    _, request = REQUESTS["Cluster"]
    with serving(model, **settings) as server, server.channel() as channel:
        done = finished(channel, start(channel, "cluster", request))
        running = call(channel, "StartAnalysis", LONG).reply.name
        assert metadata_of(done).durable
    with serving(model, **settings) as server, server.channel() as channel:
        assert response_of(get(channel, done.name), pb.ClusterResponse) == response_of(
            done, pb.ClusterResponse
        )
        error = error_of(get(channel, running))
        assert (error.code, error.reason) == ("UNAVAILABLE", "SERVER_RESTARTED")
        assert [each.name for each in listed(channel)] == [running, done.name]
        for each in listed(channel):
            call(channel, "DeleteOperation", lro.DeleteOperationRequest(name=each.name))
        assert listed(channel) == []
    assert not list(Path(tmp_path, "operations").glob("*"))
    assert not list(Path(tmp_path, "results").glob("*"))


def test_a_killed_server_knows_what_it_was_doing(tmp_path):
    arguments = ("fake:reviews", "--data", str(data_that_is_warm(tmp_path / "data")))
    settings = {"PENULT_ANALYSIS_WORKERS": "1", "PENULT_MAX_ANALYSIS_SECONDS": "1"}
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with served(first, *arguments, **settings) as (process, address), open_channel(address) as channel:
        wait_until(lambda: call(channel, *_small()).reason != "ANALYSIS_WARMING", 120)
        done = finished(channel, start(channel, "search_neighbors", _small()[1]))
        running = call(channel, "StartAnalysis", LONG).reply.name
        process.kill()
        process.wait()
    with served(second, *arguments, **settings) as (_, address), open_channel(address) as channel:
        error = error_of(get(channel, running))
        assert (error.code, error.reason) == ("UNAVAILABLE", "SERVER_RESTARTED")
        again = response_of(get(channel, done.name), pb.SearchNeighborsResponse)
        assert again == response_of(done, pb.SearchNeighborsResponse)


def _small() -> tuple[str, Message]:
    return "SearchNeighbors", REQUESTS["SearchNeighbors"][1]
