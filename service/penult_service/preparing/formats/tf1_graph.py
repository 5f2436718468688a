"""A graph of TensorFlow 1 as TensorFlow 2 saves graphs: its variables and tables outside of it, its branches taken.

Such a graph holds its variables (`VariableV2`) and tables as operations, which share state by name with whatever
loaded it. Their contents are read, and variables and tables of TensorFlow 2 are put in their places. A `Switch` whose
predicate never changes, such as `keras_learning_phase` with its default, is followed; another one is refused.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from penult_service.errors import ModelRefused
from penult_service.preparing.audit import constant_value
from penult_service.preparing.cut import cut
from penult_service.preparing.graph import FlatGraph, Ref, node_of

_VARIABLE, _TABLE = "VariableV2", "HashTableV2"
_SWITCHES, _MERGES = frozenset({"Switch", "RefSwitch"}), frozenset({"Merge", "RefMerge"})


def is_old(root: Any) -> bool:
    """Whether it was loaded as TensorFlow 1 saved it."""
    return hasattr(root, "prune") and hasattr(root, "graph")


def renewed(what: str, root: Any, flat: FlatGraph) -> tuple[Any, FlatGraph]:
    """What owns its variables and tables, and the graph that reads them.

    Raises:
        ModelRefused: TF1_CONTROL_FLOW, a branch that depends on an input; UNSUPPORTED_FORMAT, a kind of state that is
            not known.
    """
    flat = _branches_taken(what, flat)
    owner = tf.Module()
    owner.root, owner.made = root, []
    nodes: dict[str, node_def_pb2.NodeDef] = {}
    captures = dict(flat.captures)
    used = flat.upstream(flat.outputs.values())
    for name, node in flat.nodes.items():
        if name not in used and name not in flat.captures and node.op in (_VARIABLE, _TABLE):
            continue
        if node.op == _VARIABLE:
            variable = tf.Variable(_value(flat, f"{name}:0"), name=name.replace("/", "_"))
            owner.made.append(variable)
            handle = f"{name}/handle"
            nodes[handle], captures[handle] = _handle(handle), variable.handle
            nodes[name] = node_def_pb2.NodeDef(name=name, op="ReadVariableOp", input=[f"{handle}:0"])
            nodes[name].attr["dtype"].CopyFrom(node.attr["dtype"])
        elif node.op == _TABLE:
            table = _filled_table(flat, node)
            owner.made.append(table)
            nodes[name], captures[name] = _handle(name), table.resource_handle
        elif node.op in ("Variable", "HashTable", "MutableHashTable", "VarHandleOp"):
            raise ModelRefused(
                f"{what} holds its state as {node.op} ({name}), which is not read; save the model again with a newer "
                "TensorFlow",
                reason="UNSUPPORTED_FORMAT",
            )
        else:
            nodes[name] = node
    return owner, FlatGraph(nodes, flat.inputs, flat.outputs, flat.library, captures)


def _value(flat: FlatGraph, ref: Ref) -> Any:
    return cut(flat, {}, {"value": ref})()["value"].numpy()


def _filled_table(flat: FlatGraph, node: node_def_pb2.NodeDef) -> Any:
    """A table with the same contents."""
    key, value = (tf.as_dtype(node.attr[name].type) for name in ("key_dtype", "value_dtype"))

    def exported(name: str, handle: tf.Tensor) -> tf.Tensor:
        found = tf.raw_ops.LookupTableExportV2(table_handle=handle, Tkeys=key, Tvalues=value)
        return found.keys if name == "keys" else found.values

    ref = f"{node.name}:0"
    found = cut(flat, {}, {"keys": ref, "values": ref}, exported)()
    initial = tf.lookup.KeyValueTensorInitializer(found["keys"], found["values"], key, value)
    return tf.lookup.StaticHashTable(initial, "" if value == tf.string else tf.zeros([], value))


def _handle(name: str) -> node_def_pb2.NodeDef:
    node = node_def_pb2.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = tf.resource.as_datatype_enum
    return node


def _branches_taken(what: str, flat: FlatGraph) -> FlatGraph:
    """Every `Switch` handed on to the side that its predicate takes, every `Merge` what arrives at it."""
    if not any(node.op in _SWITCHES for node in flat.nodes.values()):
        return flat
    moved: dict[Ref, Ref] = {}
    dead: set[Ref] = set()  # outputs of switches and merges
    left: set[str] = set()  # operations that nothing arrives at
    nodes: dict[str, node_def_pb2.NodeDef] = {}

    def is_dead(ref: Ref) -> bool:
        return ref in dead or node_of(ref) in left

    for name, node in flat.nodes.items():
        if node.op in _SWITCHES:
            predicate = constant_value(flat, node.input[1])
            if predicate is None:
                raise _open_branch(what, name)
            moved[f"{name}:{int(bool(predicate))}"] = moved.get(node.input[0], node.input[0])
            dead.add(f"{name}:{int(not predicate)}")
            if is_dead(node.input[0]):
                left.add(name)
        elif node.op in _MERGES:
            alive = [ref for ref in node.input if not is_dead(ref)]
            if len(alive) > 1:
                raise _open_branch(what, name)
            moved |= {f"{name}:0": moved.get(ref, ref) for ref in alive}
            dead.add(f"{name}:1")
            if not alive:
                left.add(name)
        elif any(is_dead(ref) for ref in node.input):
            left.add(name)
        else:
            nodes[name] = node_def_pb2.NodeDef()
            nodes[name].CopyFrom(node)
            nodes[name].input[:] = [moved.get(ref, ref) for ref in node.input]
    outputs = {key: moved.get(ref, ref) for key, ref in flat.outputs.items()}
    if any(node_of(ref) not in nodes for ref in outputs.values()):
        raise _open_branch(what, "its output")
    return FlatGraph(nodes, flat.inputs, outputs, flat.library, flat.captures)


def _open_branch(what: str, name: str) -> ModelRefused:
    return ModelRefused(
        f"{what}: a branch of TensorFlow 1 ({name}) does not say by itself which way it goes; save the model in "
        "inference mode, with keras_learning_phase at 0, or with TensorFlow 2",
        reason="TF1_CONTROL_FLOW",
    )
