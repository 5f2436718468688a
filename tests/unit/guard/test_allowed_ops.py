"""The allow list: what is on it and why, and that a prepared model with anything else is never loaded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from penult_service.engines.tensorflow import signatures
from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard import prepared
from penult_service.guard.allowed import PLACES, allowed_at, families
from penult_service.guard.saved_model import read
from penult_service.prepared import load_manifest
from penult_service.preparing import pipeline
from support import saved_graphs as graphs
from support import seed_model as seeds
from tensorflow.python.framework import op_def_registry

pytestmark = pytest.mark.tensorflow
TEXT = tf.constant(["a good film"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared model. Not to be changed: copy it first."""
    place = tmp_path_factory.mktemp("seed") / "prepared"
    pipeline.prepare(seeds.seed_model(), place, None, lambda *_: None)
    return place


def refusal(directory: Path, *allow: str) -> ModelRefused:
    with pytest.raises(ModelRefused) as caught:
        signatures(directory, allow)
    assert str(directory) in caught.value.message
    return caught.value


# The list


def test_every_operation_of_the_list_is_one_of_tensorflow() -> None:
    assert [op for family in families() for op in family.ops if op_def_registry.get(op) is None] == []


def test_every_family_has_a_reason_and_places_that_there_are() -> None:
    for family in families():
        assert family.reason.endswith("."), family
        assert len(family.reason) > 20, family
        assert family.ops, family
        assert set(family.where) <= set(PLACES), family


def test_no_operation_is_on_the_list_twice_for_one_place() -> None:
    for place in PLACES:
        named = Counter(op for family in families() if place in family.where for op in family.ops)
        assert [op for op, times in named.items() if times > 1] == [], place


# What no operation of a served function or of loading may be: each would be the way to do harm.
HARMFUL = (
    *("ReadFile", "WriteFile", "MatchingFiles", "Save", "SaveV2", "SaveSlices", "Restore", "RestoreV2"),
    *("MergeV2Checkpoints", "ShardedFilename", "ImmutableConst", "TextLineReaderV2", "TextLineDataset"),
    *("PrintV2", "Print", "StringFormat", "WriteSummary", "SummaryWriter", "DebugIdentityV2"),
    *(
        "PyFunc",
        "EagerPyFunc",
        "PyFuncStateless",
        "GeneratorDataset",
        "MapDefun",
        "SymbolicGradient",
        "RemoteCall",
    ),
    *("DataServiceDataset", "FileSystemSetConfiguration", "InitializeTableFromDataset"),
)


@pytest.mark.parametrize("place", ["serving", "loading", "graph"])
def test_nothing_harmful_is_on_it(place: str) -> None:
    assert allowed_at(place).isdisjoint(HARMFUL)


def test_nothing_that_answers_writes_a_variable_or_a_table() -> None:
    writes = {op for op in allowed_at("serving") if op.startswith(("Assign", "LookupTableI", "LookupTableR"))}
    assert writes == set()


# A prepared model


def test_an_ordinary_one_is_loaded(model: Path) -> None:
    assert set(signatures(model)) == set(tf.saved_model.load(str(model)).signatures)


def swapped_for_a_write(place: Path) -> Any:
    """Text → the same, cleaned; the operation that cleans it becomes one that writes a file."""

    def change(meta_graph: Any) -> None:
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == "CaseFoldUTF8":
                    node.op = "WriteFile"
                    node.attr.clear()
                    node.input[:] = ["penult_path:output:0", node.input[0]]
                    path = function.node_def.add(name="penult_path", op="Const")
                    value = tf.make_tensor_proto(str(place))
                    path.attr["dtype"].type = value.dtype
                    path.attr["value"].tensor.CopyFrom(value)
                    return
        raise AssertionError("there is no CaseFoldUTF8")

    return change


def test_an_operation_swapped_with_the_hashes_made_to_fit(model: Path, tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    tampered = graphs.rehashed(graphs.edited(graphs.copied(model, tmp_path), swapped_for_a_write(harm)))
    load_manifest(tampered)  # the hashes say nothing
    error = refusal(tampered)
    assert error.reason == "OP_NOT_ALLOWED"
    assert "WriteFile (" in error.message
    assert "penult_path" not in error.message
    assert error.metadata == {"ops": "WriteFile"}
    assert "--allow-op WriteFile" in error.message
    assert not harm.exists()


def test_without_the_hashes_made_to_fit_it_is_damaged(model: Path, tmp_path: Path) -> None:
    tampered = graphs.edited(graphs.copied(model, tmp_path), swapped_for_a_write(tmp_path / "harm"))
    with pytest.raises(InvalidInput, match="altered") as caught:
        load_manifest(tampered)
    assert caught.value.reason == "DAMAGED"


def test_the_word_of_the_operator(tmp_path: Path) -> None:
    """The check can fail, and be told otherwise: then the file is written, when the function is called."""
    note = tmp_path / "note"

    def function(text: Any) -> dict[str, Any]:
        tf.io.write_file(str(note), text[0])
        return {"y": tf.math.polygamma(tf.constant(1.0), tf.constant(2.0))}

    saved = graphs.saved_function(tmp_path / "model", function)
    assert refusal(saved).metadata["ops"] == "Polygamma,WriteFile"
    assert refusal(saved, "WriteFile").metadata["ops"] == "Polygamma"
    functions = signatures(saved, ["WriteFile", "Polygamma"])
    assert not note.exists()
    functions["serving_default"](text=TEXT)
    assert note.read_text() == "a good film"


def test_an_operation_in_a_branch_and_in_what_nobody_calls(tmp_path: Path) -> None:
    def function(text: Any) -> dict[str, Any]:
        count = tf.size(text)
        return {"y": tf.cond(count > 100, lambda: tf.random.uniform([]), lambda: tf.cast(count, tf.float32))}

    saved = graphs.saved_function(tmp_path / "model", function)
    assert refusal(saved).metadata["ops"] == "RandomUniform"

    def orphaned(meta_graph: Any) -> None:
        stray = meta_graph.graph_def.library.function.add()
        stray.signature.name = "nobody_calls_this"
        stray.node_def.add(name="look", op="MatchingFiles", input=["pattern"])

    clean = graphs.saved_function(tmp_path / "clean", lambda text: {"y": tf.strings.lower(text)})
    signatures(clean)
    graphs.edited(clean, orphaned)
    assert "MatchingFiles (nobody_calls_this/look)" in refusal(clean).message


# What runs must be what was checked


def test_a_function_under_the_name_of_an_operation(tmp_path: Path) -> None:
    saved = graphs.saved_function(tmp_path / "model", lambda text: {"y": tf.strings.lower(text)})

    def named_like_one(meta_graph: Any) -> None:
        meta_graph.graph_def.library.function.add().signature.name = "StringLower"

    error = refusal(graphs.edited(saved, named_like_one))
    assert error.reason == "AMBIGUOUS_FUNCTION"
    assert "'StringLower' under the name of an operation" in error.message


def test_a_function_that_stands_there_twice(tmp_path: Path) -> None:
    saved = graphs.saved_function(tmp_path / "model", lambda text: {"y": tf.strings.lower(text)})

    def doubled(meta_graph: Any) -> None:
        functions = meta_graph.graph_def.library.function
        functions.add().CopyFrom(functions[0])

    assert refusal(graphs.edited(saved, doubled)).reason == "AMBIGUOUS_FUNCTION"


def test_a_call_of_a_function_that_is_not_there(tmp_path: Path) -> None:
    saved = graphs.saved_function(tmp_path / "model", lambda text: {"y": tf.strings.lower(text)})

    def renamed(meta_graph: Any) -> None:
        for node in meta_graph.graph_def.node:
            if "f" in node.attr and node.attr["f"].func.name.startswith("__inference_signature_wrapper"):
                node.attr["f"].func.name = "WriteFile"

    assert refusal(graphs.edited(saved, renamed)).metadata["ops"] == "WriteFile"


def test_a_constant_that_is_a_handle(tmp_path: Path) -> None:
    """With the name of another model's table in it, a model could read what is that one's."""
    saved = graphs.saved_function(
        tmp_path / "model", lambda text: {"y": tf.strings.join([text, tf.constant("s")])}
    )

    def stolen(meta_graph: Any) -> None:
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == "Const":
                    node.attr["dtype"].type = node.attr["value"].tensor.dtype = tf.resource.as_datatype_enum
                    node.attr["value"].tensor.resource_handle_val.add(
                        container="localhost", name="their_table"
                    )

    error = refusal(graphs.edited(saved, stolen), "StringJoin")
    assert error.metadata["ops"] == "Const(resource)"


# The places


def test_what_the_saver_needs_is_allowed_there_alone(model: Path, tmp_path: Path) -> None:
    places = {use.op: use.place for use in read(model).uses() if use.op in ("SaveV2", "RestoreV2")}
    assert places == {"SaveV2": "saver", "RestoreV2": "saver"}
    assert "InitializeTableFromTextFileV2" in {u.op for u in read(model).uses() if u.place == "loading"}

    def saves_when_asked(text: Any) -> dict[str, Any]:
        tf.raw_ops.SaveV2(
            prefix=str(tmp_path / "harm"), tensor_names=["t"], shape_and_slices=[""], tensors=[text]
        )
        return {"y": text}

    error = refusal(graphs.saved_function(tmp_path / "model", saves_when_asked))
    assert error.metadata["ops"] == "SaveV2"
    assert list(tmp_path.glob("harm*")) == []


def test_a_saver_function_that_loading_calls_as_well(model: Path, tmp_path: Path) -> None:
    """A table's initialiser that calls the saver's function would write a file at load."""

    def called_at_load(meta_graph: Any) -> None:
        save = next(
            f.signature.name
            for f in meta_graph.graph_def.library.function
            if "traced_save" in f.signature.name
        )
        for function in meta_graph.graph_def.library.function:
            if "initializer" in function.signature.name:
                for node in function.node_def:
                    if node.op == "StatefulPartitionedCall":
                        node.attr["f"].func.name = save

    tampered = graphs.edited(graphs.copied(model, tmp_path), called_at_load)
    assert "SaveV2" in refusal(tampered).metadata["ops"].split(",")


# Files that tables are filled from


def with_asset_name(name: str) -> Any:
    def change(meta_graph: Any) -> None:
        meta_graph.asset_file_def[0].filename = name

    return change


@pytest.mark.parametrize("name", ["../vocab.txt", "/etc/hostname", "a/../../vocab.txt", "C:\\vocab.txt", ""])
def test_an_asset_outside_the_folder(model: Path, tmp_path: Path, name: str) -> None:
    error = refusal(graphs.edited(graphs.copied(model, tmp_path), with_asset_name(name)))
    assert error.reason == "READS_FILES"
    assert repr(name) in error.message


def test_a_table_that_is_filled_from_a_path_in_the_graph(model: Path, tmp_path: Path) -> None:
    def from_a_constant(meta_graph: Any) -> None:
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == "InitializeTableFromTextFileV2":
                    node.input[1] = "path:output:0"
                    path = function.node_def.add(name="path", op="Const")
                    value = tf.make_tensor_proto("/etc/passwd")
                    path.attr["dtype"].type = value.dtype
                    path.attr["value"].tensor.CopyFrom(value)

    error = refusal(graphs.edited(graphs.copied(model, tmp_path), from_a_constant))
    assert error.reason == "READS_FILES"
    assert "InitializeTableFromTextFileV2" in error.message


def test_a_table_that_is_filled_from_a_constant_in_the_place_of_its_asset(
    model: Path, tmp_path: Path
) -> None:
    def bound_to_another_object(meta_graph: Any) -> None:
        objects = meta_graph.object_graph_def
        for thing in objects.nodes:
            if thing.WhichOneof("kind") == "asset":
                thing.constant.operation = "path"

    error = refusal(graphs.edited(graphs.copied(model, tmp_path), bound_to_another_object))
    assert error.reason == "READS_FILES"


def test_a_vocabulary_that_is_a_link_out_of_the_folder(model: Path, tmp_path: Path) -> None:
    tampered = graphs.copied(model, tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("not to be read")
    (tampered / "assets" / "vocab.txt").unlink()
    (tampered / "assets" / "vocab.txt").symlink_to(secret)
    error = refusal(graphs.rehashed(tampered))
    assert error.reason == "LINK_OUTSIDE"
    assert "assets/vocab.txt" in error.message


# Damage


def test_a_graph_that_is_cut_off_or_empty_is_damaged(model: Path, tmp_path: Path) -> None:
    cut = graphs.copied(model, tmp_path)
    whole = (cut / "saved_model.pb").read_bytes()
    for part in (whole[: len(whole) // 2], b"", b"not a graph"):
        (cut / "saved_model.pb").write_bytes(part)
        with pytest.raises(InvalidInput) as caught:
            prepared.check(cut)
        assert caught.value.reason == "DAMAGED"
