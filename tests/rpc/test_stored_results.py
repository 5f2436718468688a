"""Maps and clusterings stored by name: over a socket, over a restart, through both clients."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import penult_client
import pytest
from google.protobuf.json_format import MessageToDict
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2
from penult_client import Dataset
from penult_service.analysis.workers.pool import WorkerPool
from penult_service.rpc.analysis import keeping, service
from support.calling import Outcome, call
from support.fakes import fake_model
from support.flavours import Flavour
from support.pools import data_that_is_warm
from support.serving import Serving, open_channel, serving, wait_until

FIXTURE = Path(__file__).parents[1] / "fixtures" / "storage-0.1"
ROWS, WIDTH = 60, 8
MATRIX = np.random.default_rng(6).normal(size=(ROWS, WIDTH)).astype(np.float32)
LABELS = [str(i % 3) for i in range(ROWS)]


@pytest.fixture
def channel(analysing: str) -> Iterator[grpc.Channel]:
    with open_channel(analysing) as opened:
        _warm(opened)
        yield opened


@pytest.fixture
def flavours() -> Iterator[dict[str, Flavour]]:
    made = {kind: Flavour(kind) for kind in ("sync", "async")}
    yield made
    for each in made.values():
        each.end()


def _source() -> common_pb2.Source:
    rows = common_pb2.Vectors(rows=ROWS, columns=WIDTH, data=MATRIX.tobytes(), embedding_space="space-1")
    return common_pb2.Source(vectors=rows)


def _map(name: str, **more: Any) -> pb.ProjectRequest:
    return pb.ProjectRequest(source=_source(), method=pb.PROJECTION_METHOD_PCA, name=name, **more)


def _clusters(name: str, **more: Any) -> pb.ClusterRequest:
    return pb.ClusterRequest(source=_source(), n_clusters=4, name=name, labels=LABELS, **more)


def _warm(channel: grpc.Channel) -> None:
    wait_until(lambda: call(channel, "Project", _map("")).reason != "ANALYSIS_WARMING", 120)


def _without_stored(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    for field in {"stored", "history"} & set(copy.DESCRIPTOR.fields_by_name):
        copy.ClearField(field)
    return copy


@pytest.mark.parametrize(
    ("make", "word", "words", "request_of", "last"),
    [
        ("Project", "Projection", "Projections", _map, "explained_variance"),
        ("Cluster", "Clustering", "Clusterings", _clusters, "agreement"),
    ],
)
def test_stored_got_listed_deleted(channel, make, word, words, request_of, last):
    plain = call(channel, make, request_of("")).reply
    assert not plain.HasField("stored")
    assert getattr(plain, last)
    done = call(channel, make, request_of(f"{words.lower()}/one"))
    stored = done.reply.stored
    assert _without_stored(done.reply) == plain
    assert (stored.name, stored.durable) == (f"{words.lower()}/one", False)
    assert (stored.source.rows, stored.source.embedding_space) == (ROWS, "space-1")
    assert (stored.source.dataset, stored.source.id_digest) == ("", "")
    assert stored.versions["penult"] == penult_client.__version__
    assert {"numpy", "umap-learn", "scikit-learn"} <= set(stored.versions)
    assert stored.create_time.seconds
    assert stored.size_bytes
    used = MessageToDict(stored.parameters)
    assert used["metric"] == plain.used["metric"]
    assert set(used) >= set(plain.used)
    for name in ("one", f"{words.lower()}/one"):
        found = call(channel, f"Get{word}", getattr(pb, f"Get{word}Request")(name=name))
        assert found.reply.result == done.reply
    small = call(channel, f"Get{word}", getattr(pb, f"Get{word}Request")(name="one", max_response_bytes=100))
    assert (small.code, small.reason) == ("INVALID_ARGUMENT", "RESPONSE_TOO_LARGE")

    assert call(channel, make, request_of("two")).code == "OK"
    pages, token = [], ""
    for _ in range(2):
        page = call(
            channel, f"List{words}", getattr(pb, f"List{words}Request")(page_size=1, page_token=token)
        )
        pages += [each.name for each in getattr(page.reply, words.lower())]
        token = page.reply.next_page_token
    assert (pages, token) == ([f"{words.lower()}/one", f"{words.lower()}/two"], "")
    wrong = call(channel, f"List{words}", getattr(pb, f"List{words}Request")(page_size=-1))
    assert (wrong.code, wrong.field) == ("INVALID_ARGUMENT", "page_size")

    for name in ("one", "two"):
        delete = getattr(pb, f"Delete{word}Request")(name=name)
        assert call(channel, f"Delete{word}", delete).code == "OK"
        gone = call(channel, f"Delete{word}", delete)
        assert (gone.code, gone.reason) == ("NOT_FOUND", f"{word.upper()}_NOT_FOUND")
        gone = call(channel, f"Get{word}", getattr(pb, f"Get{word}Request")(name=name))
        assert (gone.code, gone.field) == ("NOT_FOUND", "name")


def test_a_name_that_is_taken_costs_nothing(channel, monkeypatch):
    first = call(channel, "Project", _map("taken", request_id="r-1")).reply
    computed = []
    run = WorkerPool.run

    async def counted(pool: WorkerPool, *given: Any, **more: Any) -> Any:
        computed.append(given)
        return await run(pool, *given, **more)

    monkeypatch.setattr(WorkerPool, "run", counted)
    taken = call(channel, "Project", _map("taken"))
    assert (taken.code, taken.reason, taken.field) == ("ALREADY_EXISTS", "PROJECTION_EXISTS", "name")
    assert call(channel, "Project", _map("taken", request_id="r-2")).code == "ALREADY_EXISTS"
    again = call(channel, "Project", _map("taken", request_id="r-1"))
    assert again.reply == first
    assert computed == []
    # A clustering may have the name of a map.
    assert call(channel, "Cluster", _clusters("taken")).code == "OK"
    replaced = call(channel, "Project", _map("taken", overwrite=True, n_components=3))
    assert len(computed) == 2
    assert replaced.reply.coordinates.columns == 3
    found = call(channel, "GetProjection", pb.GetProjectionRequest(name="taken")).reply.result
    assert found == replaced.reply
    call(channel, "DeleteProjection", pb.DeleteProjectionRequest(name="taken"))
    call(channel, "DeleteClustering", pb.DeleteClusteringRequest(name="taken"))


def test_what_cannot_be_answered_is_not_stored(channel, monkeypatch):
    # Too small before it is computed, and after: what tells where it is stored does not fit any more.
    monkeypatch.setattr(service, "STORED_BYTES", 4400)
    for size, plain in ((4000, "INVALID_ARGUMENT"), (4900, "OK")):
        assert call(channel, "Project", _map("", max_response_bytes=size)).code == plain
        refused = call(channel, "Project", _map("large", max_response_bytes=size))
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "RESPONSE_TOO_LARGE")
        assert call(channel, "GetProjection", pb.GetProjectionRequest(name="large")).code == "NOT_FOUND"


def test_asked_again_while_the_first_is_being_stored(channel, monkeypatch):
    first = call(channel, "Project", _map("twice", request_id="r-1")).reply
    monkeypatch.setattr(keeping, "_there", lambda *_: None)
    again = call(channel, "Project", _map("twice", request_id="r-1"))
    assert again.reply == first
    other = call(channel, "Project", _map("twice", request_id="r-2"))
    assert (other.code, other.reason) == ("ALREADY_EXISTS", "PROJECTION_EXISTS")
    call(channel, "DeleteProjection", pb.DeleteProjectionRequest(name="twice"))


def test_wrong_names(channel):
    refused: list[tuple[Outcome, str, str]] = [
        (call(channel, "Project", _map("No Name")), "NAME_INVALID", "name"),
        (call(channel, "Project", _map("projections/")), "NAME_INVALID", "name"),
        (call(channel, "Project", _map("../up")), "NAME_INVALID", "name"),
        (call(channel, "Cluster", _clusters("projections/a")), "NAME_INVALID", "name"),
        (call(channel, "Project", _map("", overwrite=True)), "WRONG_COMBINATION", "overwrite"),
        (call(channel, "Project", _map("a", request_id="x" * 257)), "OUT_OF_RANGE", "request_id"),
        (call(channel, "GetProjection", pb.GetProjectionRequest()), "NAME_INVALID", "name"),
        (call(channel, "DeleteClustering", pb.DeleteClusteringRequest(name="a/b")), "NAME_INVALID", "name"),
    ]
    for outcome, reason, field in refused:
        assert (outcome.code, outcome.reason, outcome.field) == ("INVALID_ARGUMENT", reason, field)
    assert not call(channel, "ListProjections", pb.ListProjectionsRequest()).reply.projections


def _serving(data: Path) -> Any:
    return serving(fake_model("reviews", 3), analysis_workers=1, data=data)


def _ready(server: Serving) -> None:
    with server.channel() as opened:
        _warm(opened)


def test_they_outlive_the_server(flavours, tmp_path):
    """Made through one client, found by the other."""
    data, flavour = data_that_is_warm(tmp_path / "data"), flavours["async"]
    texts = [f"text {i}" for i in range(20)]
    with _serving(data) as server:
        _ready(server)
        client = flavour.client(server.address)
        flavour.run(client.upload("rows", MATRIX, space="space-1"))
        made = flavour.run(client.project(Dataset("rows"), method="umap", min_dist=0.123456789, name="map"))
        assert made.stored.durable
        assert (made.stored.name, made.stored.dataset, made.stored.rows) == ("map", "rows", ROWS)
        there = flavour.run(client.dataset("rows"))
        assert (made.stored.generation, made.stored.space) == (there.generation, "space-1")
        assert made.stored.parameters["min_dist"] == 0.123456789
        of_texts = flavour.run(client.cluster(texts, n_clusters=3, name="topics"))
        assert of_texts.stored.space == of_texts.space
        with pytest.raises(penult_client.AlreadyExistsError):
            flavour.run(client.cluster(texts, name="topics"))
        with pytest.raises(penult_client.InvalidInputError, match="overwrite"):
            flavour.run(client.cluster(texts, overwrite=True))
        with pytest.raises(penult_client.InputTypeError):
            flavour.run(client.cluster(texts, name=""))
    flavour = flavours["sync"]
    with serving(fake_model("reviews", 3), data=data) as server:
        client = flavour.client(server.address)
        found = flavour.run(client.projection("map"))
        assert found.coordinates.tobytes() == made.coordinates.tobytes()
        assert (found.quality, found.used, found.stored) == (made.quality, made.used, made.stored)
        clusters = flavour.run(client.clustering("topics"))
        assert clusters.labels.tobytes() == of_texts.labels.tobytes()
        assert [each.tolist() for each in clusters.nearest] == [each.tolist() for each in of_texts.nearest]
        assert (clusters.model, clusters.version, clusters.digest) == ("reviews", 3, of_texts.digest)
        assert flavour.run(client.projections()) == [made.stored]
        assert flavour.run(client.clusterings()) == [of_texts.stored]
        (array,) = (data / "projections" / "map").rglob("coordinates.npy")
        array.write_bytes(array.read_bytes()[:-1] + b"\x7f")
        with pytest.raises(penult_client.DataLossError):
            flavour.run(client.projection("map"))
        flavour.run(client.delete_projection("map"))
        flavour.run(client.delete_clustering("topics"))
        assert flavour.run(client.projections()) == flavour.run(client.clusterings()) == []
        with pytest.raises(penult_client.NotFoundError):
            flavour.run(client.projection("map"))


@pytest.mark.usefixtures("channel")
def test_the_ids_of_a_set_are_named(analysing):
    with penult_client.Client(analysing) as client:
        client.upload("named", MATRIX, ids=[f"r{i}" for i in range(ROWS)], overwrite=True)
        one = client.project(Dataset("named"), method="pca", name="named-1")
        client.append("named", MATRIX[:3], ids=["x", "y", "z"])
        more = client.project(Dataset("named"), method="pca", name="named-2")
        assert (one.stored.rows, more.stored.rows) == (ROWS, ROWS + 3)
        assert one.stored.id_digest != more.stored.id_digest
        assert len(one.stored.id_digest) == 64
        assert client.projection("named-1").coordinates.tobytes() == one.coordinates.tobytes()
        for name in ("named-1", "named-2"):
            client.delete_projection(name)


def test_results_of_an_earlier_release_are_told(tmp_path):
    data = shutil.copytree(FIXTURE, tmp_path / "data")
    with (
        serving(fake_model("reviews", 3), data=data) as server,
        penult_client.Client(server.address) as client,
    ):
        made = client.projection("map")
        assert made.quality.trustworthiness == 0.75
        assert made.used["n_neighbors"] == "15"
        clusters = client.clustering("topics")
        assert clusters.labels.tolist() == [0, 0, 1, -1, 1, 0, 2]
        assert clusters.stored.dataset == "folded"
