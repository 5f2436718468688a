"""Another function of the same file, for a model whose `serving_default` is random or changes itself.

`model.save(path, signatures=...)` takes any function for `serving_default`, also one traced with `training=True`,
and keeps the model's own inference function beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.preparing.audit import audit
from penult_service.preparing.formats.tf_keras_saved_model import SIGNATURE
from penult_service.preparing.graph import FlatGraph, flatten, node_of
from penult_service.preparing.opened import Input, Opened

# What tf_keras traces when it saves a model: its call with training=False.
OWN_INFERENCE = "_default_save_signature"


def clean_function(opened: Opened) -> tuple[str, Opened] | None:
    """The model's own inference function, or a signature like the refused one, that the audit finds clean.

    Returns:
        Its name in the file, and the model read with it in the place of `serving_default`; None without such one.
    """
    for name, function in _candidates(opened):
        try:
            flat = flatten(function)
        except (ModelRefused, AttributeError, KeyError, TypeError, ValueError):
            continue  # not a function with named outputs
        inputs = _same_inputs(opened, flat)
        if inputs and not audit(flat, opened.layers).refused:
            return name, replace(opened, function=function, flat=flat, inputs=inputs)
    return None


def _candidates(opened: Opened) -> Iterator[tuple[str, Any]]:
    own = getattr(opened.root, OWN_INFERENCE, None)
    if own is not None:
        yield OWN_INFERENCE, own
    for name, function in sorted(getattr(opened.root, "signatures", {}).items()):
        if name != SIGNATURE and _outputs(function) == _outputs(opened.function):
            yield name, function


def _outputs(function: Any) -> dict[str, tuple[tf.DType, int | None]]:
    """What a caller gets: name -> type and rank."""
    return {name: (spec.dtype, spec.shape.rank) for name, spec in function.structured_outputs.items()}


def _same_inputs(opened: Opened, flat: FlatGraph) -> tuple[Input, ...]:
    """The inputs of another function, where it takes what the model's takes: the same names, or one of the type."""
    if len(flat.inputs) != len(opened.inputs):
        return ()
    found = []
    for one in opened.inputs:
        ref = flat.inputs.get(one.name) or next(iter(flat.inputs.values()))
        if flat.nodes[node_of(ref)].attr["dtype"].type != one.dtype.as_datatype_enum:
            return ()
        found.append(replace(one, ref=ref))
    return tuple(found) if len({one.ref for one in found}) == len(found) else ()
