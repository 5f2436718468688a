"""Another function of the same file, for a model whose `serving_default` is random or changes itself.

`model.save(path, signatures=...)` takes any function for `serving_default`, also one traced with `training=True`,
and keeps the model's own inference function beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.preparing.audit import audit
from penult_service.preparing.formats.saved_model import inputs_of
from penult_service.preparing.formats.signatures import Function, signatures_of, traces
from penult_service.preparing.graph import flatten
from penult_service.preparing.opened import Opened

# What tf_keras traces when it saves a model: its call with training=False.
OWN_INFERENCE = "_default_save_signature"


def clean_function(opened: Opened) -> tuple[str, Opened] | None:
    """The model's own inference function, or a signature like the refused one, that the audit finds clean.

    Returns:
        Its name in the file, and the model read with it in the place of the one that was chosen; None without such one.
    """
    for found in _candidates(opened):
        try:
            function = found.traced()
            flat = flatten(function)
        except (ModelRefused, AttributeError, KeyError, TypeError, ValueError):
            continue  # not a function of named tensors
        if not audit(flat, opened.layers).refused:
            inputs = inputs_of(found, function, flat)
            return found.name, replace(
                opened, function=function, flat=flat, inputs=inputs, signature=found.name
            )
    return None


def _candidates(opened: Opened) -> Iterator[Function]:
    """Those that take what the refused one takes; signatures must give what it gives, too."""
    signatures = signatures_of(opened.root)
    chosen = next((one for one in signatures if one.name == opened.signature), None)
    if chosen is None:
        return
    others = (one for one in signatures if one != chosen and _kinds(one.outputs) == _kinds(chosen.outputs))
    for one in (*traces(opened.root, OWN_INFERENCE), *others):
        if _kinds(one.inputs) == _kinds(chosen.inputs):
            yield one
        elif len(one.inputs) == len(chosen.inputs) == 1:
            renamed = replace(one, inputs=dict(zip(chosen.inputs, one.inputs.values(), strict=True)))
            if _kinds(renamed.inputs) == _kinds(chosen.inputs):
                yield renamed


def _kinds(specs: Mapping[str, tf.TensorSpec]) -> dict[str, tuple[tf.DType, int | None]]:
    """Name -> type and rank."""
    return {name: (spec.dtype, spec.shape.rank) for name, spec in specs.items()}
