"""`.keras` and `.h5` files: by which Keras they are read, what the function takes and gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tensorflow as tf
from penult_service.preparing import parts
from penult_service.preparing.formats import keras_file, keras_load, keras_saved
from support.formats import shapes
from support.formats.kit import KERAS, TF_KERAS, Kit, Network, predicted
from support.keras_opening import ENDINGS, FLAVOURS, FORMATS, IDS, check, in_archive, opened, refusal, save

pytestmark = pytest.mark.tensorflow

# Which Keras


@FORMATS
def test_the_keras_that_wrote_it(tmp_path: Path, flavour: str, ending: str) -> None:
    kit = Kit(flavour)
    network = shapes.plain()(kit)
    source = save(network.model, tmp_path, ending)
    for version in (None, ""):  # as written; and as one that does not tell: by what only one of them writes
        if version is not None and ending == ".keras":
            in_archive(source, "metadata.json", lambda told: told.clear())
        elif version is not None:
            with h5py.File(source, "a") as file:
                del file.attrs["keras_version"]
        read = keras_saved.read(source)
        assert (read.keras, read.archive) == (flavour, ending == ".keras")
        assert read.version == (kit.keras.__version__ if version is None else "")
        found = opened(source)
        assert found.format == f"{'tf_keras' if flavour == TF_KERAS else 'Keras 3'} {ending}"
        check(found, network.given, predicted(network))
        model = found.keras() if found.keras else None
        assert type(model).__module__.split(".")[0] == flavour


@pytest.mark.parametrize("version", ["4.0.0", "next"])
def test_a_keras_that_nobody_has(tmp_path: Path, version: str) -> None:
    source = save(shapes.plain()(Kit(KERAS)).model, tmp_path, ".keras")
    in_archive(source, "metadata.json", lambda told: told.update(keras_version=version))
    error = refusal(source)
    assert error.reason == "UNKNOWN_WRITER"
    assert version in error.message


@FORMATS
def test_by_its_content_not_by_its_name(tmp_path: Path, flavour: str, ending: str) -> None:
    network = shapes.plain()(Kit(flavour))
    other = tmp_path / {".keras": "model.h5", ".h5": "model.keras"}[ending]
    save(network.model, tmp_path, ending).rename(other)
    check(opened(other), network.given, predicted(network))


# Inputs and outputs


def by_names(kit: Kit, inputs: Any, outputs: Any, given: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A model of a dict of inputs, and its own answers by name."""
    model = kit.keras.Model(inputs, outputs)
    asked = {name: tf.constant(value) for name, value in given.items()}
    found = model(asked, training=False)
    return model, {name: np.asarray(value) for name, value in found.items()}


@FORMATS
def test_dicts_in_and_out(tmp_path: Path, flavour: str, ending: str) -> None:
    """The keys of `predict`, not the names of the layers."""
    kit = Kit(flavour)
    ids = kit.layers.Input((None,), dtype="int32", name="layer_of_ids")
    numbers = kit.layers.Input((3,), name="layer_of_numbers")
    pooled = kit.average()(kit.table()(ids))
    joined = kit.dropout()(kit.layers.Concatenate()([pooled, numbers]))
    outputs = {
        "topic": kit.dense(3, "layer_of_topic")(joined),
        "a_score": kit.dense(1, "layer_of_score")(joined),
    }
    given = {"words": IDS, "numbers": np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)}
    model, expected = by_names(kit, {"words": ids, "numbers": numbers}, outputs, given)
    found = opened(save(model, tmp_path, ending))
    assert {one.name: (one.dtype, one.shape) for one in found.inputs} == {
        "words": (tf.int32, (None, None)),
        "numbers": (tf.float32, (None, 3)),
    }
    check(found, given, expected)


@FORMATS
def test_texts_in_a_column_and_ids_of_one_length(tmp_path: Path, flavour: str, ending: str) -> None:
    kit = Kit(flavour)
    text = kit.layers.Input((1,), dtype="string", name="text")
    ids = kit.layers.Input((5,), dtype="int32", name="ids")
    vectors = kit.layers.Concatenate(axis=1)([kit.table()(kit.words()(text)), kit.table(name="others")(ids)])
    hidden = kit.layers.Flatten()(kit.layers.Conv1D(4, 3, padding="same", strides=5)(vectors))
    network = Network(kit, kit.model([text, ids], kit.dense(2)(kit.dropout()(hidden))))
    given = {"text": np.array([["a good film"], ["the"], [""]]), "ids": IDS}
    expected = np.asarray(network.model([tf.constant(value) for value in given.values()], training=False))
    found = opened(save(network.model, tmp_path, ending))
    assert [(one.name, one.shape) for one in found.inputs] == [("text", (None, 1)), ("ids", (None, 5))]
    check(found, given, {"output": expected})


@pytest.mark.parametrize("ending", ENDINGS)
def test_ragged_ids_are_given_padded(tmp_path: Path, ending: str) -> None:
    kit = Kit(TF_KERAS)
    ids = kit.layers.Input((None,), dtype="int32", ragged=True, name="ids")
    pooled = kit.average()(kit.table(masked=False)(ids))
    model = kit.model(ids, kit.dense(2)(kit.dropout()(pooled)))
    expected = np.asarray(model(tf.RaggedTensor.from_tensor(IDS, padding=0), training=False))
    found = opened(save(model, tmp_path, ending))
    check(found, {"ids": IDS}, {"output": expected})
    assert "padding" in " ".join(found.notes)


@FORMATS
def test_a_sequential_that_was_called_before_it_was_saved(tmp_path: Path, flavour: str, ending: str) -> None:
    kit = Kit(flavour)
    model = kit.keras.Sequential([kit.dense(4, "hidden", "tanh"), kit.dropout(), kit.dense(2)])
    given = np.random.default_rng(2).normal(size=(3, 6)).astype(np.float32)
    expected = np.asarray(model(given))
    found = opened(save(model, tmp_path, ending))
    (one,) = found.inputs
    assert one.shape == (None, 6)
    np.testing.assert_allclose(found.function(tf.constant(given))["output"], expected, rtol=1e-5, atol=1e-5)
    assert [mark.layer.name for mark in found.marks or ()] == ["dropout"]


@FLAVOURS
def test_a_model_that_was_never_built(tmp_path: Path, flavour: str) -> None:
    kit = Kit(flavour)
    source = save(kit.keras.Sequential([kit.dropout(), kit.dense(2)]), tmp_path, ".keras")
    assert refusal(source).reason == "NO_INPUTS"


@FLAVOURS
def test_words_that_a_layer_learned(tmp_path: Path, flavour: str) -> None:
    """A vocabulary among the assets; the tables and their initialisers can be saved again."""
    kit = Kit(flavour)
    text = kit.text()
    words = kit.layers.TextVectorization(output_sequence_length=6, name="words")
    words.adapt(tf.constant(["a good film", "the good plot"]))
    tags = kit.layers.StringLookup(vocabulary=["the", "film"], name="tags")(kit.layers.Reshape((1,))(text))
    tagged = kit.layers.Flatten()(kit.table(masked=False, name="tagged")(tags))
    pooled = kit.layers.Concatenate()([kit.average()(kit.table()(words(text))), tagged])
    network = Network(kit, kit.model(text, kit.dense(2)(kit.dropout()(pooled))))
    found = opened(save(network.model, tmp_path, ".keras"))
    check(found, network.given, predicted(network))
    whole = parts.cut(
        found.flat, {found.inputs[0].ref: tf.TensorSpec([None], tf.string, name="text")}, found.flat.outputs
    )
    parts.save({"whole": whole}, found, tmp_path / "again")
    again = tf.saved_model.load(str(tmp_path / "again")).signatures["whole"]
    np.testing.assert_allclose(
        again(text=tf.constant(network.given["text"]))["output"],
        predicted(network)["output"],
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_operations_of_keras_3_that_are_no_layers(tmp_path: Path, ending: str) -> None:
    """Keras itself does not load such an `.h5`. `Add` and `Concatenate` are layers, too: both in one model."""
    kit = Kit(KERAS)
    ops, text = kit.keras.ops, kit.text()
    vectors = kit.table()(kit.words()(text))
    first = vectors[:, 0, :] + 0.5
    mean = ops.relu(ops.mean(vectors, axis=1)) * 2.0
    added = kit.layers.Add()([first, mean])
    both = ops.concatenate([added, kit.layers.Concatenate()([first, mean])], axis=-1)
    network = Network(kit, kit.model(text, kit.dense(2)(kit.dropout()(ops.softmax(both, axis=-1)))))
    check(opened(save(network.model, tmp_path, ending)), network.given, predicted(network))


@FORMATS
def test_class_names_beside_the_file(tmp_path: Path, flavour: str, ending: str) -> None:
    source = save(shapes.plain(2)(Kit(flavour)).model, tmp_path, ending)
    (tmp_path / "labels.json").write_text('["of", "another"]', encoding="utf-8")
    assert opened(source).labels == ()
    (tmp_path / "model.labels.json").write_text('["bad", "good"]', encoding="utf-8")
    assert opened(source).labels == ("bad", "good")


def test_a_setting_of_keras_3_that_is_called_like_a_function(tmp_path: Path) -> None:
    """`score_mode="dot"`: Keras itself does not load such an `.h5`."""
    kit = Kit(KERAS)
    text = kit.text()
    vectors = kit.table(masked=False)(kit.words()(text))
    pooled = kit.average()(kit.layers.Attention(use_scale=True)([vectors, vectors]))
    network = Network(kit, kit.model(text, kit.dense(2)(kit.dropout()(pooled))))
    check(opened(save(network.model, tmp_path, ".h5")), network.given, predicted(network))


# Another configuration


def test_the_same_weights_under_another_configuration(tmp_path: Path) -> None:
    kit = Kit(KERAS)
    network = shapes.plain(3, None)(kit)
    source = save(network.model, tmp_path, ".keras")
    file = keras_saved.read(source)
    config = json.loads(json.dumps(file.config))
    config["config"]["layers"][-1]["config"]["activation"] = "softmax"
    model = keras_load.load(file.with_config(config))
    logits = predicted(network)["output"]
    expected = tf.nn.softmax(logits)
    found = keras_file.opened(file, model)
    check(found, network.given, {"output": expected})
    check(opened(source), network.given, {"output": logits})


@FLAVOURS
def test_the_weights_are_read_one_by_one_from_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flavour: str
) -> None:
    """Keras 3 would have all in memory, those of the optimizer too; tf_keras seeks within the archive for hours."""
    from keras.src.saving import saving_lib as of_keras
    from tf_keras.src.saving import saving_lib as of_tf_keras

    network = shapes.plain()(Kit(flavour)).fitted()
    source = save(network.model, tmp_path, ".keras")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    library = of_keras if flavour == KERAS else of_tf_keras
    original, stores = library.H5IOStore, []

    class Store(original):  # type: ignore[misc, valid-type]
        def __init__(self, place: Any, *args: Any, **kwargs: Any) -> None:
            stores.append(place)
            super().__init__(place, *args, **kwargs)

    monkeypatch.setattr(library, "H5IOStore", Store)
    bound = of_keras._MEMORY_UPPER_BOUND
    found = keras_file.open_file(source)
    assert library.H5IOStore is Store
    assert of_keras._MEMORY_UPPER_BOUND == bound > 0
    assert [scratch in Path(place).parents for place in stores] == [True]
    monkeypatch.undo()
    assert library.H5IOStore is original
    check(found, network.given, predicted(network))
    assert not list(scratch.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {source.name, "scratch"}
