"""Flattening: whatever a signature calls, the flat graph computes what the signature itself does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from penult_service.errors import ModelRefused
from penult_service.preparing.cut import cut
from penult_service.preparing.graph import CALLS, FlatGraph, _Flattener, _sorted, flatten
from tensorflow.core.framework import graph_pb2, node_def_pb2

pytestmark = pytest.mark.tensorflow
SPEC = tf.TensorSpec([None, 3], tf.float32, name="x")
INPUTS = [np.array(rows, np.float32) for rows in ([[1, 2, 3]], [[-4, 5, 6], [0, 0.5, -1]], [[9, 9, 9]] * 4)]


def signature(body: Callable[[tf.Tensor], Any], spec: tf.TensorSpec = SPEC) -> Any:
    """The body as the concrete function of a signature, outputs by name."""
    return tf.function(body, input_signature=[spec]).get_concrete_function()


def run(flat: FlatGraph, value: np.ndarray, spec: tf.TensorSpec = SPEC) -> dict[str, np.ndarray]:
    (source,) = flat.inputs.values()
    return {
        name: t.numpy() for name, t in cut(flat, {source: spec}, flat.outputs)(tf.constant(value)).items()
    }


def assert_equal(body: Callable[[tf.Tensor], Any]) -> FlatGraph:
    """Flattens; every input gives bitwise what the function itself gives. No call is left."""
    function = signature(body)
    flat = flatten(function)
    for value in INPUTS:
        expected = function(tf.constant(value))
        found = run(flat, value)
        assert found.keys() == expected.keys()
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name].numpy())
    assert not {node.op for node in flat.nodes.values()} & {*CALLS, *flat.library}
    return flat


def ops(flat: FlatGraph) -> set[str]:
    return {node.op for node in flat.nodes.values()}


# Calls


@tf.function
def doubled(x: tf.Tensor) -> tf.Tensor:
    return 2.0 * x


@tf.function
def nested(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return doubled(doubled(x)) + 1.0, doubled(x - 1.0)


@tf.function(jit_compile=True)
def compiled(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(x) * 3.0


@tf.custom_gradient
def with_gradient(x: tf.Tensor) -> Any:
    return tf.square(x), lambda dy: dy


def test_nested_calls() -> None:
    def body(x: tf.Tensor) -> dict[str, tf.Tensor]:
        left, right = nested(x)
        return {"y": left - doubled(right)}

    assert_equal(body)


def test_a_function_compiled_by_xla_is_opened_too() -> None:
    assert "Relu" in ops(assert_equal(lambda x: {"y": compiled(x) + compiled(-x)}))


def test_custom_gradients() -> None:
    assert_equal(lambda x: {"y": with_gradient(doubled(x)) + tf.recompute_grad(doubled)(x)})


def test_operations_of_many_outputs_inside_a_call() -> None:
    @tf.function
    def parts(x: tf.Tensor) -> tf.Tensor:
        first, second, third = tf.unstack(x, num=3, axis=1)
        values, indices = tf.math.top_k(x, 2)
        return first - 2 * second + 3 * third + values[:, 1] * tf.cast(indices[:, 0], tf.float32)

    assert_equal(lambda x: {"y": parts(x)})


def test_outputs_are_mapped_by_name_whatever_their_order() -> None:
    flat = assert_equal(lambda x: {"b": x + 1.0, "c": x + 2.0, "a": doubled(x), "b_again": x + 1.0})
    assert sorted(flat.outputs) == ["a", "b", "b_again", "c"]


def test_an_output_that_is_the_input() -> None:
    assert_equal(lambda x: {"same": x, "other": doubled(x)})


# Control flow: kept as nodes, opened by `branch`


def test_if() -> None:
    def body(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.cond(tf.reduce_sum(x) > 7.0, lambda: doubled(x), lambda: x - 1.0)}

    flat = assert_equal(body)
    assert ops(flat) & {"If", "StatelessIf"}


def test_while() -> None:
    def body(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.while_loop(lambda y: tf.reduce_sum(y) < 1e3, lambda y: (doubled(y) + 1.0,), [x])[0]}

    assert ops(assert_equal(body)) & {"While", "StatelessWhile"}


def test_map_fn() -> None:
    assert_equal(lambda x: {"y": tf.map_fn(lambda row: doubled(row) - tf.reduce_max(row), x)})


def test_case() -> None:
    def body(x: tf.Tensor) -> dict[str, tf.Tensor]:
        which = tf.shape(x)[0] - 1
        branches = [lambda: x + 1.0, lambda: nested(x)[1], lambda: doubled(x)]
        return {"y": tf.switch_case(which, branches)}

    assert ops(assert_equal(body)) & {"Case", "StatelessCase"}


def test_a_branch_is_flat_and_computes_what_the_node_does() -> None:
    flat = flatten(signature(lambda x: {"y": tf.cond(x[0, 0] > 0.0, lambda: nested(x)[0], lambda: x)}))
    (node,) = (node for node in flat.nodes.values() if node.op in ("If", "StatelessIf"))
    body = flat.branch(node.attr["then_branch"].func.name)
    assert not ops(body) & set(CALLS)
    feeds = dict.fromkeys(body.inputs.values(), SPEC)
    assert len(feeds) == 1
    (found,) = cut(body, feeds, body.outputs)(tf.constant(INPUTS[0])).values()
    np.testing.assert_array_equal(found, 4 * INPUTS[0] + 1)


# Captures


def test_variables_and_eager_tensors_are_captured_not_frozen() -> None:
    weight, constant = tf.Variable([[1.0], [2.0], [3.0]]), tf.constant(np.arange(1200, dtype=np.float32))

    @tf.function
    def inner(x: tf.Tensor) -> tf.Tensor:
        return x @ weight + constant[7]

    function = signature(lambda x: {"y": inner(x) + constant[3]})
    flat = flatten(function)
    assert len(flat.inputs) == 1
    assert len(flat.captures) == 2
    for value in (tf.constant([[0.5], [0.0], [-2.0]]), tf.constant([[4.0], [5.0], [6.0]])):
        weight.assign(value)
        np.testing.assert_array_equal(run(flat, INPUTS[1])["y"], function(tf.constant(INPUTS[1]))["y"])


def test_tables_are_captured() -> None:
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a", "b"], [5, 7]), -1)
    spec = tf.TensorSpec([None], tf.string)
    flat = flatten(signature(lambda t: {"id": table.lookup(t)}, spec))
    assert run(flat, np.array(["b", "?", "a"]), spec)["id"].tolist() == [7, -1, 5]


# Graphs written by hand


def node(name: str, op: str, *inputs: str, dtype: Any = None) -> node_def_pb2.NodeDef:
    made = node_def_pb2.NodeDef(name=name, op=op, input=inputs)
    if dtype is not None:
        made.attr["dtype" if op == "Placeholder" else "T"].type = dtype.as_datatype_enum
    return made


source_of: Callable[[str], str] = lambda ref: ref.partition(":")[0]  # noqa: E731


def test_a_node_whose_operation_is_a_function() -> None:
    """As TensorFlow 1 calls: a function name in the place of the operation; and a name that collides."""
    definition = nested.get_concrete_function(SPEC).graph.as_graph_def()
    outer = signature(lambda x: {"y": nested(x)[0]}).graph.as_graph_def()
    library = {f.signature.name: f for f in outer.library.function}
    name = next(n.attr["f"].func.name for n in outer.node if n.op in CALLS)
    inner_name = next(n.name for n in definition.node if n.op in CALLS)
    graph = graph_pb2.GraphDef()
    graph.node.extend(
        [
            node("x", "Placeholder", dtype=tf.float32),
            node(f"call/{inner_name}/mul", "Neg", "x", dtype=tf.float32),
            node("call", name, "x", f"^call/{inner_name}/mul"),
            node("left", "Identity", "call", dtype=tf.float32),
            node("right", "Identity", "call:1", dtype=tf.float32),
        ]
    )
    flattener = _Flattener(library)
    found = flattener.graph(graph)
    assert len({n.name for n in flattener.nodes.values()}) == len(flattener.nodes)
    outputs = {"left": found["left:0"], "right": found["right:0"], "neg": found[f"call/{inner_name}/mul:0"]}
    flat = FlatGraph(flattener.nodes, {"x": "x:0"}, outputs, library)
    values = run(flat, INPUTS[1])
    left, right = nested(tf.constant(INPUTS[1]))
    np.testing.assert_array_equal(values["left"], left)
    np.testing.assert_array_equal(values["right"], right)
    np.testing.assert_array_equal(values["neg"], -INPUTS[1])


def test_an_operation_that_is_not_installed() -> None:
    graph = graph_pb2.GraphDef(node=[node("odd", "NobodyHasThisOp")])
    with pytest.raises(ModelRefused) as caught:
        _Flattener({}).graph(graph)
    assert caught.value.reason == "UNKNOWN_OP"
    assert "NobodyHasThisOp" in caught.value.message
    assert "odd" in caught.value.message


def test_a_loop_of_tensorflow_1_is_refused() -> None:
    loop = [
        node("x", "Placeholder"),
        node("enter", "Enter", "x"),
        node("merge", "Merge", "enter", "next"),
        node("switch", "Switch", "merge", "more"),
        node("more", "LoopCond", "merge"),
        node("next", "NextIteration", "switch:1"),
        node("exit", "Exit", "switch"),
    ]
    with pytest.raises(ModelRefused) as caught:
        _sorted(loop, source_of)
    assert caught.value.reason == "TF1_CONTROL_FLOW"
    assert "TensorFlow 2" in caught.value.message


def test_a_control_edge_makes_no_loop() -> None:
    nodes = [node("a", "NoOp", "^b"), node("b", "NoOp", "a:0")]
    assert [n.name for n in _sorted(nodes, source_of)] == ["a", "b"]


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_every_node_comes_once_and_behind_its_inputs(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 10))
    edges = [data.draw(st.lists(st.integers(0, i - 1), max_size=4)) if i else [] for i in range(count)]
    nodes = [node(f"n{i}", "X", *(f"n{j}:0" for j in inputs), "given") for i, inputs in enumerate(edges)]
    ordered = _sorted(data.draw(st.permutations(nodes)), source_of)
    place = {n.name: number for number, n in enumerate(ordered)}
    assert len(ordered) == len(place) == count
    assert all(place[f"n{j}"] < place[f"n{i}"] for i, inputs in enumerate(edges) for j in inputs)


def test_upstream_and_downstream_stop_where_they_should() -> None:
    edges = {"a": [], "b": ["a:0"], "c": ["b:0"], "d": ["a:1", "c:0"], "e": ["d:0"]}
    flat = FlatGraph({name: node(name, "X", *refs) for name, refs in edges.items()}, {}, {}, {})
    upstream = partial(flat.upstream, ["d:0"])
    assert upstream() == {"a", "b", "c", "d"}
    assert upstream(stop=["c:0"]) == {"a", "d"}
    assert upstream(stop=["c:0", "a:1"]) == {"d"}
    assert upstream(stop=["d:0"]) == set()
    assert flat.downstream(["a:0"]) == {"b", "c", "d", "e"}
    assert flat.downstream(["a:1"]) == {"d", "e"}
