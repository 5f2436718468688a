"""What runs on the executor's thread, called directly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from penult_service.embedder.passes import EncodePass, class_probabilities
from penult_service.embedder.running import limits_of
from penult_service.prepared import NO_LIMIT, Head, TokenInput
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


@pytest.mark.parametrize(("length", "width"), [(16, 16), (17, 18), (33, 36), (41, 42)])
def test_batches_are_padded_to_steps_no_further_than_the_model_reads(length: int, width: int) -> None:
    """Also where the table itself, padded to its longest row, is not as wide; with what fills its rows."""
    ids = np.arange(1, 2 * length + 1, dtype=np.int32).reshape(2, length)
    table = TokenTable(
        {"ids": ids, "mask": np.ones_like(ids)},
        np.array([length, 3], np.int32),
        ["none"] * 2,
        filling={"ids": 7},
    )
    table.inputs["mask"][1, 3:] = 0
    manifest = replace(MODEL.manifest, max_length=42)
    inputs = replace(PASS, manifest=manifest).prepare([(table, 1), (table, 0)]).inputs
    assert {array.shape for array in inputs.values()} == {(2, width)}
    np.testing.assert_array_equal(inputs["ids"][:, :length], ids[::-1])
    assert (inputs["ids"][:, length:] == 7).all()
    assert not inputs["mask"][:, length:].any()


def test_a_model_that_nobody_knows_the_limit_of_is_given_no_more_than_there_is() -> None:
    table = TokenTable({"ids": np.ones((1, 41), np.int32)}, np.array([41], np.int32), ["none"])
    manifest = replace(MODEL.manifest, max_length=NO_LIMIT)
    (batch,) = replace(PASS, manifest=manifest).prepare([(table, 0)]).inputs.values()
    assert batch.shape == (1, 41)


def test_inputs_with_widths_of_their_own_are_not_padded_beyond_them() -> None:
    """Each may have a longest of its own, which nobody knows here."""
    wide, narrow = np.ones((2, 40), np.int32), np.ones((2, 9), np.int32)
    table = TokenTable({"ids": wide, "mask": narrow}, np.array([33, 20], np.int32), ["none"] * 2)
    inputs = PASS.prepare([(table, 0), (table, 1)]).inputs
    assert {name: array.shape for name, array in inputs.items()} == {"ids": (2, 36), "mask": (2, 9)}


def test_several_rows_of_ids_are_not_padded_beyond_the_longest() -> None:
    """One of them may read no more than that, also where all are as wide by chance."""
    two = TokenInput("other", "ids", "int32", "other")
    manifest = replace(MODEL.manifest, inputs=(*MODEL.manifest.inputs, two), max_length=64)
    table = TokenTable(dict.fromkeys(("ids", "other"), np.ones((1, 17), np.int32)), np.array([17]), ["none"])
    inputs = replace(PASS, manifest=manifest).prepare([(table, 0)]).inputs
    assert {array.shape for array in inputs.values()} == {(1, 17)}
    assert limits_of(replace(MODEL, manifest=manifest)).padded(17) == 17


def test_no_padding_is_counted_that_is_not_there() -> None:
    limits = limits_of(fake_model(max_length=50))
    assert [limits.padded(length) for length in (17, 49, 50)] == [18, 50, 50]


def test_a_model_whose_batches_are_not_trimmed_gets_what_the_table_has() -> None:
    table = TokenTable({"ids": np.ones((1, 40), np.int32)}, np.array([5], np.int32), ["none"])
    (batch,) = (
        replace(PASS, manifest=replace(MODEL.manifest, trims=False)).prepare([(table, 0)]).inputs.values()
    )
    assert batch.shape == (1, 40)
