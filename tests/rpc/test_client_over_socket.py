"""Both clients over a real socket, against a server whose numbers are known."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import penult_client
import pytest
from grpc_status.rpc_status import to_status
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2_grpc as inference_grpc
from penult.v1 import server_service_pb2_grpc as server_grpc
from penult_client import AsyncClient, Client, ModelLayer
from support import wire_server
from support.wire_numbers import as_text, probabilities_of, token_vectors_of, vector_of
from support.wire_server import Script, status

TEXTS = ["one", "two words", "", "naïve café 😀", "שלום עולם", "nul\0inside", "x" * 200] + [
    f"text {i}" for i in range(30)
]


@pytest.fixture
def address(script: Script) -> Iterator[str]:
    server, where = wire_server.start(script)
    yield where
    server.stop(0).wait()


def test_embed_in_parts_keeps_the_order(flavour, address, script):
    client = flavour.client(address)
    made = flavour.run(client.embed(TEXTS, probabilities=True, normalize=True, pooling="mean"))
    np.testing.assert_array_equal(made.vectors, np.array([vector_of(t) for t in TEXTS], dtype=np.float32))
    np.testing.assert_array_equal(
        made.probabilities, np.array([probabilities_of(t) for t in TEXTS], dtype=np.float32)
    )
    assert made.labels == wire_server.LABELS
    assert made.was_cut.tolist() == [len(t) > 100 for t in TEXTS]
    assert made.token_counts.tolist() == [len(t.split()) + 2 for t in TEXTS]
    assert (made.model, made.version, made.digest, made.space) == ("reviews", 3, "d1", "space-d1")
    assert (made.pooling, made.normalized, made.layer) == ("mean", True, "pooled_output")
    assert (made.engine, made.precision, made.dropout_proven) == ("wire", "float32", True)
    assert len(script.asked("Embed")) == -(-len(TEXTS) // wire_server.LIMITS["max_texts"])


def test_the_other_calls(flavour, address):
    client = flavour.client(address)
    classified = flavour.run(client.classify(TEXTS))
    expected = [wire_server.LABELS[int(np.argmax(probabilities_of(t)))] for t in TEXTS]
    assert classified.labels.tolist() == expected
    predicted = flavour.run(client.predict(TEXTS, model="reviews"))
    assert predicted.outputs["length"].tolist() == [[len(t)] for t in TEXTS]
    assert predicted.outputs["echo"].tolist() == [t.encode() for t in TEXTS]
    tokens = flavour.run(client.tokenize(TEXTS))
    assert tokens.ids == [[101, *map(len, t.split()), 102] for t in TEXTS]
    assert tokens.was_cut.tolist() == [len(t) > 100 for t in TEXTS]
    assert len(tokens) == len(TEXTS)


PAIRS = [(text, f"answer {i}") for i, text in enumerate(TEXTS)]
NAMED = [{"question": text, "age": i, "scores": [0.5 * i, -1.0]} for i, text in enumerate(TEXTS)]
COLUMNS = {"input_ids": np.arange(60).reshape(20, 3), "attention_mask": np.ones((20, 3), bool)}
BY_COLUMN = [{name: column[row] for name, column in COLUMNS.items()} for row in range(20)]


@pytest.mark.parametrize(("given", "rows"), [(PAIRS, PAIRS), (NAMED, NAMED), (COLUMNS, BY_COLUMN)])
def test_rows_of_several_inputs_in_parts_keep_the_order(flavour, address, script, given, rows):
    client = flavour.client(address)
    texts = [as_text(row) for row in rows]
    script.fail("Embed", None, status(grpc.StatusCode.UNAVAILABLE, "loading", retry=0.01))
    made = flavour.run(client.embed(given, probabilities=True))
    np.testing.assert_array_equal(made.vectors, np.array([vector_of(t) for t in texts], dtype=np.float32))
    assert made.probabilities.tolist() == [probabilities_of(t) for t in texts]
    assert len(script.asked("Embed")) == -(-len(texts) // wire_server.LIMITS["max_texts"]) + 1
    classified = flavour.run(client.classify(given))
    assert classified.probabilities.tolist() == made.probabilities.tolist()
    predicted = flavour.run(client.predict(given))
    assert predicted.outputs["echo"].tolist() == [t.encode() for t in texts]
    assert flavour.run(client.tokenize(given)).ids == [[101, *map(len, t.split()), 102] for t in texts]


def test_one_row_a_token(flavour, address, script):
    client = flavour.client(address)
    made = flavour.run(client.embed(TEXTS, pooling="tokens", probabilities=True))
    assert isinstance(made, penult_client.TokenEmbeddings)
    assert isinstance(made.vectors, list)
    assert [each.tolist() for each in made.vectors] == [token_vectors_of(t) for t in TEXTS]
    assert {each.dtype for each in made.vectors} == {np.dtype(np.float32)}
    assert [len(each) for each in made.vectors] == made.token_counts.tolist()
    assert made.probabilities.shape == (len(TEXTS), 2)
    assert len(made) == len(TEXTS)
    assert (made.pooling, len(script.asked("Embed"))) == ("tokens", 5)


def test_no_pooling_asks_for_the_models_own(flavour, address, script):
    made = flavour.run(flavour.client(address).embed(["a"], pooling=None))
    assert script.asked("Embed")[0].options.pooling == common.POOLING_UNSPECIFIED
    assert type(made) is penult_client.Embeddings
    flavour.run(flavour.client(address).embed(["a"]))
    assert script.asked("Embed")[1].options.pooling == common.POOLING_POOLED


def test_classes_without_names_have_their_numbers(flavour, address, script):
    script.labels = ()
    made = flavour.run(flavour.client(address).classify(["a", "bb", "ccc"]))
    assert made.classes == ()
    assert made.labels.tolist() == [int(np.argmax(probabilities_of(t))) for t in ("a", "bb", "ccc")]
    assert made.labels.dtype.kind == "i"


@pytest.mark.parametrize(
    ("given", "rows"), [(PAIRS[:6], PAIRS), (NAMED[:6], NAMED), (COLUMNS, BY_COLUMN), (PAIRS, PAIRS)]
)
def test_rows_of_several_inputs_are_compared(flavour, address, script, given, rows):
    client = flavour.client(address)
    count = 20 if given is COLUMNS else len(given)
    vectors = np.array([vector_of(as_text(row)) for row in rows[:count]], np.float32)
    made = flavour.run(client.similarity(given, metric="dot"))
    np.testing.assert_allclose(made.scores, vectors @ vectors.T)
    assert (made.model, made.space) == ("reviews", "space-d1")
    # What fits into one request the server embeds; tensors and more rows are embedded first.
    first = count > wire_server.LIMITS["max_texts"]
    assert bool(script.asked("Embed")) == first
    assert script.asked("ComputeSimilarity")[0].a.WhichOneof("input") == ("vectors" if first else "records")
    grouped = flavour.run(client.cluster(given, n_clusters=2, labels=[str(i) for i in range(count)]))
    assert len(grouped.labels) == count


def test_a_row_a_token_is_nothing_to_compare(flavour, address, script):
    client = flavour.client(address)
    for call in (client.similarity, client.neighbors, client.cluster, client.project):
        with pytest.raises(penult_client.InvalidInputError, match="one row a token") as caught:
            flavour.run(call(["a", "b"], pooling="tokens"))
        assert (caught.value.reason, caught.value.field) == ("POOLING_UNAVAILABLE", "pooling")
    tokens = flavour.run(client.embed(["a", "b"], pooling="tokens"))
    with pytest.raises(penult_client.InvalidInputError, match="one row a token"):
        flavour.run(client.similarity(tokens))
    with pytest.raises(penult_client.InvalidInputError, match="one row a token"):
        flavour.run(client.upload("set", tokens))
    assert {method for method, _ in script.requests} == {"GetServerInfo", "Embed"}


def test_a_bad_record_is_named_by_the_callers_index(flavour, address, script):
    refusal = status(
        grpc.StatusCode.INVALID_ARGUMENT,
        "records[2].question is a text, the model takes float32",
        reason="WRONG_TYPE",
        field="records[2].question",
        metadata={"row": "2"},
    )
    script.fail("Embed", None, refusal)
    with pytest.raises(penult_client.InvalidInputError) as caught:
        flavour.run(flavour.client(address).embed(NAMED[:16]))
    error = caught.value
    assert error.index in (2, 8 + 2)
    assert error.field == f"records[{error.index}].question"
    assert error.message.startswith(f"{error.field} is a text")


def test_similarity_carries_the_space(flavour, address):
    client = flavour.client(address)
    a, b = flavour.run(client.embed(["a", "bc"])), flavour.run(client.embed(["d", "ef", "ghi"]))
    made = flavour.run(client.similarity(a, b, "dot"))
    np.testing.assert_allclose(made.scores, a.vectors @ b.vectors.T)
    assert (made.metric, made.space_checked, made.model) == ("dot", True, "")
    bare = flavour.run(client.similarity(a.vectors, b, "dot"))
    assert not bare.space_checked
    texts = flavour.run(client.similarity(["a", "bc"], metric="dot"))
    np.testing.assert_allclose(texts.scores, a.vectors @ a.vectors.T)
    assert (texts.model, texts.version, texts.space) == ("reviews", 3, "space-d1")


def test_what_the_server_tells_about_itself(flavour, address):
    client = flavour.client(address)
    found = flavour.run(client.models())
    assert [m.id for m in found] == ["reviews@3", "reviews@2"]
    model = flavour.run(client.model("reviews@3"))
    assert model == found[0]
    assert (model.state, model.head, model.dimension, model.default) == ("ready", "sigmoid", 4, True)
    assert model.poolings == ("pooled", "mean")
    assert model.readouts[0].kind == "pooled"
    assert [(i.name, i.dtype, i.shape, i.role, i.limit, i.made_by_tokenizing) for i in model.inputs] == [
        ("text", "string", (), "text", 0, False),
        ("input_ids", "int32", (-1,), "ids", 30_522, True),
    ]
    assert (model.tokenizer, model.pooling, model.unread, model.logits) == ("graph", "pooled", "", False)
    assert model.outputs == ("output",)
    report = flavour.run(client.inspect_dropout())
    assert report.proven
    assert [(s.path, s.rate, s.place, s.noise_shape, s.shared_axes, s.read) for s in report.sites] == [
        ("dropout", 0.1, "at_seam", (), (), True),
        ("encoder/noise", None, "", (1, 4), (0,), False),
    ]
    assert report.figures[0].name == "repeats"
    assert [s.sampled for s in report.sites] == [True, False]
    assert report.layers == (
        ModelLayer(path="encoder", layer_class="Functional"),
        ModelLayer(
            path="encoder/lstm",
            layer_class="LSTM",
            output_shape=(-1, 4),
            parameters=144,
            units=4,
            dropout=0.0,
            recurrent_dropout=0.5,
        ),
    )
    assert str(report).splitlines() == [
        "reviews@3: dropout plays no part",
        "  dropout (Dropout, rate 0.1): at seam  <- the embedding is read in front of it",
        "  encoder/noise (GaussianNoise, rate not known, one draw along axes 0): place not known",
        "dropout cannot be put back: it was too far away",
        "no random operation is reachable",
    ]
    info = flavour.run(client.server_info())
    assert (info.version, info.default_model) == ("0.1.0", "reviews")
    assert info.limits.max_texts == wire_server.LIMITS["max_texts"]


def test_an_unknown_model_is_not_found_and_the_next_call_works(flavour, address):
    client = flavour.client(address)
    with pytest.raises(penult_client.NotFoundError, match="loaded: reviews") as caught:
        flavour.run(client.model("nobody"))
    error = caught.value
    assert (error.code, error.reason, error.field) == ("NOT_FOUND", "MODEL_NOT_FOUND", "name")
    assert not isinstance(error, grpc.RpcError)
    assert error.__cause__ is None
    assert flavour.run(client.model()).name == "reviews"


def test_a_bad_text_is_named_by_the_callers_index(flavour, address, script):
    client = flavour.client(address)
    refusal = status(
        grpc.StatusCode.INVALID_ARGUMENT, "texts[2] is too long", reason="TEXT_TOO_LONG", field="texts[2]"
    )
    script.fail("Embed", None, None, refusal)
    with pytest.raises(penult_client.InvalidInputError, match=r"texts\[\d+\] is too long") as caught:
        flavour.run(client.embed(TEXTS, truncate="error"))
    error = caught.value
    # Two parts are under way at a time, so the third call to arrive is part 3, or a neighbour of it.
    assert error.index in (8 + 2, 2 * 8 + 2, 3 * 8 + 2)
    assert error.field == f"texts[{error.index}]"
    assert error.reason == "TEXT_TOO_LONG"


def test_bad_rows_are_reported_by_the_callers_index(flavour, address):
    texts = list(TEXTS)
    texts[3] = texts[19] = "bad row"
    made = flavour.run(flavour.client(address).embed(texts, on_row_error="report"))
    assert [(e.index, e.field, e.reason, e.code) for e in made.row_errors] == [
        (3, "texts[3]", "TEXT_TOO_LONG", "INVALID_ARGUMENT"),
        (19, "texts[19]", "TEXT_TOO_LONG", "INVALID_ARGUMENT"),
    ]
    assert made.row_errors[1].message == "texts[19] is a bad row"
    assert np.isnan(made.vectors).all(axis=1).nonzero()[0].tolist() == [3, 19]


def test_a_full_queue_is_waited_for_as_long_as_it_asks(flavour, address, script):
    full = status(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason="QUEUE_FULL", retry=0.2)
    script.fail("Embed", full)
    client = flavour.client(address)
    flavour.run(client.server_info())
    began = time.monotonic()
    made = flavour.run(client.embed(["a"]))
    assert time.monotonic() - began >= 0.2
    assert made.vectors.tolist() == [vector_of("a")]


def test_pushback_in_the_trailers_is_heard(flavour, address, script):
    def refuse(_request, context):
        context.set_trailing_metadata((("grpc-retry-pushback-ms", "-1"),))
        context.abort(grpc.StatusCode.UNAVAILABLE, "go away")

    script.fail("Embed", refuse)
    with pytest.raises(penult_client.UnavailableError, match="go away"):
        flavour.run(flavour.client(address).embed(["a"]))
    assert len(script.asked("Embed")) == 1


def test_a_deadline_cuts_a_slow_answer_short(flavour, address, script):
    client = flavour.client(address)
    flavour.run(client.server_info())
    script.pause = 0.5
    with pytest.raises(TimeoutError, match="no answer from") as caught:
        flavour.run(client.embed(["a"], deadline=0.1))
    assert (caught.value.code, caught.value.reason) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    script.pause = 0.0
    assert flavour.run(client.embed(["a"])).vectors.tolist() == [vector_of("a")]


def test_a_reply_that_is_too_large_is_asked_for_in_pieces(flavour, address, script):
    refusal = status(
        grpc.StatusCode.INVALID_ARGUMENT,
        "too large",
        reason="RESPONSE_TOO_LARGE",
        metadata={"most_rows": "3"},
    )
    script.fail("Embed", refusal)
    made = flavour.run(flavour.client(address).embed(TEXTS[:8]))
    np.testing.assert_array_equal(made.vectors, np.array([vector_of(t) for t in TEXTS[:8]], dtype=np.float32))
    assert sorted(len(r.texts.texts) for r in script.asked("Embed")) == [2, 3, 3, 8]


def test_two_parts_are_under_way_and_never_more(flavour, address, script):
    script.pause = 0.05
    client = flavour.client(address)
    flavour.run(client.embed(["text"] * 64))
    assert script.most_running == 2


@pytest.mark.parametrize(
    ("queue", "pause", "timeout", "most"),
    [(1 << 20, 0.03, 30, 4), (1 << 20, 0.2, 0.6, 2), (100_000, 0.03, 30, 3), (1, 0.03, 30, 1)],
)
def test_how_many_depends_on_its_queue_and_its_speed(flavour, script, queue, pause, timeout, most):
    script.pause = pause
    texts = [f"text {i}" for i in range(80)]
    server, where = wire_server.start(script, {"max_queued_tokens": queue})
    made = flavour.run(flavour.client(where, timeout=timeout).embed(texts))
    server.stop(None)
    assert script.most_running == most
    np.testing.assert_array_equal(made.vectors, np.array([vector_of(t) for t in texts], dtype=np.float32))


def test_parts_that_a_busy_server_refuses_go_one_by_one(flavour, script):
    """Parts of 8. The server takes one at a time: every other is told to come back when the first may be done."""
    running = threading.Lock()

    def meets(_request, context):
        if not running.acquire(blocking=False):
            refused = status(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", reason="OVERLOADED", retry=0.3)
            context.abort_with_status(to_status(refused))
        context.add_callback(running.release)
        time.sleep(0.05)

    script.fail("Embed", *[meets] * 100)
    texts = [str(i) for i in range(80)]
    server, where = wire_server.start(script, {"max_queued_tokens": 1 << 20})
    made = flavour.run(flavour.client(where).embed(texts))
    server.stop(None)
    np.testing.assert_array_equal(made.vectors, np.array([vector_of(t) for t in texts], dtype=np.float32))
    assert 11 <= len(script.asked("Embed")) <= 16


def test_of_four_under_way_one_that_fails_ends_the_others(flavour, script):
    """Parts of 8: the first two are answered, the third fails once the three behind it run."""
    started, ended = threading.Semaphore(0), threading.Semaphore(0)

    def meets(request, context):
        part = int(request.texts.texts[0]) // 8
        if part == 2:
            assert all(started.acquire(timeout=5) for _ in range(3))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no")
        if part > 2:
            left = threading.Event()
            context.add_callback(left.set)
            started.release()
            assert left.wait(5)
            ended.release()

    script.fail("Embed", *[meets] * 10)
    server, where = wire_server.start(script, {"max_queued_tokens": 1 << 20})
    with pytest.raises(penult_client.PreconditionError):
        flavour.run(flavour.client(where).embed([str(i) for i in range(80)]))
    assert all(ended.acquire(timeout=5) for _ in range(3))
    server.stop(None)
    assert len(script.asked("Embed")) == 6


def test_metadata_and_our_name_go_along(flavour, address, script):
    client = flavour.client(address, metadata=[("authorization", "Bearer t")])
    flavour.run(client.server_info())
    assert script.metadata[-1]["authorization"] == "Bearer t"
    assert f"penult-python/{penult_client.__version__}" in str(script.metadata[-1]["user-agent"])


def test_nobody_there_is_said_with_the_address(flavour):
    client = flavour.client("127.0.0.1:1", timeout=0.3)
    with pytest.raises(penult_client.UnavailableError, match=r"no answer from a server at 127\.0\.0\.1:1"):
        flavour.run(client.embed(["a"]))


def test_a_server_that_comes_back_is_found_again(flavour, script):
    first, where = wire_server.start(script)
    client = flavour.client(where)
    flavour.run(client.embed(["a"]))
    first.stop(0).wait()
    second = grpc.server(ThreadPoolExecutor(2))
    inference_grpc.add_InferenceServiceServicer_to_server(wire_server.Inference(script), second)

    def later() -> None:
        time.sleep(0.3)
        second.add_insecure_port(where)
        second.start()

    starter = threading.Thread(target=later)
    starter.start()
    try:
        assert flavour.run(client.embed(["b"])).vectors.tolist() == [vector_of("b")]
    finally:
        starter.join()
        second.stop(0).wait()


def test_large_messages_pass(flavour, script):
    server, where = wire_server.start(script, {"max_request_bytes": 64 << 20})
    try:
        text = "x" * (6 << 20)
        made = flavour.run(flavour.client(where).predict([text, "b"]))
        assert made.outputs["echo"].tolist() == [text.encode(), b"b"]
    finally:
        server.stop(0).wait()


def test_credentials_make_a_secure_channel(flavour, script):
    server = grpc.server(ThreadPoolExecutor(2))
    server_grpc.add_ServerServiceServicer_to_server(wire_server.Server(script, wire_server.LIMITS), server)
    port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    server.start()
    try:
        client = flavour.client(f"127.0.0.1:{port}", credentials=grpc.local_channel_credentials())
        assert flavour.run(client.server_info()).version == "0.1.0"
    finally:
        server.stop(0).wait()


def test_details_that_contradict_the_status_are_left_out(flavour, address, script):
    def contradict(_request, context):
        other = status(grpc.StatusCode.NOT_FOUND, "no", reason="MODEL_NOT_FOUND")
        context.set_trailing_metadata((("grpc-status-details-bin", other.SerializeToString()),))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "wrong")

    script.fail("Embed", contradict)
    with pytest.raises(penult_client.InvalidInputError, match="wrong") as caught:
        flavour.run(flavour.client(address).embed(["a"]))
    assert caught.value.reason == "INVALID_ARGUMENT"


def test_closing_ends_the_calls_that_run(address, script):
    script.pause = 1.0
    with Client(address) as client, ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.server_info)
        while not script.running:
            time.sleep(0.01)
        client.close()
        with pytest.raises(penult_client.CancelledError):
            running.result(5)


async def test_closing_ends_the_calls_that_run_in_other_tasks(address, script):
    script.pause = 1.0
    client = AsyncClient(address)
    running = asyncio.create_task(client.server_info())
    while not script.running:
        await asyncio.sleep(0.01)
    await client.close()
    with pytest.raises(penult_client.CancelledError):
        await running


def test_threads_share_a_client(address):
    with Client(address) as client, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: client.embed([text, text]).vectors[1].tolist(), TEXTS))
    assert found == [vector_of(t) for t in TEXTS]


async def test_tasks_share_a_client(address):
    async with AsyncClient(address) as client:
        found = await asyncio.gather(*(client.embed([text]) for text in TEXTS))
    assert [made.vectors[0].tolist() for made in found] == [vector_of(t) for t in TEXTS]


async def test_a_cancelled_task_leaves_nothing_running(address, script):
    script.pause = 0.3
    async with AsyncClient(address) as client:
        await client.server_info()
        task = asyncio.create_task(client.embed(["text"] * 64))
        while script.running < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while script.running:
            await asyncio.sleep(0.01)
        assert len(script.asked("Embed")) == 2
        script.pause = 0.0
        assert len(await client.embed(["a"])) == 1


def test_a_failed_part_cancels_the_other(address, script):
    other_runs, other_gone = threading.Event(), threading.Event()

    def first_fails_when_second_runs(request, context):
        if request.texts.texts[0] == "first":
            other_runs.wait(5)
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no")
        context.add_callback(other_gone.set)
        other_runs.set()
        other_gone.wait(5)

    script.fail("Embed", first_fails_when_second_runs, first_fails_when_second_runs)
    with Client(address) as client:
        with pytest.raises(penult_client.PreconditionError):
            client.embed(["first"] * 8 + ["second"] * 8)
        assert other_gone.wait(5)
