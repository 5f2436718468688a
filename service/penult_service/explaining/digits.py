"""A small real task for measurements: handwritten digits and a classifier with one dropout, of Keras' own layers.

The digits are those that come with scikit-learn (Alpaydin and Kaynak 1998): 1,797 images of 8 x 8, ten classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES, PIXELS = 10, 64
HELD_OUT = 450
# Digits that are learned from.
TRAINED_ON = 1_347

Images = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Digits:
    """Images float32 [n, 64] of 0 to 1 and labels int32 [n]: to train on, and held out."""

    images: Images
    labels: Labels
    held_images: Images
    held_labels: Labels


def load(seed: int) -> Digits:
    """The digits, shuffled by the seed and divided."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    pixels = (images[order] / 16.0).astype(np.float32)
    named = labels[order].astype(np.int32)
    return Digits(pixels[HELD_OUT:], named[HELD_OUT:], pixels[:HELD_OUT], named[:HELD_OUT])


class Classifier:
    """Dense, relu, Dropout, Dense: one set of weights under each of several dropouts.

    Args:
        keras: The module keras.
        data: The digits.
        units: Of the hidden layer.
        noise_shapes: Of each dropout, by a name; None: every number by itself.
        rate, seed: Of the dropouts.
    """

    def __init__(
        self,
        keras: Any,
        data: Digits,
        units: int,
        noise_shapes: dict[str, tuple[int, ...] | None],
        rate: float,
        seed: int,
    ) -> None:
        import tensorflow as tf

        self._tf, self._data, self._units = tf, data, units
        self._images, self._labels = tf.constant(data.images), tf.constant(data.labels)
        self._hidden = keras.layers.Dense(units, activation="relu")
        self._output = keras.layers.Dense(CLASSES)
        self._dropouts = {
            name: keras.layers.Dropout(rate, noise_shape=noise_shape, seed=seed + number)
            for number, (name, noise_shape) in enumerate(noise_shapes.items(), 1)
        }
        self._hidden.build((None, PIXELS))
        self._output.build((None, units))
        # Without momentum: nothing of a training is left behind for the next.
        self._optimizer = keras.optimizers.SGD(0.1)
        self._optimizer.build(self._weights())
        names = (*self._dropouts, None)
        self._gradients = {name: tf.function(partial(self._gradients_at, name)) for name in names}
        self._epochs = {name: tf.function(partial(self._epoch, name)) for name in names}

    def start(self, seed: int, learning_rate: float) -> None:
        """Weights as a new classifier has them (Glorot and Bengio 2010)."""
        random = np.random.default_rng(seed)
        for weight in self._weights():
            shape = tuple(weight.shape)
            limit = np.sqrt(6.0 / sum(shape)) if len(shape) > 1 else 0.0
            weight.assign(random.uniform(-limit, limit, shape).astype(np.float32))
        self._optimizer.learning_rate = learning_rate

    def epoch(self, name: str, batches: NDArray[np.intp]) -> None:
        """One pass over mini-batches, rows of digits [batches, batch], with the dropout of that name on."""
        self._epochs[name](self._tf.constant(batches))

    def gradients(self, name: str | None, batches: NDArray[np.intp]) -> NDArray[np.float32]:
        """The gradient of the mean cross-entropy of each mini-batch, at one draw of the dropout each (None: without).

        Args:
            name: Of the dropout.
            batches: Rows of digits [n, batch].

        Returns:
            float32 [n, weights]: those into the hidden layer first, [64, units] in a row.
        """
        return np.asarray(self._gradients[name](self._tf.constant(batches)).numpy())

    def learning(self, gradients: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether each hidden unit has a gradient on what enters it, [n, units], of gradients [n, weights]."""
        into = gradients[:, : PIXELS * self._units].reshape(-1, PIXELS, self._units)
        return np.asarray(into.any(axis=1))

    def held_out(self) -> tuple[float, float]:
        """Loss and accuracy of the digits that are held out, in inference."""
        logits = self._output(self._hidden(self._data.held_images)).numpy().astype(np.float64)
        labels = self._data.held_labels
        logits -= logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
        return float(losses.mean()), float(np.mean(logits.argmax(axis=1) == labels))

    def hidden(self, name: str | None) -> NDArray[np.float32]:
        """What enters the output layer for all digits trained on, [n, units]: at a draw of the dropout, or without."""
        values = self._hidden(self._images)
        return np.asarray(values if name is None else self._dropouts[name](values, training=True))

    def _weights(self) -> list[Any]:
        return [*self._hidden.trainable_variables, *self._output.trainable_variables]

    def _taped(self, name: str | None, rows: Any) -> list[Any]:
        tf = self._tf
        with tf.GradientTape() as tape:
            values = self._hidden(tf.gather(self._images, rows))
            if name is not None:
                values = self._dropouts[name](values, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.gather(self._labels, rows), self._output(values)
            )
            loss = tf.reduce_mean(losses)
        return list(tape.gradient(loss, [weight.value for weight in self._weights()]))

    # The loops stand in the graph, since a step takes less time than calling one; one turn after the other, since
    # the dropouts' seeds are counted on.
    def _gradients_at(self, name: str | None, batches: Any) -> Any:
        def one(rows: Any) -> Any:
            return self._tf.concat([self._tf.reshape(part, [-1]) for part in self._taped(name, rows)], axis=0)

        return self._tf.map_fn(one, batches, fn_output_signature=self._tf.float32, parallel_iterations=1)

    def _epoch(self, name: str | None, batches: Any) -> None:
        def step(number: Any) -> Any:
            self._optimizer.apply(self._taped(name, batches[number]), self._weights())
            return number + 1

        count = self._tf.shape(batches)[0]
        self._tf.while_loop(lambda number: number < count, step, [0], parallel_iterations=1)
