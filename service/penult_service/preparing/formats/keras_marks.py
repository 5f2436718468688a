"""The layers of a Keras model, and marks that its noise layers leave in a graph while it is traced.

While the marks are on, `call` of each layer works in a scope that is named after its path, whatever Keras calls it, and
`call` of a noise layer puts a named `tf.identity` on what comes in and on what goes out. Ragged rows of ids, made of
texts, become a matrix and ragged again, so that there is a place to cut at. Both Keras versions; undone afterwards. No
layer computes anything else than before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from penult_service.preparing.graph import FlatGraph
from penult_service.preparing.opened import NOISE_CLASSES, Layer, Mark

_MARK = re.compile(r"penult_mark_(\d+)_(before|after)")
_NO_SCOPE = re.compile(r"[^A-Za-z0-9_.\\/>-]")
_CONFIG = ("rate", "stddev", "noise_shape", "seed", "data_format")


@dataclass(frozen=True)
class Placed:
    """A layer, and where it stands: the names of the models and layers around it, and its own."""

    path: tuple[str, ...]
    layer: Any

    @property
    def record(self) -> Layer:
        """As the survey knows layers."""
        kind = type(self.layer).__name__
        config = {key: getattr(self.layer, key) for key in _CONFIG if hasattr(self.layer, key)}
        return Layer(
            ".".join(("root", *self.path)), self.path[-1], kind, config if is_noise(self.layer) else {}
        )


def layers_of(model: Any) -> list[Placed]:
    """Every layer inside a model, each once, outer ones first."""
    found: list[Placed] = []
    seen = {id(model)}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), model)]
    while waiting:
        path, outer = waiting.pop(0)
        for layer in outer._flatten_layers(include_self=False, recursive=False):
            if id(layer) not in seen:
                seen.add(id(layer))
                found.append(Placed((*path, layer.name), layer))
                waiting.append((found[-1].path, layer))
    return found


def records(model: Any, placed: Iterable[Placed]) -> tuple[Layer, ...]:
    """The model and the layers inside it as the survey knows them."""
    return (Layer("root", model.name, type(model).__name__, {}), *(one.record for one in placed))


def is_noise(layer: Any) -> bool:
    """Whether it is a dropout or noise layer of Keras, or of a class made from one."""
    return any(cls.__name__ in NOISE_CLASSES and _is_keras(cls) for cls in type(layer).__mro__)


class Marker:
    """Notes the calls of noise layers while it is on. `marks` finds them in the graph that was traced."""

    def __init__(self, placed: list[Placed]) -> None:
        self._placed = placed
        self._calls: list[tuple[Placed, int]] = []
        self._reading = 0  # layers that read texts, one within the other

    @contextmanager
    def on(self) -> Iterator[None]:
        """Puts the marks on, and takes them off."""
        try:
            for one in self._placed:
                one.layer.__dict__["call"] = self._marked(one)
            yield
        finally:
            for one in self._placed:
                one.layer.__dict__.pop("call", None)

    def _marked(self, one: Placed) -> Callable[..., Any]:
        call, scope = one.layer.call, _NO_SCOPE.sub("_", "/".join(one.path)) + "/"
        counts = [0]

        @tf.autograph.experimental.do_not_convert
        def marked(*args: Any, **kwargs: Any) -> Any:
            with tf.name_scope(scope):
                if args and _is_text(args[0]) and not hasattr(one.layer, "layers"):
                    return self._reads(call, *args, **kwargs)
                if not is_noise(one.layer) or not args:
                    return call(*args, **kwargs)
                counts[0] += 1
                number = len(self._calls)
                self._calls.append((one, counts[0]))
                before = _identity(args[0], f"penult_mark_{number}_before")
                return _identity(call(before, *args[1:], **kwargs), f"penult_mark_{number}_after")

        return marked

    def _reads(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a layer makes of texts, by way of a matrix when it is ragged; the outermost of such layers alone."""
        self._reading += 1
        try:
            found = call(*args, **kwargs)
        finally:
            self._reading -= 1
        return found if self._reading else _by_way_of_a_matrix(found)

    def marks(self, flat: FlatGraph) -> tuple[Mark, ...]:
        """The marks that stand in the graph, in its order; what is inside of its loops and branches leaves none."""
        found: dict[tuple[str, int], dict[str, str]] = {}
        for name in flat.nodes:
            scope, _, last = name.rpartition("/")
            match = _MARK.fullmatch(last)
            if match:
                found.setdefault((scope, int(match[1])), {})[match[2]] = f"{name}:0"
        marks = []
        for (_, number), sides in found.items():
            if len(sides) == 2:
                one, call = self._calls[number]
                marks.append(Mark(sides["before"], sides["after"], one.record, call))
        return tuple(marks)


@contextmanager
def noted(placed: Placed, note: Callable[[Any, Any], None]) -> Iterator[None]:
    """While it lasts, each call of the layer is told to `note`: what comes in, and what goes out."""
    call = placed.layer.call

    @tf.autograph.experimental.do_not_convert
    def watched(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = call(inputs, *args, **kwargs)
        note(inputs, outputs)
        return outputs

    placed.layer.__dict__["call"] = watched
    try:
        yield
    finally:
        placed.layer.__dict__.pop("call", None)


def _identity(value: Any, name: str) -> Any:
    if isinstance(value, tf.RaggedTensor):
        return value.with_flat_values(tf.identity(value.flat_values, name=name))
    return tf.identity(value, name=name) if tf.is_tensor(value) else value


def _is_text(value: Any) -> bool:
    return bool(getattr(value, "dtype", None) == tf.string)


def _by_way_of_a_matrix(value: Any) -> Any:
    """Ragged rows of ids: the same of a matrix, padded with 0, and its mask; anything else as it is."""
    if not isinstance(value, tf.RaggedTensor) or value.shape.rank != 2 or not value.dtype.is_integer:
        return value
    ids = tf.identity(value.to_tensor(0))
    mask = value.with_flat_values(tf.ones_like(value.flat_values)).to_tensor(0)
    lengths = tf.cast(tf.reduce_sum(mask, axis=1), value.row_splits.dtype)
    return tf.RaggedTensor.from_tensor(ids, lengths)


def _is_keras(cls: type) -> bool:
    return cls.__module__.split(".")[0] in ("keras", "tf_keras")
