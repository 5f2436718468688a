"""The private names of TensorFlow and tf_keras that preparing leans on: each does what we take it to do."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.preparing import tf_private  # noqa: E402


def test_op_def() -> None:
    definition = tf_private.op_def("TopKV2")
    assert [argument.name for argument in definition.output_arg] == ["values", "indices"]
    assert tf_private.op_def("RandomUniform").is_stateful
    assert tf_private.op_def("NoSuchOperation") is None


def test_the_owner_of_every_captured_handle_is_found_under_the_root() -> None:
    root = tf.Module()
    root.deep = [{"weights": tf.Variable([1.0, 2.0])}]
    initializer = tf.lookup.KeyValueTensorInitializer(["a"], [7], tf.string, tf.int32)
    root.table = tf.lookup.StaticHashTable(initializer, default_value=0)
    root.cycle = root

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def lookup(text: tf.Tensor) -> tf.Tensor:
        return tf.cast(root.table.lookup(text), tf.float32) * root.deep[0]["weights"][1]

    owners = tf_private.resource_owners(root)
    captured = lookup.get_concrete_function().captured_inputs
    found = [owners[tf_private.handle_key(handle)] for handle in captured if handle.dtype == tf.resource]
    assert {id(owner) for owner in found} == {id(root.table), id(root.deep[0]["weights"])}
    assert len([child for child in tf_private.trackable_children(root) if child is root]) == 1


def test_the_shape_of_a_variable_behind_its_handle() -> None:
    assert tf_private.variable_shape(tf.Variable(tf.zeros([3, 5])).handle) == (3, 5)
    initializer = tf.lookup.KeyValueTensorInitializer(["a"], [7], tf.string, tf.int32)
    table = tf.lookup.StaticHashTable(initializer, default_value=0)
    assert tf_private.variable_shape(table.resource_handle) == ()


def test_the_metadata_of_keras(seed_model: Path) -> None:
    data = (seed_model / "keras_metadata.pb").read_bytes()
    entries = tf_private.keras_metadata(data)
    assert entries[0][0] == "root"
    assert [path for path, _, text in entries if '"class_name": "Dropout"' in text]
    with pytest.raises(ValueError, match=r".+"):
        tf_private.keras_metadata(data[:-7])


def test_functions_that_are_registered_can_be_called_by_name() -> None:
    """A graph that calls one can be imported and run; the first body of a name is kept."""
    from tensorflow.core.framework import function_pb2

    inner = tf.function(lambda x: x * 3.0, input_signature=[tf.TensorSpec([], tf.float32)])
    definition = function_pb2.FunctionDef()
    definition.CopyFrom(inner.get_concrete_function().function_def)
    definition.signature.name = "tripled_by_another_name"
    other = function_pb2.FunctionDef()
    other.signature.name = definition.signature.name
    tf_private.register_functions([definition, other])

    graph = tf.compat.v1.GraphDef()
    graph.library.function.append(definition)
    call = graph.node.add(name="call", op="PartitionedCall", input=["x"])
    call.attr["f"].func.name = definition.signature.name
    call.attr["Tin"].list.type.append(tf.float32.as_datatype_enum)
    call.attr["Tout"].list.type.append(tf.float32.as_datatype_enum)
    graph.node.add(name="x", op="Placeholder").attr["dtype"].type = tf.float32.as_datatype_enum

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def outer(x: tf.Tensor) -> tf.Tensor:
        return tf.graph_util.import_graph_def(graph, {"x:0": x}, ["call:0"], name="")[0]

    assert float(outer(2.0)) == 6.0
