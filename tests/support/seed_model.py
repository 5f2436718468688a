"""The model of the question that started the project, on a tiny random BERT: its code, saved as it stands there.

`seed_model()` and `prepared_seed_model()` are made once a test session, whoever asks first.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult_service.embedder import LoadedModel
from penult_service.prepared import TOKENIZE, load_manifest
from penult_service.preparing import convert
from support.tiny_bert import write_tiny_bert

MAX_LENGTH = 128
WIDTH = 32


def save_seed_model(directory: Path, *, rate: float = 0.1, training: bool | None = None) -> Path:
    """Saves a new classifier with random weights into `directory`.

    Args:
        directory: Where `model.save` writes.
        rate: Of the dropout in front of the output.
        training: What the dropout is called with; True makes a model that is random at inference.
    """
    tf_keras = keras()
    preprocess, encoder = hub_layers()
    text_input = tf_keras.layers.Input(shape=(), dtype="string", name="text")
    outputs = encoder(preprocess(text_input))
    l1 = tf_keras.layers.Dropout(rate, name="dropout")(outputs["pooled_output"], training=training)
    l2 = tf_keras.layers.Dense(1, activation="sigmoid", name="output")(l1)
    model = tf_keras.Model(inputs=[text_input], outputs=[l2])
    model.save(str(directory))
    return directory


def hub_layers() -> tuple[Any, Any]:
    """The preprocessing and the encoder as the question has them: two `hub.KerasLayer`."""
    keras()
    import tensorflow_hub as hub

    place = converted()
    encoder = hub.KerasLayer(str(place / convert.ENCODER), trainable=True, name="BERT_encoder")
    return hub.KerasLayer(str(place / convert.PREPROCESSOR), name="preprocessing"), encoder


def save_on_modules(path: Path, preprocessor: str, encoder: str, texts: list[str]) -> NDArray[Any]:
    """What stands in front of the dropout of a classifier, float32 [n, d]; the classifier is saved afterwards.

    It is made of the TF-Hub modules of these two handles. Its weights are not theirs, as after training.
    """
    tf_keras = keras()
    import tensorflow as tf
    import tensorflow_hub as hub

    text = tf_keras.layers.Input(shape=(), dtype="string", name="text")
    tokens = hub.KerasLayer(preprocessor, name="preprocessing")(text)
    pooled = hub.KerasLayer(encoder, trainable=True, name="encoder")(tokens)["pooled_output"]
    dropped = tf_keras.layers.Dropout(0.1, name="dropout")(pooled)
    model = tf_keras.Model(text, tf_keras.layers.Dense(1, activation="sigmoid", name="output")(dropped))
    for variable in model.trainable_variables:
        variable.assign(variable * 1.25)
    features = np.asarray(tf_keras.Model(text, pooled)(tf.constant(texts)))
    model.save(str(path))
    return features


def keras() -> Any:
    """tf_keras, with the text operations registered."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import tensorflow_text  # noqa: F401
    import tf_keras

    return tf_keras


@cache
def converted() -> Path:
    """A directory with the preprocessor and the encoder of the tiny BERT."""
    place = _scratch() / "converted"
    convert.convert(write_tiny_bert(_scratch() / "hf"), place, max_length=MAX_LENGTH)
    return place


@cache
def seed_model() -> Path:
    """The saved model. Not to be changed: copy it first."""
    return save_seed_model(_scratch() / "seed")


@cache
def prepared_seed_model() -> Path:
    """The same, prepared by a child process into `cache_directory()`. Not to be changed: copy it first."""
    from penult_service.preparing import launch

    return launch.prepare(seed_model(), cache=cache_directory(), progress=lambda *step: STEPS.append(step))


STEPS: list[tuple[str, float]] = []
"""The progress that preparing the model told."""


def loaded_seed_model() -> LoadedModel:
    """The prepared model as the server loads it: the TensorFlow engine, and the tokenizer of its graph."""
    from penult_service.engines.tensorflow import TensorFlowEngine, signatures
    from penult_service.tokenizing.graph import GraphTokenizer

    place = prepared_seed_model()
    manifest, functions = load_manifest(place), signatures(place)
    tokenizer = GraphTokenizer(functions[TOKENIZE], manifest)
    return LoadedModel("seed", 1, manifest, tokenizer, TensorFlowEngine(functions, manifest))


def cache_directory() -> Path:
    """Where `prepared_seed_model()` lies."""
    return _scratch() / "data" / "prepared"


@cache
def _scratch_directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="penult-seed-model-")


def _scratch() -> Path:
    """Removed when the process ends: the cache above holds it until then."""
    return Path(_scratch_directory().name)
