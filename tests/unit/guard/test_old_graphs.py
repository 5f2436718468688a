"""Graphs of TensorFlow 1 run as they stand: what would run at load, or when they answer, is looked at before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.errors import PenultError  # noqa: E402
from penult_service.preparing.inspecting.inspection import inspect  # noqa: E402
from support import old_graphs as old  # noqa: E402
from support.saved_graphs import edited  # noqa: E402


def plain(graph: old.Old) -> Any:
    return graph.outputs(tf.identity(graph.features, name="dropout/Identity"))


def refusal(model: Path) -> PenultError:
    with pytest.raises(PenultError) as caught:
        inspect(model)
    return caught.value


@pytest.mark.parametrize("resource", [False, True], ids=["reference variables", "resource variables"])
@pytest.mark.parametrize("file", [None, "words.txt"], ids=["words in the graph", "words in a file"])
def test_one_that_only_answers(tmp_path: Path, resource: bool, file: str | None) -> None:
    words = tmp_path / file if file else None
    old.save(tmp_path / "model", plain, resource=resource, words_file=words)
    inspect(tmp_path / "model")


def test_what_fills_the_tables_writes_a_file(tmp_path: Path) -> None:
    old.save(tmp_path / "model", plain, at_load=lambda: tf.io.write_file(str(tmp_path / "here"), "ran"))
    assert refusal(tmp_path / "model").reason == "WRITES_FILES"


def test_what_answers_reads_a_checkpoint(tmp_path: Path) -> None:
    old.save(tmp_path / "model", plain)
    assert refusal(edited(tmp_path / "model", _restore_beside_the_output)).reason == "READS_FILES"


def _restore_beside_the_output(meta_graph: Any) -> None:
    """The output is tied to what restores the variables."""
    restore = next(node for node in meta_graph.graph_def.node if node.op == "RestoreV2")
    output = meta_graph.signature_def["serving_default"].outputs["output"].name.partition(":")[0]
    made = next(node for node in meta_graph.graph_def.node if node.name == output)
    made.input.append(f"^{restore.name}")


def test_what_restores_reads_another_file(tmp_path: Path) -> None:
    def change(meta_graph: Any) -> None:
        restore = next(node for node in meta_graph.graph_def.node if node.op == "RestoreV2")
        other = meta_graph.graph_def.node.add(name="elsewhere", op="Const")
        other.attr["dtype"].type = tf.string.as_datatype_enum
        other.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(str(tmp_path / "elsewhere")))
        restore.input[0] = "elsewhere"

    old.save(tmp_path / "model", plain)
    error = refusal(edited(tmp_path / "model", change))
    assert (error.reason, error.metadata["op"]) == ("READS_FILES", "RestoreV2")
    assert "other files than its own weights" in error.message


def test_what_restores_saves_as_well(tmp_path: Path) -> None:
    def change(meta_graph: Any) -> None:
        save = next(node for node in meta_graph.graph_def.node if node.op == "SaveV2")
        entry = meta_graph.saver_def.restore_op_name
        next(node for node in meta_graph.graph_def.node if node.name == entry).input.append(f"^{save.name}")

    old.save(tmp_path / "model", plain)
    error = refusal(edited(tmp_path / "model", change))
    assert error.reason == "READS_FILES"
    assert error.metadata["op"] in ("SaveV2", "StringJoin", "ShardedFilename", "Pack")


def test_an_asset_that_is_none_of_its_own(tmp_path: Path) -> None:
    def change(meta_graph: Any) -> None:
        (packed,) = meta_graph.collection_def["saved_model_assets"].any_list.value
        asset = type(meta_graph.asset_file_def.add())()
        packed.Unpack(asset)
        asset.filename = "../words.txt"
        packed.Pack(asset)
        del meta_graph.asset_file_def[:]

    old.save(tmp_path / "model", plain, words_file=tmp_path / "words.txt")
    error = refusal(edited(tmp_path / "model", change))
    assert error.reason == "READS_FILES"
    assert "'../words.txt'" in error.message


def test_a_table_that_is_filled_from_a_file_outside(tmp_path: Path) -> None:
    def change(meta_graph: Any) -> None:
        del meta_graph.collection_def["saved_model_assets"]

    old.save(tmp_path / "model", plain, words_file=tmp_path / "words.txt")
    error = refusal(edited(tmp_path / "model", change))
    assert error.reason == "READS_FILES"
    assert "not one of its assets" in error.message
