"""Sets as the sides of analyses: the same answers as the same rows sent, and the worker reads them where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2
from penult.v1 import dataset_service_pb2 as pb
from penult_service.analysis.calls import ArrayFile
from penult_service.analysis.workers import exchange
from support.calling import call
from support.serving import open_channel, wait_until

ROWS, WIDTH = 300, 24
MATRIX = np.random.default_rng(5).normal(size=(ROWS, WIDTH)).astype(np.float32)


@pytest.fixture
def channel(analysing: str) -> Iterator[grpc.Channel]:
    with open_channel(analysing) as opened:
        yield opened


def _append(channel: grpc.Channel, name: str, matrix: np.ndarray, space: str = "") -> None:
    call(channel, "CreateDataset", pb.CreateDatasetRequest(name=name, overwrite=True))
    message = pb.AppendRowsRequest(
        name=name, rows=pb.Rows(ids=[str(i) for i in range(len(matrix))], vectors=_packed(matrix, space))
    )
    channel.stream_unary("/penult.v1.DatasetService/AppendRows")(
        iter([message.SerializeToString()]), timeout=30
    )


def _packed(matrix: np.ndarray, space: str = "") -> common_pb2.Vectors:
    return common_pb2.Vectors(
        rows=len(matrix), columns=matrix.shape[1], data=matrix.tobytes(), embedding_space=space
    )


def _both(name: str) -> tuple[common_pb2.Source, common_pb2.Source]:
    return common_pb2.Source(dataset=name), common_pb2.Source(vectors=_packed(MATRIX))


def _warm(channel: grpc.Channel) -> None:
    request = analysis.ProjectRequest(
        source=common_pb2.Source(vectors=_packed(MATRIX)), method=analysis.PROJECTION_METHOD_PCA
    )
    wait_until(lambda: call(channel, "Project", request).reason != "ANALYSIS_WARMING", 120)


def test_the_answers_are_those_for_the_same_rows(channel: grpc.Channel) -> None:
    _append(channel, "rows", MATRIX)
    _warm(channel)
    kept, sent = _both("datasets/rows")
    requests = {
        "Project": lambda side: analysis.ProjectRequest(source=side, method=analysis.PROJECTION_METHOD_PCA),
        "Cluster": lambda side: analysis.ClusterRequest(source=side, n_clusters=4),
        "SearchNeighbors": lambda side: analysis.SearchNeighborsRequest(queries=side, k=3, exclude_self=True),
        "ComputeSimilarity": lambda side: analysis.ComputeSimilarityRequest(a=side),
    }
    for method, make in requests.items():
        one, other = call(channel, method, make(kept)), call(channel, method, make(sent))
        assert one.code == "OK", (method, one)
        assert one.reply == other.reply, method
    mixed = analysis.SearchNeighborsRequest(queries=sent, corpus=kept, k=1)
    reply = call(channel, "SearchNeighbors", mixed).reply
    assert np.frombuffer(reply.indices.data, "<i4").tolist() == list(range(ROWS))


def test_spaces_and_names_are_checked(channel: grpc.Channel) -> None:
    _append(channel, "spaced", MATRIX[:20], "space-1")
    call(channel, "CreateDataset", pb.CreateDatasetRequest(name="empty", overwrite=True))
    other = common_pb2.Source(vectors=_packed(MATRIX[:5], "space-2"))
    mixed = call(
        channel,
        "SearchNeighbors",
        analysis.SearchNeighborsRequest(queries=other, corpus=common_pb2.Source(dataset="spaced"), k=1),
    )
    assert (mixed.code, mixed.reason) == ("FAILED_PRECONDITION", "SPACE_MISMATCH")
    for name, code, reason in (
        ("nobody", "NOT_FOUND", "DATASET_NOT_FOUND"),
        ("empty", "INVALID_ARGUMENT", "EMPTY_INPUT"),
        ("", "INVALID_ARGUMENT", "NAME_INVALID"),
        ("no name", "INVALID_ARGUMENT", "NAME_INVALID"),
    ):
        refused = call(channel, "Cluster", analysis.ClusterRequest(source=common_pb2.Source(dataset=name)))
        assert (refused.code, refused.reason) == (code, reason), name
        assert refused.field == "source.dataset"


def test_a_file_is_named_not_copied(tmp_path: Path) -> None:
    there, place = tmp_path / "vectors.f32", tmp_path / "in"
    place.mkdir()
    there.write_bytes(b"\0" * 8 + MATRIX.tobytes())
    labels = np.arange(ROWS, dtype=np.int32)
    exchange.write_arrays(place, {"source": ArrayFile(there, MATRIX.shape, 8), "labels": labels})
    assert sum(path.stat().st_size for path in place.iterdir()) < 3000
    found = exchange.map_arrays(place)
    np.testing.assert_array_equal(found["source"], MATRIX)
    np.testing.assert_array_equal(found["labels"], labels)
    assert type(found["source"]) is np.ndarray
    found["source"][0] = 0  # its own copy of a page
    assert there.read_bytes()[8:] == MATRIX.tobytes()
    assert ArrayFile(there, (0, 4)).open().shape == (0, 4)
