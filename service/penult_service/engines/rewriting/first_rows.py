"""Where only the first token's row is read, as a pooled output has it, the last layer computes that row alone.

Keys and values are needed of every token, all else of the last layer is not: 5/6 of its products. The selection of the
row goes up through whatever treats rows one by one, to the attention's query and to what the layer is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penult_service.engines.rewriting.graph import at, by_type, constant, kind, operations, rank, users

_ONE_BY_ONE = {"Tanh": "tanh", "Relu": "relu", "Erf": "erf", "Sigmoid": "sigmoid"}
_OF_TWO = {"Add": "add", "Multiply": "multiply", "Subtract": "subtract"}
_ATTENTION = "ScaledDotProductAttention"
_IN_HEADS = [0, 2, 1, 3]  # [n, length, heads, d] <-> [n, heads, length, d]


def select_first_rows(model: Any) -> int:
    """Changes an `openvino.Model` in place; how many selections went up to an attention."""
    return sum(_lifted(node) for node in by_type(model, "StridedSlice", "Gather"))


class _Stays(Exception):
    """The row cannot be selected earlier."""


def _lifted(node: Any) -> bool:
    if not _selects_first(node) or len(users(node.input_value(0))) != 1:
        return False
    rows = _Rows()
    try:
        first = rows.first(node.input_value(0))
    except _Stays:
        return False
    if not rows.attentions:
        return False
    node.output(0).replace(first)
    return True


def _selects_first(node: Any) -> bool:
    """Whether it is x[:, 0] of x [n, length, d]."""
    if rank(node.input_value(0)) != 3 or rank(node.output(0)) != 2:
        return False
    if kind(node) == "Gather":
        return _is(node.input_value(1), 0) and _is(node.input_value(2), 1)
    begin, end, step = (constant(node.input_value(i)) for i in (1, 2, 3))
    masks = node.get_attributes()
    if begin is None or end is None or step is None or len(begin) < 2 or (step != 1).any():
        return False

    def mask(name: str) -> list[int]:
        given = list(masks[name])
        return given + [0] * (len(begin) - len(given))

    whole = [place for place in range(len(begin)) if mask("begin_mask")[place] and mask("end_mask")[place]]
    shrinks = mask("shrink_axis_mask")
    return (
        whole == [place for place in range(len(begin)) if place != 1]
        and shrinks == [int(place == 1) for place in range(len(begin))]
        and not any(mask("new_axis_mask")) + any(mask("ellipsis_mask"))
        and int(begin[1]) == 0
    )


def _is(value: Any, wanted: int) -> bool:
    array = constant(value)
    return array is not None and array.size == 1 and int(array.reshape(-1)[0]) == wanted


class _Rows:
    """First rows [n, d] of values [n, length, d], or of all their rows below each other, [n * length, d]."""

    def __init__(self) -> None:
        self.attentions = 0
        self._apart: Any = None  # the `Reshape` of all texts' rows below each other to texts
        self._known: dict[tuple[str, int], Any] = {}

    def first(self, value: Any) -> Any:
        """Of a value; _Stays where rows are mixed."""
        node = value.get_node()
        name = (node.get_friendly_name(), value.get_index())
        if name not in self._known:
            # What the layer is given goes to query, key, value and the sum behind: there the row is taken out.
            self._known[name] = self._taken(value) if len(users(value)) > 2 else self._through(node)
        return self._known[name]

    def _taken(self, value: Any) -> Any:
        """First rows by selecting them of all."""
        ops, apart = operations(), self._apart
        if rank(value) == 2 and apart is not None and _width(value) == _width(apart.output(0)):
            special = apart.get_attributes()["special_zero"]
            value = ops.reshape(value, apart.input_value(1), special).output(0)
        if rank(value) != 3:
            raise _Stays
        return ops.gather(value, np.array(0), np.array(1)).output(0)

    def _through(self, node: Any) -> Any:
        ops, name, made = operations(), kind(node), None
        if name in _ONE_BY_ONE:
            made = getattr(ops, _ONE_BY_ONE[name])(self.first(node.input_value(0)))
        elif name == "Gelu":
            made = ops.gelu(self.first(node.input_value(0)), node.get_attributes()["approximation_mode"])
        elif name in _OF_TWO:
            made = getattr(ops, _OF_TWO[name])(*(self._beside(node.input_value(i)) for i in (0, 1)))
        elif name == "MVN" and _over_last(node):
            told = node.get_attributes()
            rest = np.array([-1]), told["normalize_variance"], told["eps"], told["eps_mode"].lower()
            made = ops.mvn(self.first(node.input_value(0)), *rest)
        elif name == "MatMul" and _is_dense(node):
            told = node.get_attributes()
            made = ops.matmul(
                self.first(node.input_value(0)), node.input_value(1), False, told["transpose_b"]
            )
        elif name == "Reshape":
            return self._reshaped(node)
        if made is None:
            raise _Stays
        return made.output(0)

    def _beside(self, value: Any) -> Any:
        """One side of a sum or a product: rows, or one constant row for all of them."""
        array = constant(value)
        if array is None:
            return self.first(value)
        if array.size not in (1, array.shape[-1] if array.ndim else 1):
            raise _Stays
        return operations().constant(array.reshape(1, -1)).output(0)

    def _reshaped(self, node: Any) -> Any:
        """Rows below each other or text by text; or heads put together, behind the attention."""
        value = node.input_value(0)
        if (
            rank(value) in (2, 3)
            and rank(node.output(0)) in (2, 3)
            and _width(value) == _width(node.output(0)) > 0
        ):
            self._apart = node if rank(value) == 2 and rank(node.output(0)) == 3 else self._apart
            return self.first(value)
        turned = value.get_node()
        if kind(turned) != "Transpose" or rank(value) != 4 or _width(node.output(0)) < 1:
            raise _Stays
        order, mixed = constant(turned.input_value(1)), at(turned, 0)
        if (
            order is None
            or order.tolist() != _IN_HEADS
            or kind(mixed) != _ATTENTION
            or len(users(value)) != 1
        ):
            raise _Stays
        return self._attended(mixed, _width(node.output(0)))

    def _attended(self, attention: Any, width: int) -> Any:
        """What the first token attends to: [n, width]."""
        given = [attention.input_value(i) for i in range(attention.get_input_size())]
        if (
            attention.get_attributes()["causal"]
            or len(given) < 4
            or not _for_every_query(given[3])
            or len(users(attention.output(0))) != 1
        ):
            raise _Stays
        self.attentions += 1
        query = self._query(given[0])
        alone = operations().scaled_dot_product_attention(query, *given[1:], causal=False)
        return operations().reshape(alone, np.array([0, width]), True).output(0)

    def _query(self, value: Any) -> Any:
        """The first token's query [n, heads, 1, d]."""
        ops, node = operations(), value.get_node()
        order = constant(node.input_value(1)) if kind(node) == "Transpose" else None
        split = at(node, 0)
        if order is None or order.tolist() != _IN_HEADS or kind(split) != "Reshape":
            raise _Stays
        sizes = [axis.get_length() for axis in list(value.get_partial_shape())[1::2] if axis.is_static]
        if len(sizes) != 2:
            raise _Stays
        return ops.reshape(
            self.first(split.input_value(0)), np.array([0, sizes[0], 1, sizes[1]]), True
        ).output(0)


def _for_every_query(mask: Any) -> bool:
    """Whether a mask is the same for every query."""
    shape = list(mask.get_partial_shape()) if rank(mask) >= 2 else []
    return bool(shape) and shape[-2].is_static and shape[-2].get_length() == 1


def _over_last(norm: Any) -> bool:
    axes = constant(norm.input_value(1))
    return axes is not None and axes.reshape(-1).tolist() in ([-1], [rank(norm.input_value(0)) - 1])


def _is_dense(product: Any) -> bool:
    weights = product.input_value(1)
    return (
        not product.get_attributes()["transpose_a"] and constant(weights) is not None and rank(weights) == 2
    )


def _width(value: Any) -> int:
    axis = list(value.get_partial_shape())[-1]
    return int(axis.get_length()) if axis.is_static else -1
