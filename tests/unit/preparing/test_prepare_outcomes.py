"""Preparing as a whole: what is refused at which stage, that nothing is left of it, and what the manifest says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from penult_service.errors import ModelRefused
from penult_service.preparing import pipeline
from penult_service.preparing.declarations.declaration import NOTHING
from penult_service.preparing.formats.saved_model import open_model
from penult_service.preparing.heads import head_of
from penult_service.preparing.seam.survey import Survey
from support import seed_model as seeds
from support import text_models as tm

pytestmark = pytest.mark.tensorflow


def no_progress(stage: str, share: float) -> None:
    del stage, share


def saved(place: Path, text: Any, outputs: Any) -> Path:
    return tm.save(seeds.keras().Model(text, outputs), place / "model")


def refusal(model: Path) -> ModelRefused:
    """Why it is refused; nothing is left beside the model."""
    around = set(model.parent.iterdir())
    with pytest.raises(ModelRefused) as caught:
        pipeline.prepare(model, model.parent / "prepared", None, no_progress)
    assert set(model.parent.iterdir()) == around
    return caught.value


def with_dropout(x: Any, **call: Any) -> Any:
    return tm.dense(2, "output", "softmax")(tm.layers().Dropout(0.1, name="dropout")(x, **call))


# Refused by structure


@pytest.mark.parametrize("place", ["head", "words"])
def test_dropout_that_is_forced_on(tmp_path: Path, place: str) -> None:
    """Also when it is not the one in front of the head."""
    text = tm.text_input()
    if place == "head":
        outputs = with_dropout(tm.pooled(text), training=True)
    else:
        words = tm.layers().SpatialDropout1D(0.2)(tm.vectors(text), training=True)
        outputs = with_dropout(tm.layers().GlobalAveragePooling1D()(words))
    error = refusal(saved(tmp_path, text, outputs))
    assert error.reason == "RANDOM_AT_INFERENCE"
    assert "the graph as saved" in error.message
    assert "without training=True" in error.message


def test_batch_statistics_at_inference(tmp_path: Path) -> None:
    text = tm.text_input()
    normed = tm.layers().BatchNormalization()(tm.pooled(text), training=True)
    error = refusal(saved(tmp_path, text, with_dropout(normed)))
    assert error.reason == "WRITES_AT_INFERENCE"
    assert "BatchNormalization" in error.message


# Refused by experiment


def test_rows_that_depend_on_their_company(tmp_path: Path) -> None:
    text = tm.text_input()
    shifted = tm.layers().Lambda(
        lambda x: x - tf.reduce_mean(tf.math.multiply_no_nan(x, 1.0), 0, keepdims=True)
    )
    error = refusal(saved(tmp_path, text, with_dropout(shifted(tm.pooled(text, masked=False)))))
    assert error.reason == "DEPENDS_ON_COMPANY"
    assert float(error.metadata["companions"]) > 1e-3
    assert "BatchNormalization" in error.message


def test_an_unmasked_average_that_pads_to_the_longest_of_the_batch(tmp_path: Path) -> None:
    error = refusal(tm.save(tm.classifier(masked=False, length=None), tmp_path / "model"))
    assert error.reason == "DEPENDS_ON_COMPANY"
    assert "a mask" in error.message


def test_embeddings_that_are_never_finite(tmp_path: Path) -> None:
    text = tm.text_input()
    nothing = tm.layers().Lambda(lambda x: x / 0.0 * 0.0)(tm.pooled(text, masked=False))
    error = refusal(saved(tmp_path, text, with_dropout(nothing)))
    assert error.reason == "PROOF_FAILED"
    assert "not_finite" in error.metadata


# Accepted


def test_rate_0_forced_on_is_dropout_that_does_nothing(tmp_path: Path) -> None:
    text = tm.text_input()
    pooled = tm.pooled(text)
    quiet = tm.layers().Dropout(0.0, name="quiet")(pooled, training=True)
    model = saved(tmp_path, text, with_dropout(tm.dense(6, "hidden", "tanh")(quiet)))
    manifest = pipeline.prepare(model, tmp_path / "prepared", None, no_progress)
    assert manifest.proof.proven
    assert manifest.seam == "hidden"


def test_stages_in_order_from_0_to_1(tmp_path: Path) -> None:
    steps: list[tuple[str, float]] = []
    model = tm.save(tm.classifier(length=None), tmp_path / "model")
    manifest = pipeline.prepare(model, tmp_path / "p", None, lambda *step: steps.append(step))
    shares = [share for _, share in steps]
    assert shares == sorted(shares)
    assert (steps[0], steps[-1]) == (("reading the model", 0.0), ("done", 1.0))
    # A masked average needs no padding, however long the batch's longest text is.
    assert manifest.trims
    assert manifest.cost.seconds > 0
    assert manifest.cost.peak_bytes > 1 << 20


def test_a_layer_asked_for_is_read_and_the_head_still_takes_its_own(tmp_path: Path) -> None:
    text = tm.text_input()
    pooled = tm.pooled(text)
    hidden = tm.dense(6, "hidden", "tanh")(pooled)
    model = saved(tmp_path, text, with_dropout(hidden))
    manifest = pipeline.prepare(model, tmp_path / "p", "average", no_progress)
    assert (manifest.readouts[0].layer, manifest.seam) == ("average", "hidden")
    signatures = tf.saved_model.load(str(tmp_path / "p")).signatures
    tokens = signatures["tokenize"](tf.constant(tm.TEXTS))
    inputs = {token.name: tokens[token.name] for token in manifest.inputs}
    both = signatures[manifest.encode_signature(["average", "hidden"])](**inputs)
    for layer, tensor in (("average", pooled), ("hidden", hidden)):
        expected = tm.answers(seeds.keras().Model(text, tensor))
        np.testing.assert_allclose(both[layer], expected, atol=1e-6)


# What the head computes

KINDS: dict[str, tuple[int, str | None, str, int]] = {
    "one sigmoid": (1, "sigmoid", "sigmoid", 2),
    "many sigmoids": (3, "sigmoid", "multilabel", 3),
    "softmax": (3, "softmax", "softmax", 3),
    "logits": (3, None, "other", 3),
    "regression": (1, None, "other", 1),
}


@pytest.mark.parametrize(("units", "activation", "kind", "classes"), KINDS.values(), ids=KINDS.keys())
def test_the_kind_of_head(
    tmp_path: Path, units: int, activation: str | None, kind: str, classes: int
) -> None:
    text = tm.text_input()
    dropped = tm.layers().Dropout(0.1, name="dropout")(tm.pooled(text))
    opened = open_model(saved(tmp_path, text, tm.dense(units, "output", activation)(dropped)))
    head = head_of(opened, Survey(opened), NOTHING)
    assert (head.kind, head.classes, head.output) == (kind, classes, "output")
