"""The layers of a model as a tree; of neighbours that are numbered and built alike one is shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penult_client import ModelLayer

_NUMBER = re.compile(r"\d+")
_SEPARATORS = "/."  # of Keras, and of Hugging Face
_INDENT = "  "


@dataclass
class Node:
    """A layer, its name inside the one around it, and those inside of it."""

    layer: ModelLayer
    name: str
    inner: list[Node] = field(default_factory=list)

    def like(self, other: Node) -> bool:
        """Whether both are built alike, whatever they are called."""
        return (
            _built(self.layer) == _built(other.layer)
            and len(self.inner) == len(other.inner)
            and all(own.like(another) for own, another in zip(self.inner, other.inner, strict=True))
        )


def tree(layers: Sequence[ModelLayer]) -> list[Node]:
    """The outermost layers; each stands in front of those inside of it."""
    outer: list[Node] = []
    known: dict[str, Node] = {}
    for layer in layers:
        around = _around(layer.path, known)
        node = Node(layer, layer.path[len(around) + 1 :] if around else layer.path)
        (known[around].inner if around else outer).append(node)
        known[layer.path] = node
    return outer


def lines(nodes: Sequence[Node], depth: int = 0) -> list[tuple[str, ModelLayer | None]]:
    """A line a layer: its name, indented; without a layer: what is left out."""
    found: list[tuple[str, ModelLayer | None]] = []
    place = 0
    while place < len(nodes):
        first = nodes[place]
        found += [(_INDENT * depth + first.name, first.layer), *lines(first.inner, depth + 1)]
        same = place + 1
        while same < len(nodes) and _numbered(first, nodes[same]) and first.like(nodes[same]):
            same += 1
        more = same - place - 1
        if more:
            names = [node.name for node in (nodes[place + 1], nodes[same - 1])]
            which = names[0] if more == 1 else f"{names[0]} to {names[1]}"
            found.append((f"{_INDENT * depth}... {more} more like it: {which}", None))
        place = same
    return found


def _around(path: str, known: dict[str, Node]) -> str:
    """The longest path in front of this one that is a layer; empty: none."""
    ends = [place for place, sign in enumerate(path) if sign in _SEPARATORS]
    return next((path[:end] for end in reversed(ends) if path[:end] in known), "")


def _numbered(one: Node, other: Node) -> bool:
    return _NUMBER.sub("#", one.name) == _NUMBER.sub("#", other.name)


def _built(layer: ModelLayer) -> tuple[object, ...]:
    sizes = (layer.layer_class, layer.output_shape, layer.parameters, layer.units)
    return (*sizes, layer.dropout, layer.recurrent_dropout)
