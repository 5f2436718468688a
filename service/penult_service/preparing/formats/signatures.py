"""Which function of a SavedModel is the model: its signatures, its `__call__`, and what else it can be asked.

Nothing is guessed: between two that fit, a person says which one (`signature` in `penult.toml`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from penult_service.errors import ModelRefused

DEFAULT = "serving_default"
HUB_DEFAULT = "default"  # of TensorFlow 1's hub modules
CALL = "__call__"
# What the loader adds for a model of TensorFlow 1; it fills tables.
_NOT_ASKED = frozenset({"__saved_model_init_op"})
# What tf_keras saves of each model for itself.
_OF_KERAS = frozenset({"call_and_return_all_conditional_losses", "call_and_return_conditional_losses"})

Structure = Any
"""Tensors, or their types, in dicts, lists and tuples, beside plain values."""


@dataclass(frozen=True)
class Function:
    """A function that the model could be.

    Attributes:
        name: In the file.
        inputs: Its arguments in order: name -> type and shape.
        outputs: Name -> type and shape.
        call: Its outputs by name, of the arguments in order.
        trains: Whether it was traced for training.
        settings: The plain values that it was traced with.
    """

    name: str
    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, tf.TensorSpec]
    call: Callable[[Sequence[tf.Tensor]], dict[str, tf.Tensor]] = field(repr=False, compare=False)
    trains: bool = False
    settings: tuple[str, ...] = ()

    def __str__(self) -> str:
        inputs, outputs = (
            [f"{name}: {spec.dtype.name} {_shape(spec.shape)}" for name, spec in specs.items()]
            for specs in (self.inputs, self.outputs)
        )
        return f"{self.name}({', '.join([*inputs, *self.settings])}) -> {', '.join(outputs)}"

    def traced(self) -> Any:
        """A concrete function that takes its inputs in order and gives its outputs by name."""
        specs = [
            tf.TensorSpec(full_shape(spec), spec.dtype, re.sub(r"\W", "_", name).lstrip("_") or None)
            for name, spec in self.inputs.items()
        ]

        @tf.function(input_signature=specs, autograph=False)
        def inference(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            return self.call(tensors)

        return inference.get_concrete_function()


def choose(what: str, root: Any, declared: str = "") -> Function:
    """The function of a loaded SavedModel that is the model.

    That is what is declared; else `serving_default`, or `default`; else the only signature; without any, `__call__`, in
    inference; else the only function there is.

    Args:
        what: The model, for the messages.
        root: As `tf.saved_model.load` gives it.
        declared: The name of one.

    Raises:
        ModelRefused: NO_SIGNATURE, AMBIGUOUS_SIGNATURE; the message lists what there is, and how to choose.
    """
    signatures, functions = signatures_of(root), _functions(root)
    if declared:
        named = _in(signatures, declared) or _in(functions, declared)
        if not named:
            why = f"no function {declared!r}, which is declared"
            raise _refusal(what, "NO_SIGNATURE", why, (*signatures, *functions))
        return _only(what, named)
    usual = _in(signatures, DEFAULT) or _in(signatures, HUB_DEFAULT)
    return _only(what, usual or signatures or _in(functions, CALL) or functions)


def full_shape(spec: tf.TensorSpec) -> tuple[int | None, ...] | None:
    """Its shape; of text and whole numbers whose rank is not said, the usual one. None: not known."""
    if spec.shape.rank is not None:
        return tuple(spec.shape.as_list())
    if spec.dtype == tf.string:
        return (None,)
    return (None, None) if spec.dtype.is_integer else None


def _only(what: str, found: Sequence[Function]) -> Function:
    """The one of them that can be meant: not traced for training, of any number of rows."""
    if not found:
        raise ModelRefused(
            f"{what} has no function that can be called: no signature, and no __call__; save it with "
            "tf.saved_model.save(model, path, signatures=...) after it has been called once",
            reason="NO_SIGNATURE",
        )
    left = _kept(found, lambda one: not one.trains)
    left = _kept(
        left, lambda one: all((full_shape(s) or [None])[:1] in ((), (None,)) for s in one.inputs.values())
    )
    if len({one.name for one in left}) == 1:  # the calls of one function: the one of plain text
        left = _kept(left, lambda one: [s.dtype for s in one.inputs.values()] == [tf.string])
    if any(str(one) != str(left[0]) for one in left):
        why = f"no signature {DEFAULT}, and several functions that could be the model"
        raise _refusal(what, "AMBIGUOUS_SIGNATURE", why, left)
    return left[0]


def _kept(found: Sequence[Function], wanted: Callable[[Function], bool]) -> list[Function]:
    """Those that are wanted; all, when none is."""
    return [one for one in found if wanted(one)] or list(found)


def _in(functions: Sequence[Function], name: str) -> list[Function]:
    return [one for one in functions if one.name == name]


def _refusal(what: str, reason: str, why: str, found: Sequence[Function]) -> ModelRefused:
    there = "; ".join(str(one) for one in found[:12]) or "none"
    names = {one.name for one in found}
    how = (
        f'signature = "{found[0].name}" in penult.toml'
        if len(names) > 1
        else "save it with the one that is meant"
    )
    return ModelRefused(f"{what} has {why}; say which one, such as {how}. It has: {there}", reason=reason)


def signatures_of(root: Any) -> list[Function]:
    """The signatures, in the order of their names."""
    found, functions = [], _functions(root)
    for name, function in sorted(getattr(root, "signatures", {}).items()):
        if name in _NOT_ASKED:
            continue
        specs = function.structured_input_signature[1]
        inputs = {key: specs[key] for key in _in_order(functions, list(specs))}
        outputs = {
            key: tf.TensorSpec(one.shape, one.dtype)
            for key, one in sorted(function.structured_outputs.items())
        }
        found.append(Function(name, inputs, outputs, _named_call(function, list(inputs))))
    return found


def _named_call(function: Any, names: Sequence[str]) -> Callable[[Sequence[tf.Tensor]], dict[str, tf.Tensor]]:
    return lambda tensors: dict(function(**dict(zip(names, tensors, strict=True))))


def _in_order(functions: Sequence[Function], names: list[str]) -> list[str]:
    """A signature's arguments in the order of the function that it was made of, where that is there."""
    for function in functions:
        if sorted(function.inputs) == sorted(names):
            return list(function.inputs)
    return names


def _functions(root: Any) -> list[Function]:
    """The functions of the object itself, each as often as it was traced."""
    names = [name for name in dir(root) if not name.startswith("_") and name not in _OF_KERAS]
    return [one for name in (CALL, *names) for one in traces(root, name)]


def traces(root: Any, name: str) -> list[Function]:
    """A function of the object itself, as often as it was traced over plain tensors; none without it."""
    found = []
    function = getattr(root, name, None)
    alone = [function] if isinstance(function, tf.types.experimental.ConcreteFunction) else []
    for concrete in getattr(function, "concrete_functions", alone):
        inputs = _arguments(concrete.structured_input_signature)
        outputs = _results(concrete.structured_outputs)
        if outputs and all(isinstance(spec, tf.TensorSpec) for spec in (*inputs.values(), *outputs.values())):
            call = _structured_call(concrete)
            found.append(Function(name, inputs, outputs, call, _trains(concrete), _settings(concrete)))
    return found


def _structured_call(concrete: Any) -> Callable[[Sequence[tf.Tensor]], dict[str, tf.Tensor]]:
    def call(tensors: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        arguments, keywords = _filled(concrete.structured_input_signature, iter(tensors))
        return _results(concrete(*arguments, **keywords))

    return call


def _settings(concrete: Any) -> tuple[str, ...]:
    """The plain values among its arguments that say something."""
    values = [
        leaf for _, leaf in _walked(concrete.structured_input_signature) if not isinstance(leaf, tf.TypeSpec)
    ]
    return tuple(repr(value) for value in values if value is not None and value is not False)


def _trains(concrete: Any) -> bool:
    """Whether an argument called `training`, or the only one of truth values, is set."""
    arguments, keywords = concrete.structured_input_signature
    if "training" in keywords:
        return keywords["training"] is True
    return [one for one in arguments if isinstance(one, bool)] == [True]


def _arguments(structure: Structure) -> dict[str, Any]:
    """The types of what a function takes, by name: the key in a dict, else what the tensor is called."""
    found: dict[str, Any] = {}
    for path, leaf in _walked(structure):
        if isinstance(leaf, tf.TypeSpec):
            keys = [step for step in path if isinstance(step, str)]
            name = keys[-1] if keys else getattr(leaf, "name", None) or f"input_{len(found)}"
            found[name if name not in found else f"{name}_{len(found)}"] = leaf
    return found


def _results(structure: Structure) -> dict[str, Any]:
    """What a function gives (or its types), by name: the keys that lead to it, else its place, as signatures do."""
    found: dict[str, Any] = {}
    for path, leaf in _walked(structure):
        if isinstance(leaf, tf.Tensor | tf.TypeSpec | tf.RaggedTensor | tf.SparseTensor):
            name = "_".join(map(str, path))
            found[name if isinstance((*path, 0)[0], str) else f"output_{name or 0}"] = leaf
    return found


def _walked(structure: Structure, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value with the keys and places that lead to it."""
    if isinstance(structure, Mapping):
        for key, value in structure.items():
            yield from _walked(value, (*path, key))
    elif isinstance(structure, list | tuple):
        for place, value in enumerate(structure):
            yield from _walked(value, (*path, place))
    else:
        yield path, structure


def _filled(structure: Structure, tensors: Iterator[tf.Tensor]) -> Structure:
    """The same, with the next tensor in the place of each type."""
    if isinstance(structure, Mapping):
        return {key: _filled(value, tensors) for key, value in structure.items()}
    if isinstance(structure, list | tuple):
        return type(structure)([_filled(value, tensors) for value in structure])
    return next(tensors) if isinstance(structure, tf.TypeSpec) else structure


def _shape(shape: tf.TensorShape) -> str:
    """Such as ``[n, 128]``; n: any number of rows."""
    if shape.rank is None:
        return "[any shape]"
    lengths = ["any" if length is None else str(length) for length in shape.as_list()]
    rows = ["n" if length == "any" else length for length in lengths[:1]]
    return f"[{', '.join([*rows, *lengths[1:]])}]"
