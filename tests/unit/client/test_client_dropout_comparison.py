"""`compare_dropout` of both clients against a scripted transport: what is sent, and what is made of the reply."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.longrunning import operations_pb2 as lro
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2 as common
from penult.v1 import model_service_pb2 as models
from penult.v1 import server_service_pb2 as server
from penult_client import (
    ActiveDropout,
    Adjustment,
    Distribution,
    InputTypeError,
    InternalError,
    InvalidInputError,
    PreconditionError,
    ProofFigure,
)
from support.wire_numbers import packed
from support.wire_server import LIMITS

TEXTS = ["one", "two", "three"]
SPREAD = analysis.Distribution(mean=0.9, std=0.1, min=0.5, max=1.0, counts=[1, 2])
REPLY = analysis.CompareDropoutResponse(
    answer="Take them before.",
    inference=[models.ProofFigure(name="rate_0_vs_inference", meaning="m", value=0.0, limit=1e-5)],
    effects=[
        analysis.DropoutEffect(
            scope=common.DROPOUT_SCOPE_HEAD,
            active=[common.ActiveDropout(path="dropout", layer_class="Dropout", rate=0.1)],
            cosine_to_clean=SPREAD,
            expected_cosine_to_clean=0.95,
            cosine_between_draws=SPREAD,
            expected_cosine_between_draws=0.9,
            neighbors_changed=1.5,
            nearest_kept=0.25,
            cluster_agreement=SPREAD,
            pair_rank_correlation=0.5,
            predictions_flipped=0.0,
            rows_flipped=0,
            row_neighbors_changed=[1, 2, 1.5],
            row_flipped=[0, 0, 0],
            coordinates=packed([[1.0, 2.0]] * 3),
            accuracy=0.75,
        ),
        analysis.DropoutEffect(row_neighbors_changed=[0, 0, 0]),
    ],
    rows=3,
    passes=30,
    seed=42,
    neighbors=2,
    n_clusters=2,
    cluster_agreement_reseeded=SPREAD,
    coordinates=packed([[0.0, 1.0]] * 3),
    predicted=[0, 1, 0],
    labels=["no", "yes"],
    adjustments=[analysis.Adjustment(parameter="n_clusters", asked="9", used="2", why="few")],
    provenance=common.Provenance(
        model="models/m/versions/7", version=7, model_digest="d", embedding_space="s"
    ),
    accuracy=1.0,
)


class Handler:
    """Answers with `reply`; `trouble` is raised first."""

    def __init__(self, reply: Any = REPLY, *trouble: Exception) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.reply, self.trouble = reply, list(trouble)

    def __call__(self, method: str, request: Any) -> Any:
        self.asked.append((method, request))
        if method == "GetServerInfo":
            return server.GetServerInfoResponse(limits=server.Limits(**LIMITS))
        if self.trouble:
            raise self.trouble.pop(0)
        if method == "CompareDropout":
            return self.reply
        done = lro.Operation(name="operations/compare_dropout-1", done=method == "WaitOperation")
        if done.done:
            done.response.Pack(self.reply)
        return done


def test_what_is_asked(flavour):
    handler = Handler()
    client = flavour.mocked(handler)
    flavour.run(client.compare_dropout(TEXTS))
    plain = handler.asked[-1][1]
    assert list(plain.texts.texts) == TEXTS
    assert plain.dropout == common.DropoutOptions(samples=30, seed=42)
    assert (plain.model, plain.n_clusters, plain.without_map, list(plain.row_labels)) == ("", 0, False, [])
    assert plain.max_response_bytes == LIMITS["max_response_bytes"]
    flavour.run(
        client.compare_dropout(
            np.array(TEXTS), model="m@7", labels=[1, 2, 1], passes=5, seed=0, layers=["a", "b"], rate=0.5,
            n_clusters=2, map=False, truncate="error",
        )
    )  # fmt: skip
    asked = handler.asked[-1][1]
    assert asked.dropout == common.DropoutOptions(samples=5, seed=0, sites=["a", "b"], rate=0.5)
    assert (asked.model, asked.n_clusters, asked.without_map) == ("m@7", 2, True)
    assert list(asked.row_labels) == ["1", "2", "1"]
    assert asked.truncate == common.TRUNCATE_MODE_ERROR
    flavour.run(client.compare_dropout([{"a": "x", "b": "y"}] * 3, layers="all"))
    assert len(handler.asked[-1][1].records.records) == 3
    assert handler.asked[-1][1].dropout.scope == common.DROPOUT_SCOPE_ALL


def test_what_is_answered(flavour):
    made = flavour.run(flavour.mocked(Handler()).compare_dropout(TEXTS))
    spread = Distribution(mean=0.9, std=0.1, min=0.5, max=1.0, counts=(1, 2))
    assert str(made) == made.answer == "Take them before."
    assert made.inference == (ProofFigure(name="rate_0_vs_inference", meaning="m", value=0.0, limit=1e-5),)
    head, named = made.effects
    assert (head.scope, named.scope) == ("head", "named")
    assert head.active == (ActiveDropout(path="dropout", layer_class="Dropout", rate=0.1),)
    assert head.cosine_to_clean == head.cosine_between_draws == made.cluster_agreement_reseeded == spread
    assert (head.expected_cosine_to_clean, head.expected_cosine_between_draws) == (0.95, 0.9)
    assert (head.neighbors_changed, head.nearest_kept, head.pair_rank_correlation) == (1.5, 0.25, 0.5)
    assert (head.predictions_flipped, head.rows_flipped, head.accuracy) == (0.0, 0, 0.75)
    np.testing.assert_array_equal(head.row_neighbors_changed, np.float32([1, 2, 1.5]))
    np.testing.assert_array_equal(head.coordinates, np.float32([[1, 2]] * 3))
    for value in (
        named.cosine_between_draws, named.expected_cosine_to_clean, named.pair_rank_correlation, named.rows_flipped,
        named.predictions_flipped, named.row_flipped, named.coordinates, named.accuracy,
    ):  # fmt: skip
        assert value is None
    assert (made.rows, len(made), made.passes, made.seed, made.neighbors, made.n_clusters) == (
        3,
        3,
        30,
        42,
        2,
        2,
    )
    assert made.predicted.tolist() == [0, 1, 0]
    assert (made.labels, made.accuracy) == (("no", "yes"), 1.0)
    assert made.adjustments == (Adjustment(parameter="n_clusters", asked="9", used="2", why="few"),)
    assert (made.model, made.version, made.digest, made.space) == ("m", 7, "d", "s")
    assert "float32[3, 2]" in repr(made)


def test_what_takes_long_is_started_and_waited_for(flavour):
    refused = PreconditionError("about 90 s", reason="USE_START_ANALYSIS")
    handler = Handler(REPLY, refused)
    made = flavour.run(flavour.mocked(handler).compare_dropout(TEXTS))
    assert made.answer == "Take them before."
    methods = [method for method, _ in handler.asked]
    assert methods == ["GetServerInfo", "CompareDropout", "StartAnalysis", "WaitOperation"]
    assert handler.asked[2][1].compare_dropout == handler.asked[1][1]


@pytest.mark.parametrize(
    ("texts", "options", "kind", "reason", "field"),
    [
        ("one", {}, InputTypeError, "NOT_A_LIST", "texts"),
        ([], {}, InvalidInputError, "EMPTY_INPUT", "texts"),
        ({"a": np.ones((3, 2))}, {}, InputTypeError, "NOT_A_LIST", "tensors"),
        (TEXTS, {"passes": 0}, InvalidInputError, "OUT_OF_RANGE", "passes"),
        (TEXTS, {"passes": 2.5}, InputTypeError, "NOT_A_NUMBER", "passes"),
        (TEXTS, {"seed": -1}, InvalidInputError, "OUT_OF_RANGE", "seed"),
        (TEXTS, {"layers": "some"}, InvalidInputError, "UNKNOWN_LAYERS", "layers"),
        (TEXTS, {"layers": []}, InvalidInputError, "EMPTY_INPUT", "layers"),
        (TEXTS, {"rate": "high"}, InputTypeError, "NOT_A_NUMBER", "rate"),
        (TEXTS, {"n_clusters": 0}, InvalidInputError, "OUT_OF_RANGE", "n_clusters"),
        (TEXTS, {"labels": ["a"]}, InvalidInputError, "LABELS_MISMATCH", "labels"),
        (TEXTS, {"truncate": "left"}, InvalidInputError, "UNKNOWN_TRUNCATE", "truncate"),
        (["x" * 300_000] * 4, {}, InvalidInputError, "REQUEST_TOO_LARGE", "texts"),
    ],
)
def test_wrong_input_is_not_sent(flavour, texts, options, kind, reason, field):
    handler = Handler()
    with pytest.raises(kind) as caught:
        flavour.run(flavour.mocked(handler).compare_dropout(texts, **options))
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert "CompareDropout" not in [method for method, _ in handler.asked]


@pytest.mark.parametrize("field", ["predicted", "coordinates", "row_neighbors_changed", "nothing"])
def test_a_reply_that_does_not_fit_itself(flavour, field):
    reply = analysis.CompareDropoutResponse()
    reply.CopyFrom(REPLY)
    if field == "predicted":
        reply.predicted.append(0)
    elif field == "coordinates":
        reply.coordinates.CopyFrom(packed([[0.0, 1.0]] * 2))
    elif field == "row_neighbors_changed":
        reply.effects[0].row_neighbors_changed.append(0)
    else:
        reply.effects[1].ClearField("row_neighbors_changed")
    with pytest.raises(InternalError) as caught:
        flavour.run(flavour.mocked(Handler(reply)).compare_dropout(TEXTS))
    assert caught.value.reason == "BAD_REPLY"
