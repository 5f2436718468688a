"""Looking at a graph of OpenVINO."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.engines.openvino_runtime import runtime


@cache
def operations() -> Any:
    """OpenVINO's module of operations."""
    runtime()
    from openvino import opset13

    return opset13


def kind(node: Any) -> str:
    """Name of an operation's type."""
    return str(node.get_type_name())


def at(node: Any, place: int) -> Any:
    """The node behind an input."""
    return node.input_value(place).get_node()


def constant(value: Any) -> NDArray[Any] | None:
    """The numbers of an output, when they are constant."""
    node = value.get_node()
    return np.array(node.get_data()) if kind(node) == "Constant" else None


def number(value: Any) -> float | None:
    """The number of an output, when it is one constant one."""
    array = constant(value)
    return None if array is None or array.size != 1 else float(array.reshape(-1)[0])


def rank(value: Any) -> int:
    """Number of axes; -1: not known."""
    shape = value.get_partial_shape().rank
    return int(shape.get_length()) if shape.is_static else -1


def users(value: Any) -> list[Any]:
    """The nodes that an output goes to."""
    return [target.get_node() for target in value.get_target_inputs()]


def only_user(value: Any, wanted: str) -> Any:
    """The one node that an output goes to, when it is of that type; else None."""
    found = users(value)
    return found[0] if len(found) == 1 and kind(found[0]) == wanted else None


def beside(node: Any, value: Any) -> Any:
    """The other of two inputs."""
    return node.input_value(1) if node.input_value(0) == value else node.input_value(0)


def with_constant(node: Any) -> tuple[Any, NDArray[Any]] | None:
    """Of an operation of two inputs: the one that is computed, and the constant one."""
    for place in (1, 0):
        array = constant(node.input_value(place))
        if array is not None:
            return node.input_value(1 - place), array
    return None


def with_number(node: Any) -> tuple[Any, float] | None:
    """The same, where the constant is one number."""
    found = with_constant(node)
    return (found[0], float(found[1].reshape(-1)[0])) if found and found[1].size == 1 else None


def by_type(model: Any, *kinds: str) -> list[Any]:
    """Nodes of these types, each behind what it takes."""
    return [node for node in model.get_ordered_ops() if kind(node) in kinds]
