"""A flat inference graph: every function call of a signature replaced by its body, its variables kept.

Why not frozen to constants: `docs/adr/001-prepared-models.md`. Why our own inliner: TensorFlow's is private,
wrong for `Case`, and leaves `jit_compile` functions as calls. `If`, `Case` and `While` stay as nodes; whoever
needs to look inside flattens a branch with `FlatGraph.branch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2

from penult_service.errors import ModelRefused
from penult_service.preparing import tf_private

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# Attributes that only hint at placement or shapes and may contradict the graph once it has been cut.
_DROPPED_ATTRIBUTES = ("_class", "_output_shapes", "_xla_inferred_shapes")

Ref = str
"""An output of a node: ``name:index``."""


def node_of(ref: Ref) -> str:
    """The node whose output it is."""
    return ref.rpartition(":")[0]


@dataclass
class FlatGraph:
    """Nodes by name in topological order; data edges only (inputs are `Ref`s).

    Attributes:
        inputs: The placeholders that a caller feeds, by argument name.
        outputs: Output name -> `Ref`.
        captures: Name of a placeholder -> the resource handle or eager tensor that it stands for.
        library: The functions that `If`, `Case` and `While` refer to.
    """

    nodes: dict[str, node_def_pb2.NodeDef]
    inputs: dict[str, Ref]
    outputs: dict[str, Ref]
    library: Mapping[str, function_pb2.FunctionDef]
    captures: dict[str, tf.Tensor] = field(default_factory=dict)

    def upstream(self, refs: Iterable[Ref], stop: Iterable[Ref] = ()) -> set[str]:
        """The nodes that these outputs are computed from, themselves included; not looking behind `stop`."""
        blocked, seen = set(stop), set()
        waiting = [ref for ref in refs if ref not in blocked]
        while waiting:
            name = node_of(waiting.pop())
            if name not in seen:
                seen.add(name)
                waiting.extend(ref for ref in self.nodes[name].input if ref not in blocked)
        return seen

    def downstream(self, refs: Iterable[Ref]) -> set[str]:
        """The nodes that any of these outputs reaches; the nodes that make them are not included."""
        reached, seen = set(refs), set()
        for name, node in self.nodes.items():
            if any(ref in reached or node_of(ref) in seen for ref in node.input):
                seen.add(name)
        return seen

    def branch(self, function: str) -> FlatGraph:
        """The body of a function of the library, flat; inputs and outputs by argument name, in order."""
        definition = self.library[function]
        flattener = _Flattener(self.library)
        arguments = [argument.name for argument in definition.signature.input_arg]
        for argument in definition.signature.input_arg:
            placeholder = node_def_pb2.NodeDef(name=argument.name, op="Placeholder")
            placeholder.attr["dtype"].type = argument.type
            flattener.nodes[argument.name] = placeholder
        results = flattener.body(definition, [f"{name}:0" for name in arguments], "")
        outputs = dict(zip((a.name for a in definition.signature.output_arg), results, strict=True))
        return FlatGraph(
            flattener.nodes, {name: f"{name}:0" for name in arguments}, outputs, self.library, self.captures
        )

    def graph_def(self, refs: Iterable[Ref], feeds: Mapping[Ref, node_def_pb2.NodeDef]) -> graph_pb2.GraphDef:
        """The part that computes `refs`, with the outputs in `feeds` replaced by those nodes."""
        needed = self.upstream(refs, stop=feeds)
        graph = graph_pb2.GraphDef(library={"function": self.library.values()})
        graph.versions.producer = tf.version.GRAPH_DEF_VERSION
        graph.node.extend(feeds.values())
        for name, node in self.nodes.items():
            if name in needed:
                copy = graph.node.add()
                copy.CopyFrom(node)
                copy.input[:] = [f"{feeds[ref].name}:0" if ref in feeds else ref for ref in node.input]
        return graph


def flatten(function: Any) -> FlatGraph:
    """The concrete function of a signature -> its flat graph.

    Raises:
        ModelRefused: UNKNOWN_OP, for an operation that this installation does not have.
    """
    graph_def = function.graph.as_graph_def()
    library = {f.signature.name: f for f in graph_def.library.function}
    flattener = _Flattener(library)
    results = flattener.graph(graph_def)
    captures = {node_of(results[inner.name]): outer for outer, inner in function.graph.captures}
    inputs = {tensor.op.name: results[tensor.name] for tensor in function.inputs}
    fed = {name: ref for name, ref in inputs.items() if node_of(ref) not in captures}
    names = sorted(function.structured_outputs)  # the flat outputs are in the order of the sorted names
    outputs = {name: results[tensor.name] for name, tensor in zip(names, function.outputs, strict=True)}
    return FlatGraph(flattener.nodes, fed, outputs, library, captures)


class _Flattener:
    def __init__(self, library: Mapping[str, function_pb2.FunctionDef]) -> None:
        self.library = library
        self.nodes: dict[str, node_def_pb2.NodeDef] = {}

    def graph(self, graph_def: graph_pb2.GraphDef) -> dict[Ref, Ref]:
        """Adds the nodes of a top-level graph; returns where each of their outputs is found now."""
        found: dict[Ref, Ref] = {}
        for node in _sorted(graph_def.node, lambda ref: ref.partition(":")[0]):
            inputs = [found[ref if ":" in ref else f"{ref}:0"] for ref in node.input if ref[0] != "^"]
            for index, ref in enumerate(self.add(node, inputs, "")):
                found[f"{node.name}:{index}"] = ref
        return found

    def body(self, definition: function_pb2.FunctionDef, arguments: list[Ref], prefix: str) -> list[Ref]:
        """Adds the body of a function; returns its results."""
        found: dict[str, Ref] = {}
        for argument, ref in zip(definition.signature.input_arg, arguments, strict=True):
            found[argument.name] = found[f"{argument.name}:0"] = ref
        for node in _sorted(definition.node_def, lambda ref: ref.partition(":")[0]):
            inputs = [found[ref] for ref in node.input if ref[0] != "^"]
            outputs = iter(self.add(node, inputs, prefix))
            for name, count in self.output_arguments(node):
                for index in range(count):
                    found[f"{node.name}:{name}:{index}"] = next(outputs)
        return [found[definition.ret[argument.name]] for argument in definition.signature.output_arg]

    def add(self, node: node_def_pb2.NodeDef, inputs: list[Ref], prefix: str) -> list[Ref]:
        """Adds one node, or the body that it calls; returns its outputs."""
        name = prefix + node.name
        called = node.attr["f"].func.name if node.op in CALLS else node.op
        if called in self.library:
            return self.body(self.library[called], inputs, name + "/")
        while name in self.nodes:  # `call/x` beside the body of `call`, which has an `x`
            name += "_"
        copy = node_def_pb2.NodeDef()
        copy.CopyFrom(node)
        copy.name = name
        copy.input[:] = inputs
        for attribute in _DROPPED_ATTRIBUTES:
            copy.attr.pop(attribute, None)
        self.nodes[name] = copy
        return [f"{name}:{index}" for index in range(sum(n for _, n in self.output_arguments(node)))]

    def output_arguments(self, node: node_def_pb2.NodeDef) -> Iterator[tuple[str, int]]:
        """Names of a node's output arguments, and how many tensors each has."""
        definition = (
            self.library[node.op].signature if node.op in self.library else tf_private.op_def(node.op)
        )
        if definition is None:
            raise ModelRefused(
                f"the model needs the operation {node.op} ({node.name}), which is not installed here; "
                "install the package that brings it",
                reason="UNKNOWN_OP",
            )
        for argument in definition.output_arg:
            if argument.number_attr:
                yield argument.name, node.attr[argument.number_attr].i
            elif argument.type_list_attr:
                yield argument.name, len(node.attr[argument.type_list_attr].list.type)
            else:
                yield argument.name, 1


def _sorted(nodes: Iterable[node_def_pb2.NodeDef], source: Any) -> list[node_def_pb2.NodeDef]:
    """Topological order by data edges; names that are not among the nodes (arguments) are given."""
    by_name = {node.name: node for node in nodes}
    done: dict[str, node_def_pb2.NodeDef] = {}
    for root in by_name.values():
        waiting, open_ = [root], set()
        while waiting:
            node = waiting[-1]
            missing = [
                by_name[source(ref)]
                for ref in node.input
                if ref[0] != "^" and source(ref) in by_name and source(ref) not in done
            ]
            if not missing:
                done.setdefault(waiting.pop().name, node)
            elif node.name in open_:
                raise ModelRefused(
                    f"the graph has a loop through {node.name} that is not a While (TensorFlow 1 control flow); "
                    "save the model again with TensorFlow 2",
                    reason="TF1_CONTROL_FLOW",
                )
            else:
                open_.add(node.name)
                waiting.extend(missing)
    return list(done.values())
