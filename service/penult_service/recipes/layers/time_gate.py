"""An LSTM cell that forgets by the time between its steps.

The recurrence is that of Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000), and its forget
gate is scaled by a function g of the minutes that belong to the step::

    i, f, o = sigmoid(x W + h U + b), each its own columns;  z = tanh(x W + h U + b)
    c = f g(minutes) c + i z
    h = o tanh(c)

`inverse`: g = 1 / (1 + minutes / unit), as in "Getting keras LSTM layer to accept two inputs?" (Stack Overflow).
`learned`: g = (1 + minutes / unit) ** -softplus(w), with a w for each unit of the cell: 1 is `inverse`, 0 the plain
LSTM, and each unit finds its own. The idea is that of T-LSTM (Baytas et al., KDD 2017: a decreasing function of the
elapsed time, 1/t or 1/log(e + t), discounts the cell's memory) and of Time-LSTM (Zhu et al., IJCAI 2017: learned gates
for the interval), the learned exponent that of GRU-D (Che et al., Scientific Reports 2018: exp(-max(0, w t + b))) over
log(1 + t) in the place of t, for times between minutes and months.

Recurrent layers of Keras 3 walk along one tensor, not along several like zip() of Python. So the minutes are the last
feature of each step: ``RNN(cell)(Concatenate()([x, minutes]))``, with the mask of x.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import tensorflow as tf

INVERSE, LEARNED = "inverse", "learned"
DECAYS = (INVERSE, LEARNED)


@cache
def time_gate_lstm_cell(keras: Any) -> type:
    """The class `TimeGateLSTMCell` for `keras` or `tf_keras`, registered there as ``penult>TimeGateLSTMCell``."""

    @keras.saving.register_keras_serializable(package="penult", name="TimeGateLSTMCell")
    class TimeGateLSTMCell(keras.layers.Layer):
        """A cell for `RNN`, of standard operations; see this module.

        Per step it takes float [n, features + 1], the last column the minutes (below 0 counts as 0; not scaled before),
        and the states h and c, float [n, units] each; it gives h.

        Args:
            units: Of the state and of the output.
            decay: ``inverse`` or ``learned``.
            unit: Minutes that count as one: 1, or 1440 where gaps are days.
            slowest, fastest: The exponents with which `learned` begins lie between them, evenly in their logarithm.

        Raises:
            ValueError: An argument out of range, or inputs of less than two features.
        """

        def __init__(
            self,
            units: int,
            decay: str = LEARNED,
            unit: float = 1.0,
            slowest: float = 0.001,
            fastest: float = 0.3,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            _check(units, decay, unit, slowest, fastest)
            self.units, self.decay, self.unit = units, decay, unit
            self.slowest, self.fastest = slowest, fastest
            self.state_size, self.output_size = [units, units], units

        def build(self, input_shape: Sequence[int | None]) -> None:
            """Makes `kernel` [features, 4 units], `recurrent_kernel` [units, 4 units] and `bias` [4 units], columns
            in the order i, f, z, o, and for `learned` `decay_weight` [units].
            """
            features = (input_shape[-1] or 0) - 1
            if features < 1:
                what = f"TimeGateLSTMCell takes at least one feature and the minutes behind it, not {input_shape}"
                raise ValueError(what)
            width = 4 * self.units
            self.kernel = self._made("kernel", [features, width], "glorot_uniform")
            self.recurrent_kernel = self._made("recurrent_kernel", [self.units, width], "orthogonal")
            self.bias = self._made("bias", [width], _forgets_late)
            if self.decay == LEARNED:
                self.decay_weight = self._made("decay_weight", [self.units], self._spread)
            self.built = True

        def _made(self, name: str, shape: list[int], initializer: Any) -> Any:
            return self.add_weight(name=name, shape=shape, initializer=initializer)

        def _spread(self, shape: Sequence[int], dtype: Any = None, **_: Any) -> Any:
            """Weights whose softplus lies between `slowest` and `fastest`."""
            exponents = tf.exp(tf.linspace(*(tf.math.log([self.slowest, self.fastest])), shape[0]))
            return tf.cast(tf.math.log(tf.math.expm1(exponents)), dtype or tf.float32)

        def call(self, inputs: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
            """One step: (h, [h, c])."""
            h, c = states
            x, minutes = inputs[:, :-1], inputs[:, -1:]
            gates = tf.matmul(x, self.kernel) + tf.matmul(h, self.recurrent_kernel) + self.bias
            enters, stays, new, leaves = tf.split(gates, 4, axis=-1)
            c = tf.sigmoid(stays) * self._kept(minutes) * c + tf.sigmoid(enters) * tf.tanh(new)
            h = tf.sigmoid(leaves) * tf.tanh(c)
            return h, [h, c]

        def _kept(self, minutes: Any) -> Any:
            """What the minutes [n, 1] leave of the forget gate: [n, 1], or [n, units]."""
            elapsed = tf.maximum(minutes, 0.0) / self.unit
            if self.decay == INVERSE:
                return 1.0 / (1.0 + elapsed)
            exponents = tf.nn.softplus(tf.convert_to_tensor(self.decay_weight))
            return tf.exp(-tf.cast(exponents, elapsed.dtype) * tf.math.log1p(elapsed))

        def get_config(self) -> dict[str, Any]:
            """What `from_config` takes."""
            own = ("units", "decay", "unit", "slowest", "fastest")
            return super().get_config() | {name: getattr(self, name) for name in own}

    return TimeGateLSTMCell


def _forgets_late(shape: Sequence[int], dtype: Any = None, **_: Any) -> Any:
    """Zeros, and ones for the forget gate, as Keras' own LSTM begins (Jozefowicz et al., ICML 2015)."""
    units = shape[0] // 4
    return tf.cast(tf.repeat([0.0, 1.0, 0.0, 0.0], units), dtype or tf.float32)


def _check(units: int, decay: str, unit: float, slowest: float, fastest: float) -> None:
    if units < 1:
        raise ValueError(f"units is {units}; it must be at least 1")
    if decay not in DECAYS:
        raise ValueError(f"decay is {decay!r}; it must be one of {', '.join(DECAYS)}")
    if not unit > 0:
        raise ValueError(f"unit is {unit}; it must be above 0 minutes")
    if not 0 < slowest <= fastest:
        raise ValueError(f"slowest is {slowest} and fastest {fastest}; both are above 0, in this order")
