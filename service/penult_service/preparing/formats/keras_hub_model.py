"""A classifier of KerasHub with its preprocessor: texts in, as its own `predict` takes them.

The preprocessor becomes part of the graph where its operations can be served; a tokenizer of byte pairs becomes a file
for the `tokenizers` library. A preprocessor runs other code inside a function of TensorFlow than outside of one, and
the two cut a few texts differently; `fit` and `predict` run it inside, so that is what is served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.prepared import TEXT, TokenInput
from penult_service.preparing.declarations.declaration import Declaration
from penult_service.preparing.formats import (
    keras_file,
    keras_hub_pairs,
    keras_hub_words,
    keras_load,
    keras_loss,
)
from penult_service.preparing.formats.keras_marks import Marker, layers_of, records
from penult_service.preparing.formats.keras_saved import KerasFile
from penult_service.preparing.formats.keras_trace import arguments_of, given_to, named_outputs
from penult_service.preparing.graph import flatten
from penult_service.preparing.opened import Input, Opened, read_labels
from penult_service.tokenizing.library import LibraryTokenizer

_MASK = "padding_mask"
_ROLES = {"token_ids": "ids", _MASK: "mask"}
_MASK_NODE = "penult_padding_mask"
_BY_TENSORFLOW = (
    "texts are cut as KerasHub's fit and predict cut them, by operations of TensorFlow; its preprocessor called by "
    "itself runs other code, which cuts a few texts otherwise"
)

_ONE_TEXT = (
    "it is read as a model of one text a row, since nothing in it says how many; of two, declare them in penult.toml, "
    'in their order: inputs = { first = "text", second = "text" }'
)


def open_file(file: KerasFile, declared: Declaration) -> Opened:
    """Reads a `.keras` or `.h5` file with classes of KerasHub.

    Args:
        file: The file, as `keras_saved.read` gives it.
        declared: Its inputs of text, when they are several; modules of TF-Hub.

    Raises:
        InvalidInput, ModelRefused: as `keras_file.open_file`, `keras_hub_words.with_words` and `open_task`.
    """
    classes = keras_hub_words.classes()
    file = keras_hub_words.with_words(file)
    model = keras_load.load(file, declared.modules, {} if file.archive else classes)
    if not _is_of_texts(model):
        return keras_file.opened(file, model)
    return open_task(
        file.source, f"KerasHub {file.format.rpartition(' ')[2]}", model, file.training, declared
    )


def _is_of_texts(model: Any) -> bool:
    """Whether it is a text classifier with its preprocessor; other tasks are read as models of tokens."""
    import keras_hub

    return isinstance(model, keras_hub.models.TextClassifier) and model.preprocessor is not None


def open_task(source: Path, form: str, task: Any, training: dict[str, Any], declared: Declaration) -> Opened:
    """A classifier with a preprocessor, read.

    Args:
        source: Where it is from.
        form: What its format is called.
        task: A `keras_hub` task.
        training: What it was compiled with; empty: that is not recorded.
        declared: Its inputs of text, when they are several.

    Raises:
        ModelRefused: PREPROCESSOR_UNSUPPORTED, VOCABULARY_UNSUPPORTED, LENGTH_UNSUPPORTED, TOKENIZER_UNSUPPORTED.
    """
    tokenizer = _tokenizer_of(source, task)
    if not hasattr(tokenizer, "merges"):
        return _with_graph(source, form, task, training, declared)
    return _with_library(source, form, task, training, declared.max_length)


def _tokenizer_of(source: Path, task: Any) -> Any:
    """The tokenizer of the preprocessor, held against the model's table."""
    tokenizer = getattr(task.preprocessor, "tokenizer", None)
    rows = getattr(task.backbone, "vocabulary_size", None)
    if tokenizer is None or rows is None:
        kind = type(task.preprocessor).__name__
        raise ModelRefused(
            f"{source}: its preprocessor is a {kind}, which is none of texts; save the model with preprocessor=None "
            "and give it token ids",
            reason="PREPROCESSOR_UNSUPPORTED",
        )
    size = tokenizer.vocabulary_size()
    if hasattr(tokenizer, "merges"):
        size = 1 + max(tokenizer.vocabulary.values())
    if size > rows:
        raise ModelRefused(
            f"{source}: the tokenizer has ids up to {size - 1}, the model's table {rows} rows; one of them is not this "
            "model's",
            reason="VOCABULARY_UNSUPPORTED",
        )
    length, longest = task.preprocessor.sequence_length, getattr(task.backbone, "max_sequence_length", None)
    if longest is not None and length > longest:
        raise ModelRefused(
            f"{source}: its preprocessor pads texts to {length} tokens, and the model has positions for {longest}; set "
            f"preprocessor.sequence_length = {longest} and save the model again",
            reason="LENGTH_UNSUPPORTED",
        )
    return tokenizer


def _with_graph(
    source: Path, form: str, task: Any, training: dict[str, Any], declared: Declaration
) -> Opened:
    """Texts in: the preprocessor's operations are the first part of the graph."""
    names = [name for name, role in declared.inputs.items() if role == "text"] or [TEXT]
    inputs = [(name, tf.TensorSpec([None], tf.string)) for name in names]

    def made(*texts: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return dict(task.preprocess_samples(texts if len(texts) > 1 else texts[0]))

    opened = _opened(source, form, task, training, inputs, made)
    notes = (_BY_TENSORFLOW, *([_ONE_TEXT] if len(names) == 1 else []))
    return replace(opened, keras=lambda: _WithTexts(task, inputs), notes=notes)


def _with_library(source: Path, form: str, task: Any, training: dict[str, Any], most: int) -> Opened:
    """Tokens in: the `tokenizers` library makes them of texts, at most so many; 0: as many as the preprocessor."""
    preprocessor = task.preprocessor
    padding = preprocessor.tokenizer.pad_token_id
    strange = {one.name for one in arguments_of(str(source), task)} ^ set(_ROLES)
    if strange:
        raise ModelRefused(
            f"{source}: byte pairs for a model that takes {', '.join(sorted(strange))} are not known here; save the "
            "model with preprocessor=None and give it token ids",
            reason="TOKENIZER_UNSUPPORTED",
        )
    own = preprocessor.sequence_length
    text = keras_hub_pairs.library_file(
        str(source), preprocessor.tokenizer, min(most or own, own), preprocessor.truncate
    )
    inputs = [(name, tf.TensorSpec([None, None], tf.int32)) for name in _ROLES]

    def made(ids: tf.Tensor, mask: tf.Tensor) -> Mapping[str, tf.Tensor]:
        ids, mask = tf.identity(ids), tf.identity(mask)  # where it is cut: behind the inputs, before they mix
        # As the preprocessor makes its mask: a text that holds the padding's name is masked there too.
        return {"token_ids": ids, _MASK: mask * tf.cast(tf.not_equal(ids, padding), mask.dtype)}

    opened = _opened(source, form, task, training, inputs, made)
    tokens = [TokenInput(name, role, "int32", name) for name, role in _ROLES.items()]
    task.preprocessor = None  # the witness is given tokens
    count = len(keras_hub_pairs.tried(preprocessor.tokenizer.unsplittable_tokens))
    same = (
        f"the tokens are made by the tokenizers library: the same ids as its own tokenizer on {count} texts"
    )
    return replace(
        opened,
        keras=lambda: task,
        tokenizer=LibraryTokenizer(text, tokens),
        tokenizer_text=text,
        notes=(_BY_TENSORFLOW, same),
    )


def _opened(
    source: Path,
    form: str,
    task: Any,
    training: dict[str, Any],
    inputs: Sequence[tuple[str, tf.TensorSpec]],
    made: Callable[..., Mapping[str, tf.Tensor]],
) -> Opened:
    """Traces the task behind what `made` makes of the inputs, its dropouts marked."""
    arguments = arguments_of(str(source), task)
    placed = layers_of(task)
    marker = Marker(placed)

    def network(*tokens: tf.Tensor) -> dict[str, tf.Tensor]:
        return named_outputs(task, task(given_to(task, arguments, tokens), training=False))

    # A function of its own, over tokens of any length: the preprocessor's length would else stand in the graph.
    specs = [tf.TensorSpec([None, None], one.dtype) for one in arguments]
    traced = tf.function(network, input_signature=specs, autograph=False)

    def infer(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        tokens = made(*given)
        given_on = {one.name: tf.cast(tokens[one.name], one.dtype) for one in arguments}
        if _MASK in given_on:
            given_on[_MASK] = tf.identity(given_on[_MASK], name=_MASK_NODE)
        return dict(traced(*given_on.values()))

    named = [
        tf.TensorSpec(spec.shape, spec.dtype, f"input_{number}") for number, (_, spec) in enumerate(inputs)
    ]
    with marker.on():
        function = tf.function(infer, input_signature=named, autograph=False).get_concrete_function()
    flat = flatten(function)
    root = tf.Module()
    root.model, root.preprocessor = task, task.preprocessor
    root.values = [variable.value for variable in task.variables]
    fed = [flat.inputs[tensor.op.name] for tensor in function.inputs[: len(inputs)]]
    return Opened(
        source=source,
        format=form,
        root=root,
        function=function,
        flat=flat,
        inputs=tuple(
            Input(name, ref, spec.dtype, tuple(spec.shape))
            for (name, spec), ref in zip(inputs, fed, strict=True)
        ),
        layers=records(task, placed),
        labels=read_labels(source) if source.is_dir() else (),
        marks=marker.marks(flat),
        mask=f"{_MASK_NODE}:0" if _MASK_NODE in flat.nodes else None,
        loss=keras_loss.meanings(training, list(flat.outputs)),
    )


class _WithTexts:
    """A task as its `predict` takes it, with texts in: what the experiments compare with."""

    def __init__(self, task: Any, inputs: Sequence[tuple[str, tf.TensorSpec]]) -> None:
        self._task = task
        self._preprocess = tf.function(task.preprocess_samples, autograph=False)
        specs = [tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in inputs]
        self.input = specs if len(specs) > 1 else specs[0]
        self.output_names = list(task.output_names)
        self.layers = task.layers

    def __call__(self, texts: Any, training: bool = False) -> Any:
        """The outputs for texts string [n], or several of them."""
        return self._task(self._preprocess(_packed(texts)), training=training)

    def predict(self, texts: Any, **settings: Any) -> Any:
        """The task's own `predict`."""
        return self._task.predict(_packed(texts), **settings)

    def _flatten_layers(self, **settings: Any) -> Any:
        return self._task._flatten_layers(**settings)


def _packed(texts: Any) -> Any:
    """Several texts as a preprocessor takes them: a tuple."""
    return tuple(texts) if isinstance(texts, list) else texts
