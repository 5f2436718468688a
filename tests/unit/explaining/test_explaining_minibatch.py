"""Gradients and figures by hand, laws that must hold of masks in mini-batches, words that follow the figures."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.errors import InvalidInput
from penult_service.explaining import digits, minibatch, minibatch_words
from penult_service.explaining.digits import CLASSES, PIXELS, TRAINED_ON, Classifier
from penult_service.explaining.minibatch import (
    COPIES,
    COPIES_MASKS,
    DRAWN,
    IMAGES,
    LEARNING_RATES,
    MASKS,
    OWN,
    SHARED,
    Found,
    Noise,
    Scaling,
    Settings,
    Training,
    measure,
    noise_of,
)

os.environ["KERAS_BACKEND"] = "tensorflow"
tensorflow = pytest.mark.tensorflow
SMALL = Settings(batch=16, units=24, draws=200, seeds=2, epochs=2, seed=5)
ROWS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])


@pytest.fixture(scope="module")
def found() -> Found:
    return measure(SMALL)


@pytest.fixture
def model() -> Classifier:
    import keras

    model = Classifier(keras, digits.load(0), 6, {OWN: None, SHARED: (1, 6)}, 0.5, seed=1)
    model.start(2, 0.1)
    return model


def by_hand(
    model: Classifier, data: digits.Digits, rows: NDArray[np.intp], mask: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The gradient of the mean cross-entropy, by the chain rule in NumPy, all weights in a row."""
    into, bias, out, out_bias = (np.asarray(weight, np.float64) for weight in model._weights())
    x, labels = data.images[rows].astype(np.float64), data.labels[rows]
    before = x @ into + bias
    hidden = np.maximum(before, 0.0) * mask
    logits = hidden @ out + out_bias
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    error = (shares - np.eye(CLASSES)[labels]) / len(rows)
    back = (error @ out.T) * mask * (before > 0)
    parts = (x.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0))
    return np.concatenate([part.ravel() for part in parts])


@tensorflow
@pytest.mark.parametrize("shared", [False, True])
def test_gradients_are_those_of_the_chain_rule(model: Classifier, shared: bool) -> None:
    import tensorflow as tf

    mask = (np.random.default_rng(3).random((1 if shared else 5, 6)) < 0.5) * 2.0
    # A dropout whose draw is known.
    model._dropouts[OWN] = lambda values, **_: values * tf.constant(mask, tf.float32)
    data = digits.load(0)
    found = model.gradients(OWN, ROWS)
    for row, gradient in zip(ROWS, found, strict=True):
        np.testing.assert_allclose(gradient, by_hand(model, data, row, mask), atol=1e-6)
    for row, gradient in zip(ROWS, model.gradients(None, ROWS), strict=True):
        np.testing.assert_allclose(gradient, by_hand(model, data, row, np.ones((1, 6))), atol=1e-6)
    learning = model.learning(found)
    assert learning.shape == (2, 6)
    assert not learning[:, ~mask.any(axis=0)].any()


@tensorflow
def test_the_draws_are_those_of_the_layers(model: Classifier) -> None:
    """A sample alone and its copies under one mask have the same gradient; under masks of their own they have not."""
    one, copies = np.array([[7]]), np.full((1, 40), 7)
    shared, own = model.gradients(SHARED, copies)[0], model.gradients(OWN, copies)[0]
    data = digits.load(0)
    masks = [np.array([[2.0 * (number >> unit & 1) for unit in range(6)]]) for number in range(2**6)]
    single = np.array([by_hand(model, data, one[0], mask) for mask in masks])
    # Of the 64 masks that there are, one made `shared`, and a mean of them `own`.
    assert np.abs(single - shared).max(axis=1).min() < 1e-6
    assert np.abs(single - own).max(axis=1).min() > 1e-3
    np.testing.assert_allclose(own, single.mean(axis=0), atol=6 * single.std(axis=0).max() / np.sqrt(40))


@tensorflow
def test_an_epoch_is_gradient_descent(model: Classifier) -> None:
    import tensorflow as tf

    data, mask = digits.load(0), (np.arange(6) % 2) * 2.0
    model._dropouts[OWN] = lambda values, **_: values * tf.constant(mask, tf.float32)
    weights = np.concatenate([np.asarray(weight).ravel() for weight in model._weights()]).astype(np.float64)
    first = weights - 0.1 * by_hand(model, data, ROWS[0], mask[None])
    model.epoch(OWN, ROWS[:1])
    after = np.concatenate([np.asarray(weight).ravel() for weight in model._weights()])
    np.testing.assert_allclose(after, first, atol=1e-6)
    second = first - 0.1 * by_hand(model, data, ROWS[1], mask[None])
    model.start(2, 0.1)
    model.epoch(OWN, ROWS)
    after = np.concatenate([np.asarray(weight).ravel() for weight in model._weights()])
    np.testing.assert_allclose(after, second, atol=1e-6)


@tensorflow
def test_held_out_loss_is_that_of_keras(model: Classifier) -> None:
    import keras

    data = digits.load(0)
    logits = model._output(model._hidden(data.held_images))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(data.held_labels, logits)
    right = np.mean(np.asarray(logits).argmax(axis=1) == data.held_labels)
    assert model.held_out() == (pytest.approx(float(loss), rel=1e-5), pytest.approx(right))


def test_the_digits_are_divided() -> None:
    data = digits.load(3)
    assert data.images.shape == (TRAINED_ON, PIXELS)
    assert 0.0 <= data.images.min() < data.images.max() <= 1.0
    rows = np.concatenate([data.images, data.held_images])
    from sklearn.datasets import load_digits

    whole = load_digits().data / 16.0
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, whole.astype(np.float32).tolist()))


def test_figures_of_gradients() -> None:
    expected = np.array([3.0, 4.0])
    drawn = np.array([[3.0, 5.0], [3.0, 3.0], [4.0, 4.0], [2.0, 4.0]], np.float32)
    noise = noise_of(drawn, expected, 0.25)
    # Squared distances to the mean: 1 in each of four draws.
    assert noise.variance == pytest.approx(4 / 3 / 25)
    cosines = [29 / np.sqrt(34) / 5, 21 / np.sqrt(18) / 5, 28 / np.sqrt(32) / 5, 22 / np.sqrt(20) / 5]
    assert noise.cosine == pytest.approx(np.mean(cosines))
    assert noise.lowest_cosine == pytest.approx(min(cosines))
    assert noise.bias == pytest.approx(0.0)
    assert noise.bias_by_chance == pytest.approx(np.sqrt(4 / 3 / 25 / 4))
    assert noise.idle == 0.25
    assert noise_of(np.zeros((2, 2), np.float32), expected, 0.0).cosine == 0.0


@tensorflow
def test_laws_of_masks(found: Found) -> None:
    gradients = found.gradients
    assert tuple(gradients) == DRAWN
    for kind in DRAWN:
        for noise in gradients[kind].values():
            # Both kinds aim at the expected gradient.
            assert noise.bias < 2.0 * noise.bias_by_chance
        assert gradients[kind][OWN].variance < gradients[kind][SHARED].variance
        assert gradients[kind][OWN].cosine > gradients[kind][SHARED].cosine
        # Under one mask a unit learns nothing when it is dropped.
        assert gradients[kind][SHARED].idle == pytest.approx(SMALL.rate, abs=0.1)
    # The variance of a mean of k independent draws is that of one by k; that of k equal draws is that of one.
    ratio = gradients[COPIES_MASKS][SHARED].variance / gradients[COPIES_MASKS][OWN].variance
    assert ratio == pytest.approx(SMALL.batch, rel=0.35)
    single = gradients[COPIES][SHARED].variance
    assert single / gradients[IMAGES][OWN].variance == pytest.approx(SMALL.batch, rel=0.5)
    assert gradients[IMAGES][SHARED].variance < gradients[COPIES][OWN].variance < single


@tensorflow
def test_the_mean_is_kept(found: Found) -> None:
    assert abs(found.scaling.ratio - 1.0) < 5 * found.scaling.error
    assert found.scaling.unscaled == pytest.approx(found.scaling.ratio * (1 - SMALL.rate))


@tensorflow
def test_training_learns_and_is_measured_each_epoch(found: Found) -> None:
    for kind in found.training.values():
        assert kind.losses.shape == kind.accuracies.shape == (len(LEARNING_RATES), 2, 2)
        assert kind.losses[kind.best, :, -1].mean() == kind.losses[:, :, -1].mean(axis=1).min()
        assert kind.accuracies[kind.best, :, -1].min() > 0.6


@tensorflow
def test_the_same_seed_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minibatch, "_EXPECTED_DRAWS", 20)
    tiny = dataclasses.replace(SMALL, draws=20, seeds=1, epochs=1)
    first, again = measure(tiny), measure(tiny)
    assert first.gradients == again.gradients
    np.testing.assert_array_equal(first.training[OWN].losses, again.training[OWN].losses)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"rate": 0.0}, "more than 0"),
        ({"rate": 1.0}, "less than 1"),
        ({"rate": float("nan")}, "nan"),
        ({"batch": 1}, "batch is 2 to 256"),
        ({"units": 1}, "units is 2 to 512"),
        ({"draws": 5}, "draws is 20"),
        ({"seeds": 0}, "seeds is 1 to 20"),
        ({"epochs": 51}, "epochs is 1 to 50"),
        ({"seed": -1}, "seed is 0"),
        ({"seeds": 20, "epochs": 50}, "steps of training"),
    ],
)
def test_what_is_out_of_its_limits_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as raised:
        measure(dataclasses.replace(Settings(), **asked))
    assert raised.value.field in asked


def noise(variance: float, bias: float = 0.01) -> Noise:
    return Noise(variance, 0.8, 0.5, bias, 0.02, 0.1)


def told(
    own: list[float], shared: list[float], variances: tuple[float, float] = (1.0, 3.0), bias: float = 0.01
) -> Found:
    """Made figures: losses of each start at the best learning rate, variances of masks alone."""
    gradients = {
        MASKS: {OWN: noise(variances[0], bias), SHARED: noise(variances[1], bias)},
        IMAGES: {OWN: noise(2.0), SHARED: noise(8.0)},
        COPIES: {OWN: noise(20.0), SHARED: noise(64.0)},
        COPIES_MASKS: {OWN: noise(0.5), SHARED: noise(16.0)},
    }

    def training(last: list[float]) -> Training:
        losses = np.full((len(LEARNING_RATES), len(last), 1), 1.0)
        losses[2, :, 0] = last
        return Training(losses, losses)

    kinds = {OWN: training(own), SHARED: training(shared)}
    return Found(Settings(seeds=len(own)), "keras 3", gradients, kinds, Scaling(1.0001, 0.001, 0.5))


def test_words_follow_the_figures() -> None:
    words = told([0.10, 0.11, 0.12], [0.20, 0.22, 0.21])
    assert minibatch_words.headline(words) == (
        "Let each sample have a mask of its own, as Keras does: one mask for the mini-batch gives the same gradient on "
        "average, with 3 times the variance, and a higher loss from 3 of 3 starts."
    )
    text = " ".join(minibatch_words.answer(words))
    for said in (
        "its variance is 1 times its squared length with masks of their own, and 3 with one mask for all (3.00 times",
        "falls 32 times",
        "So of the 32 times that 32 samples bring, copies bring 3.2, images under one mask 8.0",
        "each kind at its best (0.3 and 0.3): the held-out loss is 0.110 ± 0.010 with masks of their own and 0.210 ± ",
        "lower with their own from 3 of 3 starts (difference +0.100 ± 0.006).",
        "keeps the mean: 1.0001 ± 0.0010",
    ):
        assert said in text


def test_words_turn_with_the_figures() -> None:
    better = told([0.20, 0.22, 0.21], [0.10, 0.11, 0.12])
    assert "a lower loss from 3 of 3 starts" in minibatch_words.headline(better)
    near = told([0.10, 0.30, 0.20], [0.20, 0.11, 0.30])
    assert "no clear difference" in minibatch_words.headline(near)
    assert "too near to call" in " ".join(minibatch_words.answer(near))
    assert "no noisier gradient" in minibatch_words.headline(told([0.1, 0.2], [0.1, 0.2], (2.0, 1.0)))
    one = told([0.1], [0.2])
    assert "no clear difference" in minibatch_words.headline(one)
    assert "Trained once" in " ".join(minibatch_words.answer(one))
    assert "off the expected gradient" in " ".join(minibatch_words.answer(told([0.1], [0.2], bias=0.2)))


def test_a_training_that_fails_is_told() -> None:
    words = told([0.1, 0.1], [0.2, 0.2])
    words.training[OWN].losses[3] = words.training[SHARED].losses[3] = 2.29
    text = " ".join(minibatch_words.answer(words))
    assert "fails" not in text
    words.training[OWN].losses[3] = 0.18
    text = " ".join(minibatch_words.answer(words))
    assert (
        "At a learning rate of 1 training with one mask fails (loss 2.29; guessing gives 2.30), with masks of"
        in text
    )


def test_a_small_share_is_not_0() -> None:
    assert [minibatch_words.share(value) for value in (0.0, 0.0004, 0.004, 0.0796, 1.0)] == [
        "0%",
        "0.04%",
        "0.4%",
        "8%",
        "100%",
    ]
