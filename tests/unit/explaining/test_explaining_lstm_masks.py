"""The masks of an LSTM, read off its output, against the layer's own output recomputed by hand with them."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.explaining import lstm_masks, variants
from penult_service.explaining.lstm_masks import INPUT, RECURRENT, Settings
from penult_service.explaining.masks import KERAS, Question, draw
from penult_service.explaining.sharing import axes_of

os.environ["KERAS_BACKEND"] = "tensorflow"
pytestmark = pytest.mark.tensorflow
SHAPE, UNITS = (3, 5, 7), 4
Array = NDArray[np.float64]


def sigmoid(values: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-values)))


def by_hand(inputs: Array, weights: list[Array], heard: Array | None, remembered: Array | None) -> Array:
    """An LSTM in NumPy: outputs [samples, steps, units]; masks [4, samples, steps, ...] on input and state."""
    kernel, recurrent, bias = weights
    units = recurrent.shape[0]
    state, carry, outputs = np.zeros((len(inputs), units)), np.zeros((len(inputs), units)), []
    for step in range(inputs.shape[1]):
        gates = []
        for gate in range(4):
            columns = slice(gate * units, (gate + 1) * units)
            x = inputs[:, step] * (1.0 if heard is None else heard[gate, :, step])
            h = state * (1.0 if remembered is None else remembered[gate, :, step])
            gates.append(x @ kernel[:, columns] + h @ recurrent[:, columns] + bias[columns])
        carry = sigmoid(gates[1]) * carry + sigmoid(gates[0]) * np.tanh(gates[2])
        state = sigmoid(gates[3]) * np.tanh(carry)
        outputs.append(state)
    return np.stack(outputs, axis=1)


def real_output(
    version: int, rates: dict[str, float], settings: Settings, seed: int, width: int
) -> tuple[Array, Array, list[Array]]:
    """Input, output in training at the first call, and weights of a layer with weights of its own."""
    import tensorflow as tf

    keras = import_module(KERAS[version])
    tf.random.set_seed(seed)
    layer = keras.layers.LSTM(width, return_sequences=True, seed=seed, **rates, **settings.options())
    layer.build(SHAPE)
    random = np.random.default_rng(seed)
    layer.set_weights([random.normal(size=weight.shape) * 0.5 for weight in layer.get_weights()])
    inputs = random.normal(size=SHAPE).astype(np.float32)

    def call() -> Any:
        return layer(tf.constant(inputs), training=True)

    output = (call if settings.eager else tf.function(call))().numpy()
    return inputs.astype(np.float64), output, [np.asarray(w, np.float64) for w in layer.get_weights()]


WAYS = {
    "as it comes": Settings(UNITS),
    "eager": Settings(UNITS, eager=True),
    "unrolled": Settings(UNITS, unroll=True),
    "a product a gate": Settings(UNITS, implementation=1),
    "plain loop": Settings(UNITS, implementation=1, use_cudnn=False),
}


CASES = [
    (version, way, kind)
    for version in (3, 2)
    for way in WAYS
    for kind in (INPUT, RECURRENT)
    # Keras 2 has no use_cudnn; Keras 3 refuses the other in training.
    if (version, way) != (2, "plain loop") and (version, way, kind) != (3, "a product a gate", INPUT)
]


@pytest.mark.parametrize(("version", "way", "kind"), CASES)
def test_the_masks_are_those_that_the_layer_used(version: int, way: str, kind: str) -> None:
    """A second layer of the same seed draws the same masks: its output follows from them, with any weights."""
    settings = WAYS[way]
    # The widths of the two layers are equal, so that the draws are.
    width = SHAPE[2] if kind == INPUT else UNITS
    rates = {"dropout" if kind == INPUT else "recurrent_dropout": 0.4}
    inputs, output, weights = real_output(version, rates, settings, 11, width)
    masks = draw(Question(kind, SHAPE, 0.4, seed=11, keras=version, draws=2, lstm=settings)).masks
    first = masks.values[0].astype(np.float64)
    heard, remembered = (first, None) if kind == INPUT else (None, first)
    np.testing.assert_allclose(by_hand(inputs, weights, heard, remembered), output, atol=2e-6)
    # And the oracle is one: with another draw it does not come out.
    other = masks.values[1].astype(np.float64)
    heard, remembered = (other, None) if kind == INPUT else (None, other)
    assert np.abs(by_hand(inputs, weights, heard, remembered) - output).max() > 1e-2


def test_keras_3_keeps_the_masks_that_its_cell_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

    held: list[NDArray[np.float32]] = []
    ask = DropoutRNNCell.get_recurrent_dropout_mask

    def asked(cell: Any, state: Any) -> Any:
        masks = ask(cell, state)
        held.append(np.asarray(masks))
        return masks

    monkeypatch.setattr(DropoutRNNCell, "get_recurrent_dropout_mask", asked)
    settings = Settings(UNITS, eager=True)
    found = draw(Question(RECURRENT, SHAPE, seed=3, draws=1, lstm=settings)).masks.values[0]
    for step in range(SHAPE[1]):
        np.testing.assert_allclose(found[:, :, step], held[-1])


def test_keras_2_draws_anew_at_every_step_while_it_fits() -> None:
    """Not only inside our tf.function: the outputs that `fit` sees are those of other masks at each step."""
    import tensorflow as tf
    import tf_keras

    seen: list[NDArray[np.float32]] = []

    def keep(_: Any, outputs: Any) -> Any:
        kept = tf.numpy_function(lambda values: (seen.append(values), values)[1], [outputs], tf.float32)
        return tf.reduce_sum(kept) * 0.0 + tf.reduce_sum(outputs) * 0.0

    samples, steps, features = SHAPE
    weights = lstm_masks._weights(RECURRENT, features, UNITS, 2.0)
    first = [np.full((samples, UNITS), value, np.float32) for value in lstm_masks._FIRST_STATE]
    inputs = tf_keras.Input((steps, features), batch_size=samples)
    layer = tf_keras.layers.LSTM(UNITS, recurrent_dropout=0.5, return_sequences=True)
    model = tf_keras.Model(inputs, layer(inputs, initial_state=[tf.constant(value) for value in first]))
    layer.set_weights(weights)
    model.compile("sgd", loss=keep)
    ones = np.ones(SHAPE, np.float32)
    model.fit(ones, np.zeros((samples, steps, UNITS), np.float32), batch_size=samples, epochs=30, verbose=0)
    kept, residual = lstm_masks._read(RECURRENT, np.concatenate(seen), weights, 2.0)
    assert residual < 1e-5
    by_step = np.moveaxis(kept, 2, 0)
    assert all((by_step[0] != other).any() for other in by_step[1:])
    ours = axes_of(draw(Question(RECURRENT, SHAPE, keras=2, lstm=Settings(UNITS))).masks)
    assert {axis.name: axis.shared for axis in ours}["step"] is False


@pytest.mark.parametrize("rate", [0.02, 0.5, 0.97])
def test_rates_are_met(rate: float) -> None:
    answer = draw(Question(INPUT, (6, 3, 20), rate))
    kept = answer.masks.values != 0
    # A mask serves all gates and steps: so many draws are independent.
    numbers = kept.size / 4 / 3
    assert 1 - kept.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / numbers))
    assert np.unique(answer.masks.values[kept]) == pytest.approx(1 / (1 - rate))
    assert answer.residual is not None
    assert answer.residual < 1e-5


def test_what_this_version_of_keras_does() -> None:
    """Not a property of ours: when a new Keras does otherwise, the documentation has to say so."""
    found = {
        (variant.keras.split()[0], kind, variant.built): variant.shared
        for kind in (INPUT, RECURRENT)
        for variant in variants.of(kind, [3, 2])
    }
    assert found["keras", INPUT, "as it comes"] == ("gate", "step")
    assert found["keras", INPUT, "with recurrent_dropout too"] == ("step",)
    assert found["keras", INPUT, "implementation=1"] is None
    assert found["keras", INPUT, "implementation=1, use_cudnn=False"] == ("step",)
    assert found["keras", RECURRENT, "as it comes"] == ("step",)
    assert found["tf_keras", INPUT, "as it comes"] == ("gate",)
    assert found["tf_keras", INPUT, "unroll=True"] == ("gate", "step")
    assert found["tf_keras", INPUT, "with recurrent_dropout too"] == ()
    assert found["tf_keras", RECURRENT, "as it comes"] == ()
    assert found["tf_keras", RECURRENT, "as it comes, called eagerly"] == ("step",)
    assert found["tf_keras", RECURRENT, "unroll=True"] == ("step",)


def test_an_output_of_other_masks_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = lstm_masks._outputs
    monkeypatch.setattr(lstm_masks, "_outputs", lambda *given: outputs(*given) * np.float32(1.01))
    with pytest.raises(PreconditionFailed, match="fits no mask"):
        draw(Question(INPUT, SHAPE, draws=2))


def test_what_keras_refuses_is_said_in_a_line() -> None:
    with pytest.raises(InvalidInput) as raised:
        draw(Question(INPUT, SHAPE, lstm=Settings(implementation=1)))
    assert raised.value.message.startswith("keras ")
    assert "refuses LSTM(dropout=0.5, implementation=1) in training: Shape must be at most rank 3" in str(
        raised.value
    )
    with pytest.raises(InvalidInput, match=r"refuses LSTM\(dropout=1.0\)"):
        draw(Question(INPUT, SHAPE, 1.0, keras=2))


def test_keras_3_takes_a_rate_of_one_as_off() -> None:
    assert (draw(Question(INPUT, SHAPE, 1.0)).masks.values == 1.0).all()
