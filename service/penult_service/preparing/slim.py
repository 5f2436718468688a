"""What a cut graph's branches and loops hold beyond what its results need, left out.

The proof looks only at what the results are computed from; what is served is held against the allow list whole. Keras
leaves random operations in places where nothing uses them (a recurrent layer's loop, the training branch of a
constant predicate): without them the list can stay without any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2

_BRANCHES = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})
_LOOPS = frozenset({"While", "StatelessWhile"})
_CALL = "StatefulPartitionedCall"

Nodes = Iterable[node_def_pb2.NodeDef]
Constant = Callable[[str], object | None]
"""The value of a predicate that never changes, by its tensor; else None."""


def slim(graph: graph_pb2.GraphDef, wanted: Iterable[str], constant: Constant) -> None:
    """Leaves out, in place: branches that never run, and what in functions no result needs; functions nobody calls.

    A loop's variables that nothing uses stay, with the value that they began with.

    Args:
        graph: The graph; data edges only at its top level.
        wanted: The tensors that are fetched from it.
        constant: Tells the constant predicates of its top level.
    """
    slimmer = _Slimmer({f.signature.name: f for f in graph.library.function})
    slimmer.nodes(graph.node, wanted, constant)
    graph.ClearField("library")
    graph.library.function.extend(slimmer.made.values())


class _Slimmer:
    """Makes a slim copy of each function, once for each set of results that is used of it."""

    def __init__(self, library: Mapping[str, function_pb2.FunctionDef]) -> None:
        self._library = library
        self._names: dict[tuple[str, frozenset[int] | None], str] = {}
        self.made: dict[str, function_pb2.FunctionDef] = {}

    def nodes(self, nodes: Nodes, results: Iterable[str], constant: Constant) -> None:
        """Slims what the nodes of one graph or body call; `results` are the tensors used outside of it."""
        nodes = list(nodes)
        used: dict[str, set[int]] = {}
        for ref in [*results, *(ref for node in nodes for ref in node.input)]:
            name, _, index = ref.partition(":")
            used.setdefault(name, set()).add(int(index.rpartition(":")[2] or 0))
        for node in nodes:
            if node.op in _BRANCHES:
                value = constant(node.input[0])
                if value is not None:
                    _fold(node, value)
            if node.op in _LOOPS:
                self._loop(node, used.get(node.name, set()))
            elif node.op in self._library:
                node.op = self._function(node.op)
            else:
                for function in _functions(node):
                    function.name = self._function(function.name)

    def _loop(self, node: node_def_pb2.NodeDef, used: set[int]) -> None:
        condition, body = (self._library[node.attr[part].func.name] for part in ("cond", "body"))
        arguments = {argument.name: i for i, argument in enumerate(body.signature.input_arg)}
        results = [body.ret[result.name] for result in body.signature.output_arg]
        tested = {argument.name: i for i, argument in enumerate(condition.signature.input_arg)}
        needed = used | {tested[name] for name in _behind(condition, condition.ret.values()) & set(tested)}
        while True:
            behind = _behind(body, [results[i] for i in needed])
            more = needed | {arguments[name] for name in behind & set(arguments)}
            if more == needed:
                break
            needed = more
        node.attr["cond"].func.name = self._function(condition.signature.name)
        node.attr["body"].func.name = self._function(body.signature.name, frozenset(needed))

    def _function(self, name: str, needed: frozenset[int] | None = None) -> str:
        """The name of its slim copy; results that are not `needed` (of a loop's body) hand their argument on."""
        if name not in self._library:
            return name
        if (name, needed) in self._names:
            return self._names[name, needed]
        made = function_pb2.FunctionDef()
        made.CopyFrom(self._library[name])
        made.signature.ClearField("control_output")
        made.control_ret.clear()
        if needed is not None:
            for i, result in enumerate(made.signature.output_arg):
                if i not in needed:
                    made.ret[result.name] = made.signature.input_arg[i].name
        self._slim_body(made)
        # By content: TensorFlow knows functions by name, and another part of the model may need more of this one.
        content = hashlib.sha256(made.SerializeToString(deterministic=True)).hexdigest()
        made.signature.name = self._names[name, needed] = f"{name}_{content[:12]}"
        self.made[made.signature.name] = made
        return made.signature.name

    def _slim_body(self, made: function_pb2.FunctionDef) -> None:
        kept = _behind(made, made.ret.values())
        body = [node for node in made.node_def if node.name in kept]
        for node in body:
            node.input[:] = [ref for ref in node.input if ref[0] != "^"]
        values = {node.name: node for node in body}
        self.nodes(body, made.ret.values(), lambda ref: _constant_in(values, ref))
        slimmed = function_pb2.FunctionDef(node_def=body)
        del made.node_def[:]
        made.node_def.extend(slimmed.node_def)


def _fold(node: node_def_pb2.NodeDef, value: object) -> None:
    """Turns a branch with a constant predicate into a call of what runs. `Case` counts, the last when out of range."""
    if "branches" in node.attr:
        bodies = [function.name for function in node.attr["branches"].list.func]
        index = int(value)  # type: ignore[call-overload]
        taken = bodies[index if 0 <= index < len(bodies) else -1]
    else:
        taken = node.attr["then_branch" if value else "else_branch"].func.name
    for name in [name for name in node.attr if name not in ("Tin", "Tout")]:
        del node.attr[name]
    node.op = _CALL
    node.attr["f"].func.name = taken
    del node.input[0]


def _behind(definition: function_pb2.FunctionDef, refs: Iterable[str]) -> set[str]:
    """The nodes and arguments that these tensors of a body are computed from."""
    nodes = {node.name: node for node in definition.node_def}
    seen: set[str] = set()
    waiting = [ref.partition(":")[0] for ref in refs]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            if name in nodes:
                waiting += (ref.partition(":")[0] for ref in nodes[name].input if ref[0] != "^")
    return seen


def _functions(node: node_def_pb2.NodeDef) -> list[Any]:
    """The functions that its attributes name, to be named anew."""
    single = [attr.func for attr in node.attr.values() if attr.WhichOneof("value") == "func"]
    return single + [function for attr in node.attr.values() for function in attr.list.func]


def _constant_in(nodes: Mapping[str, node_def_pb2.NodeDef], ref: str) -> object | None:
    """The value of a scalar constant in a body, also negated or handed on."""
    node = nodes.get(ref.partition(":")[0])
    if node is None:
        return None
    if node.op in ("Identity", "LogicalNot"):
        value = _constant_in(nodes, node.input[0])
        return value if value is None or node.op == "Identity" else not value
    if node.op != "Const":
        return None
    tensor = node.attr["value"].tensor
    values = [*tensor.bool_val, *tensor.int_val]
    return values[0] if len(values) == 1 and not tensor.tensor_shape.dim else None
