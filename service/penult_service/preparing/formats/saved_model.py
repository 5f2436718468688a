"""Reads a SavedModel, whoever wrote it: tf_keras, Keras 3 (`model.export`), `tf.saved_model.save`, TensorFlow 1.

The graph is loaded with `tf.saved_model.load`, which runs no Python code of the file's author; Keras is not asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the operations that a text model needs)
from tensorflow.core.protobuf import meta_graph_pb2

from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard.damage import damaged
from penult_service.guard.saved_model import parsed
from penult_service.preparing.declarations.declaration import NOTHING, Declaration
from penult_service.preparing.formats import keras_loss, tf1_graph
from penult_service.preparing.formats import tags as tag_sets
from penult_service.preparing.formats import tf_keras_saved_model as tf_keras_files
from penult_service.preparing.formats.signatures import Function, choose, full_shape
from penult_service.preparing.graph import FlatGraph, flatten
from penult_service.preparing.opened import Input, Opened, read_labels

FORMAT = "SavedModel"


def open_model(directory: Path, declared: Declaration = NOTHING) -> Opened:
    """Reads the model.

    Raises:
        InvalidInput: NOT_A_MODEL, DAMAGED (files that cannot be read, or are missing).
        ModelRefused: NO_TAGS, AMBIGUOUS_TAGS, NO_SIGNATURE, AMBIGUOUS_SIGNATURE, NO_BATCH, UNSUPPORTED_INPUT,
            UNKNOWN_OP.
    """
    tags = tag_sets.choose(directory, _graphs(directory), declared.tags)
    by_keras = tf_keras_files.read(directory)
    nothing = not (directory / "variables" / "variables.index").is_file()
    options = tf.saved_model.LoadOptions(experimental_skip_checkpoint=True) if nothing else None
    try:
        root = tf.saved_model.load(str(directory), tags=tags, options=options)
    except (tf.errors.OpError, OSError, ValueError, LookupError, AttributeError, AssertionError) as error:
        raise damaged(directory, error) from error
    chosen = choose(str(directory), root, declared.signature)
    _refuse_inputs(directory, chosen)
    function = chosen.traced()
    flat = flatten(function)
    inputs, signature = inputs_of(chosen, function, flat), chosen.name
    if tf1_graph.is_old(root):
        root, flat = tf1_graph.renewed(str(directory), root, flat)
    return Opened(
        source=directory,
        format=tf_keras_files.FORMAT if by_keras else FORMAT,
        root=root,
        function=function,
        flat=flat,
        inputs=inputs,
        layers=by_keras.layers if by_keras else (),
        labels=read_labels(directory),
        keras=by_keras.keras if by_keras else None,
        loss=keras_loss.meanings(by_keras.training, by_keras.outputs or list(flat.outputs))
        if by_keras
        else {},
        signature=signature,
    )


def inputs_of(chosen: Function, traced: Any, flat: FlatGraph) -> tuple[Input, ...]:
    """What a function that was traced is fed with, in order."""
    return tuple(
        Input(name, flat.inputs[tensor.op.name], spec.dtype, full_shape(spec) or (None,))
        for (name, spec), tensor in zip(
            chosen.inputs.items(), traced.inputs, strict=False
        )  # captures come behind
    )


def _graphs(directory: Path) -> list[meta_graph_pb2.MetaGraphDef]:
    """The graphs of one whose files are there; what stands in them has been looked at (`inspecting`)."""
    if not (directory / "saved_model.pb").is_file():
        found = ", ".join(sorted(p.name for p in directory.iterdir())[:8]) or "nothing"
        raise InvalidInput(
            f"{directory} is not a SavedModel: it has no saved_model.pb (it has: {found}); "
            "name the directory that model.save(path), or save_pretrained, wrote",
            reason="NOT_A_MODEL",
        )
    graphs = parsed(directory)
    if tag_sets.have_variables(graphs) and not (directory / "variables" / "variables.index").is_file():
        raise InvalidInput(
            f"{directory} is only half there: variables/variables.index is missing; copy the model again",
            reason="DAMAGED",
        )
    return graphs


def _refuse_inputs(directory: Path, chosen: Function) -> None:
    """What cannot be fed with rows: one row at a time, or a shape that nobody knows."""
    for name, spec in chosen.inputs.items():
        shape = full_shape(spec)
        if shape is None:
            raise ModelRefused(
                f"{directory}: {chosen.name} does not say which shape its input {name!r} ({spec.dtype.name}) has; save "
                "it with an input_signature",
                reason="UNSUPPORTED_INPUT",
            )
        if not shape or shape[0] is not None:
            takes = f"exactly {shape[0]} rows" if shape else "one value"
            raise ModelRefused(
                f"{directory}: the input {name!r} of {chosen.name} takes {takes}, not any number of them; save it with "
                "a first axis of None, or choose another function: signature = ... in penult.toml",
                reason="NO_BATCH",
            )
