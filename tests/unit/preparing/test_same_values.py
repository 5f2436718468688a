"""Equal numbers for equal computations in two graphs, whatever their operations are called; others for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.preparing.graph import FlatGraph, flatten  # noqa: E402
from penult_service.preparing.seam.same_values import Numbering  # noqa: E402

Call = Callable[[Any, Any], Any]
WEIGHTS, OTHERS = tf.Variable([[1.0, 2.0], [3.0, 4.0]]), tf.Variable([[1.0, 2.0], [3.0, 4.0]])


def graph(call: Call, prefix: str = "") -> FlatGraph:
    specs = [tf.TensorSpec([None, 2], tf.float32, name=name) for name in ("left", "right")]

    def named(left: Any, right: Any) -> Any:
        with tf.name_scope(prefix or "plain"):
            return {"y": tf.identity(call(left, right))}

    return flatten(tf.function(named, input_signature=specs, autograph=False).get_concrete_function())


def same(one: FlatGraph, other: FlatGraph) -> bool:
    numbering = Numbering()
    first, second = (
        [numbering.values(flat, flat.inputs.values())[ref] for ref in flat.outputs.values()]
        for flat in (one, other)
    )
    return first == second


def plain(left: Any, right: Any) -> Any:
    return tf.matmul(tf.sin(left) + 2.0, WEIGHTS) - right


def other_weights(left: Any, right: Any) -> Any:
    return tf.matmul(tf.sin(left) + 2.0, OTHERS) - right


def other_constant(left: Any, right: Any) -> Any:
    return tf.matmul(tf.sin(left) + 2.5, WEIGHTS) - right


def other_input(left: Any, right: Any) -> Any:
    return tf.matmul(tf.sin(right) + 2.0, WEIGHTS) - left


def other_operation(left: Any, right: Any) -> Any:
    return tf.matmul(tf.cos(left) + 2.0, WEIGHTS) - right


def other_attribute(left: Any, right: Any) -> Any:
    return tf.matmul(tf.sin(left) + 2.0, WEIGHTS, transpose_b=True) - right


def other_result(left: Any, right: Any) -> Any:
    return tf.matmul(tf.sin(left) + 2.0, WEIGHTS) - tf.unstack(tf.stack([left, right]))[0]


def handed_on(left: Any, right: Any) -> Any:
    return tf.stop_gradient(plain(tf.identity(left), right))


def called(left: Any, right: Any) -> Any:
    return tf.function(plain)(left, right)


def in_a_loop(times: int, plus: float = 1.0) -> Call:
    def call(left: Any, right: Any) -> Any:
        body = lambda i, x: (i + 1, tf.sin(x) + plus)  # noqa: E731
        return tf.while_loop(lambda i, _: i < times, body, (tf.constant(0), left))[1] + right

    return call


def in_a_branch(plus: float) -> Call:
    def call(left: Any, right: Any) -> Any:
        return tf.cond(tf.reduce_sum(left) > 0, lambda: tf.sin(left) + plus, lambda: left) + right

    return call


def drawn(left: Any, right: Any) -> Any:
    return left + right + tf.random.uniform(tf.shape(left))


@pytest.mark.parametrize("call", [plain, other_result, in_a_loop(3), in_a_branch(1.0)])
def test_names_play_no_part(call: Call) -> None:
    assert same(graph(call, "first"), graph(call, "another/of/them"))


@pytest.mark.parametrize("call", [handed_on, called])
def test_calls_and_what_hands_on_play_no_part(call: Call) -> None:
    assert same(graph(plain), graph(call))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(
            (plain, call)
            for call in (
                other_weights,
                other_constant,
                other_input,
                other_operation,
                other_attribute,
                other_result,
            )
        ),
        (in_a_loop(3), in_a_loop(4)),
        (in_a_loop(3), in_a_loop(3, 2.0)),
        (in_a_branch(1.0), in_a_branch(2.0)),
        (drawn, drawn),
    ],
)
def test_what_computes_something_else_is_something_else(one: Call, other: Call) -> None:
    assert not same(graph(one), graph(other))


def test_a_captured_constant_is_its_numbers() -> None:
    def adding(values: list[float]) -> Call:
        captured = tf.constant(values)
        return lambda left, right: left + captured + right

    assert same(graph(adding([1.0, 2.0])), graph(adding([1.0, 2.0])))
    assert not same(graph(adding([1.0, 2.0])), graph(adding([1.0, 3.0])))
