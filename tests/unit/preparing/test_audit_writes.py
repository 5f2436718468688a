"""Writes at inference: a variable may carry batch statistics or a random value where no data edge does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.preparing.audit import Audit, audit  # noqa: E402
from penult_service.preparing.graph import flatten  # noqa: E402

Body = Callable[[Any], Any]


def report_of(body: Body) -> Audit:
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")], autograph=False)
    def outer(x: Any) -> dict[str, Any]:
        return {"y": body(x)}

    return audit(flatten(outer.get_concrete_function()))


def batch_statistics(x: Any) -> Any:
    return BATCH_NORM(x, training=True)


BATCH_NORM = tf.keras.layers.BatchNormalization()
COUNTER, TOTAL, ROWS = tf.Variable(0, dtype=tf.int64), tf.Variable(0.0), tf.Variable(tf.zeros([3, 4]))
TABLE = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, default_value=0)


def counts_what_it_reads(x: Any) -> Any:
    COUNTER.assign_add(1)
    return x * tf.cast(COUNTER, tf.float32)


def writes_a_float_nobody_reads(x: Any) -> Any:
    TOTAL.assign(tf.reduce_sum(x))
    return x * 2


def writes_in_a_branch(x: Any) -> Any:
    return tf.cond(tf.reduce_sum(x) > 0, lambda: x + TOTAL.assign_add(1.0), lambda: x)


def writes_in_a_loop(x: Any) -> Any:
    def step(i: Any, y: Any) -> Any:
        TOTAL.assign_sub(1.0)
        return i + 1, y + 1

    return tf.while_loop(lambda i, _: i < 2, step, (0, x))[1]


def scatters(x: Any) -> Any:
    ROWS.scatter_nd_update([[0]], x[:1])
    return x + ROWS[0]


def learns_words(x: Any) -> Any:
    words = tf.strings.as_string(x[:, 0])
    TABLE.insert(words, tf.ones_like(words, tf.int64))
    return tf.cast(TABLE.lookup(words), tf.float32)


WRITES = [
    batch_statistics,
    counts_what_it_reads,
    writes_a_float_nobody_reads,
    writes_in_a_branch,
    writes_in_a_loop,
    scatters,
    learns_words,
]


@pytest.mark.parametrize("body", WRITES, ids=lambda body: body.__name__)
def test_writes_at_inference(body: Body) -> None:
    report = report_of(body)
    assert report.writes
    assert report.random == []
    assert all("writes a variable during inference" in line for line in report.refused)


def test_a_counter_that_nothing_served_reads_is_no_reason() -> None:
    def body(x: Any) -> Any:
        COUNTER.assign_add(1)
        return x * 2

    assert report_of(body).refused == []


def test_batch_normalization_in_inference_writes_nothing() -> None:
    assert report_of(lambda x: BATCH_NORM(x, training=False)).refused == []


def through_a_variable(x: Any) -> Any:
    """No data edge leads from the random operation to the output."""
    ROWS.assign(tf.random.uniform([3, 4]))
    return x * ROWS[0]


def counts_in_a_branch(x: Any) -> Any:
    tf.cond(x[0, 0] > 0.0, lambda: COUNTER.assign_add(1), lambda: tf.identity(COUNTER))
    return x * tf.cast(COUNTER, tf.float32)


@pytest.mark.parametrize("body", [through_a_variable, counts_in_a_branch], ids=lambda body: body.__name__)
def test_what_comes_back_by_a_variable(body: Body) -> None:
    report = report_of(body)
    assert report.random == []
    assert report.writes
