"""What is random, or writes, at inference: refused wherever it hides, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.preparing.audit import Audit, audit, constant_value  # noqa: E402
from penult_service.preparing.graph import FlatGraph, flatten  # noqa: E402
from support import seed_model as seeds  # noqa: E402
from support import text_models  # noqa: E402

SWITCH = tf.Variable(False)
VECTOR = tf.TensorSpec([None, 4], tf.float32, name="x")
Body = Callable[[Any], Any]


def flat_graph(body: Body) -> FlatGraph:
    @tf.function(input_signature=[VECTOR], autograph=False)
    def outer(x: Any) -> dict[str, Any]:
        return {"y": body(x)}

    return flatten(outer.get_concrete_function())


def report_of(body: Body) -> Audit:
    return audit(flat_graph(body))


def noise(x: Any) -> Any:
    return tf.nn.dropout(x, 0.5)


# Random at inference


def keras_layer(name: str, *arguments: Any) -> Body:
    layer = getattr(text_models.layers(), name)(*arguments)
    return lambda x: layer(x, training=True)


@tf.function
def called(x: Any) -> Any:
    return tf.tanh(noise(x))


@tf.function(jit_compile=True)
def compiled(x: Any) -> Any:
    return x + tf.random.stateless_normal(tf.shape(x), seed=[1, 2])


def in_a_generator(generator: Any) -> Body:
    return lambda x: x + generator.normal(tf.shape(x))


def in_a_loop(x: Any) -> Any:
    return tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, noise(y)), (0, x))[1]


def reached_through_other_loop_variables(x: Any) -> Any:
    """Only `a` is used behind the loop; it takes from `b` what `b` took from the random `c`."""

    def step(i: Any, a: Any, b: Any, c: Any) -> Any:
        return i + 1, a + b, b + c, noise(c)

    return tf.while_loop(lambda i, *_: i < 3, step, (0, x, x, x))[1]


def in_the_condition_of_a_loop(x: Any) -> Any:
    return tf.while_loop(lambda _: tf.random.uniform([]) < 0.5, lambda y: (y + 1,), (x,))[0]


def in_a_mapped_function(x: Any) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([4], tf.float32)])
    def row(r: Any) -> Any:
        return noise(r)

    return tf.raw_ops.MapDefun(
        arguments=[x],
        captured_inputs=[],
        output_types=[tf.float32],
        output_shapes=[[4]],
        f=row.get_concrete_function(),
    )[0]


def in_a_shuffle(x: Any) -> Any:
    return tf.random.shuffle(x)


def in_a_predicate(x: Any) -> Any:
    return tf.cond(tf.random.uniform([]) < 0.5, lambda: x, lambda: -x)


def from_a_shuffled_data_set(x: Any) -> Any:
    rows = tf.data.Dataset.from_tensors(x).shuffle(3)
    return rows.get_single_element()


def from_a_queue(x: Any) -> Any:
    """What comes out depends on who put what in."""
    queue = tf.queue.FIFOQueue(3, tf.float32, shared_name="shared")
    queue.enqueue(x)
    return queue.dequeue()


def with_noise_at_the_border(x: Any) -> Any:
    return tf.image.extract_glimpse(x[None, :, :, None], [9, 9], [[0.0, 0.0]], noise="gaussian")[0, :, :, 0]


def pieces(nbest_size: int) -> Body:
    def body(x: Any) -> Any:
        from tensorflow_text.python.ops import sentencepiece_tokenizer

        tokenizer = sentencepiece_tokenizer.SentencepieceTokenizer(
            b"a model", tf.int32, nbest_size, alpha=0.1
        )
        return tokenizer.tokenize(tf.strings.as_string(x[:, 0])).to_tensor()

    return body


RANDOM: dict[str, tuple[Callable[[], Body], str]] = {
    "tf.nn.dropout": (lambda: noise, "RandomUniform"),
    "Dropout forced on": (lambda: keras_layer("Dropout", 0.1), "Random"),
    "GaussianNoise forced on": (lambda: keras_layer("GaussianNoise", 0.1), "Random"),
    "GaussianDropout forced on": (lambda: keras_layer("GaussianDropout", 0.1), "Random"),
    "AlphaDropout forced on": (lambda: keras_layer("AlphaDropout", 0.1), "Random"),
    "a constant seed": (
        lambda: lambda x: tf.nn.experimental.stateless_dropout(x, 0.1, seed=[1, 2]),
        "StatelessRandom",
    ),
    "a fixed seed": (lambda: lambda x: tf.nn.dropout(x, 0.1, seed=7), "RandomUniform"),
    "a generator": (lambda: in_a_generator(tf.random.Generator.from_seed(1)), "Rng|Stateless"),
    "numbers without a seed": (
        lambda: lambda x: x + tf.cast(tf.raw_ops.NonDeterministicInts(shape=[4]), tf.float32),
        "NonDeterministicInts",
    ),
    "FractionalMaxPool": (
        lambda: lambda x: tf.nn.fractional_max_pool(x[None, :, :, None], 1.5)[0],
        "FractionalMaxPool",
    ),
    "the clock": (lambda: lambda x: x + tf.cast(tf.timestamp(), tf.float32), "Timestamp"),
    "a shuffle": (lambda: in_a_shuffle, "RandomShuffle"),
    "a shuffled data set": (lambda: from_a_shuffled_data_set, "ShuffleDataset"),
    "a queue": (lambda: from_a_queue, "QueueDequeue"),
    "memory as it was": (lambda: lambda x: x + tf.raw_ops.Empty(shape=[4], dtype=tf.float32), "Empty"),
    "noise at the border": (lambda: with_noise_at_the_border, "ExtractGlimpse"),
    "sampled word pieces": (lambda: pieces(-1), "Sentencepiece"),
    "a called function": (lambda: called, "called|PartitionedCall"),
    "a compiled function": (lambda: compiled, "Stateless"),
    "a loop's body": (lambda: in_a_loop, "RandomUniform"),
    "a loop's other variables": (lambda: reached_through_other_loop_variables, "RandomUniform"),
    "a loop's condition": (lambda: in_the_condition_of_a_loop, "RandomUniform"),
    "map_fn": (lambda: lambda x: tf.map_fn(noise, x), "RandomUniform"),
    "a function that is not searched": (lambda: in_a_mapped_function, "MapDefun"),
    "a predicate": (lambda: in_a_predicate, "RandomUniform"),
    "a branch, by the input": (
        lambda: lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: noise(x), lambda: x),
        "RandomUniform",
    ),
    "a branch, by a variable": (
        lambda: lambda x: tf.cond(SWITCH, lambda: noise(x), lambda: x),
        "RandomUniform",
    ),
    "a Case, by the shape": (
        lambda: lambda x: tf.switch_case(tf.shape(x)[0], [lambda: x, lambda: noise(x), lambda: -x]),
        "RandomUniform",
    ),
    "a branch in a loop": (
        lambda: (
            lambda x: tf.while_loop(
                lambda i, _: i < 3,
                lambda i, y: (i + 1, tf.cond(i > 1, lambda: noise(y), lambda: y)),
                (tf.constant(0), x),
            )[1]
        ),
        "RandomUniform",
    ),
    "a branch that always runs": (
        lambda: lambda x: tf.cond(tf.constant(True) & True, lambda: noise(x), lambda: x),
        "RandomUniform",
    ),
}


@pytest.mark.parametrize(("body", "named"), RANDOM.values(), ids=RANDOM.keys())
def test_random_at_inference(body: Callable[[], Body], named: str) -> None:
    report = report_of(body())
    assert report.random
    assert any(part in str(found) for found in report.random for part in named.split("|"))
    assert all("is reachable from a served output" in line for line in report.refused[: len(report.random)])
    assert not set(report.random) & set(report.listed)


def test_an_encoder_traced_in_training_mode_is_random_where_the_other_is_not() -> None:
    _, encoder = seeds.hub_layers()
    names = ("input_word_ids", "input_mask", "input_type_ids")

    def encode(training: bool) -> Audit:
        def body(x: Any) -> Any:
            ids = tf.cast(x, tf.int32)
            return encoder.resolved_object(dict.fromkeys(names, ids), training=training)["pooled_output"]

        return report_of(body)

    assert encode(True).random
    assert encode(False).refused == []


# Not random


def rate_zero(x: Any) -> Any:
    return tf.nn.dropout(x, 0.0)


def in_training_only(x: Any) -> Any:
    training = tf.constant(False)
    return tf.cond(tf.logical_and(training, tf.equal(1, 1)), lambda: noise(x), lambda: x)


def case_of_a_constant(x: Any) -> Any:
    return tf.switch_case(tf.constant(1), [lambda: noise(x), lambda: x * 2, lambda: noise(x)])


def case_beyond_its_branches(x: Any) -> Any:
    return tf.switch_case(tf.constant(9), [lambda: noise(x), lambda: x * 2])


def in_a_loop_but_unused(x: Any) -> Any:
    return tf.while_loop(lambda i, *_: i < 3, lambda i, y, z: (i + 1, y * 2, noise(z)), (0, x, x))[1]


def unused(x: Any) -> Any:
    noise(x)
    return x * 2


def hashed_with_a_salt(x: Any) -> Any:
    return tf.strings.to_hash_bucket_strong(tf.strings.as_string(x), 10, key=[1, 2])


def zeros_at_the_border(x: Any) -> Any:
    return tf.image.extract_glimpse(x[None, :, :, None], [9, 9], [[0.0, 0.0]], noise="zero")[0, :, :, 0]


QUIET: dict[str, Body] = {
    "rate 0": rate_zero,
    "training only": in_training_only,
    "a Case of a constant": case_of_a_constant,
    "a Case beyond its branches": case_beyond_its_branches,
    "random, in a loop, unused": in_a_loop_but_unused,
    "random, unused": unused,
    "a salted hash": hashed_with_a_salt,
    "word pieces, the best ones": pieces(1),
    "zeros at the border": zeros_at_the_border,
}


@pytest.mark.parametrize("body", QUIET.values(), ids=QUIET.keys())
def test_not_random_at_inference(body: Body) -> None:
    report = report_of(body)
    assert report.refused == []
    assert report.nodes > 0


def test_a_branch_left_out_is_named_with_its_constant() -> None:
    (line,) = report_of(in_training_only).folded
    assert "If (" in line
    assert "always False" in line
    (line,) = report_of(case_of_a_constant).folded
    assert "Case (" in line
    assert "always 1" in line
    assert report_of(called).folded == []


@pytest.mark.parametrize("body", [in_training_only, in_a_loop_but_unused, unused, case_of_a_constant])
def test_random_operations_that_reach_no_output_are_listed(body: Body) -> None:
    listed = report_of(body).listed
    assert listed
    assert all(str(line).startswith("RandomUniform at ") for line in listed)


def test_only_a_constant_has_a_constant_value() -> None:
    switched_on = tf.Variable(True)
    cases: list[tuple[Body, object | None]] = [
        (lambda _: tf.constant(3) + 4, 7),
        (lambda _: tf.logical_not(tf.constant(True)), False),
        (lambda _: tf.compat.v1.placeholder_with_default(True, []), True),
        (lambda _: tf.constant([1, 2]), None),
        (lambda x: tf.shape(x)[0], None),
        (lambda _: tf.identity(switched_on), None),
        (lambda _: tf.random.uniform([]), None),
        (lambda _: tf.cond(tf.constant(True), lambda: 1, lambda: 2), None),
    ]
    for body, expected in cases:
        flat = flat_graph(body)
        assert constant_value(flat, flat.outputs["y"]) == expected


# Results that are used and results that are not; layers as they are in both modes


def test_a_random_number_of_turns() -> None:
    def body(x: Any) -> Any:
        return tf.while_loop(
            lambda _, stop: stop < 0.9, lambda y, _: (y + 1.0, tf.random.uniform([])), (x, 0.0)
        )[0]

    assert report_of(body).random


def test_a_random_result_of_a_branch_that_is_not_used() -> None:
    report = report_of(lambda x: tf.cond(x[0, 0] > 0.0, lambda: (x, noise(x)), lambda: (-x, x))[0])
    assert report.refused == []
    assert len(report.listed) == 1


@pytest.mark.parametrize(("index", "random"), [(0, False), (1, True), (2, False), (-1, False), (9, False)])
def test_a_case_of_a_constant_takes_that_branch_or_the_last(index: int, random: bool) -> None:
    branches = [tf.function(body).get_concrete_function(VECTOR) for body in (tf.abs, noise, tf.square)]
    report = report_of(
        lambda x: tf.raw_ops.Case(
            branch_index=tf.constant(index), input=[x], Tout=[tf.float32], branches=branches
        )[0]
    )
    assert bool(report.random) == random
    assert len(report.folded) == 1


@pytest.mark.parametrize("name", ["Dropout", "GaussianNoise", "GaussianDropout", "AlphaDropout"])
def test_a_noise_layer_in_inference_leaves_nothing_random(name: str) -> None:
    layer = getattr(text_models.layers(), name)(0.1)
    report = report_of(lambda x: layer(x, training=False))
    assert report.refused == report.listed == []


def test_dropout_of_rate_0_is_quiet_even_when_forced_on() -> None:
    assert report_of(keras_layer("Dropout", 0.0)).refused == []


def test_a_recurrent_layer_is_clean_in_inference_and_random_in_training() -> None:
    lstm = text_models.layers().LSTM(3, dropout=0.2, recurrent_dropout=0.2)
    lstm(tf.zeros([1, 2, 4]))
    assert report_of(lambda x: lstm(x[:, None, :], training=False)).refused == []
    assert report_of(lambda x: lstm(x[:, None, :], training=True)).random
