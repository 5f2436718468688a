"""Dense layers: a product with a matrix, its bias beside it, whatever is done to the axes afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.engines.rewriting.graph import (
    by_type,
    constant,
    kind,
    only_user,
    operations,
    with_constant,
)


def products_of_einsums(model: Any) -> int:
    """`Einsum` with constant weights, which the plugin takes apart badly, becomes `MatMul` with a matrix.

    Of the form ``abc,cde->abde``: the last axes of the input meet the first of the weights. How many were found.
    """
    return sum(_product(node) for node in by_type(model, "Einsum"))


def lower_transposes(model: Any) -> int:
    """A constant added to (or multiplied with) turned or split axes goes in front of that, where the bias is.

    How many were found; their own `Transpose` may stand behind another, so ask again.
    """
    return sum(_lowered(node) for node in by_type(model, "Add", "Multiply"))


def _product(node: Any) -> bool:
    weights = constant(node.input_value(1)) if node.get_input_size() == 2 else None
    if weights is None:
        return False
    inputs, output = node.get_attributes()["equation"].replace(" ", "").split("->")
    given, taken = inputs.split(",")
    shared = sum(axis in taken for axis in given)
    kept, made = given[: len(given) - shared], taken[shared:]
    if not shared or given[len(kept) :] != taken[:shared] or output != kept + made:
        return False
    ops, sizes = operations(), weights.shape[shared:]
    matrix = np.ascontiguousarray(weights.reshape(-1, int(np.prod(sizes, dtype=np.int64))))
    value = node.input_value(0)
    if shared > 1:
        value = ops.reshape(value, _sizes(kept, [matrix.shape[0]]), True).output(0)
    product = ops.matmul(value, matrix, False, False)
    if len(made) != 1:
        product = ops.reshape(product, _sizes(kept, sizes), True)
    node.output(0).replace(product.output(0))
    return True


def _sizes(kept: str, sizes: Any) -> NDArray[np.int64]:
    """For `Reshape`: 0 leaves an axis as it is."""
    return np.array([0] * len(kept) + list(sizes), np.int64)


def _lowered(node: Any) -> bool:
    found = with_constant(node)
    if found is None:
        return False
    mover = found[0].get_node()
    if only_user(found[0], kind(node)) is None:
        return False
    moved = {"Transpose": _through_transpose, "Reshape": _through_reshape}.get(kind(mover))
    before = moved(mover, found[1]) if moved else None
    if before is None:
        return False
    ops, value = operations(), mover.input_value(0)
    make = ops.add if kind(node) == "Add" else ops.multiply
    inner = make(value, np.ascontiguousarray(before))
    if kind(mover) == "Transpose":
        outer = ops.transpose(inner, mover.input_value(1))
    else:
        outer = ops.reshape(inner, mover.input_value(1), mover.get_attributes()["special_zero"])
    node.output(0).replace(outer.output(0))
    return True


def _through_transpose(mover: Any, array: NDArray[Any]) -> NDArray[Any] | None:
    """The constant as it is in front of the `Transpose`."""
    order = constant(mover.input_value(1))
    if array.size == 1:
        return array.reshape(())
    if order is None or array.ndim != len(order):
        return None
    return np.asarray(np.transpose(array, np.argsort(order)))


def _through_reshape(mover: Any, array: NDArray[Any]) -> NDArray[Any] | None:
    """The constant in front of a `Reshape` that splits the last axis alone."""
    sizes, shape = constant(mover.input_value(1)), mover.get_input_partial_shape(0)
    if array.size == 1:
        return array.reshape(())
    if sizes is None or shape.rank.is_dynamic or array.ndim != len(sizes):
        return None
    kept = shape.rank.get_length() - 1
    split = [int(size) for size in sizes[kept:]]
    same = mover.get_attributes()["special_zero"] and not sizes[:kept].any()
    if not same or any(size <= 0 for size in split) or any(size != 1 for size in array.shape[:kept]):
        return None
    if shape[kept].is_dynamic or shape[kept].get_length() != int(np.prod(split)):
        return None
    return np.broadcast_to(array, [1] * kept + split).reshape([1] * kept + [-1])
