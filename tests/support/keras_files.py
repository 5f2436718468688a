"""Ordinary `.keras` and `.h5` files, and ways to change them into harmful ones."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from support import seed_model as seeds
from support import text_models as tm

Change = Callable[[dict[str, Any]], None]


def changed(source: Path, target: Path, change: Change) -> Path:
    """The `.keras` file with the configuration of its `Dense` layer changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "config.json":
                data = json.dumps(with_dense(json.loads(data), change)).encode()
            new.writestr(entry.filename, data)
    return target


def with_dense(config: dict[str, Any], change: Change) -> dict[str, Any]:
    """Changes the entry of the last dense layer."""
    change([layer for layer in config["config"]["layers"] if layer["class_name"] == "Dense"][-1])
    return config


def put(**entries: Any) -> Change:
    """Changes the layer's entry itself."""
    return lambda layer: layer.update(entries)


def configure(**entries: Any) -> Change:
    """Changes the layer's own configuration."""
    return lambda layer: layer["config"].update(entries)


def archive(target: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], packed: bool = False) -> Path:
    """A zip of these entries."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as made:
        for name, data in entries:
            made.writestr(name, data)
    return target


@cache
def ordinary() -> Path:
    """A folder with `tf_keras`, `tf_functions` and `keras`, each as `.keras` and `.h5`. Not to be changed."""
    import keras
    import tensorflow as tf

    place = Path(_scratch().name)
    model = tm.classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    layers = seeds.keras().layers
    ids = layers.Input((None,), dtype="int32")
    pooled = tf.reduce_mean(layers.Embedding(9, 4)(ids), 1) + 1.0
    functional = seeds.keras().Model(ids, layers.Dense(2, activation=tf.nn.gelu)(pooled[:, :3]))
    for kind in ("keras", "h5"):
        model.save(str(place / f"tf_keras.{kind}"))
        functional.save(str(place / f"tf_functions.{kind}"))
    words = keras.Input((), dtype="string")
    table = keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=6)
    state = keras.layers.Bidirectional(keras.layers.LSTM(3))(keras.layers.Embedding(9, 4)(table(words)))
    dropped = keras.layers.Dropout(0.1)(keras.ops.relu(state) + 1.0)
    third = keras.Model(words, keras.layers.Dense(2, activation=keras.activations.gelu)(dropped))
    third.compile("adam", "mse")
    for kind in ("keras", "h5"):
        third.save(place / f"keras.{kind}")
    return place


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="penult-keras-files-")
