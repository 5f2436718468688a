"""A part of a flat graph becomes a function that can be called and saved, its variables and tables kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from penult_service.preparing import tf_private
from penult_service.preparing.audit import constant_value
from penult_service.preparing.graph import FlatGraph, Ref, node_of
from penult_service.preparing.slim import slim

Part = Callable[..., dict[str, tf.Tensor]]


def cut(
    flat: FlatGraph,
    feeds: Mapping[Ref, tf.TensorSpec],
    fetches: Mapping[str, Ref],
    finish: Callable[[str, tf.Tensor], tf.Tensor] = lambda _, tensor: tf.identity(tensor),
    begin: Callable[[Ref, tf.Tensor], tf.Tensor] = lambda _, tensor: tf.identity(tensor),
) -> Part:
    """The part of the graph from `feeds` to `fetches` as a `tf.function` of one signature.

    Args:
        flat: The graph.
        feeds: Where the part begins: tensor -> its argument (positional), with name, dtype and shape.
        fetches: Output name -> where it is found.
        finish: Makes an output, by name, from the tensor fetched.
        begin: Makes what is fed at that tensor from an argument.
    """

    @tf.function(input_signature=[*feeds.values()], autograph=False)
    def part(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        fed = {ref: begin(ref, argument) for ref, argument in zip(feeds, arguments, strict=True)}
        found = imported(flat, list(fetches.values()), fed)
        return {name: finish(name, tensor) for name, tensor in zip(fetches, found, strict=True)}

    return part


def imported(
    flat: FlatGraph, refs: Sequence[Ref], feeds: Mapping[Ref, tf.Tensor] | None = None
) -> list[tf.Tensor]:
    """Adds what computes `refs` to the current graph, `feeds` in their places.

    Inside a `tf.function`, variables and tables are captured; in a plain graph they stay placeholders.
    """
    graph = tf.compat.v1.get_default_graph()
    placeholders = {ref: _placeholder(i, tensor) for i, (ref, tensor) in enumerate((feeds or {}).items())}
    graph_def = flat.graph_def(refs, placeholders)
    slim(graph_def, refs, lambda ref: constant_value(flat, ref) if node_of(ref) in flat.nodes else None)
    tf_private.register_functions(graph_def.library.function)
    bound = {f"{placeholders[ref].name}:0": tensor for ref, tensor in (feeds or {}).items()}
    if hasattr(graph, "capture"):
        for node in graph_def.node:
            if node.name in flat.captures:
                bound[f"{node.name}:0"] = _captured(graph, flat.captures[node.name])
    elements = [f"{placeholders[ref].name}:0" if ref in placeholders else ref for ref in refs]
    return list(tf.graph_util.import_graph_def(graph_def, bound, elements, name=""))


def owned(root: Any, parts: Sequence[Part]) -> tf.Module:
    """A module that owns every variable and table that the parts capture, so that they can be saved."""
    owners = tf_private.resource_owners(root)
    captured = [handle for part in parts for handle in part.get_concrete_function().captured_inputs]  # type: ignore[attr-defined]
    module = tf.Module()
    module.held = [owners[key] for key in dict.fromkeys(tf_private.handle_key(handle) for handle in captured)]
    return module


def _captured(graph: Any, outer: tf.Tensor) -> tf.Tensor:
    return graph.capture(outer) if outer.dtype == tf.resource else tf.constant(outer.numpy())


def _placeholder(number: int, tensor: tf.Tensor) -> node_def_pb2.NodeDef:
    node = node_def_pb2.NodeDef(name=f"fed_{number}", op="Placeholder")
    node.attr["dtype"].type = tensor.dtype.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tensor.shape.as_proto())
    return node
