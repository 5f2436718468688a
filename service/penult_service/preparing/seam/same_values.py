"""Which tensors of two graphs of one model are the same function of the same inputs, weights and tables.

Tensors get numbers by what computes them (value numbering; Cocke 1969): the operation, its attributes, the numbers of
its inputs. Equal numbers are a proof; unequal ones are not, so that what is told apart in vain is only missed. Names
play no part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, node_def_pb2

from penult_service.preparing import tf_private
from penult_service.preparing.audit import changes
from penult_service.preparing.graph import FlatGraph, Ref, node_of

HANDS_ON = frozenset({"Identity", "StopGradient", "PreventGradient", "Snapshot"})
"""Operations that give what they are given."""
_CALLING = frozenset({"If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile"})

_SHORT = 256  # bytes

Value = tuple[int, int]
"""The number of an operation with its inputs, and which of its results it is."""


class Numbering:
    """Gives numbers to the tensors of graphs; what gets the same one twice is the same."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._functions: dict[tuple[int, str], Hashable] = {}

    def values(self, flat: FlatGraph, inputs: Iterable[Ref]) -> dict[Ref, Value]:
        """The first result of every operation, and each other one that is used -> its number.

        Args:
            flat: The graph.
            inputs: Where it is fed; the first of one graph is taken for the first of another one, and so on.
        """
        fed: dict[str, Hashable] = {node_of(ref): ("input", place) for place, ref in enumerate(inputs)}
        captured = {name: _capture(tensor) for name, tensor in flat.captures.items()}
        return self._values(flat, captured | fed)

    def _values(self, flat: FlatGraph, given: Mapping[str, Hashable]) -> dict[Ref, Value]:
        found: dict[Ref, Value] = {}
        heads: dict[str, int] = {}

        def value(ref: Ref) -> Value:
            if ref not in found:
                found[ref] = heads[node_of(ref)], int(ref.rpartition(":")[2])
            return found[ref]

        for name, node in flat.nodes.items():
            if node.op in HANDS_ON:
                found[f"{name}:0"] = value(node.input[0])
                continue
            if name in given:
                key = given[name]
            elif node.op not in _CALLING and (changes(node) or node.op == "Placeholder"):
                key = ("own", len(self._numbers))
            else:
                key = (node.op, self._attributes(flat, node), tuple(value(ref) for ref in node.input))
            heads[name] = self._numbers.setdefault(key, len(self._numbers))
            value(f"{name}:0")
        for ref in flat.outputs.values():
            value(ref)
        return found

    def _attributes(self, flat: FlatGraph, node: node_def_pb2.NodeDef) -> Hashable:
        return tuple(
            (name, self._attribute(flat, node.attr[name]))
            for name in sorted(node.attr)
            if not name.startswith("_")
        )

    def _attribute(self, flat: FlatGraph, value: attr_value_pb2.AttrValue) -> Hashable:
        """A function is what it computes: its name is another one in each graph."""
        functions = [value.func] if value.WhichOneof("value") == "func" else list(value.list.func)
        if not functions:
            return _digest(value.SerializeToString(deterministic=True))
        return tuple(self._function(flat, function.name) for function in functions)

    def _function(self, flat: FlatGraph, name: str) -> Hashable:
        if name not in flat.library:
            return name
        key = id(flat.library), name
        if key not in self._functions:
            body = flat.branch(name)
            given = {node_of(ref): ("argument", place) for place, ref in enumerate(body.inputs.values())}
            values = self._values(body, given)
            self._functions[key] = tuple(values[ref] for ref in body.outputs.values())
        return self._functions[key]


def _capture(tensor: Any) -> Hashable:
    """A variable or table is itself; what was a constant is its numbers."""
    if tensor.dtype in (tf.resource, tf.variant):
        return "resource", tf_private.handle_key(tensor)
    proto = tf.make_tensor_proto(tensor.numpy(), tensor.dtype)
    return "constant", _digest(proto.SerializeToString(deterministic=True))


def _digest(content: bytes) -> bytes:
    """Itself, or its hash: a constant may be a whole table of embeddings."""
    return content if len(content) <= _SHORT else hashlib.sha256(content).digest()
