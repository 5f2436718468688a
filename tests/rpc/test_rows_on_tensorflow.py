"""Pairs, numbers beside a text, and token ids, served by TensorFlow: what the wire brings equals the model's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference
from penult.v1 import model_service_pb2 as models
from penult_service import process
from penult_service.config import serve_config
from penult_service.embedder import LoadedModel
from penult_service.preparing import pipeline
from penult_service.preparing.declarations import declaring
from penult_service.repository.sources import Source
from penult_service.rpc import replies
from support import prepared_by_hand
from support.calling import Outcome, call
from support.formats import shapes, tokens
from support.formats.keras_formats import saved
from support.formats.kit import TF_KERAS, Kit, Network
from support.prepared_by_hand import bert_tokenizer, by_numpy
from support.serving import serving, wait_until
from support.tiny_bert import VOCABULARY, sample_texts

LIMIT = 1e-5
SAVED = "SavedModel"
SHAPES = {
    "pair": shapes.shared_encoder,
    "numbers": shapes.text_and_numbers,
    "behind": shapes.numbers_behind,
    "tokens": tokens.network,
}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """What the live models say, by their names; filled in where they are saved."""
    return {}


@pytest.fixture(scope="module")
def channel(made: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    place = tmp_path_factory.mktemp("models")
    prepared = {
        "ids": prepared_by_hand.write(place / "ids"),
        "file": prepared_by_hand.write(place / "file", tokenizer=bert_tokenizer().to_str()),
        "logits": prepared_by_hand.write(place / "logits", logits=True),
        "scaled": prepared_by_hand.write(place / "scaled", scaled=True, logits=True),
    }
    for name, shape in SHAPES.items():
        network: Network = shape(Kit(TF_KERAS))
        made[name] = saved(network, place / name, SAVED)
        prepared[name] = place / f"prepared-{name}"
        pipeline.prepare(made[name].source, prepared[name], None, lambda *_: None)
    (place / "words").mkdir()
    made["words"] = tokens.with_vocabulary(TF_KERAS, SAVED)(place / "words")
    prepared["words"] = place / "prepared-words"
    declared = declaring.read(made["words"].source)
    pipeline.prepare(made["words"].source, prepared["words"], None, lambda *_: None, declared=declared)
    load = process.loader(serve_config(paths=tuple(map(str, prepared.values())), data=place))
    loaded: list[LoadedModel] = [load(Source(name, 1, path)) for name, path in prepared.items()]

    def all_ready() -> bool:
        listed = call(opened, "ListModels").reply
        return listed is not None and all(m.state == models.MODEL_STATE_READY for m in listed.models)

    with serving(*loaded) as server, server.channel() as opened:
        wait_until(all_ready, 60.0)
        yield opened


def answered(outcome: Outcome) -> Any:
    assert outcome.code == "OK", outcome
    return outcome.reply


def matrix(message: common.Vectors) -> np.ndarray:
    return np.frombuffer(message.data, "<f4").reshape(message.rows, message.columns)


def array(message: common.Tensor) -> np.ndarray:
    assert message.data_type == common.DATA_TYPE_FLOAT32
    return np.frombuffer(message.data, "<f4").reshape(message.shape)


def columns(given: Any) -> common.TensorMap:
    as_sent = {
        name: value.astype(object) if value.dtype.kind == "U" else value for name, value in given.items()
    }
    return common.TensorMap(tensors={name: replies.tensor(value) for name, value in as_sent.items()})


def rows(given: Any) -> common.RecordList:
    def value(one: Any) -> common.RecordValue:
        if isinstance(one, str):
            return common.RecordValue(text=one)
        return common.RecordValue(numbers=common.NumberList(numbers=one.tolist()))

    ordered = zip(*given.values(), strict=True)
    return common.RecordList(records=[common.Record(ordered=map(value, row)) for row in ordered])


def embed(channel: grpc.Channel, name: str, pooling: int = 0, **given: Any) -> Any:
    options = common.EmbedOptions(model=name, pooling=pooling)
    return answered(
        call(channel, "Embed", inference.EmbedRequest(options=options, probabilities=True, **given))
    )


def predict(channel: grpc.Channel, name: str, **given: Any) -> np.ndarray:
    reply = answered(call(channel, "Predict", inference.PredictRequest(model=name, **given)))
    (output,) = reply.outputs.values()
    return array(output)


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=LIMIT, atol=LIMIT)


@pytest.mark.parametrize("name", [*SHAPES, "words"])
@pytest.mark.parametrize("way", ["records", "tensors"])
def test_as_the_live_model(channel: grpc.Channel, made: dict[str, Any], name: str, way: str) -> None:
    live = made[name]
    given = {way: (rows if way == "records" else columns)(live.given)}
    (output,) = live.outputs.values()
    reply = embed(channel, name, **given)
    close(matrix(reply.embeddings), live.embedding)
    close(matrix(reply.probabilities), output)
    close(predict(channel, name, **given), output)
    if live.ids is not None:
        tokenized = answered(call(channel, "Tokenize", inference.TokenizeRequest(model=name, **given)))
        assert [list(sequence.ids) for sequence in tokenized.sequences] == live.ids


@pytest.mark.parametrize("name", SHAPES)
def test_one_row_a_call(channel: grpc.Channel, made: dict[str, Any], name: str) -> None:
    live = made[name]
    alone = [
        matrix(
            embed(
                channel, name, records=rows({key: value[i : i + 1] for key, value in live.given.items()})
            ).embeddings
        )
        for i in range(len(live.embedding))
    ]
    close(np.concatenate(alone), live.embedding)


def token_rows(width: int = 9) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    lengths = random.integers(1, width + 1, size=20)
    mask = (np.arange(width) < lengths[:, None]).astype(np.int32)
    return {
        "input_ids": (random.integers(1, len(VOCABULARY), size=mask.shape) * mask).astype(np.int32),
        "attention_mask": mask,
        "token_type_ids": (random.integers(0, 2, size=mask.shape) * mask).astype(np.int32),
    }


@pytest.mark.parametrize("name", ["ids", "file"])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_token_ids(channel: grpc.Channel, name: str, dtype: Any) -> None:
    given = token_rows()
    every, pooled, logits = by_numpy(*given.values())
    sent = columns({key: value.astype(dtype) for key, value in given.items()})
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    reply = embed(channel, name, tensors=sent)
    close(matrix(reply.embeddings), pooled)
    close(matrix(reply.probabilities), probabilities)
    close(predict(channel, name, tensors=sent), probabilities)
    counts = given["attention_mask"].sum(axis=1)
    assert list(reply.token_counts) == counts.tolist()
    read = embed(channel, name, common.POOLING_TOKENS, tensors=sent)
    close(matrix(read.embeddings), np.concatenate([row[:n] for row, n in zip(every, counts, strict=True)]))
    mean = embed(channel, name, common.POOLING_MEAN, tensors=sent)
    close(matrix(mean.embeddings), pooled)


def test_texts_and_pairs_where_a_tokenizer_lies_beside_the_model(channel: grpc.Channel) -> None:
    tokenizer, a, b = bert_tokenizer(), sample_texts(12, seed=4), sample_texts(12, seed=5)
    for given, encodings in (
        ({"texts": common.TextList(texts=a)}, tokenizer.encode_batch(a)),
        (
            {"records": rows({"text": a, "text_pair": b})},
            tokenizer.encode_batch(list(zip(a, b, strict=True))),
        ),
    ):
        own = [
            np.array([getattr(e, key) for e in encodings]) for key in ("ids", "attention_mask", "type_ids")
        ]
        _, pooled, _ = by_numpy(*own)
        close(matrix(embed(channel, "file", **given).embeddings), pooled)
        tokenized = answered(call(channel, "Tokenize", inference.TokenizeRequest(model="file", **given)))
        for sequence, encoding in zip(tokenized.sequences, encodings, strict=True):
            length = sum(encoding.attention_mask)
            assert list(sequence.ids) == encoding.ids[:length]
            assert list(sequence.type_ids) == encoding.type_ids[:length]


def test_texts_for_a_model_without_a_tokenizer(channel: grpc.Channel) -> None:
    for method, message in (
        ("Embed", inference.EmbedRequest(options=common.EmbedOptions(model="ids"))),
        ("Predict", inference.PredictRequest(model="ids")),
    ):
        message.texts.texts.append("a text")
        outcome = call(channel, method, message)
        assert (outcome.code, outcome.reason) == ("FAILED_PRECONDITION", "TEXTS_NOT_TAKEN")
        assert "vocab.txt" in outcome.message
        assert "input_ids" in outcome.message


def test_ids_that_no_table_has(channel: grpc.Channel) -> None:
    given = token_rows()
    given["input_ids"][4, 0] = len(VOCABULARY)
    outcome = call(channel, "Predict", inference.PredictRequest(model="ids", tensors=columns(given)))
    assert (outcome.code, outcome.reason, outcome.field) == (
        "INVALID_ARGUMENT",
        "OUT_OF_RANGE",
        "tensors[input_ids]",
    )
    assert f"row 4 of tensors[input_ids] holds the id {len(VOCABULARY)}" in outcome.message
    # Of this table the manifest says nothing; TensorFlow does.
    given = token_rows()
    given["token_type_ids"][4, 0] = 7
    for method, message in (
        ("Predict", inference.PredictRequest(model="ids", tensors=columns(given))),
        ("Embed", inference.EmbedRequest(options=common.EmbedOptions(model="ids"), tensors=columns(given))),
    ):
        outcome = call(channel, method, message)
        assert (outcome.code, outcome.reason) == ("INVALID_ARGUMENT", "OUT_OF_RANGE")
        assert "holds 7" in outcome.message


@pytest.mark.parametrize("name", ["ids", "file"])
def test_more_tokens_than_the_model_reads(channel: grpc.Channel, name: str) -> None:
    given = {key: np.ones((2, prepared_by_hand.POSITIONS + 1), np.int32) for key in token_rows()}
    message = inference.EmbedRequest(options=common.EmbedOptions(model=name), tensors=columns(given))
    outcome = call(channel, "Embed", message)
    assert outcome.code == "INVALID_ARGUMENT"
    # What the manifest does not say, TensorFlow does.
    assert outcome.reason == ("TEXT_TOO_LONG" if name == "file" else "REFUSED_BY_MODEL")
    assert "41" in outcome.message


def test_logits_in_half_precision(channel: grpc.Channel) -> None:
    given = token_rows()
    logits = by_numpy(*given.values())[2]
    found = predict(channel, "logits", tensors=columns(given))
    np.testing.assert_allclose(found, logits, rtol=2e-3, atol=2e-3)
    probabilities = matrix(embed(channel, "logits", tensors=columns(given)).probabilities)
    np.testing.assert_allclose(
        probabilities, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=2e-3
    )
    reply = answered(
        call(channel, "Classify", inference.ClassifyRequest(model="logits", tensors=columns(given)))
    )
    np.testing.assert_array_equal(matrix(reply.probabilities), probabilities)
    assert list(reply.predicted) == probabilities.argmax(axis=1).tolist()
    assert not reply.labels  # nobody named the classes


def test_numbers_in_a_precision_that_numpy_lacks(channel: grpc.Channel) -> None:
    given = token_rows()
    scale = np.float32([[0.5], [2.0]] * 10)
    pooled = by_numpy(*given.values(), scale)[1]
    close(matrix(embed(channel, "scaled", tensors=columns(given | {"scale": scale})).embeddings), pooled)


def test_half_precision_that_overflows_is_no_answer(channel: grpc.Channel) -> None:
    given = token_rows()
    scale = np.full((20, 1), 1.0, np.float32)
    scale[3] = 1e6  # its logits are beyond the largest number of half precision, 65,504
    sent = columns(given | {"scale": scale})
    outcome = call(channel, "Predict", inference.PredictRequest(model="scaled", tensors=sent))
    assert (outcome.code, outcome.reason) == ("FAILED_PRECONDITION", "NOT_FINITE")
    assert "row 3 of tensors" in outcome.message
    outcome = call(channel, "Classify", inference.ClassifyRequest(model="scaled", tensors=sent))
    assert (outcome.code, outcome.reason) == ("FAILED_PRECONDITION", "NOT_FINITE")
    reply = embed(channel, "scaled", tensors=columns(given | {"scale": np.ones_like(scale)}))
    assert np.isfinite(matrix(reply.probabilities)).all()
