"""Dropouts in a graph for training: what draws the numbers, what is dropped, and how often.

Whoever wrote them, and in whatever release, a number is drawn for each place and compared with the rate, and what is
kept is divided by the share that is kept. What looks like that is run on its own, with numbers given in the place of
those drawn: it counts when it gives 0 below the rate, and what came in divided by 1 - rate from there on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import graph_pb2, node_def_pb2

from penult_service.preparing.audit import changes, constant_value
from penult_service.preparing.graph import FlatGraph, Ref, node_of
from penult_service.preparing.seam.same_values import HANDS_ON

# Operations that draw numbers in [0, 1) -> which input is the shape of what is drawn.
_UNIFORM = {
    "RandomUniform": 0,
    "StatelessRandomUniform": 0,
    "StatelessRandomUniformV2": 0,
    "StatefulUniform": 2,
}
# What may stand between the numbers drawn and what is dropped: element by element, with constants.
_ON_NOISE = frozenset(
    {"Mul", "AddV2", "Add", "Sub", "RealDiv", "Floor", "Cast", "LogicalNot"}
    | {"GreaterEqual", "Greater", "Less", "LessEqual"}
    | HANDS_ON
)
_SCALES = frozenset({"Mul", "RealDiv"})
_DROPS = frozenset({"Mul", "Select", "SelectV2"})
_STEPS = 4096  # places in [0, 1) at which a dropout is tried
_DIGITS = 17  # of a float64
# By how much rounding may be off, several steps of it together.
_ROUNDING = {tf.float64: 2.0**-50, tf.float32: 2.0**-21, tf.float16: 2.0**-8, tf.bfloat16: 2.0**-5}

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Dropped:
    """A dropout of a graph.

    Attributes:
        draw: The operation that draws.
        shape: The tensor that says what shape is drawn.
        before: What is dropped.
        after: What becomes of it.
        rate: The share that becomes 0.
    """

    draw: str
    shape: Ref
    before: Ref
    after: Ref
    rate: float


class Patterns:
    """The dropouts of one graph.

    Args:
        flat: The graph.
    """

    def __init__(self, flat: FlatGraph) -> None:
        self._flat = replace(flat, library={})  # nothing that is run here calls a function
        self._readers: dict[Ref, list[str]] = {}
        self._fixed: set[str] = set()
        for name, node in flat.nodes.items():
            for ref in dict.fromkeys(node.input):
                self._readers.setdefault(ref, []).append(name)
            quiet = node.op != "Placeholder" and node.op not in _UNIFORM and not changes(node)
            if quiet and all(node_of(ref) in self._fixed for ref in node.input):
                self._fixed.add(name)

    def of(self, draws: Iterable[str]) -> dict[str, Dropped]:
        """What is drawn for a dropout -> that dropout; of `draws`, those that are drawn for one."""
        found = {}
        for draw in draws:
            node = self._flat.nodes[draw]
            one = self._dropout(node) if node.op in _UNIFORM else None
            if one is not None:
                found[draw] = one
        return found

    def _dropout(self, draw: node_def_pb2.NodeDef) -> Dropped | None:
        """The only way to see it that stands the trial."""
        noise = self._noise(draw.name)
        if noise is None:
            return None
        values, drops = noise
        dtype = tf.as_dtype(draw.attr["dtype"].type)
        constants = self._constants(values, dtype)
        if constants is None:
            return None
        rates = {rate for one in constants for rate in (one, _as_written(1 - one, dtype)) if 0 < rate < 1}
        (before, *others) = (ref for ref in drops.input if ref not in values and not self._is_fixed(ref))
        if others:
            return None
        for start in self._inward(before):
            for end in self._outward(f"{drops.name}:0"):
                rate = self._tried(f"{draw.name}:0", start, end, rates)
                if rate is not None:
                    shape = draw.input[_UNIFORM[draw.op]]
                    return Dropped(draw.name, shape, start, end, rate)
        return None

    def _noise(self, draw: str) -> tuple[set[Ref], node_def_pb2.NodeDef] | None:
        """What is computed of the numbers drawn and constants alone, and the one operation that drops with it."""
        values, waiting, ends = {f"{draw}:0"}, [f"{draw}:0"], dict[str, node_def_pb2.NodeDef]()
        while waiting:
            for name in self._readers.get(waiting.pop(), []):
                node = self._flat.nodes[name]
                if not all(ref in values or self._is_fixed(ref) for ref in node.input):
                    ends[name] = node
                elif node.op not in _ON_NOISE:
                    return None
                elif f"{name}:0" not in values:
                    values.add(f"{name}:0")
                    waiting.append(f"{name}:0")
        if len(ends) != 1:
            return None
        (end,) = ends.values()
        return (values, end) if end.op in _DROPS else None

    def _constants(self, values: set[Ref], dtype: tf.DType) -> list[float] | None:
        """The constants that numbers drawn meet, by the digits that were written; None when one is no single number."""
        nodes = (self._flat.nodes[node_of(ref)] for ref in values)
        refs = {ref for node in nodes if node.op not in _UNIFORM for ref in node.input if ref not in values}
        found = [constant_value(self._flat, ref) for ref in sorted(refs)]
        if not all(isinstance(one, float | int) for one in found):
            return None
        return [_as_written(float(one), dtype) for one in found]  # type: ignore[arg-type]

    def _inward(self, before: Ref) -> Iterator[Ref]:
        """What is dropped, or what it was before it was scaled."""
        yield before
        node = self._flat.nodes[node_of(before)]
        if node.op in _SCALES:
            open_ = [ref for ref in node.input if not self._is_fixed(ref)]
            if len(open_) == 1:
                yield open_[0]

    def _outward(self, after: Ref) -> Iterator[Ref]:
        """What was dropped, or what becomes of it when it is scaled afterwards."""
        yield after
        readers = [self._flat.nodes[name] for name in self._readers.get(after, [])]
        if len(readers) == 1 and readers[0].op in _SCALES and readers[0].input[0] == after:
            scaled = self._is_fixed(readers[0].input[1])
            yield from [f"{readers[0].name}:0"] if scaled else []

    def _is_fixed(self, ref: Ref) -> bool:
        return node_of(ref) in self._fixed

    def _tried(self, draw: Ref, before: Ref, after: Ref, rates: Iterable[float]) -> float | None:
        """The one of the rates that it drops with; None when it does something else."""
        dtype = tf.as_dtype(self._flat.nodes[node_of(draw)].attr["dtype"].type)
        drawn = ((np.arange(_STEPS) + 0.5) / _STEPS).astype(dtype.as_numpy_dtype)
        given = np.random.default_rng(1).normal(size=_STEPS).astype(dtype.as_numpy_dtype)
        feeds = {draw: _placeholder("drawn", dtype), before: _placeholder("given", dtype)}
        if dtype not in _ROUNDING or node_of(after) == node_of(before):
            return None
        try:
            got = _run(self._flat.graph_def([after], feeds), after, {"drawn:0": drawn, "given:0": given})
        except (tf.errors.OpError, ValueError, TypeError):
            return None
        if got.shape != given.shape:
            return None
        fitting = {rate for rate in rates if _is_dropout(got, given, drawn, rate, _ROUNDING[dtype])}
        return fitting.pop() if len(fitting) == 1 else None


def _is_dropout(got: Numbers, given: Numbers, drawn: Numbers, rate: float, rounding: float) -> bool:
    """Whether it is what dropout makes of what is given: 0 for the lowest numbers drawn, or for the highest."""
    lowest, highest = drawn < drawn.dtype.type(rate), drawn >= drawn.dtype.type(1 - rate)
    for lost in (lowest, highest):
        expected = np.where(lost, 0.0, given.astype(np.float64) / (1 - rate))
        if np.allclose(got.astype(np.float64), expected, rtol=rounding, atol=0):
            return True
    return False


def _run(graph_def: graph_pb2.GraphDef, ref: Ref, given: dict[Ref, Numbers]) -> Numbers:
    with tf.Graph().as_default() as graph:
        (tensor,) = tf.graph_util.import_graph_def(graph_def, return_elements=[ref], name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return np.asarray(session.run(tensor, given))


def _as_written(value: float, dtype: tf.DType) -> float:
    """The number of the fewest digits that is this one in that precision."""
    exact = dtype.as_numpy_dtype(value)
    numbers = (float(f"{value:.{digits}g}") for digits in range(1, _DIGITS))
    return next((number for number in numbers if dtype.as_numpy_dtype(number) == exact), value)


def _placeholder(name: str, dtype: tf.DType) -> node_def_pb2.NodeDef:
    node = node_def_pb2.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = dtype.as_datatype_enum
    return node
