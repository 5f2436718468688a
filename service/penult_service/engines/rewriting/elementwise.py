"""Layer normalisation and GELU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from penult_service.engines.rewriting.graph import (
    at,
    beside,
    by_type,
    constant,
    kind,
    number,
    only_user,
    operations,
    rank,
    users,
    with_number,
)

_CLOSE = 1e-6  # of constants that TensorFlow wrote down in float32


def fuse_norms(model: Any) -> int:
    """Layer normalisation as `tf.nn.batch_normalization` computes it becomes one operation; how many were found.

    With r = gamma * (variance + epsilon) ** -0.5 that is x * r + (beta - mean * r), over the last axis.
    """
    return sum(_norm(node) for node in by_type(model, "Power"))


def fuse_gelus(model: Any) -> int:
    """GELU by the error function, 0.5 x (1 + erf(x / sqrt 2)) or with 1 - erf(-x / sqrt 2); how many were found."""
    return sum(_gelu(node) for node in by_type(model, "Erf"))


def _norm(power: Any) -> bool:
    moments = _moments(power)
    scaled = only_user(power.output(0), "Multiply")
    if moments is None or scaled is None:
        return False
    value, mean, epsilon = moments
    factor = scaled.output(0)  # r above
    gamma = constant(beside(scaled, power.output(0)))
    products = users(factor)
    if gamma is None or len(products) != 2 or any(kind(node) != "Multiply" for node in products):
        return False
    by_value = [node for node in products if beside(node, factor) == value]
    shifts = [node for node in products if _is_minus(beside(node, factor), mean)]
    if len(by_value) != 1 or len(shifts) != 1:
        return False
    shift = only_user(shifts[0].output(0), "Add")
    beta = None if shift is None else constant(beside(shift, shifts[0].output(0)))
    whole = None if shift is None else only_user(shift.output(0), "Add")
    if beta is None or whole is None or beside(whole, shift.output(0)) != by_value[0].output(0):
        return False
    ops = operations()
    norm = ops.mvn(value, np.array([-1], np.int64), True, epsilon, "inside_sqrt")
    whole.output(0).replace(ops.add(ops.multiply(norm, gamma), beta).output(0))
    return True


def _moments(power: Any) -> tuple[Any, Any, float] | None:
    """Of (variance + epsilon) ** -0.5: what is normalised, its mean, epsilon."""
    total = at(power, 0)
    found = with_number(total) if number(power.input_value(1)) == -0.5 and kind(total) == "Add" else None
    if found is None or not _is_mean(found[0]):
        return None
    squares = at(found[0].get_node(), 0)
    if kind(squares) != "SquaredDifference":
        return None
    for place in (0, 1):
        value, mean = squares.input_value(place), squares.input_value(1 - place)
        if _is_mean(mean) and mean.get_node().input_value(0) == value:
            return value, mean, found[1]
    return None


def _is_mean(value: Any) -> bool:
    """Whether it is a mean over the last axis, which it keeps."""
    node = value.get_node()
    if kind(node) != "ReduceMean" or not node.get_attributes()["keep_dims"]:
        return False
    axes = constant(node.input_value(1))
    return axes is not None and axes.reshape(-1).tolist() in ([-1], [rank(node.input_value(0)) - 1])


def _is_minus(value: Any, other: Any) -> bool:
    """Whether it is the other one with its sign turned."""
    node = value.get_node()
    if kind(node) == "Negative":
        return bool(node.input_value(0) == other)
    found = with_number(node) if kind(node) == "Multiply" else None
    return found is not None and found[1] == -1.0 and bool(found[0] == other)


def _gelu(erf: Any) -> bool:
    inner = with_number(at(erf, 0)) if kind(at(erf, 0)) == "Multiply" else None
    if inner is None or abs(abs(inner[1]) - math.sqrt(0.5)) > _CLOSE:
        return False
    value, slope = inner
    turned = only_user(erf.output(0), "Add" if slope > 0 else "Subtract")
    if turned is None or number(turned.input_value(0) if slope < 0 else beside(turned, erf.output(0))) != 1.0:
        return False
    whole = only_user(turned.output(0), "Multiply")
    half = None if whole is None else beside(whole, turned.output(0)).get_node()
    if half is None or kind(half) != "Multiply":
        return False
    if with_number(half) != (value, 0.5):
        return False
    whole.output(0).replace(operations().gelu(value, "erf").output(0))
    return True
