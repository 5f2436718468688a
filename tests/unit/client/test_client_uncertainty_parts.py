"""Replies to the parts of an `uncertainty` call -> one result; how such a call is split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference
from penult_client import ActiveDropout, InternalError, Limits, PreconditionError
from penult_client._core import dropout, requests, results
from penult_client._core.inputs import check_texts
from penult_client._core.splitting import Part, patience, split_rows

LIMITS = Limits(
    max_request_bytes=1 << 20,
    default_response_bytes=1 << 20,
    max_response_bytes=1 << 20,
    max_texts=5000,
    max_text_bytes=1 << 20,
    max_queued_tokens=1 << 20,
    max_scores=1,
    max_analysis_seconds=1,
    max_analysis_bytes=1,
)


def vectors(rows: list[list[float]]) -> common.Vectors:
    matrix = np.array(rows, "<f4")
    return common.Vectors(rows=len(rows), columns=matrix.shape[1], data=matrix.tobytes())


def reply(first: float, rows: int = 2, **changes: Any) -> inference.SampleDropoutResponse:
    numbers = [[first + i, -first - i] for i in range(rows)]
    column = [first + i for i in range(rows)]
    fields: dict[str, Any] = {
        "mean": vectors(numbers),
        "std": vectors(numbers),
        "clean": vectors(numbers),
        "classifier": True,
        "labels": ["a", "b"],
        "entropy": column,
        "mutual_information": column,
        "variation_ratio": column,
        "predicted": [1] * rows,
        "samples": 3,
        "seed": 9,
        "active": [common.ActiveDropout(path="dropout", layer_class="Dropout", rate=0.5)],
        "token_counts": [4] * rows,
        "truncations": [common.TRUNCATION_NONE] * rows,
        "provenance": common.Provenance(model="models/m/versions/2", version=2, model_digest="d"),
    }
    return inference.SampleDropoutResponse(**{**fields, **changes})


def joined(*replies: inference.SampleDropoutResponse) -> Any:
    starts = np.cumsum([0, *(each.mean.rows for each in replies)])
    return results.uncertainty(
        [(Part(int(s), int(s) + each.mean.rows), each) for s, each in zip(starts, replies, strict=False)]
    )


def test_parts_follow_each_other():
    tensor = common.Tensor(shape=[2, 3, 2], data_type=common.DATA_TYPE_FLOAT32, data=bytes(4 * 12))
    error = common.RowError(index=1)
    found = joined(reply(1, draws=tensor), reply(5, draws=tensor, row_errors=[error]))
    np.testing.assert_array_equal(found.mean[:, 0], [1, 2, 5, 6])
    np.testing.assert_array_equal(found.entropy, np.float32([1, 2, 5, 6]))
    assert found.draws.shape == (4, 3, 2)
    assert found.predicted.tolist() == [1, 1, 1, 1]
    assert found.active == (ActiveDropout(path="dropout", layer_class="Dropout", rate=0.5),)
    assert (found.samples, found.seed, found.labels) == (3, 9, ("a", "b"))
    assert [each.index for each in found.row_errors] == [3]


def test_no_classifier_has_no_columns():
    nothing: dict[str, Any] = {
        name: [] for name in ("entropy", "mutual_information", "variation_ratio", "predicted", "labels")
    }
    found = joined(*(reply(i, classifier=False, **nothing) for i in (1, 5)))
    assert found.entropy.shape == found.predicted.shape == (0,)
    assert found.mean.shape == (4, 2)


@pytest.mark.parametrize(
    "changes",
    [{"seed": 10}, {"samples": 4}, {"entropy": [1.0]}, {"predicted": [1, 1, 1]}, {"std": vectors([[1.0]])}],
)
def test_a_reply_that_cannot_be_right(changes):
    with pytest.raises(InternalError) as caught:
        joined(reply(1), reply(5, **changes))
    assert caught.value.reason == "BAD_REPLY"


def test_two_models_never_stand_in_one_result():
    other = common.Provenance(model="models/m/versions/3", model_digest="e")
    with pytest.raises(PreconditionError) as caught:
        joined(reply(1), reply(5, provenance=other))
    assert caught.value.reason == "MODEL_CHANGED"


def test_each_part_says_the_number_of_its_first_row():
    template = inference.SampleDropoutRequest(first_row=100)
    made = requests.with_rows(template, check_texts(["a", "b", "c"]), 1, 3, LIMITS)
    assert made.first_row == 101
    assert list(made.texts.texts) == ["b", "c"]
    assert template.first_row == 100


@pytest.mark.parametrize(
    ("layers", "samples", "most"),
    [("head", 30, 1024), ("head", 10_000, 93), ("all", 30, 33), (["a"], 30, 33), ("all", 5000, 1)],
)
def test_many_passes_a_row_make_small_parts(layers, samples, most):
    options = dropout.dropout_options(samples=samples, layers=layers, seed=1, rate=None)
    parts = split_rows(check_texts(["a"] * 3000), LIMITS, 0, dropout.passes(options))
    assert max(map(len, parts)) == most
    assert sum(map(len, parts)) == 3000


@pytest.mark.parametrize(
    ("layers", "samples", "text", "times"),
    [
        ("head", 10_000, "long " * 10_000, 1),
        ("all", 30, "long " * 10_000, 1),
        ("all", 1000, "a", 1),
        ("all", 10_240, "a", 10),
        ("all", 1000, "long " * 10_000, 15.6),  # half a thousand tokens, a thousand times
    ],
)
def test_a_row_of_many_passes_is_waited_for_longer(layers, samples, text, times):
    options = dropout.dropout_options(samples=samples, layers=layers, seed=1, rate=None)
    assert patience(check_texts([text, "b"]), dropout.passes(options)) == pytest.approx(times, rel=0.01)
    assert patience(check_texts([text]), 1) == 1


def test_what_is_not_said_does_not_travel():
    options = dropout.dropout_options(samples=5, layers=None, seed=None, rate=None)
    assert options == common.DropoutOptions(samples=5)
    assert dropout.dropout_options(samples=5, layers="all", seed=0, rate=0.0).HasField("rate")
