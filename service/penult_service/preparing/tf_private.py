"""The private names of TensorFlow and tf_keras that preparing needs, each with a test of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import function_pb2
from tensorflow.python.eager import context
from tensorflow.python.trackable.base import Trackable

from penult_service.guard.registered import op_def

__all__ = [
    "handle_key",
    "keras_metadata",
    "op_def",
    "register_functions",
    "resource_owners",
    "trackable_children",
    "variable_shape",
]


def register_functions(definitions: Iterable[function_pb2.FunctionDef]) -> None:
    """Lets functions that are built here call these, by name; a name that is known already keeps its body."""
    known = context.context()
    for definition in definitions:
        if not known.has_function(definition.signature.name):
            known.add_function_def(definition)


def trackable_children(root: Trackable) -> Iterator[Any]:
    """`root` and every object that it tracks, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting.extend(
            child for child in current._trackable_children().values() if isinstance(child, Trackable)
        )


def resource_owners(root: Trackable) -> dict[int, Any]:
    """Resource handle (by id of its reference) -> the variable or table under `root` that owns it."""
    owners = {}
    for child in trackable_children(root):
        if isinstance(child, tf.Variable):
            owners[handle_key(child.handle)] = child
        elif hasattr(child, "resource_handle"):
            owners[handle_key(child.resource_handle)] = child
    return owners


def handle_key(handle: tf.Tensor) -> int:
    """A key that is equal for two tensors that are one resource handle."""
    return id(handle)


def keras_metadata(data: bytes) -> list[tuple[str, str, str]]:
    """`keras_metadata.pb` of a tf_keras SavedModel -> (path of the object, its identifier, its JSON).

    Raises:
        ValueError: these bytes are not such a file.
    """
    from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

    metadata = SavedMetadata()
    try:
        metadata.ParseFromString(data)
    except message.DecodeError as error:
        raise ValueError(str(error)) from error
    return [(node.node_path, node.identifier, node.metadata) for node in metadata.nodes]


def variable_shape(handle: tf.Tensor) -> tuple[int, ...]:
    """The shape of the variable behind a resource handle; empty when it is none (a table)."""
    data = handle._handle_data
    if data is None or not data.is_set or not data.shape_and_type:
        return ()
    return tuple(dim.size for dim in data.shape_and_type[0].shape.dim)
