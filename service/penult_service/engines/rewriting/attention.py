"""Attention: softmax(scale * Q K^T + mask) V becomes one operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penult_service.engines.rewriting.graph import (
    by_type,
    constant,
    kind,
    number,
    only_user,
    operations,
    rank,
    with_number,
)

_MASKED = -1e9  # exp of a score that is so much lower is 0
_LOW = -1e4  # a constant below this can only be there to mask


@dataclass(frozen=True)
class _Peeled:
    """What lies below `Transpose`s and constant factors: axis i of what was peeled is axis `axes[i]` of it."""

    value: Any
    axes: tuple[int, ...]
    scale: float

    def turned(self, order: Sequence[int]) -> Any:
        """It, with the axes of what was peeled in another order."""
        axes = [self.axes[i] for i in order]
        if axes == list(range(len(axes))):
            return self.value
        return operations().transpose(self.value, np.array(axes, np.int64)).output(0)


@dataclass(frozen=True)
class _Scores:
    """Queries and keys [n, heads, length, d], their factor, and what is added, or where it masks (bool)."""

    query: Any
    key: Any
    scale: float
    added: Any | None = None
    shown: Any | None = None


def fuse_attention(model: Any) -> int:
    """How many were found."""
    return sum(_fused(node) for node in by_type(model, "Softmax"))


def _fused(softmax: Any) -> bool:
    if rank(softmax.output(0)) != 4 or softmax.get_attributes()["axis"] not in (-1, 3):
        return False
    scores = _scores(softmax.input_value(0))
    found = None if scores is None else _mixed(softmax, scores.shown)
    if scores is None or found is None:
        return False
    product, value, order = found
    ops, added = operations(), scores.added
    if scores.shown is not None:
        added = ops.select(scores.shown, np.float32(0), np.float32(_MASKED)).output(0)
    scale = np.float32(scores.scale)
    whole = ops.scaled_dot_product_attention(scores.query, scores.key, value, added, scale)
    if order != [0, 1, 2, 3]:
        whole = ops.transpose(whole, np.array(order))
    product.output(0).replace(whole.output(0))
    return True


def _scores(value: Any) -> _Scores | None:
    """What softmax is taken of; None: no product of queries and keys under a mask."""
    node = value.get_node()
    if kind(node) == "Select":  # where(mask, scores, low), as Keras has it
        low = number(node.input_value(2))
        masked = low is not None and low <= _LOW and rank(node.input_value(0)) == 4
        return _product(node.input_value(1), shown=_shown(node.input_value(0))) if masked else None
    if kind(node) == "Add":
        for place in (0, 1):
            mask = node.input_value(1 - place)
            found = _product(node.input_value(place), added=mask) if rank(mask) == 4 else None
            if found is not None:
                return found
    return None


def _product(value: Any, **mask: Any) -> _Scores | None:
    outer = _peeled(value)
    product = outer.value.get_node()
    if kind(product) == "Einsum":
        return _product_of_einsum(product, outer, **mask)
    if kind(product) != "MatMul" or outer.axes[:2] != (0, 1):
        return None
    turned = product.get_attributes()
    first, second = (_peeled(product.input_value(i)) for i in (0, 1))
    if len(first.axes) != 4 or len(second.axes) != 4:
        return None
    # Both with the axis over which the product sums as the last one.
    rows = first.turned((0, 1, 3, 2) if turned["transpose_a"] else (0, 1, 2, 3))
    columns = second.turned((0, 1, 2, 3) if turned["transpose_b"] else (0, 1, 3, 2))
    query, key = (rows, columns) if outer.axes[3] == 3 else (columns, rows)
    return _Scores(query, key, outer.scale * first.scale * second.scale, **mask)


def _product_of_einsum(product: Any, outer: _Peeled, **mask: Any) -> _Scores | None:
    """The same of an equation, such as ``btnh,bsnh->bnts``."""
    found = _equation(product)
    if found is None:
        return None
    (first, second), output = found
    text, head, query, key = (output[axis] for axis in outer.axes)
    summed = [axis for axis in first if axis not in output]
    if len(summed) != 1:
        return None
    values = dict(zip((first, second), (_peeled(product.input_value(i)) for i in (0, 1)), strict=True))
    of_query = next((labels for labels in values if set(labels) == {text, head, query, summed[0]}), "")
    of_key = next((labels for labels in values if set(labels) == {text, head, key, summed[0]}), "")
    if not of_query or not of_key or any(len(value.axes) != 4 for value in values.values()):
        return None
    scale = outer.scale * values[of_query].scale * values[of_key].scale
    return _Scores(
        values[of_query].turned([of_query.index(axis) for axis in (text, head, query, summed[0])]),
        values[of_key].turned([of_key.index(axis) for axis in (text, head, key, summed[0])]),
        scale,
        **mask,
    )


def _mixed_by_einsum(product: Any, shares: Any) -> tuple[Any, Any, list[int]] | None:
    """The same as `_mixed` of an equation, such as ``bnts,bsnh->btnh``."""
    found = _equation(product)
    if found is None or product.input_value(0) != shares:
        return None
    (first, second), output = found
    text, head, query, key = tuple(first)
    made = [axis for axis in second if axis not in (text, head, key)]
    value = _peeled(product.input_value(1))
    whole = (
        len(made) == 1 and set(second) >= {text, head, key} and set(output) == {text, head, query, made[0]}
    )
    if not whole or value.scale != 1.0 or len(value.axes) != 4:
        return None
    order = [(text, head, query, made[0]).index(axis) for axis in output]
    return product, value.turned([second.index(axis) for axis in (text, head, key, made[0])]), order


def _equation(einsum: Any) -> tuple[tuple[str, str], str] | None:
    """Labels of the two inputs, and of the output: four different ones each."""
    inputs, output = einsum.get_attributes()["equation"].replace(" ", "").split("->")
    labels = inputs.split(",")
    if len(labels) != 2 or any(len(some) != 4 or len(set(some)) != 4 for some in (*labels, output)):
        return None
    return (labels[0], labels[1]), output


def _shown(mask: Any) -> Any:
    """The mask, without what is true everywhere beside it."""
    node = mask.get_node()
    if kind(node) == "LogicalAnd":
        for place in (0, 1):
            beside = node.input_value(1 - place).get_node()
            true = number(beside.input_value(0)) if kind(beside) == "Broadcast" else None
            if true == 1.0 and rank(node.input_value(place)) == rank(mask):
                return node.input_value(place)
    return mask


def _mixed(softmax: Any, shown: Any | None) -> tuple[Any, Any, list[int]] | None:
    """The product with the values, these, [n, heads, length, d], and the order of axes that the product gives."""
    shares = softmax.output(0)
    again = only_user(shares, "Select")
    if again is not None:  # where(mask, shares, 0): they are 0 there already
        if shown is None or _shown(again.input_value(0)) != shown or number(again.input_value(2)) != 0:
            return None
        shares = again.output(0)
    einsum = only_user(shares, "Einsum")
    if einsum is not None:
        return _mixed_by_einsum(einsum, shares)
    product = only_user(shares, "MatMul")
    if product is None or product.input_value(0) != shares or product.get_attributes()["transpose_a"]:
        return None
    value = _peeled(product.input_value(1))
    if value.scale != 1.0 or len(value.axes) != 4:
        return None
    order = (0, 1, 3, 2) if product.get_attributes()["transpose_b"] else (0, 1, 2, 3)
    return product, value.turned(order), [0, 1, 2, 3]


def _peeled(value: Any) -> _Peeled:
    axes, scale = tuple(range(max(0, rank(value)))), 1.0
    while True:
        node = value.get_node()
        order = constant(node.input_value(1)) if kind(node) == "Transpose" else None
        if order is not None:
            axes, value = tuple(int(order[axis]) for axis in axes), node.input_value(0)
            continue
        found = with_number(node) if kind(node) in ("Multiply", "Divide") else None
        if found is None or (kind(node) == "Divide" and found[0] != node.input_value(0)):
            return _Peeled(value, axes, scale)
        value = found[0]
        scale = scale * found[1] if kind(node) == "Multiply" else scale / found[1]
