"""Marks in the inference graph of a Keras model: each dropout's own tensors, wherever it stands; all else the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from penult_service.preparing.cut import cut
from penult_service.preparing.formats.keras_marks import layers_of
from penult_service.preparing.formats.keras_trace import Traced, trace
from penult_service.preparing.graph import node_of
from penult_service.preparing.naming import layer_at
from penult_service.preparing.opened import Layer
from support.formats import shapes
from support.formats.kit import KERAS, TF_KERAS, Kit

pytestmark = pytest.mark.tensorflow

Array = NDArray[Any]
NUMBERS = np.random.default_rng(3).normal(size=(5, 6)).astype(np.float32)
FLAVOURS = pytest.mark.parametrize("flavour", [TF_KERAS, KERAS])


def traced(model: Any) -> Traced:
    return trace("the model", model)


def sides(found: Traced, given: Array) -> list[tuple[str, int, Array, Array]]:
    """Of each mark the layer's path, the call, and the tensors before and after it."""
    refs = {ref: ref for mark in found.marks for ref in (mark.before, mark.after)}
    (one,) = found.inputs
    part = cut(found.flat, {one.ref: tf.TensorSpec(one.shape, one.dtype)}, refs)
    values = {ref: value.numpy() for ref, value in part(tf.constant(given)).items()}
    return [(path(mark.layer), mark.call, values[mark.before], values[mark.after]) for mark in found.marks]


def path(layer: Layer) -> str:
    """Of the models and layers around it, and itself: `encoder/block/dropout`."""
    return layer.path.removeprefix("root.").replace(".", "/")


def symbolic(kit: Kit, model: Any, *tensors: Any, given: Array = NUMBERS) -> list[Array]:
    """What Keras itself makes of these tensors of the model."""
    values = kit.keras.Model(model.inputs, list(tensors))(tf.constant(given), training=False)
    return [np.asarray(value) for value in values]


def check(found: Traced, expected: list[tuple[str, int, Array]], given: Array = NUMBERS) -> None:
    """That the marks are these, in any order, with this in front and the same behind."""
    marks = {(name, call): (before, after) for name, call, before, after in sides(found, given)}
    assert sorted(marks) == sorted((name, call) for name, call, _ in expected)
    for name, call, value in expected:
        before, after = marks[name, call]
        np.testing.assert_allclose(before, value, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(before, after)


@FLAVOURS
def test_each_class_of_noise_with_its_rate(flavour: str) -> None:
    kit = Kit(flavour)
    inputs = x = kit.layers.Input((6,), name="numbers")
    made, expected = [], []
    for number, name in enumerate(("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise")):
        x = kit.dense(6 - number, f"dense_{number}", "tanh")(x)
        expected.append((f"noise_{number}", x))
        made.append(getattr(kit.layers, name)(0.1 * (number + 1), name=f"noise_{number}"))
        x = made[-1](x)
    model = kit.model(inputs, x)
    found = traced(model)
    check(
        found,
        [
            (name, 1, v)
            for (name, _), v in zip(expected, symbolic(kit, model, *(t for _, t in expected)), strict=True)
        ],
    )
    layers = {mark.layer.name: mark.layer for mark in found.marks}
    for number, layer in enumerate(made):
        record = layers[f"noise_{number}"]
        assert record.class_name == type(layer).__name__
        rate = record.config.get("rate", record.config.get("stddev"))
        assert rate == pytest.approx(0.1 * (number + 1))


@FLAVOURS
def test_a_noise_shape_and_a_spatial_dropout(flavour: str) -> None:
    kit = Kit(flavour)
    inputs = kit.layers.Input((6,), name="numbers")
    rows = kit.layers.Reshape((3, 2))(kit.dense(6, "hidden")(inputs))
    one = kit.layers.Dropout(0.5, noise_shape=(None, 1, 2), name="whole_rows")(rows)
    two = kit.layers.SpatialDropout1D(0.2, name="channels")(kit.layers.Activation("tanh")(one))
    model = kit.model(inputs, kit.dense(2)(kit.layers.Flatten()(two)))
    found = traced(model)
    check(
        found,
        [
            ("whole_rows", 1, symbolic(kit, model, rows, rows)[0]),
            ("channels", 1, symbolic(kit, model, rows, two)[1]),
        ],
    )
    shapes_found = {mark.layer.name: mark.layer.config.get("noise_shape") for mark in found.marks}
    assert tuple(shapes_found["whole_rows"]) == (None, 1, 2)
    assert {mark.layer.name: mark.layer.class_name for mark in found.marks}["channels"] == "SpatialDropout1D"


@FLAVOURS
def test_nested_three_levels_and_called_twice(flavour: str) -> None:
    """A model within a model within a model, the outer of which is called twice: two calls of the one layer."""
    kit = Kit(flavour)
    inner_in = kit.layers.Input((6,))
    inner = kit.keras.Sequential(
        [kit.layers.Input((6,)), kit.dense(6, "front", "tanh"), kit.dropout()], name="stack"
    )
    block = kit.model(inner_in, inner(inner_in), name="block")
    middle_in = kit.layers.Input((6,))
    encoder = kit.model(middle_in, block(kit.dropout(0.1, "entry")(middle_in)), name="encoder")
    inputs = kit.layers.Input((6,), name="numbers")
    once = encoder(inputs)
    model = kit.model(inputs, kit.dense(2)(encoder(once)))
    found = traced(model)
    front = inner.layers[0]
    first = np.asarray(front(NUMBERS))
    check(
        found,
        [
            ("encoder/entry", 1, NUMBERS),
            ("encoder/block/stack/dropout", 1, first),
            ("encoder/entry", 2, first),
            ("encoder/block/stack/dropout", 2, np.asarray(front(first))),
        ],
    )


@FLAVOURS
def test_several_samples_of_one_dropout(flavour: str) -> None:
    kit = Kit(flavour)
    inputs = kit.layers.Input((6,), name="numbers")
    pooled = kit.dense(4, "hidden", "tanh")(inputs)
    dropout, out = kit.dropout(), kit.dense(2)
    model = kit.model(inputs, kit.layers.Average(name="mean")([out(dropout(pooled)) for _ in range(3)]))
    value = symbolic(kit, model, pooled, pooled)[0]
    check(traced(model), [("dropout", call, value) for call in (1, 2, 3)])


@FLAVOURS
def test_dropouts_inside_of_layers(flavour: str) -> None:
    """Attention has its own; one wrapped for each step is called on all steps, or in a loop."""
    kit = Kit(flavour)
    inputs = kit.layers.Input((6,), name="numbers")
    rows = kit.layers.Reshape((3, 2))(inputs)
    attended = kit.layers.MultiHeadAttention(1, 2, dropout=0.25, name="attention")(rows, rows)
    stepped = kit.layers.TimeDistributed(kit.dropout(0.4, "each"), name="steps")(attended)
    model = kit.model(inputs, kit.dense(2)(kit.layers.Flatten()(stepped)))
    found = traced(model)
    assert {mark.layer.config["rate"] for mark in found.marks} in ({0.25}, {0.25, 0.4})
    assert all(path(mark.layer).startswith(("attention/", "steps/")) for mark in found.marks)
    np.testing.assert_allclose(
        next(iter(found.function(tf.constant(NUMBERS)).values())),
        model(NUMBERS, training=False),
        rtol=1e-5,
        atol=1e-5,
    )


def test_a_dropout_of_ragged_rows() -> None:
    kit = Kit(TF_KERAS)  # Keras 3 has no ragged layers
    text = kit.text()
    vectors = kit.table(masked=False)(kit.words(None, ragged=True)(text))
    dropped = kit.dropout()(vectors)
    model = kit.model(text, kit.dense(2)(kit.average()(dropped)))
    found = traced(model)
    given = shapes.texts()
    ((name, call, before, after),) = sides(found, given)
    assert (name, call) == ("dropout", 1)
    expected = kit.keras.Model(text, vectors)(tf.constant(given)).flat_values
    np.testing.assert_allclose(before, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(before, after)


def test_ragged_ids_go_by_way_of_a_matrix_and_its_mask() -> None:
    network = shapes.ragged_inside(Kit(TF_KERAS))
    found = traced(network.model)
    given = tf.constant(["a good film", "", "the plot"])
    (outputs,) = found.function(given).values()
    np.testing.assert_array_equal(outputs, network.model(given, training=False))
    padded = [name for name, node in found.flat.nodes.items() if node.op == "RaggedTensorToTensor"]
    refs = {name: f"{name}:0" for name in padded}
    values = cut(found.flat, {found.inputs[0].ref: tf.TensorSpec([None], tf.string)}, refs)(given).values()
    ids, mask = (value.numpy() for value in values)
    np.testing.assert_array_equal(mask, [[1, 1, 1], [0, 0, 0], [1, 1, 0]])
    expected = np.asarray(network.model.get_layer("words")(given).to_tensor(0))
    np.testing.assert_array_equal(ids, expected)


@FLAVOURS
@pytest.mark.parametrize(
    "shape", [shapes.nested, shapes.called_twice, shapes.recurrent, shapes.several_dropped_outputs]
)
def test_the_model_is_the_same_before_while_and_after(flavour: str, shape: Callable[[Kit], Any]) -> None:
    network = shape(Kit(flavour))
    model, given = network.model, tf.constant(network.given["text"])
    plain = tf.function(lambda text: model(text, training=False), autograph=False)
    expected = [value.numpy() for value in tf.nest.flatten(plain(given))]
    found = traced(model)
    names = list(getattr(model, "output_names", ()))
    outputs = found.function(given)
    for name, value in zip(names, expected, strict=True):
        np.testing.assert_array_equal(outputs[name], value)
    assert not any("call" in vars(placed.layer) for placed in layers_of(model))
    again = tf.function(lambda text: model(text, training=False), autograph=False)
    graph = again.get_concrete_function(given).graph
    assert not any("penult_mark" in operation.name for operation in graph.get_operations())


def test_the_marks_are_off_after_an_error() -> None:
    kit = Kit(KERAS)
    inputs = kit.layers.Input((6,))
    model = kit.model(inputs, kit.dense(2)(kit.dropout()(inputs)))

    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("in the middle")

    model.layers[-1].call = fails
    with pytest.raises(RuntimeError, match="in the middle"):
        traced(model)
    assert "call" not in vars(model.layers[1])


@FLAVOURS
def test_operations_stand_in_the_scope_of_their_layer(flavour: str) -> None:
    """Keras 3 calls the scope of `dense` `dense_1`, which is another layer's name."""
    kit = Kit(flavour)
    inputs = kit.layers.Input((6,), name="numbers")
    x = kit.dense(5, "dense_1")(kit.dense(4, "dense")(inputs))
    found = traced(kit.model(inputs, kit.dense(3, "dense_1_1")(x)))
    widths = {}
    for name, node in found.flat.nodes.items():
        if node.op == "MatMul":
            layer = layer_at(name, found.layers)
            assert layer is not None
            part = cut(found.flat, {found.inputs[0].ref: tf.TensorSpec([None, 6])}, {"y": f"{name}:0"})
            widths[layer.name] = part(tf.constant(NUMBERS))["y"].shape[-1]
    assert widths == {"dense": 4, "dense_1": 5, "dense_1_1": 3}
    assert all(layer_at(node_of(ref), found.layers) is None for ref in found.flat.inputs.values())
