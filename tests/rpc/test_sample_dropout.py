"""SampleDropout over the wire, against the fake engine called directly."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

import grpc
import numpy as np
import pytest
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference
from penult_service.embedder.uncertainty import statistics
from penult_service.masks import Draw, keys_of
from support.bad_input import LONG, sample, texts
from support.calling import METHODS, Outcome, call, status_outcome
from support.fakes import fake_model
from support.serving import serving, wait_until

TEXTS = ["a fine film", "", "dull " * 40, "one two three four five", "a fine film"]
MODEL = fake_model("reviews", 3)
ALL = common.DROPOUT_SCOPE_ALL
CLOSE = {"rtol": 0, "atol": 2e-6}


def array(message: common.Vectors) -> np.ndarray:
    return np.frombuffer(message.data, "<f4").reshape(message.rows, message.columns)


def draws(reply: inference.SampleDropoutResponse) -> np.ndarray:
    return np.frombuffer(reply.draws.data, "<f4").reshape(tuple(reply.draws.shape))


def sampled(
    channel: grpc.Channel, request: inference.SampleDropoutRequest
) -> inference.SampleDropoutResponse:
    outcome = call(channel, "SampleDropout", request)
    assert outcome.code == "OK", outcome
    return cast(inference.SampleDropoutResponse, outcome.reply)


def expected(
    given: list[str], seed: int, samples: int, *, inner: float = 0.0, seam: float = 0.1
) -> np.ndarray:
    """float32 [n, samples, 3], one row and one sample at a time."""
    rates = np.array([inner, seam, 0], np.float32)
    found = np.empty((len(given), samples, 3), np.float32)
    for (i, text), number in ((row, n) for row in enumerate(given) for n in range(samples)):
        draw = Draw(*keys_of(seed, np.array([number]), np.array([i])), rates)
        embedding = MODEL.engine.sample_encode(MODEL.tokenizer.tokenize([text]).inputs, draw)
        found[i, number] = MODEL.engine.sample_head(embedding, {}, draw)["output"]
    return found


def test_the_reply_is_what_the_samples_say(channel: grpc.Channel) -> None:
    request = sample(*TEXTS, samples=12, seed=-5)
    request.draws = True
    reply = sampled(channel, request)
    wanted = expected(TEXTS, -5, 12)
    np.testing.assert_allclose(draws(reply), wanted, **CLOSE)
    found = statistics(draws(reply), MODEL.manifest.head)
    np.testing.assert_array_equal(array(reply.mean), found.mean)
    np.testing.assert_array_equal(array(reply.std), found.std)
    for name in ("entropy", "mutual_information", "variation_ratio", "predicted"):
        np.testing.assert_array_equal(np.float32(getattr(reply, name)), getattr(found, name))
    classified = call(channel, "Classify", inference.ClassifyRequest(texts=texts(*TEXTS))).reply
    clean = array(cast(inference.ClassifyResponse, classified).probabilities)
    np.testing.assert_allclose(array(reply.clean), clean, **CLOSE)
    assert (reply.samples, reply.seed, reply.classifier) == (12, -5, True)
    assert list(reply.labels) == ["negative", "neutral", "positive"]
    assert [(a.path, a.layer_class, round(a.rate, 6)) for a in reply.active] == [("dropout", "Dropout", 0.1)]
    assert reply.token_counts == [5, 2, 42, 7, 5]
    assert set(reply.truncations) == {common.TRUNCATION_NONE}
    assert reply.provenance.model == "models/reviews/versions/3"
    assert not reply.provenance.embedding_space


def test_draws_come_when_asked_for_alone(channel: grpc.Channel) -> None:
    assert not sampled(channel, sample("a", samples=2)).HasField("draws")


@pytest.mark.parametrize(
    ("options", "inner", "seam"),
    [
        ({"scope": ALL}, 0.1, 0.1),
        ({"scope": ALL, "rate": 0.5}, 0.5, 0.5),
        ({"sites": ["encoder/dropout"]}, 0.1, 0.0),
        ({"sites": ["dropout", "encoder/dropout"]}, 0.1, 0.1),
        ({"rate": 0.7}, 0.0, 0.7),
    ],
)
def test_which_dropouts(channel: grpc.Channel, options: dict[str, Any], inner: float, seam: float) -> None:
    request = sample(*TEXTS, samples=3, seed=1, **options)
    request.draws = True
    reply = sampled(channel, request)
    np.testing.assert_allclose(draws(reply), expected(TEXTS, 1, 3, inner=inner, seam=seam), **CLOSE)
    wanted = [(p, r) for p, r in (("encoder/dropout", inner), ("dropout", seam)) if r]
    assert [(a.path, pytest.approx(a.rate)) for a in reply.active] == wanted


def test_the_defaults_are_thirty_samples_of_the_head(channel: grpc.Channel) -> None:
    reply = sampled(channel, inference.SampleDropoutRequest(texts=texts("a")))
    assert reply.samples == 30
    assert [a.path for a in reply.active] == ["dropout"]


def test_a_seed_that_is_not_said_is_drawn_and_told(channel: grpc.Channel) -> None:
    first, second = (sampled(channel, sample("a", samples=3)) for _ in range(2))
    assert first.seed != second.seed
    assert first.mean != second.mean
    again = sampled(channel, sample("a", samples=3, seed=first.seed))
    assert again == first
    # 0 is a seed as any other.
    assert sampled(channel, sample("a", samples=3, seed=0)).seed == 0


@pytest.mark.parametrize("scope", [common.DROPOUT_SCOPE_HEAD, ALL])
def test_parts_with_their_first_row_are_the_whole(channel: grpc.Channel, scope: int) -> None:
    whole = sampled(channel, sample(*TEXTS, samples=5, seed=3, scope=scope))
    assert sampled(channel, sample(*TEXTS, samples=5, seed=3, scope=scope)) == whole
    for start, stop in ((0, 2), (2, 3), (3, 5)):
        part = sampled(channel, sample(*TEXTS[start:stop], samples=5, seed=3, scope=scope, first_row=start))
        np.testing.assert_allclose(array(part.mean), array(whole.mean)[start:stop], **CLOSE)
        np.testing.assert_allclose(array(part.std), array(whole.std)[start:stop], **CLOSE)
    # Without it they are other rows.
    other = sampled(channel, sample(*TEXTS[2:], samples=5, seed=3, scope=scope))
    assert (array(other.mean) != array(whole.mean)[2:]).any()


def test_failed_rows_fail_the_call_or_are_reported(channel: grpc.Channel) -> None:
    request = sample("short", LONG, "also short", samples=4, seed=2)
    request.truncate = common.TRUNCATE_MODE_ERROR
    outcome = call(channel, "SampleDropout", request)
    assert (outcome.code, outcome.reason, outcome.field) == ("INVALID_ARGUMENT", "TEXT_TOO_LONG", "texts[1]")
    request.on_row_error = common.ON_ROW_ERROR_REPORT
    request.draws = True
    reply = sampled(channel, request)
    (error,) = reply.row_errors
    assert (error.index, status_outcome(error.status, "").reason) == (1, "TEXT_TOO_LONG")
    for matrix in (array(reply.mean), array(reply.std), array(reply.clean), draws(reply)):
        assert np.isnan(matrix[1]).all()
        assert np.isfinite(matrix[[0, 2]]).all()
    assert list(reply.predicted)[1] == -1
    for column in (reply.entropy, reply.mutual_information, reply.variation_ratio):
        assert np.isnan(column[1])


def test_a_reply_that_is_too_large_is_refused_before_it_is_computed(channel: grpc.Channel) -> None:
    request = sample(*["a"] * 200, samples=2000, seed=1)
    assert call(channel, "SampleDropout", request).code == "OK"
    request.draws = True
    started = time.monotonic()
    outcome = call(channel, "SampleDropout", request)
    assert (outcome.code, outcome.reason) == ("INVALID_ARGUMENT", "RESPONSE_TOO_LARGE")
    assert time.monotonic() - started < 5
    assert outcome.message.endswith("; take fewer samples, or leave the draws out")
    fitting = int(outcome.metadata["most_rows"])
    fits = inference.SampleDropoutRequest()
    fits.CopyFrom(request)
    del fits.texts.texts[fitting:]
    reply = sampled(channel, fits)
    assert 0.9 * (4 << 20) < reply.ByteSize() <= 4 << 20


def of_model(**traits: Any) -> Outcome:
    with serving(fake_model("m", **traits)) as server, server.channel() as channel:
        return call(channel, "SampleDropout", sample("a", "b", samples=3, seed=1))


def test_a_model_without_classes() -> None:
    reply = cast(inference.SampleDropoutResponse, of_model(head="regression").reply)
    assert array(reply.mean).shape == (2, 1)
    assert not reply.classifier
    for empty in (
        reply.entropy,
        reply.mutual_information,
        reply.variation_ratio,
        reply.predicted,
        reply.labels,
    ):
        assert not empty


def test_a_model_that_is_not_cut_says_why() -> None:
    outcome = of_model(whole_only=True)
    assert (outcome.code, outcome.reason) == ("FAILED_PRECONDITION", "NO_SAMPLING")
    assert "lies on every way" in outcome.message


def test_records_and_tensors(channel: grpc.Channel) -> None:
    """The same rows in any form."""
    options = common.DropoutOptions(samples=3, seed=1)
    listed = sampled(channel, sample("a b", "c", samples=3, seed=1))
    records = [common.Record(values={"text": common.RecordValue(text=t)}) for t in ("a b", "c")]
    tensor = common.Tensor(
        shape=[2], data_type=common.DATA_TYPE_STRING, strings=common.ByteStrings(values=[b"a b", b"c"])
    )
    for given in (
        {"records": common.RecordList(records=records)},
        {"tensors": common.TensorMap(tensors={"text": tensor})},
    ):
        assert sampled(channel, inference.SampleDropoutRequest(**given, dropout=options)) == listed


def test_a_call_that_is_left_ends_its_work() -> None:
    gate = threading.Event()
    gate.set()
    model = fake_model("gated", gate=gate)
    path = f"/{METHODS['SampleDropout'].containing_service.full_name}/SampleDropout"
    with serving(model) as server, server.channel() as channel:
        gate.clear()
        before = len(model.engine.batches)
        request = sample(*TEXTS, samples=5000, seed=1, scope=ALL).SerializeToString()
        leaving = channel.unary_unary(path).future(request)
        wait_until(lambda: len(model.engine.batches) > before)
        leaving.cancel()
        gate.set()
        wait_until(lambda: call(channel, "SampleDropout", sample("next", samples=1)).code == "OK")
        late = call(channel, "SampleDropout", sample(*TEXTS, samples=5000, seed=1, scope=ALL), timeout=0.3)
        assert late.code == "DEADLINE_EXCEEDED"
        wait_until(lambda: call(channel, "SampleDropout", sample("next", samples=1)).code == "OK")
        done = len(model.engine.batches)
        time.sleep(0.2)
        assert len(model.engine.batches) == done
