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
from support import stochastic_layers as layers
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


@dataclass(frozen=True)
class Outcome:
    """What became of a case: a line that says so, and whether it is what it should be."""

    expected: str
    found: str
    said: str
    right: bool


def outcome(case: Case, place: Path) -> Outcome:
    """Saves the case into `place` and prepares it there, by the whole pipeline."""
    from penult_service.errors import PenultError
    from penult_service.preparing import pipeline

    source = case.save(place / "model")
    expected = f"refused, {case.reason}" if case.reason else "accepted"
    try:
        manifest = pipeline.prepare(source, place / "prepared", None, lambda *_: None)
    except PenultError as error:
        told = error.metadata
        named = told.get("layer", ""), told.get("op", "")
        right = error.reason == case.reason and named[0] == case.layer and case.op in named[1]
        said = f"{named[1]} of layer {named[0]!r}" if all(named) else error.message
        return Outcome(expected, f"refused, {error.reason}", said, right)
    line = next((line for line in manifest.proof.findings if case.layer in line), "")
    right = not case.reason and bool(line) and manifest.proof.proven and not manifest.warnings
    said = line if case.layer else f"{len(manifest.proof.figures)} figures within their limits"
    return Outcome(expected, "accepted", said, right)


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
    return _vector(lambda: layers.own_layer(body, name))


def _behind_a_full_average(body: Body, name: str = "noisy") -> Callable[[Path], Path]:
    """The same behind an average over the padding too, which an empty text has as well."""

    def build() -> Any:
        text = tm.text_input()
        return _head(layers.own_layer(body, name)(tm.pooled(text, masked=False)), text)

    return _saved(build)


def _k(name: str, /, *arguments: Any, **options: Any) -> Callable[[], Any]:
    return lambda: getattr(tm.layers(), name)(*arguments, **options)


# Random


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
    return _head(tm.pooled(layers.own_layer(leave_out, "word_dropout")(text)), text)


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


def batch_norm_in_the_head() -> Any:
    """Behind the dropout: the embedding is a row's own, the prediction is not."""
    text = tm.text_input()
    dropped = tm.layers().Dropout(0.1, name="dropout")(tm.pooled(text, masked=False))
    normed = layers.own_layer(layers.batch_norm, "normed")(tm.dense(6, "hidden")(dropped))
    return seeds.keras().Model(text, tm.dense(2, "output", "softmax")(normed))


def batch_decides_in_the_tokenizing() -> Any:
    """The longest text of a batch, and so a text alone, is read as another."""
    import tensorflow as tf

    def without_the_longest(texts: Any) -> Any:
        lengths = tf.strings.length(texts)
        return tf.where(lengths == tf.reduce_max(lengths), "rain", texts)

    text = tm.text_input()
    return _head(tm.pooled(layers.own_layer(without_the_longest, "by_company")(text)), text)


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
    pooled, dropout, output = (
        tm.pooled(text),
        tm.layers().Dropout(0.3, name="dropout"),
        tm.dense(3, "output", "softmax"),
    )
    forced = seeds.keras().Model(text, output(dropout(pooled, training=True)))
    twin = seeds.keras().Model(text, output(dropout(pooled)))
    other = twin if clean_twin else forced
    signatures = {"serving_default": _traced(forced, False), "quiet": _traced(other, False)}
    forced.save(str(place), signatures=signatures)
    return place


# Quiet


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
    "a subclass that always drops": Case(_vector(layers.always_drops), RANDOM, "always", "Random"),
    "tf.nn.dropout in a layer": Case(_behind(layers.noise), RANDOM, "noisy", "RandomUniform"),
    "tf.nn.dropout in a Lambda": Case(
        _vector(lambda: tm.layers().Lambda(layers.noise, name="lambda")), RANDOM, "lambda", "RandomUniform"
    ),
    "always on inside attention only": Case(_words(layers.attention), RANDOM, "dropout", "Random"),
    "stateless, a constant seed": Case(_behind(layers.constant_seed), RANDOM, "noisy", "StatelessRandom"),
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
    "random in a called function": Case(_behind(layers.called), RANDOM, "noisy", "RandomUniform"),
    "random in a loop": Case(_behind(layers.in_a_loop), RANDOM, "noisy", "RandomUniform"),
    "random in a branch": Case(_behind(layers.in_a_branch), RANDOM, "noisy", "RandomUniform"),
    "random in a Case": Case(_behind(layers.in_a_case), RANDOM, "noisy", "RandomUniform"),
    "random in map_fn": Case(_behind(layers.in_map_fn), RANDOM, "noisy", "RandomUniform"),
    "random in a compiled function": Case(_behind(layers.compiled), RANDOM, "noisy", "Stateless"),
    "random beside a gradient of its own": Case(
        _behind(layers.with_a_gradient), RANDOM, "noisy", "RandomUniform"
    ),
    "random in the tokenizing": Case(_saved(drops_words), RANDOM, "word_dropout", "RandomUniform"),
    "random through a variable": Case(
        _vector(layers.through_a_variable), WRITES, "through", "AssignVariableOp"
    ),
    "every function of the file drops": Case(
        lambda place: _always_on(place, clean_twin=False), RANDOM, "dropout", "Random"
    ),
    "BatchNormalization, training=True": Case(
        _vector(_k("BatchNormalization", name="norm"), training=True), WRITES, "norm", "Assign"
    ),
    "batch statistics, nothing written": Case(_behind_a_full_average(layers.batch_norm), COMPANY, "noisy"),
    "FusedBatchNorm, is_training": Case(
        _behind_a_full_average(layers.fused_batch_norm), COMPANY, "noisy", "FusedBatchNorm"
    ),
    "batch statistics in the head": Case(_saved(batch_norm_in_the_head), COMPANY, "normed"),
    "the batch decides in the tokenizing": Case(
        _saved(batch_decides_in_the_tokenizing), COMPANY, "by_company"
    ),
    "rate 0 forced on": Case(_vector(_k("Dropout", 0.0, name="forced"), training=True)),
    "a training-only branch, constant predicate": Case(_behind(layers.in_training_only), layer="left out"),
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
    "noise that nothing is computed from": Case(_behind(layers.unused), layer="no output is computed from"),
    "noise in a loop, unused": Case(_behind(layers.unused_in_a_loop), layer="no output is computed from"),
    "noise layers, none forced on": Case(_saved(several_noises)),
    "Keras 3 inside, in inference": Case(_saved(lambda: keras_3_dropout(False))),
    "the question's own model": Case(lambda place: seeds.save_seed_model(place)),
}
"""What the case is -> the case."""
