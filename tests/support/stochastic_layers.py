"""Layers that are random or look at the batch at inference, and some that only look like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support import text_models as tm

Body = Callable[[Any], Any]


def noise(x: Any) -> Any:
    """Dropout at a rate that always shows."""
    import tensorflow as tf

    return tf.nn.dropout(x, 0.5)


def constant_seed(x: Any) -> Any:
    """The same mask in every run: 20 runs are equal bit for bit, and yet it is on."""
    import tensorflow as tf

    return tf.nn.experimental.stateless_dropout(x, 0.5, seed=[1, 2])


def called(x: Any) -> Any:
    """In a function that a function calls."""
    import tensorflow as tf

    inner = tf.function(noise)
    return tf.function(lambda y: tf.tanh(inner(y)))(x)


def in_a_loop(x: Any) -> Any:
    """In the body of a While."""
    import tensorflow as tf

    return tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, noise(y)), (tf.constant(0), x))[1]


def in_a_branch(x: Any) -> Any:
    """In a branch that the input chooses."""
    import tensorflow as tf

    return tf.cond(tf.shape(x)[0] > 0, lambda: noise(x), lambda: x)


def in_a_case(x: Any) -> Any:
    """In one of three branches, by the shape."""
    import tensorflow as tf

    return tf.switch_case(tf.minimum(tf.shape(x)[0], 1), [lambda: x, lambda: noise(x), lambda: -x])


def in_map_fn(x: Any) -> Any:
    """Row by row."""
    import tensorflow as tf

    return tf.map_fn(noise, x)


def compiled(x: Any) -> Any:
    """In a function for XLA."""
    import tensorflow as tf

    def body(y: Any) -> Any:
        return y + tf.random.stateless_normal(tf.shape(y), seed=[3, 4])

    return tf.function(body, jit_compile=True)(x)


def with_a_gradient(x: Any) -> Any:
    """In a function with a gradient of its own."""
    import tensorflow as tf

    @tf.custom_gradient
    def body(y: Any) -> Any:
        return noise(y), lambda upstream: upstream

    return body(x)


def batch_norm(x: Any) -> Any:
    """BatchNormalization in training mode, spelled out: no variable is written, no operation is random."""
    import tensorflow as tf

    mean, variance = tf.nn.moments(x, [0])
    return tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3)


def fused_batch_norm(x: Any) -> Any:
    """The fused operation with `is_training`, its new averages thrown away."""
    import tensorflow as tf

    width = x.shape[-1]
    found = tf.raw_ops.FusedBatchNormV3(
        x=x[:, None, None, :],
        scale=tf.ones([width]),
        offset=tf.zeros([width]),
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        is_training=True,
    )
    return found.y[:, 0, 0, :]


def in_training_only(x: Any) -> Any:
    """A branch whose predicate is a constant."""
    import tensorflow as tf

    training = tf.logical_and(tf.constant(False), tf.equal(1, 1))
    return tf.cond(training, lambda: noise(x), lambda: x)


def unused(x: Any) -> Any:
    """Noise that nothing is computed from."""
    noise(x)
    return x * 2


def unused_in_a_loop(x: Any) -> Any:
    """A loop variable that is random, and not looked at."""
    import tensorflow as tf

    return tf.while_loop(
        lambda i, *_: i < 3, lambda i, y, z: (i + 1, y * 2, noise(z)), (tf.constant(0), x, x)
    )[1]


def own_layer(body: Body, name: str) -> Any:
    """A layer of the class `Own`."""

    class Own(tm.layers().Layer):
        def call(self, x: Any) -> Any:
            return body(x)

    return Own(name=name)


def always_drops() -> Any:
    """A subclass that ignores `training`."""

    class AlwaysDropout(tm.layers().Dropout):
        def call(self, inputs: Any, training: Any = None) -> Any:
            del training
            return super().call(inputs, training=True)

    return AlwaysDropout(0.2, name="always")


def attention() -> Any:
    """Attention over the words with a dropout on its weights that is always on, and nothing else that is."""

    class Attention(tm.layers().Layer):
        def __init__(self) -> None:
            super().__init__(name="attention")
            self.inner = tm.layers().MultiHeadAttention(2, 4, dropout=0.1, name="heads")

        def call(self, x: Any) -> Any:
            return self.inner(x, x, training=True)

    return Attention()


def through_a_variable() -> Any:
    """No data edge leads from the random operation to the output."""
    import tensorflow as tf

    class Through(tm.layers().Layer):
        def build(self, shape: Any) -> None:
            self.kept = self.add_weight("kept", shape[-1:], trainable=False)

        def call(self, x: Any) -> Any:
            self.kept.assign(tf.random.uniform(self.kept.shape))
            return x + self.kept

    return Through(name="through")
