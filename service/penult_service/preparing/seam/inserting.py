"""Operations put between a tensor and some of those that read it; what the graph computes stays the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tensorflow.core.framework import node_def_pb2

from penult_service.preparing.graph import FlatGraph, Ref, node_of

_NAME = "penult_inner"

Slot = tuple[str, int]
"""An operation, and which of its inputs."""


@dataclass
class Draft:
    """A graph that gets operations put between a tensor and some of those that read it."""

    flat: FlatGraph
    nodes: dict[str, node_def_pb2.NodeDef] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = dict(self.flat.nodes)
        self._inserted: list[str] = []

    def insert(self, ref: Ref, slots: Iterable[Slot], dtype: int) -> str:
        """An `Identity` of that tensor for these readers; returns its name."""
        name = f"{_NAME}_{len(self._inserted)}"
        while name in self.nodes:
            name += "_"
        self.nodes[name] = identity(name, ref, dtype)
        self._inserted.append(name)
        for reader, place in slots:
            made = node_def_pb2.NodeDef()
            made.CopyFrom(self.nodes[reader])
            made.input[place] = f"{name}:0"
            self.nodes[reader] = made
        return name

    def graph(self) -> FlatGraph:
        """The graph, each new operation in front of what reads it first."""
        ordered: dict[str, node_def_pb2.NodeDef] = {}

        def add(name: str) -> None:
            for ref in self.nodes[name].input:
                if node_of(ref) in new and node_of(ref) not in ordered:
                    add(node_of(ref))
            ordered[name] = self.nodes[name]

        new = set(self._inserted)
        for name in self.flat.nodes:
            add(name)
        flat = self.flat
        return FlatGraph(ordered, flat.inputs, flat.outputs, flat.library, flat.captures)


def identity(name: str, ref: Ref, dtype: int) -> node_def_pb2.NodeDef:
    """An `Identity` of a tensor; `dtype` is the number of its type."""
    node = node_def_pb2.NodeDef(name=name, op="Identity", input=[ref])
    node.attr["T"].type = dtype
    return node
