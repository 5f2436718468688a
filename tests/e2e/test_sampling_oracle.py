"""Samples with dropout put back against a plain Keras loop with `training=True`: the same means, the same spread.

The test: for each text and each number that the model gives, the means of both samples are held against each other
(Welch's z), and so are the logarithms of their variances (their standard error, by the delta method, from the fourth
moments). None of all these may lie beyond the two-sided bound of Bonferroni, at a level of one in a thousand for them
together; the seeds are fixed. That the same test tells other rates apart shows that it can fail.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from penult_service.engines.tensorflow import TensorFlowEngine, signatures
from penult_service.masks import Draw, keys_of
from penult_service.prepared import load_manifest
from penult_service.preparing import pipeline
from scipy import stats
from support.formats.kit import KERAS, TEXTS, TF_KERAS, Kit
from support.keyed_noise import keyed_noise

pytestmark = pytest.mark.tensorflow
PASSES, LEVEL = 1000, 0.001
ROWS = list(TEXTS)[:6]
FORMATS = [(TF_KERAS, ""), (KERAS, ".keras"), pytest.param(TF_KERAS, ".keras", marks=pytest.mark.full)]
Array = NDArray[Any]


class Sampler:
    """A model that was saved, prepared and loaded as a server does it."""

    def __init__(self, model: Any, place: Path, ending: str) -> None:
        source, target = place / f"model{ending}", place / "prepared"
        model.save(str(source))
        pipeline.prepare(source, target, None, lambda *_: None)
        self.manifest = load_manifest(target)
        self.signatures = signatures(target)
        self.engine = TensorFlowEngine(self.signatures, self.manifest)
        found = self.signatures["tokenize"](text=tf.constant(ROWS))
        self.inputs = {token.name: found[token.name].numpy() for token in self.manifest.inputs}

    def rates(self, factor: float = 1.0) -> Array:
        """The model's own, times that."""
        own = [(site.rate or 0.0) * factor for site in self.manifest.sites]
        return np.array([*own, 0.0], np.float32)

    def once(self, rates: Array, sample: int) -> Array:
        """One pass of all rows."""
        return self._pass(
            self.inputs, Draw(*keys_of(5, np.full(len(ROWS), sample), np.arange(len(ROWS))), rates)
        )

    def samples(self, rates: Array) -> Array:
        """Float [PASSES, rows, outputs]: every pair of a sample and a row is a row of a batch."""
        sample, row = np.divmod(np.arange(PASSES * len(ROWS)), len(ROWS))
        row_keys, shared_keys = keys_of(5, sample, row)
        inputs = {name: value[row] for name, value in self.inputs.items()}
        return self._pass(inputs, Draw(row_keys, shared_keys, rates)).reshape(PASSES, len(ROWS), -1)

    def head_samples(self, rates: Array) -> Array:
        """The same with one pass of the encoder alone."""
        sample, row = np.divmod(np.arange(PASSES * len(ROWS)), len(ROWS))
        embedding = self.engine.encode(self.inputs, [self.manifest.seam])[self.manifest.seam][row]
        (found,) = self.engine.sample_head(embedding, None, Draw(*keys_of(5, sample, row), rates)).values()
        return np.asarray(found).reshape(PASSES, len(ROWS), -1)

    def _pass(self, inputs: dict[str, Array], draw: Draw) -> Array:
        embedding = self.engine.sample_encode(inputs, draw)
        (found,) = self.engine.sample_head(embedding, None, draw).values()
        return np.asarray(found)


def loop(model: Any) -> Array:
    """Float [PASSES, rows, outputs] of the plain Keras loop."""
    texts = tf.constant(ROWS)
    step = tf.function(lambda: model(texts, training=True), autograph=False)
    return np.array([step().numpy() for _ in range(PASSES)])


def statistics(found: Array, expected: Array) -> tuple[float, float]:
    """The largest |z| of means, and of logarithms of variances, over rows and outputs."""
    n, m = len(found), len(expected)
    a, b = found.astype(np.float64), expected.astype(np.float64)
    means = (a.mean(0) - b.mean(0)) / np.sqrt(a.var(0) / n + b.var(0) / m)
    errors = [(stats.kurtosis(x, axis=0, fisher=False) - 1) / len(x) for x in (a, b)]
    spreads = np.log(a.var(0) / b.var(0)) / np.sqrt(errors[0] + errors[1])
    return float(np.abs(means).max()), float(np.abs(spreads).max())


def bound(expected: Array) -> float:
    """Of Bonferroni, for as many means and as many variances."""
    return float(stats.norm.isf(LEVEL / 2 / (2 * expected[0].size)))


def classifier(flavour: str, *, norm: bool = False) -> Any:
    """Dropout on words, between two layers and in front of the head; with a BatchNormalization that knows a batch."""
    k = Kit(flavour)
    k.keras.utils.set_random_seed(9)
    text = k.text()
    x = k.layers.SpatialDropout1D(0.2, name="words_dropout")(k.table()(k.words()(text)))
    x = k.dense(8, "hidden", "tanh")(k.average()(x))
    x = k.dropout(0.3, "inner_dropout")(x)
    if norm:
        x = k.layers.BatchNormalization(name="norm")(x)
    x = k.dense(8, "inner", "tanh")(x)
    model = k.model(text, k.dense(3, "output", "softmax")(k.dropout(0.4, "head_dropout")(x)))
    if norm:
        rng = np.random.default_rng(2)
        ones = [rng.uniform(0.5, 2, 8) for _ in range(2)]
        model.get_layer("norm").set_weights([ones[0], rng.normal(size=8), rng.normal(size=8), ones[1]])
    return model


Made = Callable[[str, str], tuple[Any, Sampler]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The model of a Keras and how it is saved, and its sampler; made once."""

    @cache
    def make(flavour: str, ending: str) -> tuple[Any, Sampler]:
        model = classifier(flavour)
        return model, Sampler(model, tmp_path_factory.mktemp("made"), ending)

    return make


@pytest.mark.parametrize(("flavour", "ending"), FORMATS)
def test_samples_have_the_mean_and_the_spread_of_a_keras_loop(flavour: str, ending: str, made: Made) -> None:
    model, sampler = made(flavour, ending)
    assert [site.path for site in sampler.manifest.sites] == [
        "words_dropout",
        "inner_dropout",
        "head_dropout",
    ]
    expected = loop(model)
    assert max(statistics(sampler.samples(sampler.rates()), expected)) < bound(expected)
    # The same test sees rates that are a fifth higher, and what is not on.
    assert max(statistics(sampler.samples(sampler.rates(1.2)), expected)) > bound(expected)
    assert max(statistics(sampler.head_samples(sampler.rates()), expected)) > bound(expected)


def test_head_samples_have_the_mean_and_the_spread_of_a_keras_head(made: Made) -> None:
    """One pass of the encoder, and the dropout in front of the head alone."""
    model, sampler = made(TF_KERAS, "")
    clean = sampler.engine.encode(sampler.inputs, [sampler.manifest.seam])[sampler.manifest.seam]
    head, drop = model.get_layer("output"), model.get_layer("head_dropout")
    step = tf.function(lambda: head(drop(tf.constant(clean), training=True)))
    expected = np.array([step().numpy() for _ in range(PASSES)])
    assert max(statistics(sampler.head_samples(sampler.rates()), expected)) < bound(expected)


@pytest.mark.parametrize(
    ("flavour", "ending"), [FORMATS[0], pytest.param(KERAS, ".keras", marks=pytest.mark.full)]
)
def test_batch_normalization_stays_in_inference(flavour: str, ending: str, tmp_path: Path) -> None:
    """Frozen, it works with its own mean and variance in a Keras loop too; else with those of the batch."""
    model = classifier(flavour, norm=True)
    sampler = Sampler(model, tmp_path, ending)
    model.get_layer("norm").trainable = False
    rates = sampler.rates()
    for sample in range(3):
        draw = Draw(*keys_of(5, np.full(len(ROWS), sample), np.arange(len(ROWS))), rates)
        with keyed_noise(model, sampler.manifest.sites, draw):
            expected = np.asarray(model(tf.constant(ROWS), training=True))
        np.testing.assert_allclose(sampler.once(rates, sample), expected, rtol=1e-5, atol=1e-5)
    model.get_layer("norm").trainable = True
    drifting = loop(model)
    assert max(statistics(sampler.samples(rates), drifting)) > bound(drifting)
