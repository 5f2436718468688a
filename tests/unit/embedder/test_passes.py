"""What runs on the executor's thread, called directly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from penult_service.embedder.passes import EncodePass, class_probabilities
from penult_service.prepared import Head
from penult_service.tokenizing import TokenTable
from support.fakes import fake_model

MODEL = fake_model()
PASS = EncodePass(MODEL.engine, MODEL.manifest, "pooled_output", "pooled", probabilities=False)


def test_passes_that_do_the_same_are_equal() -> None:
    twin = replace(PASS, manifest=replace(MODEL.manifest, source="elsewhere"))
    assert twin == PASS
    assert hash(twin) == hash(PASS)
    others = [
        replace(PASS, engine=fake_model().engine),
        replace(PASS, layer="sequence_output"),
        replace(PASS, pooling="mean"),
        replace(PASS, probabilities=True),
        replace(PASS, kind=((), (8,))),
    ]
    assert len({PASS, *others}) == 6


def test_rows_of_several_tables_in_any_order() -> None:
    model = fake_model()
    a, b = model.tokenizer.tokenize(["x", "a b c d"]), model.tokenizer.tokenize(["p q"])
    rows = [(b, 0), (a, 1), (a, 0)]
    vectors = [vector for vector, _ in replace(PASS, engine=model.engine)(rows)]
    assert model.engine.batches == [(3, 6)]
    alone = [PASS([row])[0][0] for row in rows]
    np.testing.assert_allclose(vectors, alone, atol=1e-6)


def test_a_text_without_any_token_is_run_on_its_padding() -> None:
    model = fake_model()
    nothing = TokenTable(
        {name: np.zeros((1, 128), np.int32) for name in ("ids", "mask")}, np.zeros(1, np.int32), ["none"]
    )
    with np.errstate(invalid="ignore"):
        (reading,) = replace(PASS, engine=model.engine)([(nothing, 0)])
    assert model.engine.batches == [(1, 1)]
    assert reading[0] is not None
    assert reading[0].shape == (16,)


@pytest.mark.parametrize(
    ("kind", "output", "expected"),
    [
        ("softmax", [[0.1, 0.9], [0.7, 0.3]], [[0.1, 0.9], [0.7, 0.3]]),
        ("sigmoid", [[0.25], [1.0]], [[0.75, 0.25], [0.0, 1.0]]),
        ("sigmoid", [0.25, 1.0], [[0.75, 0.25], [0.0, 1.0]]),
        ("multilabel", [[0.9, 0.9]], [[0.9, 0.9]]),
        ("multilabel", [[0.9]], [[0.9]]),
    ],
)
def test_class_probabilities(kind: str, output: list[object], expected: list[list[float]]) -> None:
    probabilities = class_probabilities(Head(kind, "output", 2), np.array(output))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("kind", "activation", "logits", "expected"),
    [
        ("softmax", "softmax", [[0.0, np.log(3.0)], [1e4, 0.0]], [[0.25, 0.75], [1.0, 0.0]]),
        ("sigmoid", "sigmoid", [[np.log(3.0)], [-1e4], [1e4]], [[0.25, 0.75], [1.0, 0.0], [0.0, 1.0]]),
        ("sigmoid", "sigmoid", [np.log(3.0)], [[0.25, 0.75]]),
        ("multilabel", "sigmoid", [[0.0, np.log(4.0)]], [[0.5, 0.8]]),
    ],
)
def test_probabilities_of_logits(kind: str, activation: str, logits: object, expected: object) -> None:
    head = Head(kind, "output", 2, activation=activation)
    with np.errstate(over="raise", invalid="raise"):
        found = class_probabilities(head, np.array(logits, np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    half = class_probabilities(head, np.array(np.clip(logits, -100, 100), np.float16))
    np.testing.assert_allclose(half, expected, atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_logits_that_are_not_finite_are_no_probabilities(activation: str, value: float) -> None:
    kind = "softmax" if activation == "softmax" else "multilabel"
    with np.errstate(all="raise"):
        found = class_probabilities(
            Head(kind, "o", 2, activation=activation), np.array([[value, 0.0], [0, 1]])
        )
    assert np.isfinite(found).all(axis=1).tolist() == [False, True]
