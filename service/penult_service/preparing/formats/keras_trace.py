"""The inference function of a Keras model: over the model's own inputs, to its outputs by name, its dropouts marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.preparing.formats.keras_marks import Marker, Placed, layers_of, records
from penult_service.preparing.graph import FlatGraph, flatten
from penult_service.preparing.opened import Input, Layer, Mark

_RAGGED_PADDING = (
    "an input of ragged rows: they are given padded, and the 0 at the end of a row are its padding"
)


@dataclass(frozen=True)
class Traced:
    """A model's inference function, whole and flat, and what is known of it.

    `trained` traces its function for training; there where that shows more: with a hub layer, or one that is off
    in training too.
    """

    function: Any
    flat: FlatGraph
    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    marks: tuple[Mark, ...]
    notes: tuple[str, ...]
    trained: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Argument:
    """An input of a Keras model: its name for `predict`, its type, its shape (batch axis first), if it is ragged."""

    name: str
    dtype: tf.DType
    shape: tuple[int | None, ...]
    ragged: bool = False

    def given(self, value: tf.Tensor) -> Any:
        """What the model takes, of what a caller gives: rows [n, ...], ragged ones padded with 0."""
        return tf.RaggedTensor.from_tensor(value, padding=0) if self.ragged else value


def trace(what: str, model: Any) -> Traced:
    """Traces the model in inference mode.

    Args:
        what: The file, for messages.
        model: A model of tf_keras or Keras 3.

    Raises:
        ModelRefused: NO_INPUTS, UNSUPPORTED_INPUT, UNSUPPORTED_OUTPUT.
    """
    arguments = arguments_of(what, model)
    placed = layers_of(model)
    specs = [
        tf.TensorSpec(one.shape, one.dtype, name=f"input_{number}") for number, one in enumerate(arguments)
    ]

    def traced(marker: Marker, training: bool) -> Any:
        def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            given = given_to(model, arguments, tensors)
            return _outputs(what, model, model(given, training=training))

        with marker.on():
            return tf.function(call, input_signature=specs, autograph=False).get_concrete_function()

    marker = Marker(placed)
    function = traced(marker, False)
    flat = flatten(function)
    inputs = tuple(
        Input(one.name, flat.inputs[tensor.op.name], one.dtype, one.shape)
        for one, tensor in zip(arguments, function.inputs, strict=False)  # captures come behind
    )
    notes = (_RAGGED_PADDING,) if any(one.ragged for one in arguments) else ()
    opaque = any(type(one.layer).__name__ == "KerasLayer" for one in placed)
    trained = (lambda: traced(Marker(placed), True)) if opaque or _some_frozen(placed) else None
    return Traced(function, flat, inputs, records(model, placed), marker.marks(flat), notes, trained)


def _some_frozen(placed: Iterable[Placed]) -> bool:
    """Whether a layer was called with `training=False` in the model; in tf_keras that holds in training too."""
    nodes = (node for one in placed for node in getattr(one.layer, "_inbound_nodes", ()))
    return any(getattr(node, "call_kwargs", {}).get("training") is False for node in nodes)


def arguments_of(what: str, model: Any) -> tuple[Argument, ...]:
    """The inputs of a model: by the keys of its dict, or by the names of its input layers."""
    try:
        tensors = list(_leaves(_structure(model)))
    except (AttributeError, RuntimeError, TypeError, ValueError):
        tensors = []
    if not tensors:
        raise ModelRefused(
            f"{what} has no inputs of known types: it was saved before it was called or built; call it once with data "
            "and save it again",
            reason="NO_INPUTS",
        )
    return tuple(_argument(what, name, tensor) for name, tensor in tensors)


def given_to(model: Any, arguments: Sequence[Argument], tensors: Sequence[tf.Tensor]) -> Any:
    """Rows of each input, in order, in the structure that the model takes."""
    values = iter([one.given(tensor) for one, tensor in zip(arguments, tensors, strict=True)])
    return _packed(_structure(model), lambda: next(values))


def named_outputs(model: Any, results: Any) -> dict[str, Any]:
    """What a model gave, by name: the keys of its dict, or the names of its output layers."""
    if isinstance(results, dict):
        return dict(results)
    listed = list(results) if isinstance(results, (list, tuple)) else [results]
    return dict(zip(_output_names(model, len(listed)), listed, strict=True))


def _outputs(what: str, model: Any, results: Any) -> dict[str, tf.Tensor]:
    """The same of tensors, each of one row for each row given."""
    found = named_outputs(model, results)
    for name, value in found.items():
        if isinstance(value, (dict, list, tuple)) or not tf.is_tensor(value) or not hasattr(value, "shape"):
            raise _unsupported_output(what, name, "several tensors in one")
        if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
            raise _unsupported_output(what, name, "rows of different lengths")
    return found


def _output_names(model: Any, count: int) -> list[str]:
    """Each once: a layer that gives two outputs is numbered."""
    names = list(getattr(model, "output_names", None) or [])
    if len(names) != count:
        names = [model.layers[-1].name] if count == 1 else [f"output_{number}" for number in range(count)]
    found: list[str] = []
    for name in names:
        number, unique = 0, name
        while unique in found:
            number += 1
            unique = f"{name}_{number}"
        found.append(unique)
    return found


def _structure(model: Any) -> Any:
    """The model's inputs as `predict` takes them: a tensor, or a list or dict of them."""
    if type(model).__name__ == "Sequential":
        return model.inputs[0]
    return model.input


def _leaves(structure: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(structure, dict):
        for key, value in structure.items():
            yield from _leaves(value, str(key))
    elif isinstance(structure, (list, tuple)):
        for value in structure:
            yield from _leaves(value)
    else:
        yield name or str(structure.name), structure


def _packed(structure: Any, take: Callable[[], Any]) -> Any:
    if isinstance(structure, dict):
        return {key: _packed(value, take) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_packed(value, take) for value in structure]
    return take()


def _argument(what: str, name: str, tensor: Any) -> Argument:
    dtype = tf.as_dtype(tensor.dtype)
    shape = tuple(None if length is None else int(length) for length in tensor.shape)
    spec = getattr(tensor, "type_spec", None)  # of tf_keras
    ragged = bool(getattr(tensor, "ragged", False)) or isinstance(spec, tf.RaggedTensorSpec)
    sparse = bool(getattr(tensor, "sparse", False)) or isinstance(spec, tf.SparseTensorSpec)
    if sparse or (ragged and (len(shape) != 2 or not dtype.is_integer)):
        kind = "sparse" if sparse else "ragged, and no matrix of ids"
        raise ModelRefused(
            f"{what}: the input {name!r} ({dtype.name} {shape}) is {kind}; save a model with dense inputs",
            reason="UNSUPPORTED_INPUT",
        )
    return Argument(name, dtype, (None, *shape[1:]), ragged)


def _unsupported_output(what: str, name: str, why: str) -> ModelRefused:
    return ModelRefused(
        f"{what}: the output {name!r} is no tensor of one row for each row given ({why}); save a model whose outputs "
        "are tensors, alone, in a list or in a dict",
        reason="UNSUPPORTED_OUTPUT",
    )
