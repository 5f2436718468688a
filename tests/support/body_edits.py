"""Edits of the bodies of loops and branches: noise on one edge of one body."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import tensorflow as tf
from penult_service.preparing import tf_private
from penult_service.preparing.cut import cut
from penult_service.preparing.graph import FlatGraph
from penult_service.preparing.opened import Opened
from support.dropout_sites import SPEC
from tensorflow.core.framework import function_pb2, node_def_pb2
from tensorflow.python.eager import context

_NUMBERS = count()


@dataclass(frozen=True)
class Edit:
    """A graph in which one edge inside one body has noise on it."""

    where: str
    flat: FlatGraph


def edited_bodies(opened: Opened) -> Iterator[Edit]:
    """One for every float edge inside every body that an `If`, a `Case` or a `While` of the graph refers to."""
    for name in sorted(_bodies(opened.flat)):
        definition = opened.flat.library[name]
        for node in definition.node_def:
            for index, ref in enumerate(node.input):
                if ref[0] != "^" and _input_type(node, index) == tf.float32:
                    yield _edited(opened.flat, name, node.name, index)


def _bodies(flat: FlatGraph) -> set[str]:
    found: set[str] = set()
    waiting = list(flat.nodes.values())
    while waiting:
        for reference in _references(waiting.pop()):
            if reference.name not in found:
                found.add(reference.name)
                waiting.extend(flat.library[reference.name].node_def)
    return found


def _references(node: node_def_pb2.NodeDef) -> Iterator[Any]:
    for attr in node.attr.values():
        yield from (f for f in (attr.func, *attr.list.func) if f.name)


def _input_type(node: node_def_pb2.NodeDef, index: int) -> tf.DType | None:
    """The type of one input; None where it cannot be told from the operation's definition."""
    definition = tf_private.op_def(node.op)
    arguments = list(definition.input_arg) if definition is not None else []
    if index >= len(arguments) or any(a.number_attr or a.type_list_attr for a in arguments[: index + 1]):
        return None
    argument = arguments[index]
    kind = node.attr[argument.type_attr].type if argument.type_attr else argument.type
    return tf.as_dtype(kind)


def _edited(flat: FlatGraph, function: str, consumer: str, index: int) -> Edit:
    definition = function_pb2.FunctionDef()
    definition.CopyFrom(flat.library[function])
    node = next(node for node in definition.node_def if node.name == consumer)
    source = node.input[index]
    shape = definition.node_def.add(name="mutant_shape", op="Shape", input=[source])
    shape.attr["T"].type, shape.attr["out_type"].type = tf.float32.as_datatype_enum, tf.int32.as_datatype_enum
    drawn = definition.node_def.add(name="mutant", op="RandomUniform", input=["mutant_shape:output:0"])
    drawn.attr["dtype"].type, drawn.attr["T"].type = tf.float32.as_datatype_enum, tf.int32.as_datatype_enum
    drawn.attr["seed"].i = drawn.attr["seed2"].i = 0  # defaults are not filled in inside a body
    mixed = definition.node_def.add(name="mutant_sum", op="AddV2", input=[source, "mutant:output:0"])
    mixed.attr["T"].type = tf.float32.as_datatype_enum
    node.input[index] = "mutant_sum:z:0"
    return Edit(f"{function}/{consumer}:{index}", _with(flat, function, definition))


def _with(flat: FlatGraph, name: str, definition: function_pb2.FunctionDef) -> FlatGraph:
    """The graph with that body instead, under a name of its own: TensorFlow keeps one body a name."""
    number = next(_NUMBERS)
    renamed = {old: f"{old}_mutant_{number}" for old in [*_bodies(flat), name]}
    library = {}
    for old, body in {**flat.library, name: definition}.items():
        copy = library[renamed.get(old, old)] = function_pb2.FunctionDef()
        copy.CopyFrom(body)
        copy.signature.name = renamed.get(old, old)
        for node in copy.node_def:
            _rename(node, renamed)
    nodes = {}
    for old, node in flat.nodes.items():
        nodes[old] = node_def_pb2.NodeDef()
        nodes[old].CopyFrom(node)
        _rename(nodes[old], renamed)
    return replace(flat, nodes=nodes, library=library)


def _rename(node: node_def_pb2.NodeDef, renamed: dict[str, str]) -> None:
    for reference in _references(node):
        reference.name = renamed.get(reference.name, reference.name)


def runnable(opened: Opened, flat: FlatGraph) -> Any:
    """An edited graph as a function: text -> outputs by name."""
    for name, definition in flat.library.items():
        if name not in opened.flat.library:
            context.context().add_function_def(definition)  # else running it ends the process
    return cut(flat, {opened.sources[0]: SPEC}, flat.outputs)
