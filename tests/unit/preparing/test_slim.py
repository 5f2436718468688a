"""What no result needs is left out of branches, loops and functions, and the results stay what they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from penult_service.preparing.cut import cut
from penult_service.preparing.graph import flatten

pytestmark = pytest.mark.tensorflow
SPEC = tf.TensorSpec([None, 3], tf.float32, name="x")
ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


def parts(function: Callable[[Any], Any]) -> tuple[Any, set[str]]:
    """A function of a tensor, cut out whole as for serving; and the operations that it then holds."""
    whole = tf.function(lambda x: {"y": function(x)}, input_signature=[SPEC])
    flat = flatten(whole.get_concrete_function())
    part = cut(flat, {flat.inputs["x"]: SPEC}, flat.outputs)
    graph = part.get_concrete_function().graph.as_graph_def()  # type: ignore[attr-defined]
    bodies = [graph.node, *(f.node_def for f in graph.library.function)]
    return part, {node.op for body in bodies for node in body}


def noise(x: Any) -> Any:
    return tf.nn.dropout(x, 0.5)


def random_in(ops: set[str]) -> set[str]:
    return {op for op in ops if "Random" in op}


@pytest.mark.parametrize("taken", [True, False])
def test_a_branch_that_never_runs(taken: bool) -> None:
    def function(x: Any) -> Any:
        quiet = lambda: x * 2.0  # noqa: E731
        return tf.cond(
            tf.constant(taken), *((quiet, lambda: noise(x)) if taken else (lambda: noise(x), quiet))
        )

    part, ops = parts(function)
    assert random_in(ops) == set()
    assert "If" not in ops
    np.testing.assert_array_equal(part(ROWS)["y"], ROWS * 2)


@pytest.mark.parametrize(("index", "factor"), [(0, 2.0), (1, 3.0), (7, 3.0), (-1, 3.0)])
def test_a_case_counts_and_takes_the_last_when_out_of_range(index: int, factor: float) -> None:
    part, ops = parts(lambda x: tf.switch_case(tf.constant(index), [lambda: x * 2.0, lambda: x * 3.0]))
    assert "Case" not in ops
    np.testing.assert_array_equal(part(ROWS)["y"], ROWS * factor)


def test_a_branch_that_the_input_decides_stays() -> None:
    part, ops = parts(lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: noise(x), lambda: x * 2.0))
    assert random_in(ops) == {"RandomUniform"}
    np.testing.assert_array_equal(part(-ROWS)["y"], -ROWS * 2)


def test_a_constant_branch_inside_a_branch() -> None:
    def inner(x: Any) -> Any:
        return tf.cond(tf.logical_not(tf.constant(False)), lambda: x + 1.0, lambda: noise(x))

    part, ops = parts(lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: inner(x), lambda: x))
    assert random_in(ops) == set()
    np.testing.assert_array_equal(part(ROWS)["y"], ROWS + 1)
    np.testing.assert_array_equal(part(-ROWS)["y"], -ROWS)


def test_a_loop_whose_noise_nothing_uses() -> None:
    """Also when it runs through a variable of the loop."""

    def function(x: Any) -> Any:
        def step(i: Any, total: Any, noisy: Any) -> Any:
            tf.debugging.assert_less(i, 10)
            noise(total)
            return i + 1, total + x, noise(noisy)

        return tf.while_loop(lambda i, *_: i < 3, step, (tf.constant(0), tf.zeros_like(x), x))[1]

    part, ops = parts(function)
    assert random_in(ops) == set()
    assert "Assert" not in ops
    assert ops & {"While", "StatelessWhile"}
    np.testing.assert_array_equal(part(ROWS)["y"], ROWS * 3)


@pytest.mark.parametrize("through", ["another variable", "the condition"])
def test_a_loop_whose_noise_counts(through: str) -> None:
    def function(x: Any) -> Any:
        def step(i: Any, total: Any, noisy: Any) -> Any:
            return i + 1, total + (noisy if through == "another variable" else x), noise(noisy)

        def more(i: Any, _: Any, noisy: Any) -> Any:
            return (i < 3) if through == "another variable" else (tf.reduce_sum(noisy) < 0.0) | (i < 3)

        return tf.while_loop(more, step, (tf.constant(0), tf.zeros_like(x), x))[1]

    assert random_in(parts(function)[1]) == {"RandomUniform"}


def test_a_function_that_two_parts_use_in_two_ways() -> None:
    """Once for one variable of a loop, once for both: TensorFlow knows functions by name."""

    def function(x: Any) -> dict[str, Any]:
        def step(i: Any, a: Any, b: Any) -> Any:
            return i + 1, a + x, b * 2.0

        _, a, b = tf.while_loop(lambda i, *_: i < 3, step, (tf.constant(0), x, x))
        return {"a": a, "b": b}

    whole = tf.function(function, input_signature=[SPEC])
    flat = flatten(whole.get_concrete_function())
    feeds = {flat.inputs["x"]: SPEC}
    for names in (["a"], ["a", "b"], ["b"]):
        found = cut(flat, feeds, {name: flat.outputs[name] for name in names})(ROWS)
        for name in names:
            np.testing.assert_array_equal(found[name], ROWS * {"a": 4, "b": 8}[name])


def test_functions_that_nobody_calls_are_left_out() -> None:
    unused = tf.function(lambda x: noise(x), input_signature=[SPEC])

    def function(x: Any) -> Any:
        unused(x)
        return tf.map_fn(lambda row: row + 1.0, x)

    part, ops = parts(function)
    assert random_in(ops) == set()
    np.testing.assert_array_equal(part(ROWS)["y"], ROWS + 1)
