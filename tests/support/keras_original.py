"""A saved classifier as Keras itself loads and runs it: the oracle of the tests on real weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Answer = tuple[Matrix, Matrix]
"""Embeddings float32 [n, d] and probabilities float32 [n, classes]."""


class KerasOriginal:
    """A model of the recipe `train bert`, loaded with tf_keras.

    Every method takes texts and pads them as the model itself does; nothing of Penult computes here.
    """

    def __init__(self, directory: Path) -> None:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import tensorflow as tf
        import tensorflow_hub  # noqa: F401  (the saved layers are of its class)
        import tensorflow_text  # noqa: F401  (registers the operations of the preprocessing)
        import tf_keras

        self._tf, self._keras = tf, tf_keras
        self.model = tf_keras.models.load_model(str(directory), compile=False)
        self.dropout = self.model.get_layer("dropout")

    def predict(self, texts: Sequence[str]) -> Matrix:
        """The model's own `predict`."""
        return np.asarray(self.model.predict(self._strings(texts), batch_size=32, verbose=0))

    def tensors(self, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Its tensors in inference, all of one pass.

        `before` and `after` the dropout, `outputs` [n, classes], `tokens` [n, length, d] and their `mask`.
        """
        found = self._inner.predict(self._strings(texts), batch_size=32, verbose=0)
        return {name: np.asarray(value) for name, value in found.items()}

    def inference(self, texts: Sequence[str]) -> Answer:
        """The tensor behind the dropout and the outputs, in inference mode."""
        return self._both(texts, training=False)

    def with_all_dropout(self, texts: Sequence[str]) -> Answer:
        """The same with every dropout of the model active."""
        return self._both(texts, training=True)

    def with_head_dropout(self, texts: Sequence[str]) -> Answer:
        """The same with the dropout in front of the output layer active, and no other."""
        before = self._before(self._strings(texts), training=False)
        after = self.dropout(before, training=True)
        return np.asarray(after), np.asarray(self.model.get_layer("output")(after))

    def save_with_dropout_forced_on(self, directory: Path) -> None:
        """Saves the same network with a dropout that is active at inference too: `training=True` in the code."""
        noise = self._keras.layers.Dropout(0.1, name="always_on")(self.dropout.input, training=True)
        outputs = self.model.get_layer("output")(noise)
        self._keras.Model(self.model.inputs, outputs).save(str(directory), include_optimizer=False)

    def _both(self, texts: Sequence[str], training: bool) -> Answer:
        after, outputs = self._behind(self._strings(texts), training=training)
        return np.asarray(after), np.asarray(outputs)

    @cached_property
    def _behind(self) -> Any:
        return self._keras.Model(self.model.inputs, [self.dropout.output, self.model.output])

    @cached_property
    def _before(self) -> Any:
        return self._keras.Model(self.model.inputs, self.dropout.input)

    @cached_property
    def _inner(self) -> Any:
        tensors = {
            "before": self.dropout.input,
            "after": self.dropout.output,
            "outputs": self.model.output,
            "tokens": self.model.get_layer("BERT_encoder").output["sequence_output"],
            "mask": self.model.get_layer("preprocessing").output["input_mask"],
        }
        return self._keras.Model(self.model.inputs, tensors)

    def _strings(self, texts: Sequence[str]) -> Any:
        return self._tf.constant(list(texts))
