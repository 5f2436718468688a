"""`.keras` and `.h5` files that are not read, each refused in one sentence; the modules of TF-Hub layers in them."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
import tensorflow as tf
from penult_service.errors import InvalidInput, ModelRefused
from penult_service.preparing.formats import keras_load, keras_saved
from support import saved_graphs
from support.formats import shapes
from support.formats.kit import KERAS, TF_KERAS, Kit, Network, predicted
from support.keras_opening import ENDINGS, FLAVOURS, FORMATS, check, in_archive, opened, refusal, save

pytestmark = pytest.mark.tensorflow

# Refused in one sentence


@FLAVOURS
def test_weights_alone(tmp_path: Path, flavour: str) -> None:
    model = shapes.plain()(Kit(flavour)).model
    model.save_weights(str(tmp_path / "model.weights.h5"))
    error = refusal(tmp_path / "model.weights.h5")
    assert isinstance(error, InvalidInput)
    assert error.reason == "NOT_A_MODEL"


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    source = tmp_path / "model.keras"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("notes.txt", "no model")
    assert refusal(source).reason == "NOT_A_MODEL"


def test_an_h5_without_the_words_that_were_learned(tmp_path: Path) -> None:
    """Keras 3 saves it, and reads it as a layer that knows no words."""
    kit = Kit(KERAS)
    text = kit.text()
    words = kit.layers.TextVectorization(output_sequence_length=6, name="words")
    words.adapt(tf.constant(["a good film"]))
    pooled = kit.layers.GlobalMaxPooling1D()(kit.table(masked=False)(words(text)))
    source = save(kit.model(text, kit.dense(2)(pooled)), tmp_path, ".h5")
    error = refusal(source)
    assert error.reason == "NO_VOCABULARY"
    assert "'words'" in error.message


@FORMATS
def test_a_class_that_keras_does_not_have(tmp_path: Path, flavour: str, ending: str) -> None:
    def rename(config: dict[str, Any]) -> None:
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Dropout":
                layer["class_name"] = "QuantumDropout"

    error = refusal(_reconfigured(tmp_path, flavour, ending, rename))
    assert isinstance(error, ModelRefused)
    assert error.reason == "UNKNOWN_CLASS"
    assert "QuantumDropout" in error.message


@FORMATS
def test_weights_of_another_shape(tmp_path: Path, flavour: str, ending: str) -> None:
    def widen(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1]["config"]["units"] = 5

    assert refusal(_reconfigured(tmp_path, flavour, ending, widen)).reason == "CANNOT_LOAD"


def _reconfigured(place: Path, flavour: str, ending: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """A saved model whose config was changed afterwards."""
    source = save(shapes.plain()(Kit(flavour)).model, place, ending)
    if ending == ".keras":
        in_archive(source, "config.json", change)
    else:
        with h5py.File(source, "a") as file:
            config = json.loads(file.attrs["model_config"])
            change(config)
            file.attrs["model_config"] = json.dumps(config)
    return source


@FLAVOURS
def test_weights_that_are_missing(tmp_path: Path, flavour: str) -> None:
    source = save(shapes.plain()(Kit(flavour)).model, tmp_path, ".keras")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(tmp_path / "half.keras", "w") as new:
        for entry in old.infolist():
            if not entry.filename.endswith(".h5"):
                new.writestr(entry.filename, old.read(entry))
    assert refusal(tmp_path / "half.keras").reason in ("DAMAGED", "CANNOT_LOAD")


@FORMATS
def test_code_does_not_run_even_where_nobody_has_looked(tmp_path: Path, flavour: str, ending: str) -> None:
    """The file is refused when it is looked at; safe mode stands behind that."""
    kit, marker = Kit(flavour), tmp_path / "marker"
    numbers = kit.layers.Input((4,))
    noted = kit.layers.Lambda(
        lambda x, place=str(marker): (open(place, "a").write("ran"), x * 2)[1],  # noqa: SIM115
        output_shape=(4,),
    )
    source = save(kit.model(numbers, kit.dense(2)(noted(numbers))), tmp_path, ending)
    marker.unlink(missing_ok=True)
    with pytest.raises(ModelRefused) as caught:
        keras_load.load(keras_saved.read(source))
    assert caught.value.reason == "CANNOT_LOAD"
    assert not marker.exists()
    assert refusal(source).reason == "RUNS_PYTHON_CODE"


# TF-Hub layers


def module(place: Path) -> Path:
    """A TF-Hub module: text → its length, times a weight."""
    made = tf.train.Checkpoint()
    made.weight = tf.Variable([[0.5, -0.25]])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def call(text: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.strings.length(text), tf.float32)[:, None] @ made.weight

    made.__call__ = call
    made.trainable_variables, made.regularization_losses = [made.weight], []
    tf.saved_model.save(made, str(place))
    return place


def with_hub(kit: Kit, place: Path) -> Network:
    import tensorflow_hub as hub

    text = kit.text()
    x = hub.KerasLayer(str(place), trainable=True, name="hub")(text)
    network = Network(kit, kit.model(text, kit.dense(2)(kit.dropout()(x))))
    for weight in network.model.weights:  # trained: no longer those of the module
        weight.assign(weight * 1.5 + 0.1)
    return network


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_hub_module_with_the_weights_of_the_file(tmp_path: Path, ending: str) -> None:
    place = module(tmp_path / "module")
    network = with_hub(Kit(TF_KERAS), place)
    source = save(network.model, tmp_path, ending)
    check(opened(source), network.given, predicted(network))

    shutil.move(place, tmp_path / "moved")
    error = refusal(source)
    assert error.reason == "HANDLE_NOT_FOUND"
    assert str(place) in error.message
    found = opened(source, {str(place): str(tmp_path / "moved")})
    check(found, network.given, predicted(network))
    assert [mark.layer.name for mark in found.marks or ()] == ["dropout"]


def test_a_hub_module_is_looked_at_before_it_is_loaded(tmp_path: Path) -> None:
    place = module(tmp_path / "module")
    source = save(with_hub(Kit(TF_KERAS), place).model, tmp_path, ".keras")
    shutil.rmtree(place)
    marker = tmp_path / "marker"

    def writes(text: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.io.write_file(str(marker), "ran")
        return {"outputs": tf.cast(tf.strings.length(text), tf.float32)[:, None]}

    saved_graphs.saved_function(place, writes, weight=tf.Variable(1.0))
    with pytest.raises(ModelRefused) as caught:
        opened(source)
    assert caught.value.reason == "WRITES_FILES"
    assert str(place) in caught.value.message
    assert not marker.exists()
