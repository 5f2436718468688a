"""Branches whose predicate is a constant, replaced by the one that runs: what cannot run is then not served either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tensorflow.core.framework import node_def_pb2

from penult_service.preparing.audit import branches_of, taken_branch
from penult_service.preparing.graph import FlatGraph, Ref, node_of


def folded(flat: FlatGraph) -> FlatGraph:
    """The graph without such branches at its top level.

    A predicate is a constant when no input, variable or random operation stands behind it. Inside loops, and in
    branches that the input chooses, branches stay as they are; `audit` looks through them.
    """
    waiting = list(flat.nodes)
    while waiting:
        name = waiting.pop()
        taken = taken_branch(flat, flat.nodes[name])
        if taken is not None:
            before = set(flat.nodes)
            flat = _inlined(flat, name, branches_of(flat.nodes[name])[taken[0]])
            waiting += [new for new in flat.nodes if new not in before]
    return flat


def _inlined(flat: FlatGraph, name: str, function: str) -> FlatGraph:
    """The node replaced by the body of that function."""
    body = flat.branch(function)
    moved = dict(zip(body.inputs.values(), flat.nodes[name].input[1:], strict=True))
    given = {node_of(ref) for ref in body.inputs.values()}
    names = {inner: _free(f"{name}/{inner}", flat) for inner in body.nodes if inner not in given}
    moved |= {
        ref: f"{names[node_of(ref)]}:{ref.rpartition(':')[2]}"
        for ref in [*body.outputs.values(), *(ref for node in body.nodes.values() for ref in node.input)]
        if node_of(ref) in names
    }
    results = {f"{name}:{i}": moved[ref] for i, ref in enumerate(body.outputs.values())}
    nodes: dict[str, node_def_pb2.NodeDef] = {}
    for other, node in flat.nodes.items():
        if other == name:
            for inner, new in names.items():
                nodes[new] = _copy(body.nodes[inner], new, moved)
        else:
            nodes[other] = _copy(node, other, results) if results.keys() & set(node.input) else node
    outputs = {output: results.get(ref, ref) for output, ref in flat.outputs.items()}
    return replace(flat, nodes=nodes, outputs=outputs)


def _free(name: str, flat: FlatGraph) -> str:
    while name in flat.nodes:
        name += "_"
    return name


def _copy(node: node_def_pb2.NodeDef, name: str, refs: Mapping[Ref, Ref]) -> node_def_pb2.NodeDef:
    copy = node_def_pb2.NodeDef()
    copy.CopyFrom(node)
    copy.name = name
    copy.input[:] = [refs.get(ref, ref) for ref in node.input]
    return copy
