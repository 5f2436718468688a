"""Dropout put back, against Keras itself in training mode with the same masks: every kind, place and format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from penult_service import masks
from penult_service.masks import Draw
from penult_service.prepared import Manifest
from penult_service.preparing import pipeline
from penult_service.preparing.examples import Rows
from penult_service.preparing.proof.served import Served
from support import tiny_keras_hub as hub
from support.formats import kit
from support.formats.kit import KERAS, TF_KERAS, Kit
from support.keyed_noise import keyed_noise

pytestmark = pytest.mark.tensorflow
TEXTS = np.array(kit.TEXTS, dtype=object)
FORMATS = [
    (TF_KERAS, ""),
    (KERAS, ".keras"),
    *(
        pytest.param(flavour, ending, marks=pytest.mark.full)
        for flavour, ending in [(TF_KERAS, ".keras"), (TF_KERAS, ".h5"), (KERAS, ".h5")]
    ),
]
Array = NDArray[Any]


def prepared(model: Any, place: Path, ending: str = "") -> Served:
    """Saved as a person does, and prepared."""
    source = place / f"model{ending}"
    model.save(str(source))
    manifest = pipeline.prepare(source, place / "prepared", None, lambda *_: None)
    return Served(tf.saved_model.load(str(place / "prepared")).signatures, manifest)


def draw(manifest: Manifest, rows: int, on: Callable[[int], bool] = lambda _: True, sample: int = 2) -> Draw:
    """Every site with its own rate, or those that are `on`."""
    rates = [(site.rate or 0.0) * on(number) for number, site in enumerate(manifest.sites)]
    keys = masks.keys_of(11, np.full(rows, sample), np.arange(rows))
    return Draw(*keys, np.array([*rates, 0.0], np.float32))


def sampled(served: Served, given: Rows, drawn: Draw, width: int | None = None) -> Array:
    """The model's only output, all dropouts active."""
    inputs = served.batch(served.tokenize(given), slice(None), width)
    encode = (
        served.sample_encode if served.manifest.samples_inside else lambda inputs, _: served.encode(inputs)
    )
    (found,) = served.sample_head(encode(inputs, drawn), inputs, drawn).values()
    return np.asarray(found)


def by_keras(model: Any, served: Served, drawn: Draw, *given: Any) -> Array:
    """The live model in training mode, with these masks."""
    with keyed_noise(model, served.manifest.sites, drawn):
        return kit.as_numpy(model(given[0] if len(given) == 1 else list(given), training=True))


def check(model: Any, served: Served, limit: float = 1e-5) -> None:
    """All dropouts on; each must change what the model says when it is off."""
    manifest, rows = served.manifest, Rows({"text": TEXTS})
    assert not manifest.unsampled
    assert all(site.sampled for site in manifest.sites)
    drawn = draw(manifest, len(TEXTS))
    found = sampled(served, rows, drawn)
    expected = by_keras(model, served, drawn, tf.constant(list(TEXTS)))
    np.testing.assert_allclose(found, expected, rtol=limit, atol=limit)
    for number in range(len(manifest.sites)):
        without = sampled(served, rows, draw(manifest, len(TEXTS), lambda n, off=number: n != off))
        assert np.abs(without - found).max() > 100 * limit, manifest.sites[number]


def ordinary(k: Kit) -> Any:
    """One in the encoder, one called twice, two in the head."""
    text, again = k.text(), k.dropout(0.3, "again")
    x = k.average()(again(k.table()(k.words()(text))))
    x = k.dense(6, "hidden", "tanh")(again(x))
    x = k.dense(6, "inner", "tanh")(k.dropout(0.4, "first")(x))
    return k.model(text, k.dense(3, "output", "softmax")(k.dropout(0.5, "last")(x)))


@pytest.mark.parametrize(("flavour", "ending"), FORMATS)
def test_ordinary_dropouts(flavour: str, ending: str, tmp_path: Path) -> None:
    model = ordinary(Kit(flavour))
    served = prepared(model, tmp_path, ending)
    assert [site.path for site in served.manifest.sites] == ["again", "again#2", "first", "last"]
    assert [site.place for site in served.manifest.sites] == ["before", "before", "before", "at"]
    check(model, served)


def every_kind(k: Kit) -> Any:
    """Each class, with noise shapes, in front of the seam and behind it."""
    layers, text = k.layers, k.text()
    x = k.table(masked=False)(k.words()(text))
    x = layers.SpatialDropout1D(0.2, name="spatial")(x)
    x = layers.Dropout(0.2, noise_shape=(None, 1, kit.WIDTH), name="same_for_all_words")(x)
    x = layers.Conv1D(kit.WIDTH, 2, padding="same", kernel_initializer=k.normal(4), name="conv")(x)
    x = layers.Dropout(0.2, noise_shape=(None, kit.LENGTH, 1), name="whole_words")(x)
    x = layers.GaussianNoise(0.3, name="noise")(x)
    x = layers.Dense(16, kernel_initializer=k.normal(5), name="wide")(k.average()(x))
    x = layers.SpatialDropout2D(0.2, name="maps")(layers.Reshape((2, 2, 4), name="maps_of")(x))
    x = layers.Reshape((4, 4), name="rows_of")(layers.Reshape((16,), name="flat")(x))
    x = layers.Reshape((16,), name="flat_again")(layers.AlphaDropout(0.2, name="alpha")(x))
    x = k.dense(6, "hidden", "tanh")(layers.GaussianDropout(0.3, name="gaussian")(x))
    x = layers.Dropout(0.3, noise_shape=(1, 6), name="same_for_all_texts")(x)
    x = k.dense(6, "inner", "tanh")(x)
    return k.model(text, k.dense(3, "output")(layers.Dropout(0.4, name="last")(x)))


# A SavedModel shows no place of noise that others read too.
@pytest.mark.parametrize(("flavour", "ending"), FORMATS[1:])
def test_every_kind(flavour: str, ending: str, tmp_path: Path) -> None:
    model = every_kind(Kit(flavour))
    served = prepared(model, tmp_path, ending)
    assert {site.path: site.shared for site in served.manifest.sites} == {
        "spatial": (1,),
        "same_for_all_words": (1,),
        "whole_words": (2,),
        "noise": (),
        "maps": (1, 2),
        "alpha": (),
        "gaussian": (),
        "same_for_all_texts": (0,),
        "last": (),
    }
    check(model, served)


@pytest.mark.full
def test_a_bert_of_keras_hub(tmp_path: Path) -> None:
    """The dropout on its attention too, which its layers build inside themselves."""
    model = hub.classifier("bert", with_preprocessor=False)
    served = prepared(model, tmp_path, ".keras")
    manifest = served.manifest
    assert len(manifest.sites) == 1 + 2 * 3 + 1
    assert all(site.sampled for site in manifest.sites)
    rng = np.random.default_rng(4)
    mask = np.arange(hub.LENGTH) < np.array([[5], [hub.LENGTH], [9]])
    given = {
        "token_ids": rng.integers(1, manifest.vocabulary, mask.shape) * mask,
        "padding_mask": mask,
        "segment_ids": np.zeros(mask.shape),
    }
    fields = {field.name: given[field.name].astype(field.dtype) for field in manifest.fields}
    drawn = draw(manifest, len(mask))
    with keyed_noise(model, manifest.sites, drawn):
        expected = np.asarray(
            model({name: tf.constant(value) for name, value in fields.items()}, training=True)
        )
    np.testing.assert_allclose(sampled(served, Rows(fields), drawn), expected, rtol=1e-5, atol=1e-5)
