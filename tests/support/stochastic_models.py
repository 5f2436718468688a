"""Models that are random, or change with their company, at inference; and models that only look like it.

Each is built by tf_keras as a person would write it, and saved with `model.save`. `CASES` is the one list that the
tests and `scripts/proof-report` go through.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from support import seed_model as seeds
from support import text_models as tm

Body = Callable[[Any], Any]
RANDOM, WRITES, COMPANY = "RANDOM_AT_INFERENCE", "WRITES_AT_INFERENCE", "DEPENDS_ON_COMPANY"


@dataclass(frozen=True)
class Case:
    """A model and what must become of it.

    Attributes:
        save: Saves it into a new directory.
        reason: Why it is refused; empty: it is accepted.
        layer: The layer that the refusal must name (or, accepted, a word that the findings must hold).
        op: What the name of the operation that the refusal names must hold.
    """

    save: Callable[[Path], Path]
    reason: str = ""
    layer: str = ""
    op: str = ""


def _saved(build: Callable[[], Any]) -> Callable[[Path], Path]:
    return lambda place: tm.save(build(), place)


def _head(behind: Any, text: Any) -> Any:
    """An ordinary dropout and the output."""
    dropped = tm.layers().Dropout(0.1, name="dropout")(behind)
    return seeds.keras().Model(text, tm.dense(2, "output", "softmax")(dropped))


def _vector(layer: Callable[[], Any], **call: Any) -> Callable[[Path], Path]:
    """The layer stands on the pooled vector, in front of the ordinary dropout."""

    def build() -> Any:
        text = tm.text_input()
        return _head(layer()(tm.pooled(text), **call), text)

    return _saved(build)


def _words(layer: Callable[[], Any], **call: Any) -> Callable[[Path], Path]:
    """The layer stands on the word vectors [n, length, d]."""

    def build() -> Any:
        text = tm.text_input()
        behind = layer()(tm.vectors(text), **call)
        if behind.shape.rank == 3:
            behind = tm.layers().GlobalAveragePooling1D(name="average")(behind)
        return _head(behind, text)

    return _saved(build)


def _behind(body: Body, name: str = "noisy") -> Callable[[Path], Path]:
    """A layer of a class of its own whose `call` is `body`, on the pooled vector."""
    return _vector(lambda: own_layer(body, name))


def _behind_a_full_average(body: Body, name: str = "noisy") -> Callable[[Path], Path]:
    """The same behind an average over the padding too, which an empty text has as well."""

    def build() -> Any:
        text = tm.text_input()
        return _head(own_layer(body, name)(tm.pooled(text, masked=False)), text)

    return _saved(build)


def own_layer(body: Body, name: str) -> Any:
    """A layer of the class `Own`."""

    class Own(tm.layers().Layer):
        def call(self, x: Any) -> Any:
            return body(x)

    return Own(name=name)


def _k(name: str, /, *arguments: Any, **options: Any) -> Callable[[], Any]:
    return lambda: getattr(tm.layers(), name)(*arguments, **options)


# Random


def noise(x: Any) -> Any:
    """Dropout at a rate that always shows."""
    import tensorflow as tf

    return tf.nn.dropout(x, 0.5)


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


def drops_words() -> Any:
    """A model whose tokenizing leaves words out."""
    import tensorflow as tf

    def leave_out(texts: Any) -> Any:
        words = tf.strings.split(texts)
        kept = tf.random.uniform(tf.shape(words.flat_values)) < 0.7
        return tf.strings.reduce_join(
            tf.ragged.boolean_mask(words, words.with_flat_values(kept)), -1, separator=" "
        )

    text = tm.text_input()
    return _head(tm.pooled(own_layer(leave_out, "word_dropout")(text)), text)


def hub_encoder(training: bool) -> Any:
    """The seed's encoder, Keras 3 inside (its dropouts hold a `SeedGenerator`), called with that `training`."""
    preprocess, encoder = seeds.hub_layers()
    text = tm.text_input()
    return _head(encoder(preprocess(text), training=training)["pooled_output"], text)


def keras_3_dropout(training: bool) -> Any:
    """A Keras 3 block, exported, as one layer of the model: `Dropout(seed=SeedGenerator)` on that `training`."""
    import tensorflow_hub as hub

    text = tm.text_input()
    block = hub.KerasLayer(str(_keras_3_block(training)), name="block")
    return _head(block(tm.pooled(text)), text)


@cache
def _keras_3_block(training: bool) -> Path:
    import keras
    import tensorflow as tf

    generator = keras.random.SeedGenerator(7)
    wide = keras.layers.Dense(
        6, activation="tanh", kernel_initializer=keras.initializers.RandomNormal(stddev=0.5)
    )
    wide.build([None, tm.WIDTH])

    class Block(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept = [wide.kernel.value, wide.bias.value, generator.state.value]

        @tf.function(input_signature=[tf.TensorSpec([None, tm.WIDTH], tf.float32)])
        def __call__(self, x: Any) -> Any:
            x = wide(x)
            return keras.random.dropout(x, 0.5, seed=generator) if training else x

    place = Path(_scratch().name) / f"block-{training}"
    tf.saved_model.save(Block(), str(place))
    return place


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="penult-stochastic-")


# Batch statistics


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


def batch_norm_in_the_head() -> Any:
    """Behind the dropout: the embedding is a row's own, the prediction is not."""
    text = tm.text_input()
    dropped = tm.layers().Dropout(0.1, name="dropout")(tm.pooled(text, masked=False))
    normed = own_layer(batch_norm, "normed")(tm.dense(6, "hidden")(dropped))
    return seeds.keras().Model(text, tm.dense(2, "output", "softmax")(normed))


def batch_ranks_in_the_tokenizing() -> Any:
    """A text's first word is its rank among the texts beside it."""
    import tensorflow as tf

    def ranked(texts: Any) -> Any:
        ranks = tf.argsort(tf.argsort(tf.strings.length(texts)))
        return tf.strings.join([tf.gather(["one", "two", "three", "four"], ranks % 4), texts], " ")

    text = tm.text_input()
    return _head(tm.pooled(own_layer(ranked, "ranked")(text)), text)


# Other functions in the file


def _with_signatures(place: Path, **training: bool) -> Path:
    """The ordinary classifier with functions of its own names, each traced with that `training`."""
    model = tm.classifier()
    model.save(str(place), signatures={name: _traced(model, on) for name, on in training.items()})
    return place


def _traced(model: Any, training: bool) -> Any:
    import tensorflow as tf

    spec = tf.TensorSpec([None], tf.string, name="text")
    return tf.function(lambda text: {"output": model(text, training=training)}).get_concrete_function(spec)


def _always_on(place: Path, *, clean_twin: bool) -> Path:
    """A model whose dropout is forced on; beside it, if wanted, a signature of its layers without that."""
    text = tm.text_input()
    pooled, dropout, output = tm.pooled(text), tm.layers().Dropout(0.3, name="dropout"), tm.dense(3, "output")
    forced = seeds.keras().Model(text, output(dropout(pooled, training=True)))
    twin = seeds.keras().Model(text, output(dropout(pooled)))
    other = twin if clean_twin else forced
    signatures = {"serving_default": _traced(forced, False), "quiet": _traced(other, False)}
    forced.save(str(place), signatures=signatures)
    return place


# Quiet


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


def trained() -> Any:
    """Compiled and fitted a step: the file holds the training function and the optimizer's slots."""
    import numpy as np
    import tensorflow as tf

    model = tm.classifier()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(tf.constant(tm.TEXTS), np.zeros(len(tm.TEXTS)), epochs=1, verbose=0)
    return model


def with_random_start(x: Any) -> Any:
    """A variable that is drawn when it is made, as every weight is."""
    import tensorflow as tf

    return tf.matmul(x, tf.Variable(lambda: tf.random.normal([tm.WIDTH, 6])))


def random_initializers() -> Any:
    """Layers whose configs name random initialisers, and a seed."""
    text = tm.text_input()
    initial = seeds.keras().initializers.VarianceScaling(distribution="untruncated_normal", seed=5)
    return _head(tm.layers().Dense(6, kernel_initializer=initial, name="hidden")(tm.pooled(text)), text)


def several_noises() -> Any:
    """Every kind of noise layer, none forced on."""
    layers, text = tm.layers(), tm.text_input()
    words = layers.SpatialDropout1D(0.2)(tm.vectors(text))
    x = layers.GlobalAveragePooling1D(name="average")(words)
    for layer in (layers.GaussianNoise(0.2), layers.GaussianDropout(0.2), layers.AlphaDropout(0.2)):
        x = layer(x)
    return _head(tm.dense(6, "hidden", "tanh")(x), text)


CASES: dict[str, Case] = {
    "Dropout(...)(x, training=True)": Case(
        _vector(_k("Dropout", 0.2, name="forced"), training=True), RANDOM, "forced", "Random"
    ),
    "a subclass that always drops": Case(_vector(always_drops), RANDOM, "always", "Random"),
    "tf.nn.dropout in a layer": Case(_behind(noise), RANDOM, "noisy", "RandomUniform"),
    "tf.nn.dropout in a Lambda": Case(
        _vector(lambda: tm.layers().Lambda(noise, name="lambda")), RANDOM, "lambda", "RandomUniform"
    ),
    "always on inside attention only": Case(_words(attention), RANDOM, "dropout", "Random"),
    "stateless, a constant seed": Case(_behind(constant_seed), RANDOM, "noisy", "StatelessRandom"),
    "Keras 3's SeedGenerator": Case(
        _saved(lambda: keras_3_dropout(True)), RANDOM, "block", "StatelessRandom"
    ),
    "a hub encoder with training=True": Case(
        _saved(lambda: hub_encoder(True)), RANDOM, "BERT_encoder", "StatelessRandom"
    ),
    **{
        f"{name} forced on": Case(
            _vector(_k(name, 0.2, name="forced"), training=True), RANDOM, "forced", "Random"
        )
        for name in ("GaussianNoise", "GaussianDropout", "AlphaDropout")
    },
    "SpatialDropout1D forced on": Case(
        _words(_k("SpatialDropout1D", 0.2, name="forced"), training=True), RANDOM, "forced", "Random"
    ),
    **{
        f"recurrent_dropout of {name} forced on": Case(
            _words(_k(name, 6, recurrent_dropout=0.2, name="forced"), training=True),
            RANDOM,
            f"{name.lower()}_cell",
            "Random",
        )
        for name in ("LSTM", "GRU")
    },
    "random in a called function": Case(_behind(called), RANDOM, "noisy", "RandomUniform"),
    "random in a loop": Case(_behind(in_a_loop), RANDOM, "noisy", "RandomUniform"),
    "random in a branch": Case(_behind(in_a_branch), RANDOM, "noisy", "RandomUniform"),
    "random in a Case": Case(_behind(in_a_case), RANDOM, "noisy", "RandomUniform"),
    "random in map_fn": Case(_behind(in_map_fn), RANDOM, "noisy", "RandomUniform"),
    "random in a compiled function": Case(_behind(compiled), RANDOM, "noisy", "Stateless"),
    "random beside a gradient of its own": Case(_behind(with_a_gradient), RANDOM, "noisy", "RandomUniform"),
    "random in the tokenizing": Case(_saved(drops_words), RANDOM, "word_dropout", "RandomUniform"),
    "random through a variable": Case(_vector(through_a_variable), WRITES, "through", "AssignVariableOp"),
    "every function of the file drops": Case(
        lambda place: _always_on(place, clean_twin=False), RANDOM, "dropout", "Random"
    ),
    "BatchNormalization, training=True": Case(
        _vector(_k("BatchNormalization", name="norm"), training=True), WRITES, "norm", "Assign"
    ),
    "batch statistics, nothing written": Case(_behind_a_full_average(batch_norm), COMPANY, "noisy"),
    "FusedBatchNorm, is_training": Case(
        _behind_a_full_average(fused_batch_norm), COMPANY, "noisy", "FusedBatchNorm"
    ),
    "batch statistics in the head": Case(_saved(batch_norm_in_the_head), COMPANY, "normed"),
    "batch order in the tokenizing": Case(_saved(batch_ranks_in_the_tokenizing), COMPANY, "ranked"),
    "rate 0 forced on": Case(_vector(_k("Dropout", 0.0, name="forced"), training=True)),
    "a training-only branch, constant predicate": Case(_behind(in_training_only), layer="left out"),
    "the training function in the file too": Case(_saved(trained)),
    "serving_default traced with training=True": Case(
        lambda place: _with_signatures(place, serving_default=True),
        layer="_default_save_signature, another function",
    ),
    "serving_default drops, another signature does not": Case(
        lambda place: _always_on(place, clean_twin=True), layer="quiet, another function"
    ),
    "another signature that drops": Case(
        lambda place: _with_signatures(place, serving_default=False, sample=True)
    ),
    "random initialisers": Case(_saved(random_initializers)),
    "noise that nothing is computed from": Case(_behind(unused), layer="no output is computed from"),
    "noise in a loop, unused": Case(_behind(unused_in_a_loop), layer="no output is computed from"),
    "noise layers, none forced on": Case(_saved(several_noises)),
    "Keras 3 inside, in inference": Case(_saved(lambda: keras_3_dropout(False))),
    "the question's own model": Case(lambda place: seeds.save_seed_model(place)),
}
"""What the case is -> the case."""
