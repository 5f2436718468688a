"""What the server answers, against what the same fake engine computes here."""

from __future__ import annotations

from typing import cast

import grpc
import numpy as np
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference
from penult.v1 import model_service_pb2 as models
from penult.v1 import server_service_pb2 as server_pb
from penult_service import __version__
from support.bad_input import LONG, compare, embed, rows, texts
from support.calling import Outcome, call, status_outcome
from support.fakes import fake_model

TEXTS = ["a fine film", "", "dull " * 40, "one two three four five", "a fine film"]
MODEL = fake_model("reviews", 3)


def array(message: common.Vectors) -> NDArray[np.float32]:
    return np.frombuffer(message.data, "<f4").reshape(message.rows, message.columns)


def expected(model_texts: list[str]) -> NDArray[np.float32]:
    """The pooled output, one text at a time, untrimmed."""
    tables = [MODEL.tokenizer.tokenize([text]).inputs for text in model_texts]
    return np.concatenate(
        [MODEL.engine.encode(inputs, ["pooled_output"])["pooled_output"] for inputs in tables]
    )


def answered(outcome: Outcome) -> object:
    assert outcome.code == "OK", outcome
    return outcome.reply


def embedded(channel: grpc.Channel, request: inference.EmbedRequest) -> inference.EmbedResponse:
    return cast(inference.EmbedResponse, answered(call(channel, "Embed", request)))


def test_embed(channel: grpc.Channel) -> None:
    reply = embedded(channel, embed(*TEXTS))
    assert array(reply.embeddings).shape == (5, 16)
    assert reply.embeddings.data_type == common.DATA_TYPE_FLOAT32
    assert np.allclose(array(reply.embeddings), expected(TEXTS), rtol=0, atol=1e-6)
    assert reply.token_counts == [5, 2, 42, 7, 5]
    assert set(reply.truncations) == {common.TRUNCATION_NONE}
    assert not reply.HasField("probabilities")
    assert not reply.labels


def test_embed_says_where_the_numbers_came_from(channel: grpc.Channel) -> None:
    origin = embedded(channel, embed("a", pooling=common.POOLING_MEAN, normalize=True)).provenance
    assert origin == common.Provenance(
        model="models/reviews/versions/3",
        version=3,
        model_digest=MODEL.manifest.model_digest,
        embedding_space=origin.embedding_space,
        layer="sequence_output",
        pooling=common.POOLING_MEAN,
        normalized=True,
        engine="fake",
        precision="float32",
        dropout_proven_inactive=True,
    )


def test_each_way_to_embed_is_a_space_of_its_own(channel: grpc.Channel) -> None:
    ways = [
        embed("a"),
        embed("a", pooling=common.POOLING_CLS),
        embed("a", normalize=True),
        embed("a", truncate=common.TRUNCATE_MODE_ERROR),
    ]
    replies = [embedded(channel, way) for way in ways]
    assert len({reply.embeddings.embedding_space for reply in replies}) == len(ways)
    assert all(reply.embeddings.embedding_space == reply.provenance.embedding_space for reply in replies)
    # The defaults, spelt out, are the same space.
    same = embed(
        "a", layer="pooled_output", pooling=common.POOLING_POOLED, truncate=common.TRUNCATE_MODE_RIGHT
    )
    assert embedded(channel, same).embeddings == replies[0].embeddings


@pytest.mark.parametrize("name", ["", "reviews", "reviews@3", "models/reviews", "models/reviews/versions/3"])
def test_every_way_to_name_the_model(channel: grpc.Channel, name: str) -> None:
    assert embedded(channel, embed("a", model=name)).provenance.model == "models/reviews/versions/3"


def test_probabilities_come_from_the_same_pass(channel: grpc.Channel) -> None:
    request = embed(*TEXTS)
    request.probabilities = True
    reply = embedded(channel, request)
    classified = call(channel, "Classify", inference.ClassifyRequest(texts=texts(*TEXTS)))
    probabilities = array(reply.probabilities)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(probabilities, MODEL.engine.head(expected(TEXTS))["output"], rtol=0, atol=1e-6)
    assert reply.labels == ["negative", "neutral", "positive"]
    other = cast(inference.ClassifyResponse, answered(classified))
    assert np.allclose(array(other.probabilities), probabilities, rtol=0, atol=1e-6)
    assert other.predicted == probabilities.argmax(axis=1).tolist()
    assert other.labels == reply.labels
    assert other.token_counts == reply.token_counts


def test_predict(channel: grpc.Channel) -> None:
    outcome = call(channel, "Predict", inference.PredictRequest(texts=texts(*TEXTS)))
    reply = cast(inference.PredictResponse, answered(outcome))
    assert list(reply.outputs) == ["output"]
    tensor = reply.outputs["output"]
    assert (list(tensor.shape), tensor.data_type) == ([5, 3], common.DATA_TYPE_FLOAT32)
    output = np.frombuffer(tensor.data, "<f4").reshape(5, 3)
    assert np.allclose(
        output, MODEL.engine.whole({"text": np.array(TEXTS, object)})["output"], rtol=0, atol=1e-6
    )
    assert reply.provenance.model == "models/reviews/versions/3"
    assert not reply.provenance.embedding_space


def test_tokenize(channel: grpc.Channel) -> None:
    wanted = [*TEXTS, LONG]
    outcome = call(channel, "Tokenize", inference.TokenizeRequest(texts=texts(*wanted)))
    reply = cast(inference.TokenizeResponse, answered(outcome))
    table = MODEL.tokenizer.tokenize(wanted)
    ids = [table.inputs["ids"][i, :length].tolist() for i, length in enumerate(table.lengths)]
    assert [list(sequence.ids) for sequence in reply.sequences] == ids
    cuts = [sequence.truncation for sequence in reply.sequences]
    assert cuts == [common.TRUNCATION_NONE] * 5 + [common.TRUNCATION_CUT]


def test_a_row_error_is_reported_when_asked_for(channel: grpc.Channel) -> None:
    request = embed("short", LONG, "also short", truncate=common.TRUNCATE_MODE_ERROR)
    request.on_row_error = common.ON_ROW_ERROR_REPORT
    reply = embedded(channel, request)
    matrix = array(reply.embeddings)
    assert np.isnan(matrix[1]).all()
    assert np.allclose(matrix[[0, 2]], expected(["short", "also short"]), rtol=0, atol=1e-6)
    (error,) = reply.row_errors
    outcome = status_outcome(error.status, "")
    assert (error.index, error.status.code) == (1, grpc.StatusCode.INVALID_ARGUMENT.value[0])
    assert (outcome.reason, outcome.field) == ("TEXT_TOO_LONG", "texts[1]")


def test_classify_reports_failed_rows_too(channel: grpc.Channel) -> None:
    request = inference.ClassifyRequest(
        texts=texts("short", LONG),
        truncate=common.TRUNCATE_MODE_ERROR,
        on_row_error=common.ON_ROW_ERROR_REPORT,
    )
    reply = cast(inference.ClassifyResponse, answered(call(channel, "Classify", request)))
    assert reply.predicted[1] == -1
    assert reply.predicted[0] == array(reply.probabilities)[0].argmax()
    assert [error.index for error in reply.row_errors] == [1]


def test_server_info(channel: grpc.Channel) -> None:
    reply = cast(server_pb.GetServerInfoResponse, answered(call(channel, "GetServerInfo")))
    assert reply.version == __version__
    assert reply.default_model == "models/reviews"
    assert "embed.probabilities" in reply.features
    assert all(value > 0 for _, value in reply.limits.ListFields())
    assert len(reply.limits.ListFields()) == len(reply.limits.DESCRIPTOR.fields)


def test_a_model_describes_itself(channel: grpc.Channel) -> None:
    listed = cast(models.ListModelsResponse, answered(call(channel, "ListModels")))
    got = answered(call(channel, "GetModel", models.GetModelRequest(name="reviews")))
    (model,) = listed.models
    assert cast(models.GetModelResponse, got).model == model
    assert (model.name, model.version) == ("models/reviews/versions/3", 3)
    assert model.state == models.MODEL_STATE_READY
    assert model.default_version
    assert model.head_kind == models.HEAD_KIND_SOFTMAX
    assert [(r.layer, r.dimension, r.kind) for r in model.readouts] == [
        ("pooled_output", 16, models.READOUT_KIND_POOLED),
        ("sequence_output", 16, models.READOUT_KIND_TOKENS),
    ]
    assert list(model.poolings) == [
        common.POOLING_POOLED,
        common.POOLING_CLS,
        common.POOLING_MEAN,
        common.POOLING_MAX,
        common.POOLING_TOKENS,
    ]
    assert model.labels == ["negative", "neutral", "positive"]
    assert (model.max_length, model.trims_padding, model.dropout_proven_inactive) == (128, True, True)
    assert (model.engine, model.precision, model.format) == ("fake", "float32", "fake")


def test_inspect_dropout(channel: grpc.Channel) -> None:
    reply = cast(models.InspectDropoutResponse, answered(call(channel, "InspectDropout")))
    inner, site = reply.sites
    assert (inner.path, inner.place) == ("encoder/dropout", models.DROPOUT_PLACE_BEFORE_EMBEDDING)
    assert (site.path, site.rate, site.layer_class) == ("dropout", 0.1, "Dropout")
    assert site.place == models.DROPOUT_PLACE_AT_SEAM
    assert inner.sampled
    assert site.sampled
    assert reply.proof.proven
    assert reply.proof.findings == list(MODEL.manifest.proof.findings)
    assert reply.model_digest == MODEL.manifest.model_digest


def test_reflection_lists_the_services(channel: grpc.Channel) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (reply,) = stub.ServerReflectionInfo(iter([request]))
    assert {service.name for service in reply.list_services_response.service} == {
        "penult.v1.ServerService",
        "penult.v1.ModelService",
        "penult.v1.InferenceService",
        "penult.v1.AnalysisService",
        "penult.v1.DatasetService",
        "google.longrunning.Operations",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


VECTORS = np.random.default_rng(7).standard_normal((4, 3)).astype(np.float32)
ORACLES = {
    analysis.METRIC_UNSPECIFIED: lambda x, y: (
        x @ y.T / np.outer(*(np.linalg.norm(m, axis=1) for m in (x, y)))
    ),
    analysis.METRIC_DOT: lambda x, y: x @ y.T,
    analysis.METRIC_EUCLIDEAN: lambda x, y: np.linalg.norm(x[:, None] - y[None], axis=2),
    analysis.METRIC_MANHATTAN: lambda x, y: np.abs(x[:, None] - y[None]).sum(axis=2),
}


def compared(channel: grpc.Channel, *args: object, **kwargs: object) -> analysis.ComputeSimilarityResponse:
    outcome = call(channel, "ComputeSimilarity", compare(*args, **kwargs))
    return cast(analysis.ComputeSimilarityResponse, answered(outcome))


@pytest.mark.parametrize("metric", ORACLES)
def test_similarity_of_vectors(channel: grpc.Channel, metric: int) -> None:
    a, b = rows(*VECTORS.tolist()), rows(*VECTORS[:2].tolist())
    reply = compared(channel, a, b, metric=metric)
    oracle = ORACLES[metric](VECTORS.astype(np.float64), VECTORS[:2].astype(np.float64))
    assert np.allclose(array(reply.scores), oracle, rtol=0, atol=1e-6)
    assert reply.metric == (metric or analysis.METRIC_COSINE)
    assert reply.space_check == analysis.SPACE_CHECK_UNCHECKED
    assert not reply.HasField("provenance")


def test_similarity_of_texts_with_themselves(channel: grpc.Channel) -> None:
    reply = compared(channel, common.Source(texts=texts(*TEXTS)))
    vectors = expected(TEXTS).astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.allclose(array(reply.scores), unit @ unit.T, rtol=0, atol=1e-6)
    assert reply.space_check == analysis.SPACE_CHECK_EQUAL
    assert reply.provenance.model == "models/reviews/versions/3"


def test_texts_compare_with_the_vectors_that_embed_gave(channel: grpc.Channel) -> None:
    kept = embedded(channel, embed(*TEXTS)).embeddings
    reply = compared(channel, common.Source(texts=texts("a fine film")), common.Source(vectors=kept))
    assert reply.space_check == analysis.SPACE_CHECK_EQUAL
    assert array(reply.scores)[0, [0, 4]] == pytest.approx(1, abs=1e-6)
    kept.embedding_space = ""
    unknown = compared(channel, common.Source(texts=texts("a fine film")), common.Source(vectors=kept))
    assert unknown.space_check == analysis.SPACE_CHECK_UNCHECKED


def test_a_text_of_a_side_that_is_too_long_is_named(channel: grpc.Channel) -> None:
    options = common.EmbedOptions(truncate=common.TRUNCATE_MODE_ERROR)
    b = common.Source(texts=texts("a", LONG), options=options)
    a = common.Source(texts=texts("a"), options=options)
    outcome = call(channel, "ComputeSimilarity", compare(a, b))
    assert (outcome.code, outcome.field) == ("INVALID_ARGUMENT", "b.texts[1]")
