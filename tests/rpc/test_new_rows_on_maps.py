"""New rows on stored maps, over a socket with real workers: each by itself, and refused where it cannot be placed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.longrunning import operations_pb2 as lro
from google.protobuf.duration_pb2 import Duration
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2
from penult.v1 import dataset_service_pb2 as datasets
from penult_service.analysis.workers.pool import WorkerPool
from support.bad_input import rows as source_of
from support.calling import Outcome, call
from support.fakes import fake_model
from support.pools import data_that_is_warm
from support.serving import SERVING, Serving, health, open_channel, serving, wait_until

FIXTURE = Path(__file__).parents[1] / "fixtures" / "storage-0.1"
pytestmark = pytest.mark.usefixtures("keeping")
RANDOM = np.random.default_rng(4)
ROWS = RANDOM.normal(size=(80, 10)).astype(np.float32)
NEW = np.concatenate([ROWS[:3] + np.float32(0.01), RANDOM.normal(size=(5, 10)).astype(np.float32)])
TEXTS = [f"{'word ' * (i % 7)} {i}" for i in range(30)]
MEAN = common_pb2.EmbedOptions(pooling=common_pb2.POOLING_MEAN, normalize=True, model="reviews@3")
METHODS = {
    "umap": pb.PROJECTION_METHOD_UMAP,
    "tsne": pb.PROJECTION_METHOD_TSNE,
    "pca": pb.PROJECTION_METHOD_PCA,
}


@pytest.fixture
def channel(analysing: str) -> Iterator[grpc.Channel]:
    with open_channel(analysing) as opened:
        ready(opened)
        yield opened


def ready(channel: grpc.Channel) -> None:
    wait_until(lambda: health(channel, "penult.v1.AnalysisService") == SERVING, 120)


def texts(*values: str, **options: Any) -> common_pb2.Source:
    return common_pb2.Source(
        texts=common_pb2.TextList(texts=values), options=common_pb2.EmbedOptions(**options)
    )


def made(channel: grpc.Channel, name: str, method: str = "umap", **more: Any) -> Any:
    asked = {"source": source_of(*ROWS, space="s"), "method": METHODS[method], **more}
    done = call(channel, "Project", pb.ProjectRequest(name=name, overwrite=True, **asked), timeout=60)
    assert done.code == "OK", done
    return done.reply


def transform(channel: grpc.Channel, name: str, source: common_pb2.Source, **more: Any) -> Outcome:
    return call(channel, "Transform", pb.TransformRequest(source=source, projection=name, **more))


def numbers(message: common_pb2.Vectors) -> Any:
    return np.frombuffer(message.data, "<f4").reshape(message.rows, message.columns)


@pytest.mark.parametrize("method", METHODS)
def test_a_place_depends_on_the_map_and_the_row_alone(channel: grpc.Channel, method: str) -> None:
    places = numbers(made(channel, f"map-{method}", method).coordinates)
    fitted = transform(channel, f"projections/map-{method}", source_of(*ROWS, space="s")).reply
    assert numbers(fitted.coordinates) == pytest.approx(places, abs=1e-5)
    assert numbers(fitted.distances) == pytest.approx(0.0, abs=1e-6)
    assert np.frombuffer(fitted.nearest_rows.data, "<i4").tolist() == list(range(80))
    assert (fitted.space_check, fitted.projection.name) == (pb.SPACE_CHECK_EQUAL, f"projections/map-{method}")
    assert fitted.used["method"] == method
    assert fitted.far_distance > 0
    together = transform(channel, f"map-{method}", source_of(*NEW, space="s")).reply
    for order in (slice(None, None, -1), slice(3, 4), slice(2, 7)):
        part = transform(channel, f"map-{method}", source_of(*NEW[order], space="s")).reply
        assert numbers(part.coordinates) == pytest.approx(numbers(together.coordinates)[order], abs=1e-6)
    started = call(
        channel,
        "StartAnalysis",
        pb.StartAnalysisRequest(
            transform=pb.TransformRequest(source=source_of(*NEW, space="s"), projection=f"map-{method}")
        ),
    ).reply
    wait = lro.WaitOperationRequest(name=started.name, timeout=Duration(seconds=60))
    done, reply = call(channel, "WaitOperation", wait, timeout=65).reply, pb.TransformResponse()
    assert done.response.Unpack(reply), done
    assert reply == together
    stored = call(channel, "GetProjection", pb.GetProjectionRequest(name=f"map-{method}")).reply.result
    assert numbers(stored.coordinates).tobytes() == places.tobytes()


def test_far_rows_and_rows_without_direction(channel: grpc.Channel) -> None:
    made(channel, "edges", "umap")
    odd = np.concatenate([-10 * ROWS[:1], np.zeros((1, 10), np.float32), ROWS[:1]])
    reply = transform(channel, "edges", source_of(*odd)).reply
    assert reply.space_check == pb.SPACE_CHECK_UNCHECKED
    assert list(reply.zero_rows) == [1]
    assert 2 not in reply.far_rows
    assert np.isfinite(numbers(reply.coordinates)).all()
    assert np.frombuffer(reply.nearest_rows.data, "<i4")[1] == -1


def test_what_is_wrong(channel: grpc.Channel) -> None:
    made(channel, "asked", "pca")
    cases = [
        ("", source_of(*NEW), {}, "INVALID_ARGUMENT", "NAME_INVALID", "projection"),
        ("clusterings/a", source_of(*NEW), {}, "INVALID_ARGUMENT", "NAME_INVALID", "projection"),
        ("none", source_of(*NEW), {}, "NOT_FOUND", "PROJECTION_NOT_FOUND", "projection"),
        ("asked", source_of(*NEW[:, :3]), {}, "INVALID_ARGUMENT", "DIMENSION_MISMATCH", "source"),
        ("asked", source_of(*NEW, space="t"), {}, "FAILED_PRECONDITION", "SPACE_MISMATCH", "source"),
        (
            "asked",
            source_of(*NEW),
            {"max_response_bytes": 4100},
            "INVALID_ARGUMENT",
            "RESPONSE_TOO_LARGE",
            "max_response_bytes",
        ),
        ("asked", texts("a", model="none"), {}, "NOT_FOUND", "MODEL_NOT_FOUND", "source.options.model"),
    ]
    for name, source, more, code, reason, field in cases:
        outcome = transform(channel, name, source, **more)
        assert (outcome.code, outcome.reason, outcome.field) == (code, reason, field), outcome


def test_a_map_lies_as_another_does(channel: grpc.Channel) -> None:
    made(channel, "anchor", "umap")
    turned = (ROWS @ np.linalg.qr(RANDOM.normal(size=(10, 10)))[0]).astype(np.float32)
    again = made(
        channel, "aligned", source=source_of(*turned, space="other"), aligned_to="projections/anchor"
    )
    assert 0 <= again.quality.alignment_disparity < 0.5
    for change, code, reason, field in (
        ({"source": source_of(*ROWS[:70])}, "INVALID_ARGUMENT", "ROWS_MISMATCH", "aligned_to"),
        ({"aligned_to": "none"}, "NOT_FOUND", "PROJECTION_NOT_FOUND", "aligned_to"),
        ({"n_components": 3}, "INVALID_ARGUMENT", "WRONG_COMBINATION", "n_components"),
        ({"method": METHODS["tsne"]}, "INVALID_ARGUMENT", "WRONG_COMBINATION", "aligned_to"),
    ):
        asked = {"source": source_of(*turned), "aligned_to": "anchor", **change}
        outcome = call(channel, "Project", pb.ProjectRequest(**asked))
        assert (outcome.code, outcome.reason, outcome.field) == (code, reason, field), outcome


def test_labels_that_are_not_known_pull_nothing(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, run = [], WorkerPool.run

    async def noted(pool: WorkerPool, asked: Any, arrays: Any, **more: Any) -> Any:
        seen.append(arrays["labels"].tolist())
        return await run(pool, asked, arrays, **more)

    monkeypatch.setattr(WorkerPool, "run", noted)
    labels = ["", "a", "b", "", *["a"] * 76]
    source = source_of(*ROWS)
    assert (
        call(channel, "Project", pb.ProjectRequest(source=source, labels=labels, supervised=True)).code
        == "OK"
    )
    assert call(channel, "Project", pb.ProjectRequest(source=source, labels=labels)).code == "OK"
    assert (seen[0][:4], seen[1][:4]) == ([-1, 0, 1, -1], [0, 1, 2, 0])


@pytest.mark.parametrize("end", ["delete", "overwrite"])
def test_a_map_that_goes_while_rows_are_placed(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    made(channel, "going", "pca")
    expected = transform(channel, "going", source_of(*NEW)).reply
    run = WorkerPool.run

    async def late(pool: WorkerPool, asked: Any, arrays: Any, **more: Any) -> Any:
        if asked.name == "transform":
            import asyncio

            await asyncio.to_thread(gone)
        return await run(pool, asked, arrays, **more)

    def gone() -> None:
        if end == "delete":
            assert call(channel, "DeleteProjection", pb.DeleteProjectionRequest(name="going")).code == "OK"
        else:
            made(channel, "going", "pca", source=source_of(*(ROWS[:40] * np.float32(2))))

    monkeypatch.setattr(WorkerPool, "run", late)
    placed = transform(channel, "going", source_of(*NEW))
    assert placed.code == "OK"
    assert placed.reply.coordinates == expected.coordinates
    monkeypatch.undo()
    after = transform(channel, "going", source_of(*NEW))
    assert after.code == ("NOT_FOUND" if end == "delete" else "OK")


def _serving(data: Path, *names: str) -> Any:
    models = [fake_model(name, 3 if name == "reviews" else 4) for name in names]
    return serving(*models, analysis_workers=1, data=data)


def _placed(server: Serving) -> list[bytes]:
    with server.channel() as channel:
        ready(channel)
        one = transform(channel, "of-texts", texts("word 3", "quite another", TEXTS[4]))
        two = call(
            channel,
            "AssignClusters",
            pb.AssignClustersRequest(source=texts("word 3", TEXTS[4]), clustering="topics"),
        )
        assert (one.code, two.code) == ("OK", "OK"), (one, two)
        assert one.reply.space_check == two.reply.space_check == pb.SPACE_CHECK_EQUAL
        assert one.reply.provenance.model == "models/reviews/versions/3"
        assert one.reply.provenance.pooling == common_pb2.POOLING_MEAN
        return [
            one.reply.coordinates.data,
            one.reply.distances.data,
            two.reply.labels.data,
            two.reply.distances.data,
        ]


def test_texts_are_embedded_as_those_of_the_map_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    data = data_that_is_warm(tmp_path / "data")
    source = common_pb2.Source(texts=common_pb2.TextList(texts=TEXTS), options=MEAN)
    with _serving(data, "reviews", "other") as server:
        with server.channel() as channel:
            ready(channel)
            places = numbers(made(channel, "of-texts", source=source).coordinates)
            clusters = pb.ClusterRequest(source=source, name="topics", n_clusters=3)
            assert call(channel, "Cluster", clusters).code == "OK"
            own = transform(channel, "of-texts", texts(*TEXTS[:5])).reply
            assert numbers(own.coordinates) == pytest.approx(places[:5], abs=1e-4)
            # What is said counts: another pooling is another space.
            wrong = transform(channel, "of-texts", texts("a", pooling=common_pb2.POOLING_CLS))
            assert (wrong.code, wrong.reason) == ("FAILED_PRECONDITION", "SPACE_MISMATCH")
            wrong = transform(channel, "of-texts", texts("a", model="other"))
            assert (wrong.code, wrong.reason) == ("FAILED_PRECONDITION", "SPACE_MISMATCH")
        before = _placed(server)
    with _serving(data, "reviews", "other") as server:
        assert _placed(server) == before
    with _serving(data, "other") as server, server.channel() as channel:
        gone = transform(channel, "of-texts", texts("a"))
        assert (gone.code, gone.reason, gone.field) == (
            "FAILED_PRECONDITION",
            "MODEL_GONE",
            "source.options.model",
        )
        assert gone.metadata["model"] == "models/reviews/versions/3"
        gone = call(
            channel, "GrowClustering", pb.GrowClusteringRequest(source=texts("a"), clustering="topics")
        )
        assert gone.reason == "MODEL_GONE"


def test_texts_are_embedded_as_those_of_the_set_that_the_map_is_of(channel: grpc.Channel) -> None:
    asked = datasets.CreateDatasetRequest(name="embedded", options=MEAN)
    assert call(channel, "CreateDataset", asked).code == "OK"
    rows = datasets.Rows(ids=[str(i) for i in range(30)], texts=TEXTS)
    channel.stream_unary("/penult.v1.DatasetService/AppendRows")(
        iter([datasets.AppendRowsRequest(name="embedded", rows=rows).SerializeToString()]), timeout=30
    )
    places = numbers(made(channel, "of-set", "pca", source=common_pb2.Source(dataset="embedded")).coordinates)
    call(channel, "DeleteDataset", datasets.DeleteDatasetRequest(name="embedded"))
    own = transform(channel, "of-set", texts(*TEXTS[:5])).reply
    assert numbers(own.coordinates) == pytest.approx(places[:5], abs=1e-4)
    assert own.space_check == pb.SPACE_CHECK_EQUAL
    assert (own.projection.source.dataset, own.projection.source.rows) == ("datasets/embedded", 30)


def test_what_an_earlier_release_stored_is_read_and_takes_no_new_rows(tmp_path: Path) -> None:
    data = shutil.copytree(FIXTURE, tmp_path / "data")
    with serving(fake_model("reviews", 3), data=data) as server, server.channel() as channel:
        found = call(channel, "GetProjection", pb.GetProjectionRequest(name="map")).reply.result
        assert not found.HasField("row_neighbors_kept")
        columns = call(channel, "GetClustering", pb.GetClusteringRequest(name="topics")).reply.result
        assert [each.event for each in columns.history] == ["made"]
        assert list(columns.history[0].labels) == [each.label for each in columns.clusters]
        source = source_of([1.0, 2.0])
        refused = [
            (transform(channel, "map", source), "CANNOT_TRANSFORM", "projection"),
            (
                call(channel, "AssignClusters", pb.AssignClustersRequest(source=source, clustering="topics")),
                "CANNOT_ASSIGN",
                "clustering",
            ),
            (
                call(channel, "GrowClustering", pb.GrowClusteringRequest(source=source, clustering="topics")),
                "CANNOT_ASSIGN",
                "clustering",
            ),
            (
                call(
                    channel,
                    "EditClustering",
                    pb.EditClusteringRequest(clustering="topics", merge=pb.MergeClusters(labels=[0, 1])),
                ),
                "CANNOT_ASSIGN",
                "clustering",
            ),
        ]
        for outcome, reason, field in refused:
            assert (outcome.code, outcome.reason, outcome.field) == ("FAILED_PRECONDITION", reason, field)
            assert "make it again" in outcome.message
        named = call(
            channel,
            "EditClustering",
            pb.EditClusteringRequest(clustering="topics", names=pb.NameClusters(names={0: "first"})),
        ).reply.result
        assert [each.event for each in named.history] == ["made", "named"]
        assert named.clusters[0].name == "first"
        assert named.labels == columns.labels
