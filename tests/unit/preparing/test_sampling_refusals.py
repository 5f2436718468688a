"""What training does not drop is not put back, and what fails there refuses no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from penult_service import masks
from penult_service.masks import Draw
from penult_service.prepared import Manifest
from penult_service.preparing import pipeline
from penult_service.preparing.examples import Rows
from penult_service.preparing.proof import sampling
from penult_service.preparing.proof.served import Served
from penult_service.preparing.sampling import putting
from support.formats import kit
from support.formats.kit import KERAS, TF_KERAS, Kit
from support.keyed_noise import keyed_noise

pytestmark = pytest.mark.tensorflow
TEXTS = np.array(kit.TEXTS, dtype=object)


def prepared(model: Any, place: Path, ending: str = "") -> Served:
    model.save(str(place / f"model{ending}"))
    manifest = pipeline.prepare(place / f"model{ending}", place / "prepared", None, lambda *_: None)
    return Served(tf.saved_model.load(str(place / "prepared")).signatures, manifest)


def which(served: Served) -> dict[str, bool]:
    return {site.path: site.sampled for site in served.manifest.sites}


def draw(manifest: Manifest) -> Draw:
    keys = masks.keys_of(3, np.zeros(len(TEXTS), np.int64), np.arange(len(TEXTS)))
    return Draw(
        *keys, np.array([*((one.rate or 0.0) * one.sampled for one in manifest.sites), 0], np.float32)
    )


def frozen_encoder(flavour: str) -> Any:
    """As in transfer learning: the encoder is called with `training=False`."""
    k = Kit(flavour)
    given = k.layers.Input((kit.WIDTH,))
    inner = k.model(given, k.dense(6, "hidden", "tanh")(k.dropout(0.5, "inner")(given)), "encoder")
    text = k.text()
    x = inner(k.average()(k.table()(k.words()(text))), training=False)
    return k.model(text, k.dense(3, "output")(k.dropout(0.4, "last")(x)))


@pytest.mark.parametrize(
    ("flavour", "ending", "drops"),
    [
        (TF_KERAS, "", False),
        (TF_KERAS, ".keras", False),
        pytest.param(KERAS, ".keras", True, marks=pytest.mark.full),
    ],
)
def test_what_is_off_in_training_too_stays_off(
    flavour: str, ending: str, drops: bool, tmp_path: Path
) -> None:
    """Keras 3 hands its own `training` on to what was called with another one; tf_keras does not."""
    model = frozen_encoder(flavour)
    served = prepared(model, tmp_path, ending)
    assert which(served) == {"encoder/inner": drops, "last": True}
    assert any("off in training too" in line for line in served.manifest.proof.findings) is not drops
    inputs, drawn = served.tokenize(Rows({"text": TEXTS})), draw(served.manifest)
    embedding = served.sample_encode(inputs, drawn) if drops else served.encode(inputs)
    (found,) = served.sample_head(embedding, inputs, drawn).values()
    with keyed_noise(model, served.manifest.sites, drawn):
        expected = kit.as_numpy(model(tf.constant(list(TEXTS)), training=True))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_dropout_on_whole_numbers_is_not_put_back(tmp_path: Path) -> None:
    """Inference lets it be; in training it is an error."""
    k = Kit(TF_KERAS)
    ids = k.layers.Input((kit.LENGTH,), dtype="int32", name="ids")
    x = k.average()(k.table()(k.dropout(0.3, "on_ids")(ids)))
    model = k.model(ids, k.dense(3, "output")(k.dropout(0.4, "last")(x)))
    assert which(prepared(model, tmp_path, ".keras")) == {"on_ids": False, "last": True}


@pytest.mark.parametrize("what", ["planning", "experiment"])
def test_a_failure_is_said_and_the_model_is_served(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise ValueError("nothing of this kind was foreseen")

    where = (putting, "_planned") if what == "planning" else (sampling, "_tried_head")
    monkeypatch.setattr(*where, fails)
    k = Kit(TF_KERAS)
    text = k.text()
    x = k.average()(k.table()(k.words()(text)))
    served = prepared(k.model(text, k.dense(3, "output")(k.dropout(0.4, "last")(x))), tmp_path)
    assert served.manifest.proof.proven
    assert "nothing of this kind was foreseen" in served.manifest.unsampled
    assert which(served) == {"last": False}
