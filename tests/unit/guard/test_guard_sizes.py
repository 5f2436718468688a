"""Sizes that a SavedModel declares without having them: constants, variables, checkpoints, calls of calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard import sizes
from penult_service.guard.saved_model import read
from support import saved_graphs as graphs

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a weight and a constant. Not to be changed: copy it first."""
    weight = tf.Variable(tf.ones([64, 64]), name="weight")

    def function(text: Any) -> dict[str, Any]:
        lengths = tf.cast(tf.strings.length(text), tf.float32)[:, None] * tf.ones([64])
        return {"y": lengths @ weight + tf.constant(3.5)}

    return graphs.saved_function(tmp_path_factory.mktemp("sizes") / "model", function, weight=weight)


def refusal(model: Path) -> ModelRefused:
    with pytest.raises(ModelRefused) as caught:
        sizes.refuse_bombs(str(model), read(model))
    return caught.value


def test_an_ordinary_model(model: Path) -> None:
    sizes.refuse_bombs(str(model), read(model))
    sizes.refuse_claims(model)


def grown(*dims: int) -> Any:
    """A constant of one number gets a shape."""

    def change(meta_graph: Any) -> None:
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
                    shape = node.attr["value"].tensor.tensor_shape
                    del shape.dim[:]
                    for size in dims:
                        shape.dim.add(size=size)
                    return
        raise AssertionError("no constant")

    return change


def test_a_constant_of_a_few_bytes_that_fills_memory(model: Path, tmp_path: Path) -> None:
    bomb = graphs.edited(graphs.copied(model, tmp_path), grown(1 << 20, 1 << 20))
    assert (bomb / "saved_model.pb").stat().st_size < 100_000
    error = refusal(bomb)
    assert error.reason == "TOO_LARGE"
    assert "4.1e+03 GiB of constants at __inference" in error.message


def test_a_constant_below_the_limit(model: Path, tmp_path: Path) -> None:
    graph = read(graphs.edited(graphs.copied(model, tmp_path), grown(1 << 10, 1 << 20)))
    sizes.refuse_bombs("it", graph)


def test_many_constants_that_fill_memory_together(model: Path, tmp_path: Path) -> None:
    def many(meta_graph: Any) -> None:
        grown(1 << 9, 1 << 20)(meta_graph)
        body = meta_graph.graph_def.library.function[0].node_def
        big = next(n for f in meta_graph.graph_def.library.function for n in f.node_def if n.op == "Const")
        grown(1 << 9, 1 << 20)(meta_graph)
        for i in range(6):
            body.add().CopyFrom(big)
            body[-1].name = f"more_{i}"
            body[-1].attr["value"].tensor.dtype = tf.float32.as_datatype_enum
            del body[-1].attr["value"].tensor.tensor_shape.dim[:]
            body[-1].attr["value"].tensor.tensor_shape.dim.add(size=1 << 29)

    assert refusal(graphs.edited(graphs.copied(model, tmp_path), many)).reason == "TOO_LARGE"


def test_a_variable_larger_than_any_memory(model: Path, tmp_path: Path) -> None:
    def change(meta_graph: Any) -> None:
        for thing in meta_graph.object_graph_def.nodes:
            if thing.WhichOneof("kind") == "variable" and thing.variable.shape.dim:
                thing.variable.shape.dim[0].size = 1 << 40

    error = refusal(graphs.edited(graphs.copied(model, tmp_path), change))
    assert error.reason == "TOO_LARGE"
    assert "of variables at weight" in error.message


# The checkpoint


def test_an_index_that_claims_more_than_the_data_hold(model: Path, tmp_path: Path) -> None:
    cut = graphs.copied(model, tmp_path)
    data = cut / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(InvalidInput, match="its data files have 100") as caught:
        sizes.refuse_claims(cut)
    assert caught.value.reason == "DAMAGED"


def test_an_index_that_is_cut_off(model: Path, tmp_path: Path) -> None:
    cut = graphs.copied(model, tmp_path)
    index = cut / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:40])
    with pytest.raises(InvalidInput) as caught:
        sizes.refuse_claims(cut)
    assert caught.value.reason == "DAMAGED"


@pytest.mark.parametrize("error", [IndexError("Read less bytes than requested"), MemoryError()], ids=repr)
def test_an_index_that_the_reader_chokes_on(
    model: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Both were met by the fuzzer: a length in the index is believed."""

    def load(_: str) -> None:
        raise error

    monkeypatch.setattr(tf.train, "load_checkpoint", load)
    with pytest.raises(InvalidInput) as caught:
        sizes.refuse_claims(model)
    assert caught.value.reason == "DAMAGED"


# Calls of calls


def calling(*calls: tuple[str, str]) -> Any:
    """Functions that call functions, beside those that there are."""

    def change(meta_graph: Any) -> None:
        library = meta_graph.graph_def.library
        made: dict[str, Any] = {}
        for caller, called in calls:
            if caller not in made:
                made[caller] = library.function.add()
                made[caller].signature.name = caller
            node = made[caller].node_def.add(name=f"call_{len(made[caller].node_def)}", op="PartitionedCall")
            node.attr["f"].func.name = called

    return change


def test_functions_that_double_thirty_times(model: Path, tmp_path: Path) -> None:
    doubling = [(f"f{i}", f"f{i + 1}") for i in range(30) for _ in range(2)]
    doubling.append(("f30", next(iter(read(model).library))))
    error = refusal(graphs.edited(graphs.copied(model, tmp_path), calling(*doubling)))
    assert error.reason == "TOO_LARGE"
    assert "operations when its calls are replaced" in error.message


def test_a_function_that_calls_itself_by_way_of_another(model: Path, tmp_path: Path) -> None:
    error = refusal(
        graphs.edited(graphs.copied(model, tmp_path), calling(("a", "b"), ("b", "c"), ("c", "a")))
    )
    assert error.reason == "RECURSIVE"


def test_a_chain_deeper_than_pythons_own_stack(model: Path, tmp_path: Path) -> None:
    chain = [(f"f{i}", f"f{i + 1}") for i in range(5000)]
    chain.append(("f5000", next(iter(read(model).library))))
    graph = read(graphs.edited(graphs.copied(model, tmp_path), calling(*chain)))
    sizes.refuse_bombs("it", graph)
    assert graph.places["f0"] == "serving"
