"""Reads a SavedModel written by tf_keras (`model.save(path)`): its inference function, its layers, its labels.

The graph is loaded with `tf.saved_model.load`, which runs no Python code of the file's author; Keras is not asked.
What Keras wrote beside it (`keras_metadata.pb`) only confirms which layers are dropouts, and their rates.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the operations that a text model needs)

from penult_service.errors import InvalidInput, ModelRefused
from penult_service.preparing import tf_private
from penult_service.preparing.graph import FlatGraph, flatten
from penult_service.preparing.opened import NOISE_CLASSES, Input, Layer, Opened, read_labels

FORMAT = "tf_keras SavedModel"
SIGNATURE = "serving_default"
# Classes that Keras may build again from their configs; with any other in the file Keras is not asked to.
_KNOWN_CLASSES = NOISE_CLASSES | {
    *("InputLayer", "KerasLayer", "Dense", "Functional", "Sequential", "Activation", "BatchNormalization"),
    *("LayerNormalization", "Embedding", "LSTM", "GRU", "Bidirectional", "Concatenate", "Add", "Flatten"),
    *(
        "GlobalAveragePooling1D",
        "GlobalMaxPooling1D",
        "Mean",
        "MeanMetricWrapper",
        "TensorShape",
        "__tuple__",
    ),
    *("GlorotUniform", "Zeros", "Ones", "Orthogonal", "RandomUniform", "RandomNormal", "TruncatedNormal"),
    *(
        "TypeSpec",
        "InputSpec",
        "Custom>Adam",
        "Custom>AdamW",
        "Custom>SGD",
        "Custom>RMSprop",
        "HeNormal",
        "HeUniform",
        "VarianceScaling",
    ),
}


def open_model(directory: Path) -> Opened:
    """Reads the model.

    Raises:
        InvalidInput: NOT_A_MODEL, DAMAGED (files that cannot be read, or are missing).
        ModelRefused: UNSUPPORTED_FORMAT, NO_SIGNATURE, NO_TEXT_INPUT, UNKNOWN_OP.
    """
    _scan(directory)
    layers, safe = _layers(directory)
    try:
        root = tf.saved_model.load(str(directory))
    except (tf.errors.OpError, OSError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise _damaged(directory, error) from error
    function = root.signatures.get(SIGNATURE) if hasattr(root, "signatures") else None
    if function is None:
        there = ", ".join(sorted(getattr(root, "signatures", {}))) or "none"
        raise ModelRefused(
            f"{directory} has no signature {SIGNATURE!r} (its signatures: {there}); "
            "save it with model.save(path) after it has been called or built once",
            reason="NO_SIGNATURE",
        )
    flat = flatten(function)
    return Opened(
        source=directory,
        format=FORMAT,
        root=root,
        function=function,
        flat=flat,
        inputs=(_text_input(directory, function, flat),),
        layers=layers,
        labels=read_labels(directory),
        keras=(lambda: _with_keras(directory)) if safe else None,
    )


def _with_keras(directory: Path) -> Any:
    import tf_keras

    return tf_keras.models.load_model(str(directory), compile=False)


def _scan(directory: Path) -> None:
    """That the files of one are there; what stands in them has been looked at (`inspecting`)."""
    graph_file = directory / "saved_model.pb"
    if not graph_file.is_file():
        found = ", ".join(sorted(p.name for p in directory.iterdir())[:8]) or "nothing"
        raise InvalidInput(
            f"{directory} is not a SavedModel: it has no saved_model.pb (it has: {found}); "
            "name the directory that model.save(path), or save_pretrained, wrote",
            reason="NOT_A_MODEL",
        )
    if not (directory / "variables" / "variables.index").is_file():
        raise InvalidInput(
            f"{directory} is only half there: variables/variables.index is missing; copy the model again",
            reason="DAMAGED",
        )


def _layers(directory: Path) -> tuple[tuple[Layer, ...], bool]:
    path = directory / "keras_metadata.pb"
    if not path.is_file():
        raise ModelRefused(
            f"{directory} is a SavedModel, but not one that tf_keras wrote (no keras_metadata.pb); "
            "save the model with tf_keras: model.save(path)",
            reason="UNSUPPORTED_FORMAT",
        )
    try:
        entries = [(p, i, json.loads(text)) for p, i, text in tf_private.keras_metadata(path.read_bytes())]
        for _, _, raw in entries:
            _check_layer(raw)
    except (ValueError, RecursionError) as error:
        raise _damaged(directory, error) from error
    layers = tuple(
        Layer(path, raw.get("name", ""), raw.get("class_name", ""), raw.get("config") or {})
        for path, identifier, raw in entries
        if not identifier.startswith("_tf_keras_metric")
    )
    classes = {name for _, _, raw in entries for name in _class_names(raw)}
    return layers, classes <= _KNOWN_CLASSES


def _check_layer(raw: Any) -> None:
    """That a layer's JSON has the types that are read of it. Raises ValueError."""
    names: dict[str, Any] = raw if isinstance(raw, dict) else {"name": None}
    if not all(isinstance(names.get(key, ""), str) for key in ("name", "class_name")):
        raise ValueError("keras_metadata.pb holds a layer that is none")
    if not isinstance(names.get("config") or {}, dict):
        raise ValueError(f"keras_metadata.pb holds no config of layer {str(names.get('name', ''))[:40]!r}")


def _class_names(value: Any) -> Iterator[str]:
    """Every class that a config names, however deep."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield str(value["class_name"])
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _class_names(item)


def _text_input(directory: Path, function: Any, flat: FlatGraph) -> Input:
    inputs = [tensor for tensor in function.inputs if tensor.op.name in flat.inputs]
    if len(inputs) == 1 and inputs[0].dtype == tf.string and inputs[0].shape.rank in (None, 1):
        name = inputs[0].op.name
        return Input(name, flat.inputs[name], tf.string, (None,))
    found = ", ".join(f"{t.op.name} ({t.dtype.name} {t.shape})" for t in inputs) or "none"
    raise ModelRefused(
        f"{directory} does not take text: it must have one input of strings, shape (None,); its inputs: {found}",
        reason="NO_TEXT_INPUT",
    )


def _damaged(directory: Path, error: BaseException) -> InvalidInput:
    first = (str(error) or type(error).__name__).splitlines()[0][:300]
    return InvalidInput(f"{directory} is damaged or half copied ({first}); copy it again", reason="DAMAGED")
