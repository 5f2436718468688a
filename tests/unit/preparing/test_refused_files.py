"""Every way in which the files of a model are refused: with which reason, saying what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from penult_service.errors import InvalidInput, ModelRefused, PenultError
from penult_service.preparing import pipeline
from penult_service.preparing.formats.saved_model import open_model
from penult_service.preparing.inspecting.inspection import inspect
from penult_service.preparing.opened import read_labels
from support import seed_model as seeds
from support.tiny_bert import VOCABULARY

pytestmark = pytest.mark.tensorflow


def copied(model: Path, place: Path) -> Path:
    return Path(shutil.copytree(model, place / "model"))


def refusal(directory: Path) -> PenultError:
    """The error that looking at the files, or opening, gives; it always names the directory."""
    with pytest.raises(PenultError) as caught:  # noqa: PT012 - whichever of the two it is
        inspect(directory)
        open_model(directory)
    assert str(directory) in caught.value.message
    return caught.value


def no_progress(stage: str, share: float) -> None:
    del stage, share


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def saved(place: Path, inputs: Any, outputs: Any) -> Path:
    """A functional model, saved by tf_keras."""
    seeds.keras().Model(inputs, outputs).save(str(place / "model"))
    return place / "model"


# Not a model, or not a whole one


def test_an_empty_directory(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert isinstance(error, InvalidInput)
    assert error.reason == "NOT_A_MODEL"
    assert "saved_model.pb" in error.message
    assert "it has: nothing" in error.message


def test_a_directory_of_something_else_is_told_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    error = refusal(tmp_path)
    assert error.reason == "NOT_A_MODEL"
    assert "config.json, model.safetensors" in error.message


def test_the_directory_above_the_model(seed_model: Path, tmp_path: Path) -> None:
    copied(seed_model, tmp_path)
    error = refusal(tmp_path)
    assert error.reason == "NOT_A_MODEL"
    assert "it has: model" in error.message


def without_variables(model: Path) -> None:
    shutil.rmtree(model / "variables")


def without_weights(model: Path) -> None:
    (model / "variables" / "variables.data-00000-of-00001").unlink()


def without_vocabulary(model: Path) -> None:
    shutil.rmtree(model / "assets")


def with_half_a_graph(model: Path) -> None:
    halved(model / "saved_model.pb")


def with_an_empty_graph(model: Path) -> None:
    (model / "saved_model.pb").write_bytes(b"")


def with_half_the_weights(model: Path) -> None:
    halved(model / "variables" / "variables.data-00000-of-00001")


def with_half_an_index(model: Path) -> None:
    halved(model / "variables" / "variables.index")


def with_half_the_metadata(model: Path) -> None:
    halved(model / "keras_metadata.pb")


def with_layers(model: Path, text: str) -> None:
    from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

    path = model / "keras_metadata.pb"
    saved = SavedMetadata.FromString(path.read_bytes())
    saved.nodes[-1].metadata = text
    path.write_bytes(saved.SerializeToString())


def with_a_layer_that_is_none(model: Path) -> None:
    with_layers(model, '"dropout"')


def with_a_layer_without_a_name(model: Path) -> None:
    with_layers(model, '{"name": 7, "class_name": "Dropout"}')


def with_a_layer_without_a_config(model: Path) -> None:
    with_layers(model, '{"name": "dropout", "class_name": "Dropout", "config": "rate"}')


def with_a_layer_too_deep(model: Path) -> None:
    with_layers(model, "[" * 100_000)


DAMAGES = [
    with_a_layer_that_is_none,
    with_a_layer_without_a_name,
    with_a_layer_without_a_config,
    with_a_layer_too_deep,
    without_variables,
    without_weights,
    without_vocabulary,
    with_half_a_graph,
    with_an_empty_graph,
    with_half_the_weights,
    with_half_an_index,
    with_half_the_metadata,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_or_half_copied(seed_model: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    model = copied(seed_model, tmp_path)
    damage(model)
    error = refusal(model)
    assert isinstance(error, InvalidInput)
    assert error.reason == "DAMAGED"
    assert "copy" in error.message


def test_a_saved_model_without_an_inference_function(tmp_path: Path) -> None:
    import tensorflow as tf

    bare = tf.Module()
    bare.weight = tf.Variable(1.0)
    tf.saved_model.save(bare, str(tmp_path / "model"))
    (tmp_path / "model" / "keras_metadata.pb").write_bytes(b"")
    error = refusal(tmp_path / "model")
    assert isinstance(error, ModelRefused)
    assert error.reason == "NO_SIGNATURE"
    assert "no signature, and no __call__" in error.message


# Code in the file


def test_a_callback_into_python(tmp_path: Path) -> None:
    import tensorflow as tf

    class Shouted(seeds.keras().layers.Layer):
        def call(self, inputs: Any) -> Any:
            lengths = tf.py_function(
                lambda texts: tf.cast(tf.strings.length(texts), tf.float32), [inputs], tf.float32
            )
            return tf.reshape(lengths, [-1, 1])

    text = seeds.keras().layers.Input(shape=(), dtype="string", name="text")
    error = refusal(saved(tmp_path, text, Shouted()(text)))
    assert isinstance(error, ModelRefused)
    assert error.reason == "RUNS_PYTHON_CODE"
    assert "EagerPyFunc" in error.message
    assert "replace tf.py_function" in error.message


@pytest.fixture
def with_lambda(tmp_path: Path) -> tuple[Path, Path]:
    """A model with a Lambda layer, and the file that its code writes when it runs (as it did when it was built).

    Keras keeps the bytecode in the file, and runs it when it loads the model.
    """
    marker = tmp_path / "marker"
    layers = seeds.keras().layers
    preprocess, _ = seeds.hub_layers()
    text = layers.Input(shape=(), dtype="string", name="text")
    words = layers.Embedding(len(VOCABULARY), 8)(preprocess(text)["input_word_ids"])
    noted = layers.Lambda(lambda x, place=str(marker): (open(place, "a").write("ran"), x * 2)[1])  # noqa: SIM115
    dropped = layers.Dropout(0.1, name="dropout")(noted(layers.GlobalAveragePooling1D()(words)))
    model = saved(tmp_path, text, layers.Dense(1, activation="sigmoid", name="output")(dropped))
    marker.unlink()
    return model, marker


def test_the_code_of_a_lambda_layer_is_never_run(with_lambda: tuple[Path, Path], tmp_path: Path) -> None:
    model, marker = with_lambda
    manifest = pipeline.prepare(model, tmp_path / "prepared", None, no_progress)
    assert not marker.exists()
    assert manifest.proof.proven
    assert any("Keras was not asked to load the file" in finding for finding in manifest.proof.findings)
    assert not any("keras" in figure.name for figure in manifest.proof.figures)

    # The check can fail: Keras itself does run it.
    seeds.keras().models.load_model(str(model), compile=False)
    assert marker.exists()


def test_keras_is_asked_where_no_code_can_be(seed_model: Path) -> None:
    assert open_model(seed_model).keras is not None


# Labels


BAD_LABELS = {
    "not JSON": b'["negative", ',
    "not UTF-8": b'["\xff\xfe"]',
    "an object": b'{"0": "negative"}',
    "numbers": b"[0, 1]",
}


@pytest.mark.parametrize("content", BAD_LABELS.values(), ids=BAD_LABELS.keys())
def test_labels_that_are_not_a_list_of_names(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.json").write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        read_labels(tmp_path)
    assert caught.value.reason == "BAD_LABELS"
    assert str(tmp_path / "labels.json") in caught.value.message


def test_labels_are_names_in_order(tmp_path: Path) -> None:
    assert read_labels(tmp_path) == ()
    (tmp_path / "labels.json").write_text('["négatif", "positif"]', encoding="utf-8")
    assert read_labels(tmp_path) == ("négatif", "positif")


def test_labels_of_the_wrong_number_leave_nothing_behind(seed_model: Path, tmp_path: Path) -> None:
    model = copied(seed_model, tmp_path)
    (model / "labels.json").write_text('["a", "b", "c"]')
    with pytest.raises(PenultError) as caught:
        pipeline.prepare(model, tmp_path / "prepared", None, no_progress)
    assert caught.value.reason == "BAD_LABELS"
    assert "names 3 classes, the model has 2" in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
