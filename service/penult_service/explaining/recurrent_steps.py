"""The steps of recurrent layers in NumPy, gate by gate, as the papers have them and Keras orders their weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_Step = Callable[[Sequence[Array], Array, list[Array]], tuple[list[Array], list[Array]]]
"""Weights, input [n, features], states [n, units] each -> gates and states, [n, units] each."""


@dataclass(frozen=True, eq=False)
class Run:
    """What was computed: h of every step [n, steps, units], gates and states behind the last step [n, units] each."""

    sequence: Array
    gates: list[Array]
    states: list[Array]


def run(layer: str, weights: Sequence[NDArray[np.float32]], given: NDArray[np.float32]) -> Run:
    """All steps of an LSTM, a GRU (`reset_after`) or a SimpleRNN with Keras' default activations.

    Args:
        layer: Its class.
        weights: Kernel, recurrent kernel and bias, as `get_weights` gives them.
        given: float32 [n, steps, features].
    """
    step, count = _STEPS[layer]
    full = [value.astype(np.float64) for value in weights]
    states = [np.zeros((len(given), full[1].shape[0]))] * count
    seen, gates = [], list[Array]()
    for place in range(given.shape[1]):
        gates, states = step(full, given[:, place].astype(np.float64), states)
        seen.append(states[0])
    return Run(np.stack(seen, axis=1), gates, states)


def _lstm(weights: Sequence[Array], x: Array, states: list[Array]) -> tuple[list[Array], list[Array]]:
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000."""
    kernel, recurrent, bias = weights
    h, c = states
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=1)
    i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
    c = f * c + i * g
    return [i, f, g, o], [o * np.tanh(c), c]


def _gru(weights: Sequence[Array], x: Array, states: list[Array]) -> tuple[list[Array], list[Array]]:
    """Cho and others 2014; the reset gate acts behind the recurrent product, which has a bias of its own."""
    kernel, recurrent, (bias, recurrent_bias) = weights
    (h,) = states
    z, r, g = np.split(x @ kernel + bias, 3, axis=1)
    own_z, own_r, own_g = np.split(h @ recurrent + recurrent_bias, 3, axis=1)
    z, r = _sigmoid(z + own_z), _sigmoid(r + own_r)
    g = np.tanh(g + r * own_g)
    return [z, r, g], [z * h + (1 - z) * g]


def _simple(weights: Sequence[Array], x: Array, states: list[Array]) -> tuple[list[Array], list[Array]]:
    """Elman 1990."""
    kernel, recurrent, bias = weights
    before = x @ kernel + states[0] @ recurrent + bias
    return [before], [np.tanh(before)]


def _sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


_STEPS: dict[str, tuple[_Step, int]] = {"LSTM": (_lstm, 2), "GRU": (_gru, 1), "SimpleRNN": (_simple, 1)}
