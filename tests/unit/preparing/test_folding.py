"""Branches that always go one way: what is left computes the same, and what cannot run is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.preparing.cut import cut  # noqa: E402
from penult_service.preparing.folding import folded  # noqa: E402
from penult_service.preparing.graph import flatten  # noqa: E402

SPEC = tf.TensorSpec([None, 3], tf.float32, name="x")
ROWS = tf.reshape(tf.range(6.0), [2, 3])
WEIGHTS = tf.Variable([[1.0, 2.0, 3.0]])


def never(x: Any) -> Any:
    return tf.cond(tf.constant(False), lambda: tf.nn.dropout(x, 0.5), lambda: x + WEIGHTS)


def nested(x: Any) -> Any:
    """The predicate of the inner one comes in from outside."""
    off = tf.constant(False)
    return tf.cond(
        tf.logical_not(off),
        lambda: tf.cond(off, lambda: tf.nn.dropout(x, 0.5), lambda: x * WEIGHTS),
        lambda: x,
    )


def case(x: Any) -> Any:
    return tf.switch_case(tf.constant(1), [lambda: tf.nn.dropout(x, 0.5), lambda: x * 3, lambda: -x])


def passed_on(x: Any) -> Any:
    """A branch that gives back its argument and a constant."""
    found = tf.cond(tf.constant(True), lambda: (x, tf.constant(2.0)), lambda: (tf.nn.dropout(x, 0.5), 0.0))
    return found[0] * found[1]


def followed(x: Any) -> Any:
    """What comes behind it uses what it gave, more than once."""
    y = never(x)
    return y * y + tf.reduce_sum(y)


def named_alike(x: Any) -> Any:
    """A node outside has the name that one inside would get."""
    outside = tf.identity(x + 1, name="cond/Identity")
    return tf.cond(tf.constant(True), lambda: tf.identity(x * 2), lambda: x) + outside


@pytest.mark.parametrize(
    "body", [never, nested, case, passed_on, followed, named_alike], ids=lambda b: b.__name__
)
def test_what_always_runs_is_left(body: Callable[[Any], Any]) -> None:
    function = tf.function(lambda x: {"y": body(x)}, input_signature=[SPEC], autograph=False)
    flat = flatten(function.get_concrete_function())
    assert {"If", "Case", "StatelessIf", "StatelessCase"} & {node.op for node in flat.nodes.values()}
    left = folded(flat)
    assert not {"If", "Case", "RandomUniform"} & {node.op for node in left.nodes.values()}
    (text,) = left.inputs.values()
    found = cut(left, {text: SPEC}, left.outputs)(ROWS)["y"]
    np.testing.assert_array_equal(found, function(ROWS)["y"])


def test_a_branch_that_the_input_chooses_stays() -> None:
    function = tf.function(
        lambda x: {"y": tf.cond(tf.reduce_sum(x) > 0, lambda: x * 2, lambda: x)},
        input_signature=[SPEC],
        autograph=False,
    )
    flat = flatten(function.get_concrete_function())
    assert folded(flat) == flat
