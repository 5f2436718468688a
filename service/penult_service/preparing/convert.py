"""A Hugging Face BERT directory becomes two SavedModels in TF-Hub format: a preprocessor and an encoder.

The forward pass and the reading of the weights are KerasHub's; the settings that it fixes (exact or
approximate GELU, epsilon of the layer norms, two dropout rates) are put back to what the directory says.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penult_service.errors import InvalidInput
from penult_service.files import new_directory
from penult_service.preparing.formats import hf_bert

if TYPE_CHECKING:
    import tensorflow as tf

PREPROCESSOR, ENCODER = "preprocessor", "encoder"

Progress = Callable[[str, int, int], None]
"""Called with the name of the step about to start, the number of steps done, and their total."""


@dataclass(frozen=True)
class ConvertReport:
    """What was written, where; `parameters` counts single floats."""

    preprocessor: Path
    encoder: Path
    layers: int
    width: int
    parameters: int
    vocabulary_size: int
    lower_case: bool
    max_length: int
    seconds: float


def convert(
    hf_dir: Path, output: Path, max_length: int = 128, progress: Progress | None = None
) -> ConvertReport:
    """Writes `output/preprocessor` and `output/encoder`, both or neither.

    The preprocessor maps string [n] to a dict of int32 [n, max_length] (`input_word_ids`, `input_mask`,
    `input_type_ids`) and has `tokenize` and `bert_pack_inputs` as TF-Hub's have. The encoder maps such a
    dict, of any length, to `pooled_output` float32 [n, d] (also as `default`), `sequence_output`
    [n, length, d] and `encoder_outputs`, one [n, length, d] a layer; with `training=True` its dropouts are
    active.

    Args:
        hf_dir: The directory with `config.json`, `vocab.txt` and `model.safetensors`.
        output: A new or empty directory.
        max_length: Tokens a text, [CLS] and [SEP] included; longer texts are cut on the right.

    Raises:
        NotFound, ModelRefused: From reading `hf_dir`; see `formats.hf_bert.read`.
        InvalidInput: `output` is not empty (OUTPUT_EXISTS), or `max_length` is out of range (MAX_LENGTH).
    """
    started = time.monotonic()
    report = progress or _no_progress
    _check_output(output)
    report("reading", 0, 4)
    bert = hf_bert.read(hf_dir)
    _check_length(max_length, bert.config.max_positions)
    with new_directory(output) as draft:
        report("preprocessor", 1, 4)
        save_preprocessor(bert, max_length, draft / PREPROCESSOR)
        report("encoder", 2, 4)
        model = build_encoder(bert)
        report("saving", 3, 4)
        _save_encoder(model, draft / ENCODER)
    report("done", 4, 4)
    return ConvertReport(
        preprocessor=output / PREPROCESSOR,
        encoder=output / ENCODER,
        layers=bert.config.layers,
        width=bert.config.width,
        parameters=sum(weight.shape.num_elements() for weight in _values(model.trainable_variables)),
        vocabulary_size=len(bert.vocabulary),
        lower_case=bert.lower_case,
        max_length=max_length,
        seconds=time.monotonic() - started,
    )


def _check_output(output: Path) -> None:
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        what = f"{output} exists already; remove it, or name another --output"
        raise InvalidInput(what, reason="OUTPUT_EXISTS", field="output")


def _check_length(max_length: int, longest: int) -> None:
    if not 3 <= max_length <= longest:
        what = f"max_length is {max_length}; this model takes 3 to {longest} tokens"
        raise InvalidInput(what, reason="MAX_LENGTH", field="max_length")


def _no_progress(step: str, done: int, total: int) -> None:
    """For callers that show none."""
    del step, done, total


def build_encoder(bert: hf_bert.HfBert) -> Any:
    """The Keras 3 model (`token_ids`, `padding_mask`, `segment_ids`) → the dict of outputs of `convert`."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import keras_hub

    config = bert.config
    rate = max(config.hidden_dropout, config.attention_dropout)
    backbone = keras_hub.models.BertBackbone.from_preset(str(bert.directory), dropout=rate)
    _apply_settings(backbone, config)
    for index, variable in enumerate(backbone.non_trainable_variables):
        variable.assign([index, 0])  # the seeds of the dropouts: the same conversion, the same random numbers
    layers = [layer.output for layer in backbone.transformer_layers]
    pooled = backbone.output["pooled_output"]
    outputs = {
        "pooled_output": pooled,
        "default": pooled,
        "sequence_output": layers[-1],
        "encoder_outputs": layers,
    }
    return keras.Model(backbone.input, outputs)


def _apply_settings(backbone: Any, config: hf_bert.BertConfig) -> None:
    import keras

    activation = {
        "gelu": lambda x: keras.activations.gelu(x, approximate=False),
        "gelu_new": lambda x: keras.activations.gelu(x, approximate=True),
        "gelu_pytorch_tanh": lambda x: keras.activations.gelu(x, approximate=True),
        "relu": keras.activations.relu,
    }[config.activation]
    backbone.embeddings_layer_norm.epsilon = config.epsilon
    backbone.embeddings_dropout.rate = config.hidden_dropout
    for block in backbone.transformer_layers:
        block._feedforward_intermediate_dense.activation = activation
        block._self_attention_layer_norm.epsilon = config.epsilon
        block._feedforward_layer_norm.epsilon = config.epsilon
        block._self_attention_dropout.rate = config.hidden_dropout
        block._feedforward_dropout.rate = config.hidden_dropout
        block._self_attention_layer._dropout_layer.rate = config.attention_dropout


def _values(variables: list[Any]) -> list[tf.Variable]:
    """The TensorFlow variables behind Keras 3's, which alone can be tracked by a SavedModel's list."""
    return [variable.value for variable in variables]


def _save_encoder(model: Any, path: Path) -> None:
    import tensorflow as tf

    class Encoder(tf.Module):
        # A tf.Module computes these two; as attributes they are saved, which is where hub.KerasLayer looks.
        trainable_variables = None
        variables = None

        def __init__(self) -> None:
            super().__init__()
            self.trainable_variables = _values(model.trainable_variables)
            self.variables = self.trainable_variables + _values(model.non_trainable_variables)
            self.regularization_losses: list[Any] = []

        @tf.function
        def __call__(self, inputs: dict[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
            named = {
                "token_ids": inputs["input_word_ids"],
                "padding_mask": inputs["input_mask"],
                "segment_ids": inputs["input_type_ids"],
            }
            return model(named, training=training)

    encoder = Encoder()
    names = ("input_word_ids", "input_mask", "input_type_ids")
    specs = {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in names}
    for training in (False, True):
        encoder.__call__.get_concrete_function(specs, training=training)
    # No signature: looking for one would trace everything again, and hub.KerasLayer calls the object.
    tf.saved_model.save(encoder, str(path), signatures={})


def save_preprocessor(bert: hf_bert.HfBert, max_length: int, path: Path) -> None:
    """Writes the SavedModel from string [n] to ids, mask and types; see `convert`."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as scratch:
        vocabulary = Path(scratch) / hf_bert.VOCABULARY  # written anew: the file's own line ends may be CRLF
        vocabulary.write_bytes("".join(f"{token}\n" for token in bert.vocabulary).encode())
        preprocessor = _preprocessor(bert, max_length, vocabulary)
        ragged = tf.RaggedTensorSpec([None, None, None], tf.int32)
        for segments in ([ragged], [ragged, ragged]):
            preprocessor.bert_pack_inputs.get_concrete_function(segments, tf.TensorSpec([], tf.int32))
        tf.saved_model.save(preprocessor, str(path), signatures=preprocessor.__call__)


def _preprocessor(bert: hf_bert.HfBert, max_length: int, vocabulary: Path) -> Any:
    import tensorflow as tf
    import tensorflow_text as tf_text

    ids = {token: bert.vocabulary.index(token) for token in hf_bert.SPECIAL_TOKENS}

    class Preprocessor(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = tf_text.BertTokenizer(
                str(vocabulary), token_out_type=tf.int32, lower_case=bert.lower_case
            )

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def __call__(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            packed = self._pack([self.tokenizer.tokenize(inputs)], max_length)
            return {name: tf.ensure_shape(value, [None, max_length]) for name, value in packed.items()}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def tokenize(self, inputs: tf.Tensor) -> tf.RaggedTensor:
            return self.tokenizer.tokenize(inputs)

        @tf.function
        def bert_pack_inputs(
            self, inputs: list[tf.RaggedTensor], seq_length: int | tf.Tensor = max_length
        ) -> dict[str, tf.Tensor]:
            return self._pack(inputs, seq_length)

        def _pack(self, segments: list[tf.RaggedTensor], length: int | tf.Tensor) -> dict[str, tf.Tensor]:
            flat = [segment.merge_dims(1, -1) for segment in segments]
            trimmed = tf_text.RoundRobinTrimmer(length - len(flat) - 1).trim(flat)
            joined, types = tf_text.combine_segments(trimmed, ids["[CLS]"], ids["[SEP]"])
            word_ids, mask = tf_text.pad_model_inputs(joined, length, pad_value=ids["[PAD]"])
            type_ids, _ = tf_text.pad_model_inputs(types, length)
            return {"input_word_ids": word_ids, "input_mask": mask, "input_type_ids": type_ids}

    return Preprocessor()
