"""SavedModels that try to do harm: each is refused before anything of it is loaded, and nothing has happened then."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from penult_service.errors import ModelRefused, PenultError
from penult_service.preparing import pipeline
from penult_service.preparing.inspecting.harm import harm_of
from penult_service.preparing.inspecting.inspection import inspect
from support import saved_graphs as graphs
from support import seed_model as seeds
from support import text_models as tm

pytestmark = pytest.mark.tensorflow
raw = tf.raw_ops


def refusal(model: Path) -> PenultError:
    """Why it is refused; preparing it says the same, and leaves nothing behind."""
    around = set(model.parent.iterdir())
    with pytest.raises(PenultError) as looked:
        inspect(model)
    with pytest.raises(PenultError) as caught:
        pipeline.prepare(model, model.parent / "prepared", None, lambda *_: None)
    assert caught.value.message == looked.value.message
    assert str(model) in caught.value.message
    assert set(model.parent.iterdir()) == around
    return caught.value


# What is let through


@pytest.fixture(scope="module")
def words_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tf_keras model. Not to be changed: copy it first."""
    return tm.save(tm.classifier(), tmp_path_factory.mktemp("words") / "model")


def test_ordinary_models(words_model: Path) -> None:
    """With saver functions, tables of constants and of assets, training functions that draw random numbers."""
    inspect(words_model)
    inspect(seeds.seed_model())


def test_what_is_no_model_is_left_to_the_reader(tmp_path: Path) -> None:
    inspect(tmp_path)
    (tmp_path / "notes.txt").write_text("not a model")
    inspect(tmp_path)
    inspect(tmp_path / "notes.txt")


# What a function of the model would do when it is called

Attack = Callable[[Any, str], Any]
"""Text [n], the path of the harm → what the operation gives."""


def writes_summaries(text: Any, path: str) -> Any:
    writer = raw.SummaryWriter()
    raw.CreateSummaryFileWriter(
        writer=writer, logdir=path, max_queue=0, flush_millis=0, filename_suffix="", name="made"
    )
    return tf.size(text)


def reads_by_a_data_set(_: Any, path: str) -> Any:
    return tf.data.TextLineDataset([path]).reduce(tf.constant(0), lambda count, _: count + 1)


def calls_python(text: Any, path: str) -> Any:
    return tf.numpy_function(lambda x: (Path(path).write_bytes(x[0]), x)[1], [text], tf.string)


def in_a_loop_and_a_branch(text: Any, path: str) -> Any:
    def write(i: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(path, text[0])]):
            return i + 1

    def step(i: Any) -> Any:
        return (tf.cond(i > 1, lambda: write(i), lambda: i + 1),)

    return tf.while_loop(lambda i: i < 3, step, (tf.constant(0),))


ATTACKS: dict[str, tuple[Attack, str, str]] = {
    "a file is written": (lambda text, path: tf.io.write_file(path, text[0]), "WRITES_FILES", "WriteFile"),
    "a tensor is saved": (
        lambda text, path: raw.SaveV2(prefix=path, tensor_names=["t"], shape_and_slices=[""], tensors=[text]),
        "WRITES_FILES",
        "SaveV2",
    ),
    "a checkpoint is merged": (
        lambda _, path: raw.MergeV2Checkpoints(checkpoint_prefixes=[path], destination_prefix=path),
        "WRITES_FILES",
        "MergeV2Checkpoints",
    ),
    "summaries are written": (writes_summaries, "WRITES_FILES", "Summary"),
    "a file is read": (lambda _, path: tf.io.read_file(path), "READS_FILES", "ReadFile"),
    "files are listed": (lambda _, path: tf.io.matching_files(path + "*"), "READS_FILES", "MatchingFiles"),
    "a tensor is restored": (
        lambda _, path: raw.RestoreV2(
            prefix=path, tensor_names=["t"], shape_and_slices=[""], dtypes=[tf.string]
        ),
        "READS_FILES",
        "RestoreV2",
    ),
    "a file is mapped": (
        lambda _, path: raw.ImmutableConst(dtype=tf.float32, shape=[1], memory_region_name=path),
        "READS_FILES",
        "ImmutableConst",
    ),
    "a data set reads lines": (reads_by_a_data_set, "READS_FILES", "Dataset"),
    "text is printed": (lambda text, _: tf.print(text), "PRINTS", "PrintV2"),
    "text is printed to a file": (
        lambda text, path: tf.print(text, output_stream=f"file://{path}"),
        "PRINTS",
        "PrintV2",
    ),
    "tensors are dumped": (
        lambda text, path: raw.DebugIdentityV2(input=text, debug_urls=[f"file://{path}"]),
        "PRINTS",
        "DebugIdentityV2",
    ),
    "Python is called": (calls_python, "RUNS_PYTHON_CODE", "PyFunc"),
    "deep inside": (in_a_loop_and_a_branch, "WRITES_FILES", "WriteFile"),
}


@pytest.mark.parametrize(("attack", "reason", "op"), ATTACKS.values(), ids=ATTACKS.keys())
def test_an_operation_that_does_harm(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], attack: Attack, reason: str, op: str
) -> None:
    harm = tmp_path / "harm"

    def function(text: Any) -> dict[str, Any]:
        done = attack(text, str(harm))
        after = [done] if isinstance(done, (tf.Operation, tf.Tensor)) else []
        with tf.control_dependencies(after):
            return {"y": tf.strings.lower(text)}

    model = graphs.saved_function(tmp_path / "model", function)
    error = refusal(model)
    assert isinstance(error, ModelRefused)
    assert error.reason == reason
    assert op in error.metadata["op"]
    assert error.metadata["op"] in error.message
    assert "a good film" not in "".join(capfd.readouterr())
    assert not list(tmp_path.glob("harm*"))


def test_the_check_can_fail(tmp_path: Path) -> None:
    """TensorFlow itself does write the file, when such a model is loaded and asked."""
    harm = tmp_path / "harm"

    def function(text: Any) -> dict[str, Any]:
        tf.io.write_file(str(harm), text[0])
        return {"y": text}

    model = graphs.saved_function(tmp_path / "model", function)
    tf.saved_model.load(str(model)).signatures["serving_default"](tf.constant(["a good film"]))
    assert harm.read_text() == "a good film"


def test_the_operator_may_allow_one_by_name(tmp_path: Path) -> None:
    def function(text: Any) -> dict[str, Any]:
        tf.print(text)
        tf.io.write_file(str(tmp_path / "harm"), text[0])
        return {"y": text}

    model = graphs.saved_function(tmp_path / "model", function)
    for allowed, left in ((["WriteFile"], "PRINTS"), (["PrintV2"], "WRITES_FILES")):
        with pytest.raises(ModelRefused) as caught:
            inspect(model, allowed)
        assert caught.value.reason == left
        assert f"--allow-op {caught.value.metadata['op']}" in caught.value.message
    inspect(model, ["PrintV2", "WriteFile"])


class Odd(tf.saved_model.experimental.TrackableResource):
    """A table whose filling takes an operation that no table needs."""

    def _create_resource(self) -> Any:
        return raw.HashTableV2(key_dtype=tf.string, value_dtype=tf.float32, shared_name="odd")

    def _initialize(self) -> None:
        values = tf.math.lgamma(tf.ones([1]))
        raw.LookupTableImportV2(table_handle=self.resource_handle, keys=["a"], values=values)


def test_what_is_run_at_load_is_held_against_the_list(tmp_path: Path) -> None:
    table = Odd()

    def function(text: Any) -> dict[str, Any]:
        handle, default = table.resource_handle, tf.constant(0.0)
        return {"y": raw.LookupTableFindV2(table_handle=handle, keys=text, default_value=default)}

    model = graphs.saved_function(tmp_path / "model", function, table=table)
    error = refusal(model)
    assert error.reason == "OP_NOT_ALLOWED"
    assert error.metadata["ops"] == "Lgamma"
    inspect(model, ["Lgamma"])


class Harmful(tf.saved_model.experimental.TrackableResource):
    """A table that writes a file when it is filled: at load, before anybody has asked anything."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def _create_resource(self) -> Any:
        return raw.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64, shared_name="harmful")

    def _initialize(self) -> None:
        tf.io.write_file(self.place, "harm")


def test_what_is_run_at_load(tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    table = Harmful(str(harm))

    def function(text: Any) -> dict[str, Any]:
        found = raw.LookupTableFindV2(
            table_handle=table.resource_handle, keys=text, default_value=tf.constant(0, tf.int64)
        )
        return {"y": found}

    model = graphs.saved_function(tmp_path / "model", function, table=table)
    error = refusal(model)
    assert error.reason == "WRITES_FILES"
    assert "initialize" in error.metadata["node"]
    assert not harm.exists()

    # The check can fail: TensorFlow itself does run it.
    tf.saved_model.load(str(model))
    assert harm.read_text() == "harm"


def renamed(old: str, new: str) -> Callable[[Any], None]:
    """One operation in a function that answers becomes another."""

    def change(meta_graph: Any) -> None:
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == old:
                    node.op = new
                    return
        raise AssertionError(f"there is no {old}")

    return change


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        ("RpcCall", "TALKS_TO_OTHERS"),
        ("RemoteCall", "TALKS_TO_OTHERS"),
        ("_Send", "TALKS_TO_OTHERS"),
        ("CollectiveBcastSendV2", "TALKS_TO_OTHERS"),
        ("DataServiceDatasetV4", "READS_FILES"),
        ("XlaCustomCallV2", "RUNS_NATIVE_CODE"),
        ("FileSystemSetConfiguration", "TALKS_TO_OTHERS"),
        ("TFRecordReaderV2", "READS_FILES"),
        ("IteratorGetNext", "READS_FILES"),
        ("Somebody>OwnOperation", "UNKNOWN_OP"),
    ],
)
def test_operations_that_only_a_damaged_or_foreign_file_holds(
    words_model: Path, tmp_path: Path, op: str, reason: str
) -> None:
    changed = graphs.edited(graphs.copied(words_model, tmp_path), renamed("StringLower", op))
    error = refusal(changed)
    assert error.reason == reason
    assert error.metadata["op"] == op


@pytest.mark.parametrize(
    "op",
    [
        *("MatMul", "ReadVariableOp", "RandomUniform", "AssignVariableOp", "LookupTableImportV2", "Assert", "Shape"),
        *("LogSoftmax", "TensorListReserve", "StringSplitV2", "RaggedTensorToTensor", "CheckNumerics", "Einsum"),
    ],
)  # fmt: skip
def test_operations_of_ordinary_models_do_no_harm(op: str) -> None:
    assert harm_of(op) is None


def test_a_constant_that_is_a_handle_to_what_others_have(words_model: Path, tmp_path: Path) -> None:
    def change(meta_graph: Any) -> None:
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == "Const":
                    node.attr["value"].tensor.dtype = tf.resource.as_datatype_enum
                    node.attr["value"].tensor.resource_handle_val.add(name="their_table")
                    return

    assert refusal(graphs.edited(graphs.copied(words_model, tmp_path), change)).reason == "TALKS_TO_OTHERS"


# Files


def test_a_vocabulary_outside_the_folder(tmp_path: Path) -> None:
    model = graphs.copied(seeds.seed_model(), tmp_path)

    def change(meta_graph: Any) -> None:
        meta_graph.asset_file_def[0].filename = "../../secret.txt"

    (tmp_path / "secret.txt").write_text("secret")
    error = refusal(graphs.edited(model, change))
    assert error.reason == "READS_FILES"
    assert "'../../secret.txt'" in error.message


def test_a_weight_file_that_is_a_link_or_a_pipe(words_model: Path, tmp_path: Path) -> None:
    model = graphs.copied(words_model, tmp_path)
    weights = model / "variables" / "variables.data-00000-of-00001"
    moved = weights.rename(tmp_path / "weights")
    weights.symlink_to(moved)
    assert refusal(model).reason == "LINK_OUTSIDE"
    weights.unlink()
    os.mkfifo(weights)
    assert refusal(model).reason == "SPECIAL_FILE"


def test_a_graph_of_tensorflow_1(words_model: Path, tmp_path: Path) -> None:
    model = graphs.edited(graphs.copied(words_model, tmp_path), lambda m: m.ClearField("object_graph_def"))
    # It would run as it stands, saving and restoring when it is asked to; which of the two stands first in the file
    # depends on the numbers that TensorFlow gave its functions.
    assert refusal(model).reason in {"WRITES_FILES", "READS_FILES"}
