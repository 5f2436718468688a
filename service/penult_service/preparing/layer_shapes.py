"""What the layers of a graph give, by the scopes in which its operations stand: the shapes that TensorFlow infers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import tensorflow as tf

from penult_service.preparing.cut import cut
from penult_service.preparing.examples import feeds
from penult_service.preparing.graph import Ref, node_of
from penult_service.preparing.naming import layer_at
from penult_service.preparing.opened import Layer, Opened

Shape = tuple[int, ...]


def as_shape(shape: Any) -> Shape:
    """A shape of Keras or TensorFlow with -1 where it is not known; empty when nothing is."""
    if shape is None or getattr(shape, "rank", 0) is None:
        return ()
    return tuple(-1 if length is None else int(length) for length in shape)


def shapes_of(opened: Opened, layers: Sequence[Layer]) -> dict[str, Shape]:
    """Path among the objects -> shape of what the layer gives, where it gives one thing.

    What a layer gives is what operations in its scope make and others use. Masks beside floats are no output. Of the
    model itself it is its output, when that is one.
    """
    given = _given(opened, layers) | {"root": dict.fromkeys(opened.flat.outputs.values())}
    known = _inferred(opened, list(dict.fromkeys(ref for refs in given.values() for ref in refs)))
    found = {}
    for path, refs in given.items():
        tensors = [known[ref] for ref in refs if ref in known]
        floats = [shape for shape, dtype in tensors if dtype.is_floating]
        shapes = set(floats or [shape for shape, _ in tensors])
        if len(shapes) == 1:
            found[path] = shapes.pop()
    return found


def _inferred(opened: Opened, refs: Sequence[Ref]) -> dict[Ref, tuple[Shape, tf.DType]]:
    """Shapes and types of these tensors but for handles, as TensorFlow infers them when it traces the graph."""
    found = {}

    def note(ref: Ref, tensor: tf.Tensor) -> tf.Tensor:
        if tensor.dtype not in (tf.resource, tf.variant):
            found[ref] = as_shape(tensor.shape), tensor.dtype
        return tf.constant(0)

    part = cut(opened.flat, feeds(opened), {ref: ref for ref in refs}, note)
    with suppress(ValueError, tf.errors.OpError):  # what cannot be inferred is not known
        part.get_concrete_function()  # type: ignore[attr-defined]
    return found


def _given(opened: Opened, layers: Sequence[Layer]) -> dict[str, dict[Ref, None]]:
    """Path of a layer -> the tensors that are made inside of it and used outside."""
    flat = opened.flat
    needed = flat.upstream(flat.outputs.values())
    around = _Around(layers)
    found: dict[str, dict[Ref, None]] = {}
    for name in needed:
        inside = set(around.of(name))
        for ref in flat.nodes[name].input:
            for path in around.of(node_of(ref)):
                if path not in inside:
                    found.setdefault(path, {})[ref] = None
    for ref in flat.outputs.values():
        for path in around.of(node_of(ref)):
            found.setdefault(path, {})[ref] = None
    return found


class _Around:
    """The layers in whose scopes an operation stands. Those of one scope are looked up once."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = [layer for layer in layers if layer.path != "root"]
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, node: str) -> tuple[str, ...]:
        scope = node.rpartition("/")[0]
        if scope not in self._known:
            layer = layer_at(node, self._layers)
            self._known[scope] = tuple(self._ways(layer)) if layer else ()
        return self._known[scope]

    def _ways(self, inner: Layer) -> Iterator[str]:
        for layer in self._layers:
            if layer.path == inner.path or inner.path.startswith(f"{layer.path}."):
                yield layer.path
