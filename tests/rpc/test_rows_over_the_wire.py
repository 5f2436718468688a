"""Records, tensors and token vectors as a bare stub sends them, to the services with fake models of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2 as common
from penult.v1 import dataset_service_pb2 as datasets
from penult.v1 import inference_service_pb2 as inference
from penult.v1 import model_service_pb2 as models
from penult_service.embedder import LoadedModel
from penult_service.engines.fake import NOT_CUT
from penult_service.rpc import replies
from support.calling import Outcome, call
from support.fakes import fake_model
from support.serving import serving, wait_until

A, B = ["a fine film", "", "dull " * 40, "one two"], ["yes", "no", "maybe so", ""]
NUMBERS = np.float32([[1, 2], [0.1, -3], [0, 0], [5, 1]])
MODELS = {
    name: fake_model(name, **traits)
    for name, traits in {
        "pair": {"takes": "pair"},
        "numbers": {"takes": "numbers"},
        "ids": {"takes": "ids"},
        "file": {"takes": "file"},
        "whole": {"whole_only": True},
        "regression": {"head": "regression"},
        "undeclared": {"head": "other"},
        "logits": {"head": "logits", "pooling": "mean"},
    }.items()
}


@pytest.fixture(scope="module")
def channel() -> Iterator[grpc.Channel]:
    def all_ready() -> bool:
        listed = call(opened, "ListModels").reply
        return listed is not None and all(m.state == models.MODEL_STATE_READY for m in listed.models)

    with serving(*MODELS.values()) as server, server.channel() as opened:
        wait_until(all_ready)
        yield opened


def pairs(a: list[str] = A, b: list[str] = B) -> common.RecordList:
    values = [[common.RecordValue(text=text) for text in pair] for pair in zip(a, b, strict=True)]
    return common.RecordList(records=[common.Record(ordered=pair) for pair in values])


def tensors(**arrays: Any) -> common.TensorMap:
    return common.TensorMap(
        tensors={name.replace("_and_", " and "): replies.tensor(np.asarray(a)) for name, a in arrays.items()}
    )


def tokens(model: LoadedModel) -> common.TensorMap:
    table = model.tokenizer.tokenize(A)
    return tensors(input_ids=table.inputs["ids"], attention_mask=table.inputs["mask"])


def on(model: str, **options: Any) -> common.EmbedOptions:
    return common.EmbedOptions(model=model, **options)


def matrix(message: common.Vectors) -> np.ndarray:
    return np.frombuffer(message.data, "<f4").reshape(message.rows, message.columns)


def answered(outcome: Outcome) -> Any:
    assert outcome.code == "OK", outcome
    return outcome.reply


def expected(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings and outputs by the engine itself."""
    model = MODELS[name]
    inputs = dict(
        model.tokenizer.tokenize(A, B).inputs if name == "pair" else model.tokenizer.tokenize(A).inputs
    )
    values = {"age": NUMBERS} if name == "numbers" else {}
    seam = model.engine.encode(inputs | values, ["pooled_output"])["pooled_output"]
    return seam, model.engine.head(seam, values)["output"]


def given(name: str) -> dict[str, Any]:
    if name == "pair":
        return {"records": pairs()}
    if name == "numbers":
        return {"tensors": tensors(text=np.array(A, object), age_and_size=NUMBERS)}
    return (
        {"tensors": tokens(MODELS[name])} if name in ("ids", "file") else {"texts": common.TextList(texts=A)}
    )


@pytest.mark.parametrize("name", ["pair", "numbers", "ids", "file"])
def test_every_rpc_takes_them(channel: grpc.Channel, name: str) -> None:
    vectors, outputs = expected(name)
    request = inference.EmbedRequest(options=on(name), probabilities=True, **given(name))
    reply = answered(call(channel, "Embed", request))
    np.testing.assert_allclose(matrix(reply.embeddings), vectors, atol=1e-6)
    np.testing.assert_allclose(matrix(reply.probabilities), outputs, atol=1e-6)
    classified = answered(call(channel, "Classify", inference.ClassifyRequest(model=name, **given(name))))
    np.testing.assert_allclose(matrix(classified.probabilities), outputs, atol=1e-6)
    assert classified.labels == ["negative", "neutral", "positive"]
    predicted = answered(call(channel, "Predict", inference.PredictRequest(model=name, **given(name))))
    found = np.frombuffer(predicted.outputs["output"].data, "<f4").reshape(predicted.outputs["output"].shape)
    np.testing.assert_allclose(found, outputs, atol=1e-6)
    tokenized = answered(call(channel, "Tokenize", inference.TokenizeRequest(model=name, **given(name))))
    assert [len(sequence.ids) for sequence in tokenized.sequences] == list(reply.token_counts)
    assert not tokenized.sequences[0].type_ids  # the model takes none


def test_token_vectors(channel: grpc.Channel) -> None:
    options = on("whole", pooling=common.POOLING_TOKENS)
    outcome = call(channel, "Embed", inference.EmbedRequest(records=pairs(), options=options))
    assert (outcome.code, outcome.message) == ("FAILED_PRECONDITION", NOT_CUT)
    options.model = "pair"
    reply = answered(call(channel, "Embed", inference.EmbedRequest(records=pairs(), options=options)))
    model = MODELS["pair"]
    table = model.tokenizer.tokenize(A, B)
    every = model.engine.encode(table.inputs, ["sequence_output"])["sequence_output"]
    rows = np.concatenate([row[:n] for row, n in zip(every, table.lengths, strict=True)])
    assert list(reply.token_counts) == table.lengths.tolist()
    np.testing.assert_allclose(matrix(reply.embeddings), rows, atol=1e-6)
    assert reply.provenance.pooling == common.POOLING_TOKENS


def test_token_vectors_that_do_not_fit_are_refused_before_they_are_computed(channel: grpc.Channel) -> None:
    model = MODELS["pair"]
    table = model.tokenizer.tokenize(A, B)
    batches = len(model.engine.batches)
    request = inference.EmbedRequest(
        records=pairs(), options=on("pair", pooling=common.POOLING_TOKENS), max_response_bytes=4096 + 3200
    )
    outcome = call(channel, "Embed", request)
    assert (outcome.code, outcome.reason) == ("INVALID_ARGUMENT", "RESPONSE_TOO_LARGE")
    most = int(outcome.metadata["most_rows"])
    assert most == 3200 // (int(table.lengths.max()) * 64 + 4)
    assert len(model.engine.batches) == batches
    few = inference.EmbedRequest(
        records=pairs(A[:most], B[:most]), options=request.options, max_response_bytes=4096 + 3200
    )
    answered(call(channel, "Embed", few))


@pytest.mark.parametrize(
    ("method", "request_", "code", "reason", "says"),
    [
        ("Embed", inference.EmbedRequest(options=on("pair"), texts=common.TextList(texts=A)), "INVALID_ARGUMENT",
         "MISSING_INPUT", "premise, hypothesis"),
        ("Embed", inference.EmbedRequest(options=on("ids"), texts=common.TextList(texts=A)), "FAILED_PRECONDITION",
         "TEXTS_NOT_TAKEN", "vocab.txt"),
        ("Tokenize", inference.TokenizeRequest(model="ids", texts=common.TextList(texts=A)), "FAILED_PRECONDITION",
         "TEXTS_NOT_TAKEN", "tokenizer.json"),
        ("Predict", inference.PredictRequest(model="ids", tensors=tensors(
            input_ids=[[1, 30_000]], attention_mask=[[1, 1]])), "INVALID_ARGUMENT", "OUT_OF_RANGE",
         "row 0 of tensors[input_ids] holds the id 30000"),
        ("Embed", inference.EmbedRequest(options=on("whole"), texts=common.TextList(texts=A)), "FAILED_PRECONDITION",
         "NO_EMBEDDING", NOT_CUT),
        ("Classify", inference.ClassifyRequest(model="regression", texts=common.TextList(texts=A)),
         "FAILED_PRECONDITION", "NOT_A_CLASSIFIER", "regression"),
        ("Classify", inference.ClassifyRequest(model="undeclared", texts=common.TextList(texts=A)),
         "FAILED_PRECONDITION", "NOT_A_CLASSIFIER", 'head = "logits"'),
        ("Cluster", analysis.ClusterRequest(source=common.Source(
            records=pairs(), options=on("pair", pooling=common.POOLING_TOKENS))), "INVALID_ARGUMENT", "ROW_A_TOKEN",
         "one row a token"),
        ("CreateDataset", datasets.CreateDatasetRequest(
            name="d", options=on("logits", pooling=common.POOLING_TOKENS)), "INVALID_ARGUMENT", "ROW_A_TOKEN",
         "one row a token"),
        ("ComputeSimilarity", analysis.ComputeSimilarityRequest(a=common.Source(
            records=common.RecordList(records=[common.Record()]), options=on("pair"))), "INVALID_ARGUMENT",
         "EMPTY_INPUT", "a.records[0]"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_what_can(
    channel: grpc.Channel, method: str, request_: Any, code: str, reason: str, says: str
) -> None:
    outcome = call(channel, method, request_)
    assert (outcome.code, outcome.reason) == (code, reason)
    assert says in outcome.message


def test_records_of_a_side_are_embedded(channel: grpc.Channel) -> None:
    source = common.Source(records=pairs(), options=on("pair"))
    reply = answered(call(channel, "ComputeSimilarity", analysis.ComputeSimilarityRequest(a=source)))
    unit = expected("pair")[0].astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    np.testing.assert_allclose(matrix(reply.scores), unit @ unit.T, atol=1e-6)
    wrong = common.Source(records=pairs(), options=on("numbers"))
    outcome = call(channel, "ComputeSimilarity", analysis.ComputeSimilarityRequest(a=wrong))
    assert outcome.field == "a.records[0].age and size"


def test_the_default_pooling_is_the_models_own(channel: grpc.Channel) -> None:
    texts = common.TextList(texts=A)
    plain, named = (
        answered(
            call(channel, "Embed", inference.EmbedRequest(texts=texts, options=on("logits", pooling=pooling)))
        )
        for pooling in (common.POOLING_UNSPECIFIED, common.POOLING_MEAN)
    )
    assert plain.provenance.pooling == common.POOLING_MEAN
    assert plain.embeddings == named.embeddings
    made = datasets.CreateDatasetRequest(name="kept", options=on("logits"))
    assert answered(call(channel, "CreateDataset", made)).dataset.options.pooling == common.POOLING_MEAN


def model(channel: grpc.Channel, name: str) -> models.Model:
    found: models.Model = answered(call(channel, "GetModel", models.GetModelRequest(name=name))).model
    return found


def test_models_say_what_they_take(channel: grpc.Channel) -> None:
    def said(name: str) -> list[tuple[Any, ...]]:
        return [
            (i.name, i.data_type, list(i.shape), i.role, i.limit, i.made_by_tokenizing)
            for i in model(channel, name).inputs
        ]

    string, int32 = common.DATA_TYPE_STRING, common.DATA_TYPE_INT32
    role = models.InputRole
    assert said("pair") == [
        (name, string, [], role.INPUT_ROLE_TEXT, 0, False) for name in ("premise", "hypothesis")
    ]
    assert said("numbers")[1] == (
        "age and size", common.DATA_TYPE_FLOAT32, [2], role.INPUT_ROLE_VALUE, 0, False,
    )  # fmt: skip
    ids, mask = role.INPUT_ROLE_IDS, role.INPUT_ROLE_MASK
    for name, made in (("ids", False), ("file", True)):
        assert said(name)[-2:] == [
            ("input_ids", int32, [-1], ids, 30_000, made),
            ("attention_mask", int32, [-1], mask, 0, made),
        ]
    assert [len(said(name)) for name in ("ids", "file")] == [2, 3]
    kinds = models.TokenizerKind
    assert [model(channel, name).tokenizer for name in ("pair", "file", "ids")] == [
        kinds.TOKENIZER_KIND_GRAPH,
        kinds.TOKENIZER_KIND_FILE,
        kinds.TOKENIZER_KIND_NONE,
    ]


def test_models_say_what_their_head_is_and_why_nothing_is_read(channel: grpc.Channel) -> None:
    whole = model(channel, "whole")
    assert (whole.unread, list(whole.readouts), list(whole.poolings)) == (NOT_CUT, [], [])
    report = answered(call(channel, "InspectDropout", models.InspectDropoutRequest(name="whole")))
    assert report.unread == NOT_CUT
    logits = model(channel, "logits")
    assert (logits.head_kind, logits.logits) == (models.HEAD_KIND_SOFTMAX, True)
    assert (logits.default_pooling, list(logits.outputs)) == (common.POOLING_MEAN, ["output"])
    assert not logits.unread
    assert model(channel, "regression").head_kind == models.HEAD_KIND_REGRESSION
    assert model(channel, "undeclared").head_kind == models.HEAD_KIND_UNSPECIFIED
    assert not model(channel, "pair").logits
