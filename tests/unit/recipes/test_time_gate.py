"""The time-gated cell, against the recurrence in NumPy, in both Kerases, under masks, and saved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import seed_model

pytestmark = pytest.mark.tensorflow

KERASES = ["keras", "tf_keras"]
UNITS, FEATURES, STEPS = 5, 3, 7
Floats = NDArray[np.float64]


def keras_of(name: str) -> Any:
    tf_keras = seed_model.keras()  # it sets the backend
    return tf_keras if name == "tf_keras" else __import__("keras")


def cell_class(keras: Any) -> Any:
    from penult_service.recipes.layers.time_gate import time_gate_lstm_cell

    return time_gate_lstm_cell(keras)


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def states(weights: list[Any], x: Floats, minutes: Floats, mask: NDArray[np.bool_], unit: float) -> Floats:
    """The hidden states [n, steps, units] after each step, one row and one step after the other, in float64."""
    kernel, recurrent, bias, *decay = (np.asarray(weight, np.float64) for weight in weights)
    out = np.zeros((*mask.shape, UNITS))
    for row in range(len(x)):
        h, c = np.zeros(UNITS), np.zeros(UNITS)
        for step in range(x.shape[1]):
            if mask[row, step]:
                enters, stays, new, leaves = np.split(x[row, step] @ kernel + h @ recurrent + bias, 4)
                since = 1 + max(minutes[row, step], 0) / unit
                kept = since ** -np.log1p(np.exp(decay[0])) if decay else 1 / since
                c = sigmoid(stays) * kept * c + sigmoid(enters) * np.tanh(new)
                h = sigmoid(leaves) * np.tanh(c)
            out[row, step] = h
    return out


def masks(padding: str) -> NDArray[np.bool_]:
    """Rows of 7, 4 and 1 steps; `holes` are steps that are masked in between."""
    lengths = np.array([STEPS, 4, 1])[:, None]
    if padding == "right":
        return np.arange(STEPS) < lengths
    if padding == "left":
        return np.arange(STEPS) >= STEPS - lengths
    return np.array([[1, 0, 1, 1, 0, 0, 1], [0, 1, 0, 1, 0, 1, 0], [1, 1, 1, 0, 1, 1, 1]], bool)


def drawn(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """x [3, steps, features], and minutes from none to months, one of them negative."""
    rng = np.random.default_rng(seed)
    minutes = np.exp(rng.uniform(-2, 12, (3, STEPS)))
    minutes[0, 2], minutes[1, -2] = 0, -3
    return rng.normal(size=(3, STEPS, FEATURES)).astype(np.float32), minutes.astype(np.float32)


def network(keras: Any, sequences: bool, **options: Any) -> Any:
    """x, minutes, mask -> the states; weights far from where they begin."""
    keras.utils.set_random_seed(3)
    x, minutes = keras.Input((None, FEATURES), name="x"), keras.Input((None, 1), name="minutes")
    mask = keras.Input((None,), dtype="bool", name="mask")
    steps = keras.layers.Concatenate()([x, minutes])
    rnn = keras.layers.RNN(cell_class(keras)(UNITS, **options), return_sequences=sequences)
    model = keras.Model([x, minutes, mask], rnn(steps, mask=mask))
    rng = np.random.default_rng(5)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize("padding", ["right", "left", "holes"])
@pytest.mark.parametrize("decay", ["inverse", "learned"])
@pytest.mark.parametrize("name", KERASES)
def test_step_by_step_as_numpy(name: str, decay: str, padding: str) -> None:
    keras, mask, (x, minutes) = keras_of(name), masks(padding), drawn(1)
    model = network(keras, sequences=True, decay=decay, unit=60.0)
    wanted = states(model.get_weights(), x, minutes, mask, 60.0)
    got = model.predict([x, minutes[..., None], mask], verbose=0)
    np.testing.assert_allclose(got, wanted, atol=2e-6)
    last = network(keras, sequences=False, decay=decay, unit=60.0)
    last.set_weights(model.get_weights())
    np.testing.assert_allclose(
        last.predict([x, minutes[..., None], mask], verbose=0), wanted[:, -1], atol=2e-6
    )


@pytest.mark.parametrize("name", KERASES)
def test_what_the_mask_hides_changes_nothing(name: str) -> None:
    """Not even minutes that are no numbers, as a caller may leave them in the padding."""
    keras, (x, minutes) = keras_of(name), drawn(2)
    model = network(keras, sequences=False)
    for padding in ("right", "left"):
        mask = masks(padding)
        wild = np.where(mask, minutes, np.nan).astype(np.float32)
        first, second = (
            model.predict([x, m[..., None], mask], verbose=0) for m in (np.where(mask, minutes, 0), wild)
        )
        np.testing.assert_array_equal(first, second)
    rows = [model.predict([x[i : i + 1, :k], minutes[i : i + 1, :k, None], np.ones((1, k), bool)], verbose=0)
            for i, k in enumerate((STEPS, 4, 1))]  # fmt: skip
    padded = model.predict([x, minutes[..., None], masks("right")], verbose=0)
    np.testing.assert_allclose(np.concatenate(rows), padded, atol=1e-6)


@pytest.mark.parametrize("name", KERASES)
def test_without_time_it_is_an_lstm(name: str) -> None:
    """No minutes pass: Keras' own LSTM with the same weights, whatever the decay; and it begins as that does."""
    keras, (x, minutes) = keras_of(name), drawn(4)
    theirs = keras.layers.LSTM(UNITS)
    wanted = np.asarray(theirs(x))
    for decay in ("inverse", "learned"):
        ours = keras.layers.RNN(cell_class(keras)(UNITS, decay=decay))
        steps = np.concatenate([x, 0 * minutes[..., None]], axis=2)
        ours(steps)
        beginning = [np.asarray(weight) for weight in ours.get_weights()]
        np.testing.assert_array_equal(beginning[2], theirs.get_weights()[2])
        ours.set_weights([*theirs.get_weights(), *beginning[3:]])
        np.testing.assert_allclose(np.asarray(ours(steps)), wanted, atol=1e-6)


@pytest.mark.parametrize("name", KERASES)
def test_exponents_begin_between_slow_and_fast(name: str) -> None:
    keras = keras_of(name)
    cell = cell_class(keras)(UNITS, slowest=0.01, fastest=1.0)
    cell.build((None, FEATURES + 1))
    exponents = np.log1p(np.exp(np.asarray(cell.decay_weight)))
    np.testing.assert_allclose(exponents, np.geomspace(0.01, 1.0, UNITS), rtol=1e-4)


@pytest.mark.parametrize("name", KERASES)
def test_weights_get_gradients(name: str) -> None:
    """All of them, the decay's too, as the slope of the loss says."""
    import tensorflow as tf

    keras, (x, minutes) = keras_of(name), drawn(6)
    rnn = keras.layers.RNN(cell_class(keras)(UNITS, unit=100.0))
    steps = np.concatenate([x, minutes[..., None]], axis=2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(rnn(steps) ** 2)
    values = [variable if name == "tf_keras" else variable.value for variable in rnn.trainable_weights]
    gradients = tape.gradient(loss, values)
    assert [tuple(gradient.shape) for gradient in gradients] == [tuple(weight.shape) for weight in values]
    weights = rnn.get_weights()

    def at(nudge: float) -> float:
        nudged = [*weights[:3], weights[3] + nudge * np.eye(UNITS)[1]]
        return float((states(nudged, x, minutes, np.ones(x.shape[:2], bool), 100.0)[:, -1] ** 2).sum())

    slope = (at(1e-4) - at(-1e-4)) / 2e-4
    np.testing.assert_allclose(float(gradients[3][1]), slope, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", KERASES)
def test_saved_and_loaded(name: str, tmp_path: Path) -> None:
    keras, (x, minutes) = keras_of(name), drawn(7)
    model = network(keras, sequences=False, decay="learned", unit=1440.0, slowest=0.01)
    given = [x, minutes[..., None], masks("left")]
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(model.predict(given, verbose=0), again.predict(given, verbose=0))
    cell = next(layer.cell for layer in again.layers if hasattr(layer, "cell"))
    assert type(cell) is cell_class(keras)
    assert (cell.units, cell.decay, cell.unit, cell.slowest) == (UNITS, "learned", 1440.0, 0.01)
    assert type(cell).__module__.startswith("penult_service")


READER = """
import sys, numpy as np
sys.modules["penult_service"] = None
import tensorflow as tf
served = tf.saved_model.load(sys.argv[1]).signatures[sys.argv[3]]
given = np.load(sys.argv[2])
out = served(**{name: tf.constant(given[name]) for name in served.structured_input_signature[1]})
np.save(sys.argv[2] + ".out.npy", list(out.values())[0].numpy())
"""


# What tf_keras saves, the quick tests open too: that of the recipe of events.
@pytest.mark.parametrize("name", ["keras", pytest.param("tf_keras", marks=pytest.mark.full)])
def test_a_saved_model_opens_without_our_code(name: str, tmp_path: Path) -> None:
    keras, (x, minutes) = keras_of(name), drawn(8)
    model = network(keras, sequences=False)
    given = {"x": x, "minutes": minutes[..., None], "mask": masks("right")}
    if name == "keras":
        model.export(str(tmp_path / "m"), verbose=False)
    else:
        model.save(str(tmp_path / "m"), save_format="tf")
    np.savez(tmp_path / "given.npz", **given)
    words = [tmp_path / "m", tmp_path / "given.npz", "serving_default"]
    subprocess.run([sys.executable, "-c", READER, *map(str, words)], check=True, capture_output=True)
    wanted = model.predict(list(given.values()), verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "given.npz.out.npy"), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"units": 0}, "units is 0"),
        ({"units": 2, "decay": "linear"}, "decay is 'linear'; it must be one of inverse, learned"),
        ({"units": 2, "unit": 0.0}, "above 0 minutes"),
        ({"units": 2, "slowest": 1.0, "fastest": 0.5}, "in this order"),
    ],
)
def test_arguments_out_of_range(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        cell_class(keras_of("keras"))(**options)


def test_minutes_alone_are_too_little() -> None:
    with pytest.raises(ValueError, match="at least one feature and the minutes behind it"):
        cell_class(keras_of("keras"))(2).build((None, 1))
