"""What a SavedModel says that it will grow to: constants and variables by their shapes, calls by what they call.

A constant of one number and a shape is a few bytes in the file; so is a function that calls another twice, thirty deep.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import tensor_shape_pb2

from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard.registered import op_def
from penult_service.guard.saved_model import SavedGraph, name_of

MAX_TENSOR_BYTES = 4 << 30  # a vocabulary of a million rows, 1,024 wide
MAX_CONSTANT_BYTES = 8 << 30
MAX_VARIABLE_BYTES = 64 << 30
MAX_NODES = 4_000_000  # with every call replaced by what it calls; BERT-base has 3,000 a signature
CHECKPOINT = Path("variables") / "variables"

Declared = tuple[str, int]


def refuse_bombs(what: str, graph: SavedGraph) -> None:
    """Refuses declared sizes beyond the limits above.

    Raises:
        ModelRefused: TOO_LARGE, naming the node; RECURSIVE for a function that calls itself.
    """
    _refuse_sum(what, "constants", _constants(graph), MAX_CONSTANT_BYTES)
    _refuse_sum(what, "variables", _variables(graph), MAX_VARIABLE_BYTES)
    nodes = _Expansion(what, graph).nodes()
    if nodes > MAX_NODES:
        raise ModelRefused(
            f"{what} grows to {nodes:,.6g} operations when its calls are replaced by what they call, more than "
            f"{MAX_NODES:,}; save a smaller model",
            reason="TOO_LARGE",
        )


def refuse_claims(directory: Path) -> None:
    """Refuses a checkpoint (`variables/`) whose tensors are larger than its data files, or than the limits.

    Raises:
        InvalidInput: DAMAGED, it claims more than there is, or its index cannot be read.
        ModelRefused: TOO_LARGE.
    """
    prefix = directory / CHECKPOINT
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError, OSError, MemoryError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise InvalidInput(
            f"{prefix}.index is damaged or half copied ({first}); copy the model again", reason="DAMAGED"
        ) from error
    claims = [(name, math.prod(shape) * max(dtypes[name].size, 1)) for name, shape in shapes.items()]
    _refuse_sum(str(directory), "weights", claims, MAX_VARIABLE_BYTES)
    there = sum(path.stat().st_size for path in prefix.parent.glob(f"{prefix.name}.data-*"))
    claimed = sum(size for _, size in claims)
    if claimed > there:
        raise InvalidInput(
            f"{prefix}.index tells of {claimed:,} bytes of weights, and its data files have {there:,}: damaged, or "
            "half copied; copy the model again",
            reason="DAMAGED",
        )


def _refuse_sum(what: str, kind: str, declared: Iterator[Declared] | list[Declared], limit: int) -> None:
    total = 0
    for where, size in declared:
        total += size
        if size > MAX_TENSOR_BYTES or total > limit:
            most = MAX_TENSOR_BYTES if size > MAX_TENSOR_BYTES else limit
            raise ModelRefused(
                f"{what} declares {_gib(size if size > MAX_TENSOR_BYTES else total)} of {kind} at {where}, more than "
                f"{_gib(most)}; save a smaller model",
                reason="TOO_LARGE",
            )


def _gib(size: int) -> str:
    return f"{size / 2**30:,.3g} GiB"


def _constants(graph: SavedGraph) -> Iterator[Declared]:
    """What shows a shape that its own bytes in the file do not fill."""
    for _, function, node in graph.nodes():
        if not _holds_tensors(node.op):
            continue
        for attr in node.attr.values():
            for tensor in (*([attr.tensor] if attr.HasField("tensor") else []), *attr.list.tensor):
                yield name_of(node, function), _bytes(tensor.tensor_shape, tensor.dtype)


@cache
def _holds_tensors(op: str) -> bool:
    """Whether an operation has tensors among its attributes; of one that is not known, it may be so."""
    definition = op_def(op)
    return definition is None or any("tensor" in attr.type for attr in definition.attr)


def _variables(graph: SavedGraph) -> Iterator[Declared]:
    """As the loader makes them, and as operations in the graph declare them."""
    for number, thing in enumerate(graph.meta_graph.object_graph_def.nodes):
        if thing.WhichOneof("kind") == "variable":
            yield (
                thing.variable.name or f"object {number}",
                _bytes(thing.variable.shape, thing.variable.dtype),
            )
    for _, function, node in graph.nodes():
        if (function or graph.runs_as_it_stands) and node.op in ("VarHandleOp", "VariableV2", "Variable"):
            yield name_of(node, function), _bytes(node.attr["shape"].shape, node.attr["dtype"].type)


def _bytes(shape: tensor_shape_pb2.TensorShapeProto, dtype: int) -> int:
    """What the dimensions that are known come to."""
    try:
        width = tf.as_dtype(dtype).size or 1
    except TypeError:
        width = 1
    return math.prod(dim.size for dim in shape.dim if dim.size >= 0) * width


class _Expansion:
    """Operations of a graph with every call replaced by the body that it calls."""

    def __init__(self, what: str, graph: SavedGraph) -> None:
        self._what, self._graph = what, graph
        self._sizes: dict[str, int] = {}

    def nodes(self) -> int:
        """Of the largest function."""
        for root in self._graph.library:
            self._measure(root)
        return max(self._sizes.values(), default=0)

    def _measure(self, root: str) -> None:
        """Depth first, without recursion of our own: a stranger says how deep it is."""
        if root in self._sizes:
            return
        stack, open_ = [root], {root}
        while stack:
            name = stack[-1]
            calls = self._graph.callees(name)
            missing = [callee for callee in calls if callee not in self._sizes]
            if not missing:
                own = len(self._graph.library[name].node_def)
                self._sizes[name] = own + sum(self._sizes[callee] for callee in calls)
                open_.discard(stack.pop())
                continue
            if missing[0] in open_:
                raise ModelRefused(
                    f"{self._what} holds the function {missing[0]!r}, which calls itself; write the loop as a While",
                    reason="RECURSIVE",
                )
            open_.add(missing[0])
            stack.append(missing[0])
