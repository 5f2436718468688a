"""Both clients and sets: against the real server, and against a scripted one where things break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import penult_client
import pyarrow as pa
import pytest
from penult.v1 import dataset_service_pb2 as pb
from penult.v1 import server_service_pb2 as server_pb
from penult_client import Dataset
from penult_client._core import datasets
from support import wire_server
from support.fakes import fake_model
from support.flavours import Flavour
from support.serving import serving
from support.wire_server import Script, status

UNAVAILABLE = status(grpc.StatusCode.UNAVAILABLE, "gone for a moment")
MATRIX = np.random.default_rng(1).normal(size=(200, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    with serving(fake_model("reviews", 3)) as server:
        yield server.address


@pytest.fixture
def scripted(script: Script) -> Iterator[str]:
    server, where = wire_server.start(script)
    yield where
    server.stop(0).wait()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rows a message, forty a stream."""
    row = 6 * 4 + datasets._ROW_BYTES + 3
    monkeypatch.setattr(datasets, "MESSAGE_BYTES", 10 * row)
    monkeypatch.setattr(datasets, "STREAM_BYTES", 40 * row)


def batches(flavour: Flavour, found: object) -> list[penult_client.DatasetRows]:
    if flavour.kind == "sync":
        return list(found)  # type: ignore[call-overload]

    async def gather() -> list[penult_client.DatasetRows]:
        return [rows async for rows in found]  # type: ignore[attr-defined]

    return flavour.run(gather())


def test_up_and_down_again(flavour, real):
    client, name = flavour.client(real), f"whole-{flavour.kind}"
    texts = [None if i % 4 == 0 else f"text {i} é" for i in range(200)]
    columns = {
        "word": ["NA", "null", "007", None] * 50,
        "n": [2**63 - 1, -(2**63), None, 0] * 50,
        "x": np.linspace(0, 1, 200, dtype=np.float32),
        "ok": np.arange(200) % 2 == 0,
    }
    made = flavour.run(client.upload(name, MATRIX, texts, columns))
    assert isinstance(made, Dataset)
    assert (made.name, made.rows, made.dimension, made.durable, made.space) == (name, 200, 6, False, "")
    assert made.columns == {"word": "string", "n": "int64", "x": "float64", "ok": "bool"}
    assert made.created <= made.updated
    rows = flavour.run(client.read(name))
    np.testing.assert_array_equal(rows.vectors, MATRIX)
    assert rows.vectors.dtype == np.float32
    assert (rows.ids, rows.texts, len(rows)) == ([str(i) for i in range(200)], texts, 200)
    assert rows.columns["word"] == columns["word"]
    assert rows.columns["n"] == columns["n"]
    assert rows.columns["x"] == columns["x"].astype(np.float64).tolist()
    assert rows.columns["ok"] == columns["ok"].tolist()
    some = flavour.run(client.read(Dataset(name), ["n", "id"]))
    assert (some.vectors, some.texts, list(some.columns)) == (None, None, ["n"])
    parts = batches(flavour, client.read_batches(name, ["vector"]))
    np.testing.assert_array_equal(np.concatenate([part.vectors for part in parts]), MATRIX)
    table = rows.to_arrow()
    assert table.column_names == ["id", "text", "vector", "word", "n", "x", "ok"]
    again = flavour.run(
        client.upload(f"{name}-2", table["vector"], table["text"], table.drop(["id", "text", "vector"]))
    )
    assert flavour.run(client.read(again)).to_arrow().equals(table)
    found = {each.name: each for each in flavour.run(client.datasets())}
    assert found[name] == flavour.run(client.dataset(name)) == made
    flavour.run(client.delete_dataset(name))
    with pytest.raises(penult_client.NotFoundError, match="no set") as caught:
        flavour.run(client.read(name))
    assert caught.value.reason == "DATASET_NOT_FOUND"


def test_the_same_upload_goes_on_and_another_is_refused(flavour, real):
    client, name = flavour.client(real), f"again-{flavour.kind}"
    first = flavour.run(client.upload(name, MATRIX, columns={"n": range(200)}))
    again = flavour.run(client.upload(name, MATRIX, columns={"n": range(200)}))
    assert (again.rows, again.generation) == (200, first.generation)
    with pytest.raises(penult_client.AlreadyExistsError):
        flavour.run(client.upload(name, MATRIX[:100]))
    fresh = flavour.run(client.upload(name, MATRIX[:100], overwrite=True))
    assert fresh.rows == 100
    assert fresh.generation != first.generation


def test_texts_and_spaces(flavour, real):
    client, name = flavour.client(real), f"texts-{flavour.kind}"
    texts = [f"words {i}" for i in range(30)]
    made = flavour.run(client.upload(name, texts, columns={"n": range(30)}, pooling="mean", normalize=True))
    assert (made.model, made.pooling, made.normalized) == ("reviews@3", "mean", True)
    embedded = flavour.run(client.embed(texts, pooling="mean", normalize=True))
    assert made.space == embedded.space
    np.testing.assert_allclose(flavour.run(client.read(name)).vectors, embedded.vectors, atol=1e-6)
    more = flavour.run(client.append(made, ["words 3", "new"], ids=[3, "x"], columns={"n": [3, 99]}))
    assert (more.added, more.already_there, more.space_checked, more.dataset.rows) == (1, 1, True, 31)
    found = flavour.run(client.similarity(embedded, Dataset(name)))
    assert found.space_checked
    np.testing.assert_allclose(np.diag(found.scores[:, :30]), 1, atol=1e-6)
    other = flavour.run(client.embed(texts))
    with pytest.raises(penult_client.PreconditionError) as caught:
        flavour.run(client.append(name, other, ids=range(100, 130)))
    assert caught.value.reason == "SPACE_MISMATCH"
    with pytest.raises(penult_client.PreconditionError) as caught:
        flavour.run(client.similarity(other, Dataset(name)))
    assert caught.value.reason == "SPACE_MISMATCH"
    with pytest.raises(penult_client.NotFoundError) as missing:
        flavour.run(client.cluster(Dataset("nobody"), labels=["a", "b"]))
    assert missing.value.field == "source.dataset"


@pytest.mark.usefixtures("small")
def test_rows_are_sent_again_after_a_break_and_none_is_there_twice(flavour, scripted, script):
    client = flavour.client(scripted)
    script.fail("AppendRows", *[None] * 6, UNAVAILABLE, *[None] * 9, UNAVAILABLE, UNAVAILABLE)
    told: list[tuple[int, int]] = []
    made = flavour.run(client.upload("a", MATRIX, progress=lambda *at: told.append(at)))
    assert made.rows == 200
    assert told == [(n, 200) for n in (40, 80, 120, 160, 200)]
    sent = [int(key) for request in script.asked("AppendRows") for key in request.rows.ids]
    assert sorted(set(sent)) == list(range(200))
    assert len(sent) > 200
    script.fail("ReadRows", *[None] * 50, UNAVAILABLE, None, UNAVAILABLE)
    rows = flavour.run(client.read("a", ["id", "vector"]))
    assert rows.ids == [str(i) for i in range(200)]
    np.testing.assert_array_equal(rows.vectors, MATRIX)


@pytest.mark.usefixtures("small")
def test_an_error_names_the_callers_row(flavour, scripted, script):
    client = flavour.client(scripted)
    wrong = status(
        grpc.StatusCode.INVALID_ARGUMENT,
        "ids[7]: a row '87' is there already; row 7 of vectors",
        reason="ID_CONFLICT",
        field="rows.ids[7]",
    )
    script.fail("AppendRows", *[None] * 8, wrong)
    with pytest.raises(penult_client.InvalidInputError) as caught:
        flavour.run(client.upload("a", MATRIX))
    assert (caught.value.field, caught.value.index) == ("ids[87]", 87)
    assert caught.value.message == "ids[87]: a row '87' is there already; row 87 of vectors"


def test_a_set_that_is_overwritten_while_it_is_read(flavour):
    before = pb.Dataset(name="datasets/a", rows=200, dimension=6, generation="before")
    replies = {
        "GetDataset": pb.GetDatasetResponse(dataset=before),
        "GetServerInfo": server_pb.GetServerInfoResponse(limits=server_pb.Limits(**wire_server.LIMITS)),
        "ReadRows": [pb.ReadRowsResponse(dataset=pb.Dataset(generation="after"))],
    }
    client = flavour.mocked(lambda method, _: replies[method])
    with pytest.raises(penult_client.PreconditionError) as caught:
        flavour.run(client.read("a"))
    assert caught.value.reason == "DATASET_OVERWRITTEN"


def test_what_is_stored_is_there_after_a_restart(tmp_path: Path):
    for start in (True, False):
        with (
            serving(fake_model("reviews", 3), data=tmp_path) as server,
            penult_client.Client(server.address) as client,
        ):
            if start:
                assert client.upload("kept", MATRIX).durable
                continue
            np.testing.assert_array_equal(client.read("kept").vectors, MATRIX)


def test_arrow_columns_in(real):
    with penult_client.Client(real) as client:
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(MATRIX[:4].reshape(-1)), 6)
        table = pa.table({"a": [1, None, 3, 4], "b": ["x", None, "", "z"]})
        client.upload("arrow", vectors, columns=table, ids=pa.array(["p", "q", "r", "s"]), overwrite=True)
        found = client.read("arrow")
    assert found.ids == ["p", "q", "r", "s"]
    assert found.columns == {"a": [1, None, 3, 4], "b": ["x", None, "", "z"]}
    np.testing.assert_array_equal(found.vectors, MATRIX[:4])
