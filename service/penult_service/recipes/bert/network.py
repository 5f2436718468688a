"""The network of the recipe: one set of layers, trained on trimmed token batches, saved with string input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
import tensorflow_text  # noqa: F401  (registers the operations of preprocessing models)
import tf_keras
from numpy.typing import NDArray

from penult_service.errors import InvalidInput, ModelRefused, NotFound
from penult_service.preparing.formats import hub_download
from penult_service.recipes.bert.settings import BertSettings, Handles
from penult_service.recipes.progress import Progress

TOKENIZE_ROWS = 1024
EVALUATE_ROWS = 64


@dataclass(frozen=True)
class Tokens:
    """Preprocessed texts: int32 [n, L] by name (ids, mask, types), and the tokens of each row, [n]."""

    arrays: dict[str, NDArray[np.int32]]
    lengths: NDArray[np.int64]

    def batch(self, rows: NDArray[np.int64]) -> dict[str, tf.Tensor]:
        """The rows named, cut to the longest of them."""
        longest = int(self.lengths[rows].max())
        return {name: tf.constant(array[rows, :longest]) for name, array in self.arrays.items()}


class BertClassifier:
    """Layers, their optimizer, and `model`: the tf_keras functional model from string [n] to probabilities.

    Args:
        labels: Two give one sigmoid unit, the probability of the second; more give a softmax.
        progress: Called while a hub layer is downloaded.

    Raises:
        NotFound, Unavailable, InvalidInput, ModelRefused: A hub layer cannot be had or loaded (see
            `formats.hub_download.resolved`), or is no BERT encoder.
    """

    def __init__(
        self,
        handles: Handles,
        labels: Sequence[str],
        settings: BertSettings,
        progress: Progress = lambda *_: None,
    ) -> None:
        tf_keras.utils.set_random_seed(settings.seed)
        self.preprocess = _preprocessing(handles.preprocessor, settings.max_length, progress)
        self.encoder = _load(handles.encoder, "encoder", progress, trainable=True, name="BERT_encoder")
        self.dropout = tf_keras.layers.Dropout(settings.dropout, name="dropout")
        binary = len(labels) == 2
        units, activation = (1, "sigmoid") if binary else (len(labels), "softmax")
        self.dense = tf_keras.layers.Dense(units, activation=activation, name="output")
        losses = tf_keras.losses
        self.loss = losses.BinaryCrossentropy() if binary else losses.SparseCategoricalCrossentropy()
        self.model = self._build(handles)
        _seed_dropouts(self.encoder, settings.seed)
        self.variables = self.encoder.trainable_weights + self.dense.trainable_weights
        self.optimizer = tf_keras.optimizers.AdamW(weight_decay=settings.weight_decay, jit_compile=False)
        # Matrices decay; biases (rank 2 in attention layers) and layer norms do not.
        self.optimizer.exclude_from_weight_decay(
            var_names=["bias", "beta", "gamma", "layer_norm", "LayerNorm"]
        )
        self.optimizer.build(self.variables)
        tokens = {name: tf.TensorSpec([None, None], tf.int32) for name in self.preprocess(tf.constant([""]))}
        classes = tf.TensorSpec([None], tf.int32)
        self._train_step = tf.function(self._step, input_signature=[tokens, classes])
        self._probabilities = tf.function(self._infer, input_signature=[tokens])

    def _build(self, handles: Handles) -> tf_keras.Model:
        text = tf_keras.layers.Input(shape=(), dtype=tf.string, name="text")
        try:
            outputs = self.encoder(self.preprocess(text))
            pooled = outputs["pooled_output"]
        except Exception as error:  # a stranger's graph may raise anything
            what = f"encoder {handles.encoder} gives no 'pooled_output' from {handles.preprocessor}"
            raise ModelRefused(f"{what} ({_first_line(error)})", reason="NOT_A_BERT_ENCODER") from error
        return tf_keras.Model(text, self.dense(self.dropout(pooled)))

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Preprocesses all texts once; what follows works on ids."""
        parts: list[dict[str, NDArray[np.int32]]] = []
        for start in range(0, len(texts), TOKENIZE_ROWS):
            batch = self.preprocess(tf.constant(texts[start : start + TOKENIZE_ROWS]))
            parts.append({name: value.numpy() for name, value in batch.items()})
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        mask = arrays["input_mask"]
        return Tokens(arrays, mask.shape[1] - np.argmax(mask[:, ::-1], axis=1))

    def train_step(self, tokens: dict[str, tf.Tensor], classes: NDArray[np.int32], rate: float) -> float:
        """One step of AdamW; returns the batch's mean loss before it."""
        self.optimizer.learning_rate.assign(rate)
        return float(self._train_step(tokens, tf.constant(classes)))

    def _step(self, tokens: dict[str, tf.Tensor], classes: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            pooled = self.encoder(tokens, training=True)["pooled_output"]
            probabilities = self.dense(self.dropout(pooled, training=True))
            loss = self.loss(classes[:, None], probabilities)
            total = loss + sum(self.encoder.losses)
        gradients = tape.gradient(total, self.variables)
        self.optimizer.apply_gradients(zip(gradients, self.variables, strict=True))
        return loss

    def evaluate(self, tokens: Tokens, classes: NDArray[np.int32]) -> tuple[float, float]:
        """(mean loss, accuracy) over all rows, dropout inactive."""
        loss, right = 0.0, 0
        order = np.argsort(tokens.lengths, kind="stable")
        for start in range(0, len(order), EVALUATE_ROWS):
            rows = order[start : start + EVALUATE_ROWS]
            probabilities = self._probabilities(tokens.batch(rows))
            loss += float(self.loss(classes[rows][:, None], probabilities)) * len(rows)
            right += int((predicted_classes(probabilities.numpy()) == classes[rows]).sum())
        return loss / len(order), right / len(order)

    def _infer(self, tokens: dict[str, tf.Tensor]) -> tf.Tensor:
        return self.dense(self.encoder(tokens, training=False)["pooled_output"])


def predicted_classes(probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """Class numbers [n] from [n, 1] (sigmoid) or [n, classes] (softmax)."""
    if probabilities.shape[1] == 1:
        return (probabilities[:, 0] > 0.5).astype(np.int64)
    return np.argmax(probabilities, axis=1)


def _load(handle: str, role: str, progress: Progress, **kwargs: Any) -> Any:
    """A `hub.KerasLayer` from a directory or a TF-Hub URL."""

    def fetching(done: int, total: int) -> None:
        megabytes = done >> 20
        progress(f"fetching the {role}", megabytes, (total >> 20) or megabytes + 1, "MiB")

    directory = hub_download.resolved(handle, role, fetching)
    try:
        return hub.KerasLayer(str(directory), **kwargs)
    except Exception as error:  # hub raises whatever TensorFlow raises
        what = f"{role} {handle} cannot be loaded ({_first_line(error)}); name a SavedModel in TF-Hub format"
        raise NotFound(what, reason="HANDLE_NOT_FOUND", field=role) from error


def _preprocessing(handle: str, max_length: int, progress: Progress) -> Any:
    """A layer from string [n] to the dict of int32 [n, max_length] that encoders take.

    A preprocessor of another length is used through its `tokenize` and `bert_pack_inputs`, as TF-Hub's are.
    """
    layer = _load(handle, "preprocessor", progress, name="preprocessing")
    try:
        length = int(layer(tf.constant([""]))["input_mask"].shape[1])
    except Exception as error:
        what = f"preprocessor {handle} makes no 'input_mask' of texts ({_first_line(error)})"
        raise ModelRefused(what, reason="NOT_A_PREPROCESSOR", field="preprocessor") from error
    if length == max_length:
        return layer
    parts = layer.resolved_object
    if not hasattr(parts, "tokenize") or not hasattr(parts, "bert_pack_inputs"):
        what = f"preprocessor {handle} always makes {length} tokens; use --max-length {length}"
        raise InvalidInput(what, reason="MAX_LENGTH", field="max_length")
    return hub.KerasLayer(_Repacked(parts, max_length), name="preprocessing")


class _Repacked(tf.Module):
    """A preprocessor of another length, made of the parts of one that keeps its vocabulary."""

    def __init__(self, parts: Any, length: int) -> None:
        super().__init__()
        self.parts = parts
        self.length = length

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        packed = self.parts.bert_pack_inputs([self.parts.tokenize(inputs)], seq_length=self.length)
        return {name: tf.ensure_shape(value, [None, self.length]) for name, value in packed.items()}


def _seed_dropouts(encoder: Any, seed: int) -> None:
    """Starts the encoder's own random numbers from `seed`: Keras 3 keeps their state in integer variables."""
    states = [weight for weight in encoder.non_trainable_weights if "seed_generator_state" in weight.name]
    for index, state in enumerate(states):
        state.assign(tf.constant([seed, index], state.dtype))


def _first_line(error: Exception) -> str:
    """The first line that says something: Keras puts one in front that names its own layer."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return (telling or [type(error).__name__])[0][:200]
