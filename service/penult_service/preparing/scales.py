"""Numbers as a model expects them: of an input that it standardises first, so that they are near 0 behind that.

Numbers near 0 may be a thousand deviations from what a model that standardises has ever seen: what it makes of them is
rounding, mostly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from penult_service.preparing.cut import cut
from penult_service.preparing.graph import Ref, node_of
from penult_service.preparing.opened import Input, Opened

_AFFINE = frozenset({"Sub", "Add", "AddV2", "Mul", "RealDiv"})
_HANDS_ON = frozenset({"Identity", "Cast"})
_LONGEST = 8  # operations that are followed


def expected(opened: Opened, one: Input, drawn: NDArray[np.float64]) -> NDArray[Any]:
    """The numbers of an input [n, ...] that its own standardising makes those drawn; these, when it has none."""
    dtype = one.dtype.as_numpy_dtype
    end = _standardised(opened, one)
    if end == one.ref:
        return drawn.astype(dtype)
    behind = cut(opened.flat, {one.ref: tf.TensorSpec(one.shape, one.dtype)}, {"end": end})
    shape = (1, *drawn.shape[1:])
    try:
        zero, at_one = (
            np.asarray(behind(tf.constant(value, one.dtype))["end"], np.float64)
            for value in (np.zeros(shape), np.ones(shape))
        )
    except (tf.errors.OpError, ValueError):  # not of that shape: said where the whole model is tried
        return drawn.astype(dtype)
    slope = at_one - zero
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[Any] = ((drawn - zero) / slope).astype(dtype)
    usable = found.shape == drawn.shape and bool(np.isfinite(found).all())
    return found if usable else drawn.astype(dtype)


def _standardised(opened: Opened, one: Input) -> Ref:
    """The last tensor that is made of the input by adding and multiplying what depends on no input, one by one."""
    flat, inputs = opened.flat, {node_of(other.ref) for other in opened.inputs}
    ref = one.ref
    for _ in range(_LONGEST):
        readers = [node for node in flat.nodes.values() if ref in node.input]
        if len(readers) != 1:
            return ref
        (node,) = readers
        others = [other for other in node.input if other != ref]
        fixed = not any(inputs.intersection(flat.upstream([other])) for other in others)
        from_left = node.op != "RealDiv" or node.input[0] == ref
        affine = node.op in _AFFINE and len(others) == 1 and fixed and from_left
        if not affine and node.op not in _HANDS_ON:
            return ref
        ref = f"{node.name}:0"
    return ref
