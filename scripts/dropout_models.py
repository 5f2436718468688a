"""What the dropout report takes beside the demo's model: a small Keras 3 classifier, plain loops, one column."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
import tensorflow_text  # noqa: F401  (registers the operations of the demo's model)
import tf_keras
from numpy.typing import NDArray

WORDS, LENGTH, WIDTH, EPOCHS, SEED = 8000, 64, 64, 6, 42
DROPPED = ("spatial_dropout", "dropout")


@dataclass(frozen=True)
class Loop:
    """Many passes in training mode: mean and standard deviation float64 [rows, classes], and how many there were."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    passes: int


def read(path: Path) -> tuple[list[str], list[str]]:
    """Texts and genres of one of the demo's files."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["genre"] for row in rows]


def train_words(train: Path, target: Path) -> None:
    """A classifier of Keras 3 with dropout inside its encoder (SpatialDropout1D) and in front of its head."""
    texts, genres = read(train)
    labels = sorted(set(genres))
    keras.utils.set_random_seed(SEED)
    words = keras.layers.TextVectorization(WORDS, output_sequence_length=LENGTH, name="words")
    words.adapt(tf.constant(texts))
    text = keras.Input((), dtype="string", name="text")
    x = keras.layers.Embedding(WORDS, WIDTH, name="embedding")(words(text))
    x = keras.layers.SpatialDropout1D(0.2, name=DROPPED[0])(x)
    x = keras.layers.Conv1D(WIDTH, 3, padding="same", activation="relu", name="convolution")(x)
    x = keras.layers.GlobalMaxPooling1D(name="pooled")(x)
    x = keras.layers.Dense(WIDTH, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(0.5, name=DROPPED[1])(x)
    model = keras.Model(text, keras.layers.Dense(len(labels), activation="softmax", name="genre")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    codes = np.array([labels.index(genre) for genre in genres])
    model.fit(tf.constant(texts), codes, epochs=EPOCHS, batch_size=32, verbose=0)
    target.mkdir(parents=True)
    model.save(target / "words.keras")
    (target / "penult.toml").write_text(f"labels = {json.dumps(labels)}\n", encoding="utf-8")


def words_loop(model: Path, texts: Sequence[str], passes: int) -> Loop:
    """`model(x, training=True)` of Keras 3, again and again."""
    loaded, given = keras.models.load_model(model), tf.constant(list(texts))
    return _loop(lambda: loaded(given, training=True), passes)


def head_loop(model: Path, texts: Sequence[str], passes: int) -> Loop:
    """The same of the head of a tf_keras model alone: its dropout and what follows, on its own pooled output."""
    loaded = tf_keras.models.load_model(model, custom_objects={"KerasLayer": hub.KerasLayer}, compile=False)
    dropout, dense = loaded.get_layer("dropout"), loaded.get_layer("output")
    pooled = tf_keras.Model(loaded.inputs, dropout.input).predict(tf.constant(list(texts)), verbose=0)
    return _loop(lambda: dense(dropout(pooled, training=True)), passes)


def column_dropout(rate: float, rows: int) -> tuple[list[float], list[float]]:
    """Share of zeros a column of 14: of `Dropout(rate)`, and of one whose column 3 alone goes through a dropout."""
    keras.utils.set_random_seed(SEED)
    whole = keras.layers.Dropout(rate)
    given = keras.Input((14,))
    column = keras.layers.Dropout(rate)(given[:, 3:4])
    one = keras.Model(given, keras.layers.Concatenate()([given[:, :3], column, given[:, 4:]]))
    ones = np.ones((rows, 14), np.float32)
    shares = [(np.asarray(layer(ones, training=True)) == 0).mean(axis=0).tolist() for layer in (whole, one)]
    return shares[0], shares[1]


def _loop(run: Callable[[], Any], passes: int) -> Loop:
    keras.utils.set_random_seed(SEED)
    step = tf.function(run, autograph=False)
    draws = np.array([np.asarray(step(), np.float64) for _ in range(passes)])
    return Loop(draws.mean(axis=0), draws.std(axis=0), passes)
