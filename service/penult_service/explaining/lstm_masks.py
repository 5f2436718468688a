"""The masks of an LSTM's `dropout` and `recurrent_dropout`, read off the output of the real layer.

Nothing of the layer is looked into. Its weights are set so that unit u hears of input u alone (for `recurrent_dropout`:
of its own state), in each of the four gates by another amount. Every output is then one of 16 known numbers, one for
each way in which the four masks may have dropped, and tells which. That holds for whichever of its ways of computing
the layer takes, and in both Keras versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.explaining.causes import cause

INPUT, RECURRENT = "lstm-dropout", "lstm-recurrent"
KINDS = (INPUT, RECURRENT)
# In Keras' order: input, forget, candidate, output.
GATES = 4
MOST_UNITS, MOST_STEPS, MOST_NUMBERS = 512, 200, 20_000

_State = NDArray[np.float64]
# Each of 16 rows says which gates were kept.
_KEPT = np.array([[number >> gate & 1 for gate in range(GATES)] for number in range(1 << GATES)], np.float64)
# Bias of each gate, and what is added to it when its mask keeps. Searched at random for outputs that lie far apart: the
# nearest two of the 16 by 0.008 and, where the state is masked, by 0.004, over 200 steps of 2,000 random masks.
_BIAS = {INPUT: (2.405, -1.317, -1.995, 1.101), RECURRENT: (-0.366, 0.59, 0.694, 1.882)}
_ADDED = {INPUT: (3.729, -4.47, 3.274, -1.126), RECURRENT: (-0.192, -3.526, 0.285, -2.218)}
_FIRST_STATE = 0.5, 0.7
# An output further than this from all 16 is of another mask than zeros and 1 / (1 - rate).
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Settings:
    """How the LSTM is built; None: as Keras does.

    Attributes:
        units: Width of the state; of `lstm-recurrent` alone, where the mask is as wide.
        implementation: 1: a product a gate; 2: one product for the four.
        use_cudnn: Of Keras 3: False keeps to the plain loop over the steps.
        unroll: The steps are written out, not looped over.
        both: The other of the two dropouts is on as well, at the same rate.
        eager: Called as Python, step by step, not inside a tf.function as `fit` does.
    """

    units: int = 10
    implementation: int | None = None
    use_cudnn: bool | None = None
    unroll: bool = False
    both: bool = False
    eager: bool = False

    def options(self) -> dict[str, Any]:
        """The parameters of the layer that are not as Keras has them."""
        given = {
            "implementation": self.implementation,
            "use_cudnn": self.use_cudnn,
            "unroll": self.unroll or None,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, eq=False)
class Drawn:
    """Masks that were read.

    Attributes:
        values: float32 [draws, 4, samples, steps, width].
        residual: Largest difference of the layer's output to the one recomputed with these masks.
    """

    values: NDArray[np.float32]
    residual: float


def width(kind: str, features: int, settings: Settings) -> int:
    """How wide the mask is: the input's features, or the state's units."""
    return features if kind == INPUT else settings.units


def check(kind: str, shape: tuple[int, ...], settings: Settings) -> None:
    """Refuse shapes that are none, or large.

    Raises:
        InvalidInput: says what is allowed.
    """
    samples, steps, features = shape
    wide = width(kind, features, settings)
    what = "features" if kind == INPUT else "units"
    if samples < 1 or features < 1:
        raise InvalidInput(
            f"every length of the shape is at least 1, not {min(samples, features)}", field="shape"
        )
    if not (1 <= wide <= MOST_UNITS and 1 <= steps <= MOST_STEPS):
        raise InvalidInput(
            f"an LSTM is explained with 1 to {MOST_STEPS} steps and 1 to {MOST_UNITS} {what}, not with {steps:,} and "
            f"{wide:,}",
            field="shape",
        )
    if samples * steps * wide > MOST_NUMBERS:
        raise InvalidInput(
            f"samples times steps times {what} is at most {MOST_NUMBERS:,} for an LSTM, not "
            f"{samples * steps * wide:,}",
            field="shape",
        )


def drawn(
    keras: Any, kind: str, shape: tuple[int, ...], rate: float, settings: Settings, seed: int, draws: int
) -> Drawn:
    """Call an LSTM in training, inside a tf.function as `fit` does, and read its masks.

    Args:
        keras: The module keras or tf_keras.
        kind: One of `KINDS`.
        shape: Of the input: samples, steps, features.
        rate, seed: Of the layer.
        settings: How it is built.
        draws: How many calls.

    Raises:
        InvalidInput: too many units or steps, or Keras refuses the settings.
        PreconditionFailed: the output is that of no such mask.
    """
    check(kind, shape, settings)
    samples, steps, features = shape
    wide = width(kind, features, settings)
    scale = 1.0 / (1.0 - rate) if rate < 1.0 else 1.0
    weights = _weights(kind, features, wide, scale)
    outputs = _outputs(keras, kind, shape, rate, settings, seed, draws, weights)
    bits, residual = _read(kind, outputs.reshape(-1, steps, wide), weights, scale)
    if residual > _TOLERANCE:
        raise PreconditionFailed(
            f"the output of this LSTM fits no mask of 0 and {scale:g}: it is off by {residual:.2g}, so its masks "
            "cannot be read"
        )
    masks = (bits * scale).astype(np.float32)
    return Drawn(np.moveaxis(masks.reshape(GATES, draws, samples, steps, wide), 0, 1), residual)


def _weights(kind: str, features: int, wide: int, scale: float) -> list[NDArray[np.float32]]:
    """Kernel [features, 4 units], recurrent kernel [units, 4 units], bias [4 units]."""
    one = np.eye(wide, dtype=np.float32)
    diagonal = np.concatenate([one * np.float32(added / scale) for added in _ADDED[kind]], axis=1)
    bias = np.repeat(np.array(_BIAS[kind], np.float32), wide)
    recurrent = np.zeros((wide, GATES * wide), np.float32)
    if kind == INPUT:
        return [diagonal, recurrent, bias]
    return [np.zeros((features, GATES * wide), np.float32), diagonal, bias]


def _outputs(
    keras: Any,
    kind: str,
    shape: tuple[int, ...],
    rate: float,
    settings: Settings,
    seed: int,
    draws: int,
    weights: list[NDArray[np.float32]],
) -> NDArray[np.float32]:
    """float32 [draws, samples, steps, units]."""
    import tensorflow as tf

    wide = weights[1].shape[0]
    rates = {"dropout" if kind == INPUT else "recurrent_dropout": rate}
    if settings.both:
        rates = {"dropout": rate, "recurrent_dropout": rate}
    try:
        layer = keras.layers.LSTM(wide, return_sequences=True, seed=seed, **rates, **settings.options())
        layer.build(shape)
        layer.set_weights(weights)
        ones = tf.ones(shape)
        state = [tf.fill((shape[0], wide), np.float32(value)) for value in _FIRST_STATE]

        def call() -> Any:
            return layer(ones, initial_state=state, training=True)

        traced = call if settings.eager else tf.function(call)
        return np.stack([traced().numpy() for _ in range(draws)])
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        told = ", ".join(f"{name}={value}" for name, value in {**rates, **settings.options()}.items())
        raise InvalidInput(
            f"{keras.__name__} {keras.__version__} refuses LSTM({told}) in training: {cause(error)}",
            field="layer",
        ) from error


def _read(
    kind: str, outputs: NDArray[np.float32], weights: list[NDArray[np.float32]], scale: float
) -> tuple[NDArray[np.float64], float]:
    """Which gates' masks kept, float64 [4, n, steps, width] of 0 and 1, and how near the outputs were to that."""
    n, steps, wide = outputs.shape
    kernel = weights[0 if kind == INPUT else 1]
    added = kernel.reshape(wide, GATES, wide)[0, :, 0].astype(np.float64) * scale
    bias = weights[2].reshape(GATES, wide)[:, 0].astype(np.float64)
    state, carry = (np.full((n, wide), np.float64(np.float32(value))) for value in _FIRST_STATE)
    kept = np.empty((GATES, n, steps, wide))
    residual = 0.0
    for step in range(steps):
        heard = np.ones_like(state) if kind == INPUT else state
        carries, states = _step(bias, added, heard, carry)
        seen = outputs[:, step].astype(np.float64)
        apart = np.abs(states - seen)
        chosen = apart.argmin(axis=0)[None]
        residual = max(residual, float(np.take_along_axis(apart, chosen, 0).max()))
        kept[:, :, step] = np.moveaxis(_KEPT[chosen[0]], -1, 0)
        carry, state = np.take_along_axis(carries, chosen, 0)[0], seen
    return kept, residual


def _step(bias: _State, added: _State, heard: _State, carry: _State) -> tuple[_State, _State]:
    """A step of the LSTM (Hochreiter and Schmidhuber 1997, with forget gates) under all 16 hypotheses.

    Returns:
        Carry and output, float64 [16, n, width].
    """
    gates = bias[:, None, None, None] + added[:, None, None, None] * _KEPT.T[:, :, None, None] * heard
    enter, forget, leave = (1.0 / (1.0 + np.exp(-gates[gate])) for gate in (0, 1, 3))
    carries = forget * carry + enter * np.tanh(gates[2])
    return carries, leave * np.tanh(carries)
