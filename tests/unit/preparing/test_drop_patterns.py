"""Dropouts in a graph for training, in every spelling they have had, and what only looks like one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.preparing.audit import audit  # noqa: E402
from penult_service.preparing.graph import FlatGraph, flatten, node_of  # noqa: E402
from penult_service.preparing.seam.drop_patterns import Dropped, Patterns  # noqa: E402

Call = Callable[[Any], Any]


def graph(call: Call, dtype: Any = None) -> FlatGraph:
    """Of sin(x), what `call` makes of it, and tanh of that."""
    spec = tf.TensorSpec([None, 6], dtype or tf.float32, name="x")
    function = tf.function(lambda x: {"y": tf.tanh(call(tf.sin(x)))}, input_signature=[spec], autograph=False)
    return flatten(function.get_concrete_function())


def found_in(flat: FlatGraph) -> list[Dropped]:
    draws = [one.node for one in audit(flat).random]
    return list(Patterns(flat).of([name for name in draws if name in flat.nodes]).values())


def uniform(x: Any) -> Any:
    return tf.random.uniform(tf.shape(x), dtype=x.dtype)


def of_tensorflow_1(x: Any) -> Any:
    return tf.realdiv(x, 0.7) * tf.floor(0.7 + uniform(x))


def of_tensorflow_2_0(x: Any) -> Any:
    return x * (1 / (1 - 0.3)) * tf.cast(uniform(x) >= 0.3, x.dtype)


def below_what_is_kept(x: Any) -> Any:
    return tf.where(uniform(x) < 0.7, x / 0.7, 0.0)


def what_is_lost_first(x: Any) -> Any:
    return tf.where(uniform(x) < 0.3, tf.zeros([], x.dtype), x * (1 / 0.7))


def turned_around(x: Any) -> Any:
    return tf.cast(tf.logical_not(uniform(x) < 0.3), x.dtype) * x / 0.7


def a_scaled_mask(x: Any) -> Any:
    return x * (tf.cast(uniform(x) > 0.3, x.dtype) / 0.7)


def of_a_generator(x: Any) -> Any:
    kept = tf.random.stateless_uniform(tf.shape(x), seed=[1, 2]) >= 0.3
    return tf.where(kept, x / 0.7, 0.0)


def of_keras_3(x: Any) -> Any:
    return tf.nn.experimental.stateless_dropout(x, 0.3, seed=[1, 2])


def of_compat_v1(x: Any) -> Any:
    return tf.compat.v1.nn.dropout(x, rate=0.3)


def with_a_rate_that_is_a_tensor(x: Any) -> Any:
    return tf.nn.dropout(x, rate=tf.constant(0.3) * 1.0)


@pytest.mark.parametrize(
    "call",
    [
        *(of_tensorflow_1, of_tensorflow_2_0, below_what_is_kept, what_is_lost_first, turned_around),
        *(a_scaled_mask, of_a_generator, of_keras_3, of_compat_v1, with_a_rate_that_is_a_tensor),
        lambda x: tf.nn.dropout(x, 0.3),
    ],
)
def test_every_spelling(call: Call) -> None:
    flat = graph(call)
    (one,) = found_in(flat)
    assert one.rate == 0.3
    assert flat.nodes[node_of(one.before)].op == "Sin"
    assert [node.op for node in flat.nodes.values() if one.after in node.input] == ["Tanh"]


@pytest.mark.parametrize("rate", [0.001, 0.1, 1 / 3, 0.5, 0.9, 0.999])
def test_every_rate(rate: float) -> None:
    (one,) = found_in(graph(lambda x: tf.nn.dropout(x, rate)))
    assert one.rate == pytest.approx(rate, rel=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_every_precision(dtype: str) -> None:
    (one,) = found_in(graph(lambda x: tf.nn.dropout(x, 0.1), tf.as_dtype(dtype)))
    assert one.rate == 0.1


def test_what_is_scaled_anyway_is_not_taken_for_the_dropouts_own_scale() -> None:
    flat = graph(lambda x: tf.nn.dropout(x * 0.125, 0.3) * 8.0)
    (one,) = found_in(flat)
    before, after = flat.nodes[node_of(one.before)], flat.nodes[node_of(one.after)]
    assert (before.op, before.input[0]) == ("Mul", "Sin:0")
    assert after.op == "SelectV2"


def test_two_one_behind_the_other() -> None:
    flat = graph(lambda x: tf.nn.dropout(tf.nn.dropout(x, 0.3), 0.2))
    first, second = sorted(found_in(flat), key=lambda one: -one.rate)
    assert (first.rate, second.rate) == (0.3, 0.2)
    assert second.before == first.after


def not_scaled(x: Any) -> Any:
    return x * tf.cast(uniform(x) >= 0.3, x.dtype)


def scaled_for_another_rate(x: Any) -> Any:
    return x * tf.cast(uniform(x) >= 0.3, x.dtype) / 0.8


def another_value_for_what_is_lost(x: Any) -> Any:
    return tf.where(uniform(x) >= 0.3, x / 0.7, -1.0)


def a_rate_a_column(x: Any) -> Any:
    return x * tf.cast(uniform(x) >= tf.constant(np.linspace(0.1, 0.6, 6, dtype=np.float32)), x.dtype) / 0.7


def noise_of_another_kind(x: Any) -> Any:
    return x * (1 + 0.3 * tf.random.normal(tf.shape(x)))


def uniform_noise(x: Any) -> Any:
    return x * (uniform(x) + 0.5)


def a_mask_for_two(x: Any) -> Any:
    mask = tf.cast(uniform(x) >= 0.3, x.dtype) / 0.7
    return x * mask + tf.cos(x) * mask


def a_mask_turned_over(x: Any) -> Any:
    return x * tf.reverse(tf.cast(uniform(x) >= 0.3, x.dtype), [1]) / 0.7


def swapped_for_another(x: Any) -> Any:
    return tf.where(uniform(x) >= 0.3, x, tf.cos(x))


def a_range_of_its_own(x: Any) -> Any:
    return x * tf.cast(tf.random.uniform(tf.shape(x), -1.0, 1.0) >= 0.3, x.dtype) / 0.7


@pytest.mark.parametrize(
    "call",
    [
        *(not_scaled, scaled_for_another_rate, another_value_for_what_is_lost, a_rate_a_column),
        *(noise_of_another_kind, uniform_noise, a_mask_for_two, a_mask_turned_over, swapped_for_another),
        a_range_of_its_own,
    ],
)
def test_what_only_looks_like_a_dropout(call: Call) -> None:
    assert found_in(graph(call)) == []
