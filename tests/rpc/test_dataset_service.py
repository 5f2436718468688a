"""Sets over a socket, by any client: raw messages out, replies or rich statuses back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from google.longrunning import operations_pb2 as lro
from penult.v1 import common_pb2
from penult.v1 import dataset_service_pb2 as pb
from support.calling import Outcome, call, outcome_of
from support.fakes import fake_model
from support.served import log_of, served
from support.serving import NOT_SERVING, SERVING, health, open_channel, serving, wait_until

SERVICE = "penult.v1.DatasetService"


@pytest.fixture(scope="module")
def module_address() -> Iterator[str]:
    with serving(fake_model("reviews", 3)) as server:
        yield server.address


@pytest.fixture
def channel(module_address: str) -> Iterator[grpc.Channel]:
    with open_channel(module_address) as opened:
        yield opened


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return request.node.name.lower().replace("[", "-").replace("]", "")[-63:].strip("-_")


def packed(matrix: np.ndarray, space: str = "") -> common_pb2.Vectors:
    rows, columns = matrix.shape
    return common_pb2.Vectors(
        rows=rows, columns=columns, data=matrix.astype("<f4").tobytes(), embedding_space=space
    )


def vectors(first: int, count: int, width: int = 4) -> np.ndarray:
    return (np.arange(first, first + count)[:, None] + np.arange(width) / 8).astype(np.float32)


def rows(first: int, count: int, width: int = 4, **more: Any) -> pb.Rows:
    return pb.Rows(
        ids=[f"r{i}" for i in range(first, first + count)],
        vectors=packed(vectors(first, count, width)),
        **more,
    )


def create(channel: grpc.Channel, name: str, **more: Any) -> Outcome:
    return call(channel, "CreateDataset", pb.CreateDatasetRequest(name=name, **more))


def append(channel: grpc.Channel, *messages: pb.AppendRowsRequest | bytes, timeout: float = 30) -> Outcome:
    data = (each if isinstance(each, bytes) else each.SerializeToString() for each in messages)
    try:
        reply = channel.stream_unary(f"/{SERVICE}/AppendRows")(data, timeout=timeout)
    except grpc.RpcError as error:
        return outcome_of(error)
    return Outcome("OK", reply=pb.AppendRowsResponse.FromString(reply))


def added(channel: grpc.Channel, name: str, *parts: pb.Rows) -> Outcome:
    return append(
        channel,
        *(pb.AppendRowsRequest(name=name if i == 0 else "", rows=part) for i, part in enumerate(parts)),
    )


def reading(
    channel: grpc.Channel, name: str, timeout: float = 30, **asked: Any
) -> Iterable[pb.ReadRowsResponse]:
    request = pb.ReadRowsRequest(name=name, **asked).SerializeToString()
    return channel.unary_stream(f"/{SERVICE}/ReadRows", response_deserializer=pb.ReadRowsResponse.FromString)(
        request, timeout=timeout
    )


def failure(messages: Iterable[Any]) -> Outcome:
    with pytest.raises(grpc.RpcError) as caught:
        list(messages)
    return outcome_of(caught.value)


def test_rows_come_back_in_order_as_they_were_sent(channel: grpc.Channel, name: str) -> None:
    columns = [
        pb.ColumnSpec(name="label", type=pb.COLUMN_TYPE_STRING),
        pb.ColumnSpec(name="n", type=pb.COLUMN_TYPE_INT64),
        pb.ColumnSpec(name="x", type=pb.COLUMN_TYPE_FLOAT64),
        pb.ColumnSpec(name="ok", type=pb.COLUMN_TYPE_BOOL),
    ]
    made = create(channel, f"datasets/{name}", columns=columns)
    assert made.code == "OK", made
    assert (made.reply.dataset.name, made.reply.dataset.durable) == (f"datasets/{name}", False)
    first = rows(
        0,
        3,
        texts=["é", "", "NA"],
        null_texts=[1],
        columns=[
            pb.Column(name="label", strings=pb.StringValues(values=["a", "", "b"]), null_rows=[1]),
            pb.Column(name="n", int64s=pb.Int64Values(values=[-(2**63), 2**63 - 1, 0])),
            pb.Column(name="x", doubles=pb.DoubleValues(values=[float("nan"), 0.1, 0]), null_rows=[2]),
            pb.Column(name="ok", bools=pb.BoolValues(values=[True, False, True]), null_rows=[2]),
        ],
    )
    outcome = added(channel, name, first, rows(3, 2))
    assert outcome.code == "OK", outcome
    assert (outcome.reply.added, outcome.reply.already_there, outcome.reply.dataset.rows) == (5, 0, 5)
    assert not outcome.reply.space_checked
    head, *messages = reading(channel, name)
    assert (head.dataset.rows, head.dataset.dimension, head.dataset.columns[3].name) == (5, 4, "ok")
    assert [m.first_row for m in messages] == [0]
    (found,) = (m.rows for m in messages)
    assert list(found.ids) == ["r0", "r1", "r2", "r3", "r4"]
    np.testing.assert_array_equal(np.frombuffer(found.vectors.data, "<f4").reshape(5, 4), vectors(0, 5))
    assert (list(found.texts), list(found.null_texts)) == (["é", "", "NA", "", ""], [1, 3, 4])
    label, n, x, ok = found.columns
    assert (list(label.strings.values), list(label.null_rows)) == (["a", "", "b", "", ""], [1, 3, 4])
    assert (list(n.int64s.values)[:3], list(n.null_rows)) == ([-(2**63), 2**63 - 1, 0], [3, 4])
    assert np.isnan(x.doubles.values[0])
    assert (x.doubles.values[1], list(x.null_rows)) == (0.1, [2, 3, 4])
    assert (list(ok.bools.values)[:2], list(ok.null_rows)) == ([True, False], [2, 3, 4])


def test_columns_and_a_range_are_chosen_and_messages_are_small(channel: grpc.Channel, name: str) -> None:
    create(channel, name)
    added(channel, name, rows(0, 500, 64, texts=["t" * (i % 700) for i in range(500)]))
    messages = list(
        reading(channel, name, columns=["text", "vector"], first_row=7, row_count=400, max_message_bytes=8192)
    )
    assert all(m.ByteSize() <= 8192 for m in messages)
    assert [m.first_row for m in messages[1:]] == (
        7 + np.cumsum([0, *(m.row_count for m in messages[1:-1])])
    ).tolist()
    assert sum(m.row_count for m in messages) == 400
    texts = [text for m in messages for text in m.rows.texts]
    assert texts == ["t" * (i % 700) for i in range(7, 407)]
    assert not any(m.rows.ids for m in messages)
    long = failure(reading(channel, name, columns=["nothing"]))
    assert (long.code, long.reason) == ("INVALID_ARGUMENT", "COLUMN_UNKNOWN")
    beyond = failure(reading(channel, name, first_row=501))
    assert (beyond.code, beyond.reason, beyond.field) == ("INVALID_ARGUMENT", "OUT_OF_RANGE", "first_row")
    added(channel, name, rows(500, 1, 64, texts=["x" * 9000]))
    large = failure(reading(channel, name, max_message_bytes=8192))
    assert (large.code, large.reason) == ("INVALID_ARGUMENT", "RESPONSE_TOO_LARGE")
    assert "row 500" in large.message


def test_what_is_sent_again_adds_nothing(channel: grpc.Channel, name: str) -> None:
    create(channel, name)
    added(channel, name, rows(0, 10), rows(10, 10))
    again = added(channel, name, rows(5, 10), rows(15, 10))
    assert (again.reply.added, again.reply.already_there, again.reply.dataset.rows) == (5, 15, 25)
    (message,) = [m for m in reading(channel, name) if m.row_count]
    assert list(message.rows.ids) == [f"r{i}" for i in range(25)]


def test_a_bad_message_names_the_row_and_leaves_what_was_acknowledged(
    channel: grpc.Channel, name: str
) -> None:
    create(channel, name)
    bad = rows(20, 10)
    bad.vectors.data = vectors(20, 10).astype("<f4").tobytes()[:-4] + np.float32(np.nan).tobytes()
    outcome = added(channel, name, rows(0, 20), bad, rows(30, 10))
    assert (outcome.code, outcome.reason) == ("INVALID_ARGUMENT", "NOT_FINITE")
    assert outcome.field == "rows.vectors[29]"
    assert "row 29 of vectors" in outcome.message
    assert outcome.metadata["rows_done"] == "20"
    conflict = added(channel, name, rows(0, 20), pb.Rows(ids=["new", "r3"], vectors=packed(vectors(50, 2))))
    assert (conflict.reason, conflict.field, conflict.metadata["rows_done"]) == (
        "ID_CONFLICT",
        "rows.ids[21]",
        "20",
    )
    assert call(channel, "GetDataset", pb.GetDatasetRequest(name=name)).reply.dataset.rows == 20
    not_utf8 = pb.AppendRowsRequest(name=name, rows=rows(40, 2, texts=["fine", "Xbc"])).SerializeToString()
    refused = append(channel, not_utf8.replace(b"Xbc", b"\xffbc"))
    assert (refused.code, refused.reason, refused.field) == ("INVALID_ARGUMENT", "NOT_UTF8", "rows.texts[1]")


def test_names_are_given_once(channel: grpc.Channel, name: str) -> None:
    assert create(channel, name, request_id="mine").reply.existed is False
    assert create(channel, name, request_id="mine").reply.existed is True
    for other in ({}, {"request_id": "another"}):
        outcome = create(channel, name, **other)
        assert (outcome.code, outcome.reason) == ("ALREADY_EXISTS", "DATASET_EXISTS")
    added(channel, name, rows(0, 3))
    assert create(channel, name, overwrite=True).reply.dataset.rows == 0
    for bad in ("", "datasets/", "Ü", "a/b", "../x", "x" * 64):
        outcome = create(channel, bad)
        assert (outcome.code, outcome.reason) == ("INVALID_ARGUMENT", "NAME_INVALID"), bad


def test_list_get_delete(channel: grpc.Channel, name: str) -> None:
    for suffix in "abc":
        create(channel, f"zz-{suffix}")
    token, found = "zz", []
    while token:
        page = call(channel, "ListDatasets", pb.ListDatasetsRequest(page_size=2, page_token=token)).reply
        found += [each.name for each in page.datasets]
        token = page.next_page_token
    assert found == ["datasets/zz-a", "datasets/zz-b", "datasets/zz-c"]
    assert call(channel, "DeleteDataset", pb.DeleteDatasetRequest(name="datasets/zz-b")).code == "OK"
    for method in ("GetDataset", "DeleteDataset"):
        gone = call(channel, method, getattr(pb, f"{method}Request")(name="zz-b"))
        assert (gone.code, gone.reason) == ("NOT_FOUND", "DATASET_NOT_FOUND")
    assert added(channel, "zz-b", rows(0, 1)).code == "NOT_FOUND"
    assert failure(reading(channel, "zz-b")).code == "NOT_FOUND"
    assert append(channel).reason == "EMPTY_INPUT"
    create(channel, name)
    mixed = append(
        channel,
        pb.AppendRowsRequest(name=name, rows=rows(0, 1)),
        pb.AppendRowsRequest(name="zz-a", rows=rows(1, 1)),
    )
    assert (mixed.code, mixed.reason) == ("INVALID_ARGUMENT", "TWO_DATASETS")


def test_a_reader_keeps_a_set_that_is_deleted(channel: grpc.Channel, name: str) -> None:
    create(channel, name)
    added(channel, name, *(rows(i * 500, 500, 256) for i in range(8)))
    messages = iter(reading(channel, name, max_message_bytes=65536))
    next(messages)
    assert call(channel, "DeleteDataset", pb.DeleteDatasetRequest(name=name)).code == "OK"
    rest = list(messages)
    assert sum(m.row_count for m in rest) == 4000
    assert rest[-1].rows.ids[-1] == "r3999"


def test_a_space_is_kept(channel: grpc.Channel, name: str) -> None:
    create(channel, name)
    first = pb.Rows(ids=["a"], vectors=packed(vectors(0, 1), "space-1"))
    assert added(channel, name, first).reply.space_checked
    other = added(channel, name, pb.Rows(ids=["b"], vectors=packed(vectors(1, 1), "space-2")))
    assert (other.code, other.reason) == ("FAILED_PRECONDITION", "SPACE_MISMATCH")
    assert not added(channel, name, pb.Rows(ids=["b"], vectors=packed(vectors(1, 1)))).reply.space_checked
    narrow = added(channel, name, pb.Rows(ids=["c"], vectors=packed(vectors(1, 1, 3))))
    assert narrow.reason == "DIMENSION_MISMATCH"


def test_texts_are_embedded_as_the_set_says(channel: grpc.Channel, name: str) -> None:
    options = common_pb2.EmbedOptions(pooling=common_pb2.POOLING_MEAN, normalize=True)
    made = create(channel, name, options=options).reply.dataset
    assert (made.options.model, made.options.normalize) == ("models/reviews/versions/3", True)
    texts = [f"text number {i}" for i in range(40)]
    ids = [f"t{i}" for i in range(40)]
    outcome = added(
        channel, name, pb.Rows(ids=ids[:30], texts=texts[:30]), pb.Rows(ids=ids[20:], texts=texts[20:])
    )
    assert outcome.code == "OK", outcome
    assert (outcome.reply.added, outcome.reply.already_there, outcome.reply.space_checked) == (40, 10, True)
    assert outcome.reply.provenance.embedding_space == made.embedding_space
    # Sent again beside other texts: nothing is embedded, nothing differs.
    assert added(channel, name, pb.Rows(ids=ids, texts=texts)).reply.already_there == 40
    (message,) = [m for m in reading(channel, name) if m.row_count]
    found = np.frombuffer(message.rows.vectors.data, "<f4").reshape(40, -1)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    assert list(message.rows.texts) == texts
    changed = added(channel, name, pb.Rows(ids=["t3"], texts=["another"]))
    assert (changed.code, changed.reason) == ("INVALID_ARGUMENT", "ID_CONFLICT")
    missing = added(channel, name, pb.Rows(ids=["n0", "n1"], texts=["x", ""], null_texts=[1]))
    assert (missing.reason, missing.field) == ("NO_TEXT", "rows.texts[1]")
    create(channel, f"{name[:50]}-2")
    plain = added(channel, f"{name[:50]}-2", pb.Rows(ids=["a"], texts=["x"]))
    assert (plain.code, plain.reason) == ("FAILED_PRECONDITION", "NO_EMBED_OPTIONS")


def test_a_model_that_is_gone_is_named(tmp_path: Path) -> None:
    with serving(fake_model("reviews", 3), data=tmp_path) as server, server.channel() as channel:
        assert create(channel, "kept", options=common_pb2.EmbedOptions()).reply.dataset.durable
        added(channel, "kept", pb.Rows(ids=["a"], texts=["one text"]))
    model = fake_model("reviews", 3)
    changed = replace(model, manifest=replace(model.manifest, model_digest="0" * 64))
    for model, words in (
        (fake_model("reviews", 4), "is not here"),
        (changed, "another"),
    ):
        with serving(model, data=tmp_path) as server, server.channel() as channel:
            assert added(channel, "kept", pb.Rows(ids=["a"], texts=["one text"])).reply.already_there == 1
            outcome = added(channel, "kept", pb.Rows(ids=["b"], texts=["another"]))
            assert (outcome.code, outcome.reason) == ("FAILED_PRECONDITION", "MODEL_GONE"), outcome
            assert outcome.metadata["model"] == "models/reviews/versions/3"
            assert words in outcome.message


def test_a_second_server_on_the_same_data_serves_without_sets_until_the_first_ends(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    data = str(tmp_path / "data")
    with (
        served(first, "fake:reviews", "--data", data) as (process, one),
        served(second, "fake:reviews", "--data", data) as (_, other),
        open_channel(one) as channel,
        open_channel(other) as refusing,
    ):
        wait_until(lambda: health(refusing) == SERVING)
        assert create(channel, "mine").code == "OK"
        outcome = create(refusing, "yours")
        assert (outcome.code, outcome.reason) == ("FAILED_PRECONDITION", "DATA_IN_USE")
        assert outcome.metadata["process"] == str(process.pid)
        listing = call(refusing, "ListOperations", lro.ListOperationsRequest())
        assert (listing.code, listing.reason) == (outcome.code, outcome.reason)
        assert "operations" in listing.message
        assert health(refusing, SERVICE) == NOT_SERVING
        assert health(channel, SERVICE) == SERVING
        process.terminate()
        wait_until(lambda: health(refusing, SERVICE) == SERVING)
        assert create(refusing, "yours").code == "OK"
        assert call(refusing, "GetDataset", pb.GetDatasetRequest(name="mine")).code == "OK"
    assert f"process {process.pid}" in log_of(second)
    assert "DATA_IN_USE" in log_of(second)


def test_slow_readers_take_no_memory(tmp_path: Path) -> None:
    """Twenty callers who take one message each, of a set that is 64 MiB."""
    with served(tmp_path, "fake:reviews") as (process, address), open_channel(address) as channel:
        create(channel, "a")
        added(channel, "a", *(rows(i * 4096, 4096, 512) for i in range(8)))
        server = psutil.Process(process.pid)
        before = server.memory_full_info().uss
        slow = [iter(reading(channel, "a", timeout=60)) for _ in range(20)]
        for each in slow:
            next(each)
        time.sleep(1)
        grown = server.memory_full_info().uss - before
        assert grown < 300 * 2**20, f"{grown / 2**20:.0f} MiB for 20 readers"
        for each in slow:
            each.cancel()


def test_calls_are_counted_and_cancelled(tmp_path: Path) -> None:
    with (
        served(tmp_path, "fake:reviews", PENULT_LOG="json") as (_, address),
        open_channel(address) as channel,
    ):
        create(channel, "a")
        added(channel, "a", *(rows(i * 2000, 2000, 256) for i in range(8)))
        call_ = reading(channel, "a")
        next(iter(call_))
        call_.cancel()
        wait_until(lambda: '"code": "CANCELLED"' in log_of(tmp_path))
        log = log_of(tmp_path)
    assert (
        '"method": "DatasetService/AppendRows", "code": "OK", "texts": 0, "tokens": 0, "rows": 16000' in log
    )
    assert "unexpected" not in log
