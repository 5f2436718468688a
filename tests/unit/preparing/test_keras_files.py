"""`.keras` and `.h5` files: by which Keras they are read, what the function takes and gives, what is refused."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tensorflow as tf
from penult_service.errors import InvalidInput, ModelRefused, PenultError
from penult_service.preparing import parts
from penult_service.preparing.formats import keras_file, keras_load, keras_loss, keras_saved
from penult_service.preparing.inspecting.inspection import inspect
from penult_service.preparing.opened import Opened
from support import saved_graphs
from support.formats import shapes
from support.formats.kit import KERAS, TF_KERAS, Kit, Network, predicted

pytestmark = pytest.mark.tensorflow

ENDINGS = (".keras", ".h5")
FORMATS = pytest.mark.parametrize(
    ("flavour", "ending"), [(flavour, ending) for flavour in (TF_KERAS, KERAS) for ending in ENDINGS]
)
IDS = np.array([[2, 3, 4, 0, 0], [5, 0, 0, 0, 0], [6, 7, 8, 9, 3]], dtype=np.int32)


def save(model: Any, place: Path, ending: str) -> Path:
    model.save(str(place / f"model{ending}"))
    return place / f"model{ending}"


def opened(source: Path, modules: Mapping[str, str] | None = None) -> Opened:
    inspect(source)
    return keras_file.open_file(source, modules)


def refusal(source: Path, modules: Mapping[str, str] | None = None) -> PenultError:
    with pytest.raises(PenultError) as caught:
        opened(source, modules)
    assert str(source) in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value


def answers(found: Opened, given: Mapping[str, Any]) -> dict[str, Any]:
    """What its inference function gives."""
    arguments = [tf.reshape(tf.constant(given[one.name]), _filled(one.shape)) for one in found.inputs]
    return {name: value.numpy() for name, value in found.function(*arguments).items()}


def _filled(shape: tuple[int | None, ...]) -> list[int]:
    """[n], or [n, 1] of texts; rows as they are."""
    return [-1, *(length or IDS.shape[1] for length in shape[1:])]


def check(found: Opened, given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    outputs = answers(found, given)
    assert sorted(outputs) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value, rtol=1e-5, atol=1e-5)


def in_archive(source: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a JSON file in the archive, in place."""
    with zipfile.ZipFile(source) as old:
        entries = {entry.filename: old.read(entry) for entry in old.infolist()}
    told = json.loads(entries[name])
    change(told)
    entries[name] = json.dumps(told).encode()
    with zipfile.ZipFile(source, "w") as new:
        for filename, data in entries.items():
            new.writestr(filename, data)


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


@pytest.mark.parametrize("flavour", [TF_KERAS, KERAS])
def test_a_model_that_was_never_built(tmp_path: Path, flavour: str) -> None:
    kit = Kit(flavour)
    source = save(kit.keras.Sequential([kit.dropout(), kit.dense(2)]), tmp_path, ".keras")
    assert refusal(source).reason == "NO_INPUTS"


@pytest.mark.parametrize("flavour", [TF_KERAS, KERAS])
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


# Training


@FORMATS
def test_the_loss_says_what_logits_are(tmp_path: Path, flavour: str, ending: str) -> None:
    kit = Kit(flavour)
    losses, network = kit.keras.losses, shapes.several_outputs(kit)
    softmax = losses.SparseCategoricalCrossentropy(from_logits=True)
    network.model.compile("adam", {"topic": softmax, "spam": "mse"})
    assert opened(save(network.model, tmp_path, ending)).loss == {"topic": "softmax", "spam": "regression"}
    network = shapes.plain(1, None)(kit)
    network.model.compile("adam", losses.BinaryCrossentropy(from_logits=True))
    assert opened(save(network.model, tmp_path, ending)).loss == {"output": "sigmoid"}
    network.model.compile("adam", "binary_crossentropy")  # of probabilities, whatever the output is
    assert opened(save(network.model, tmp_path, ending)).loss == {}


@FORMATS
def test_a_list_of_losses_is_in_the_order_of_the_model(tmp_path: Path, flavour: str, ending: str) -> None:
    kit = Kit(flavour)
    network = shapes.several_outputs(kit)
    assert network.model.output_names == ["topic", "spam"]
    loss = [kit.keras.losses.SparseCategoricalCrossentropy(from_logits=True), "mse"]
    network.model.compile("adam", loss)
    assert opened(save(network.model, tmp_path, ending)).loss == {"topic": "softmax", "spam": "regression"}


LOSSES: dict[str, tuple[Any, dict[str, str]]] = {
    "a name": ("mean_squared_error", {"a": "regression", "b": "regression"}),
    "a function": (
        {"module": "keras.losses", "class_name": "function", "config": "huber", "registered_name": "huber"},
        {"a": "regression", "b": "regression"},
    ),
    "a registered class": (
        {"class_name": "Custom>SparseCategoricalCrossentropy", "config": {"from_logits": True}},
        {"a": "softmax", "b": "softmax"},
    ),
    "a list": (["mae", None], {"a": "regression"}),
    "a list of another length": (["mae"], {}),
    "focal": (
        {"b": {"class_name": "BinaryFocalCrossentropy", "config": {"from_logits": True}}},
        {"b": "sigmoid"},
    ),
    "of another output": ({"c": "mse"}, {}),
    "of one's own": ("own_loss", {}),
    "margins": ("hinge", {}),
    "no names at all": ({"class_name": ["x"], "config": 3}, {}),
    "nothing": (None, {}),
}


@pytest.mark.parametrize(("loss", "meaning"), LOSSES.values(), ids=LOSSES.keys())
def test_losses_as_files_record_them(loss: Any, meaning: dict[str, str]) -> None:
    assert keras_loss.meanings({"loss": loss}, ["a", "b"]) == meaning


@FORMATS
def test_how_it_was_trained_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flavour: str, ending: str
) -> None:
    kit = Kit(flavour)
    network = shapes.plain()(kit).fitted()
    source = save(network.model, tmp_path, ending)
    evil = {"module": "posix", "class_name": "function", "config": "system", "registered_name": None}
    if ending == ".keras":
        in_archive(
            source, "config.json", lambda told: told["compile_config"].update(loss=evil, optimizer=evil)
        )
    else:
        with h5py.File(source, "a") as file:
            told = json.loads(file.attrs["training_config"]) | {"loss": evil, "optimizer_config": evil}
            file.attrs["training_config"] = json.dumps(told)
    monkeypatch.setattr(
        kit.keras.Model, "compile", lambda *_, **__: pytest.fail("the model was compiled"), raising=True
    )
    check(opened(source), network.given, predicted(network))


# Refused in one sentence


@pytest.mark.parametrize("flavour", [TF_KERAS, KERAS])
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
    source = save(shapes.plain()(Kit(flavour)).model, tmp_path, ending)

    def rename(config: dict[str, Any]) -> None:
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Dropout":
                layer["class_name"] = "QuantumDropout"

    if ending == ".keras":
        in_archive(source, "config.json", rename)
    else:
        with h5py.File(source, "a") as file:
            config = json.loads(file.attrs["model_config"])
            rename(config)
            file.attrs["model_config"] = json.dumps(config)
    error = refusal(source)
    assert isinstance(error, ModelRefused)
    assert error.reason == "UNKNOWN_CLASS"
    assert "QuantumDropout" in error.message


@FORMATS
def test_weights_of_another_shape(tmp_path: Path, flavour: str, ending: str) -> None:
    source = save(shapes.plain()(Kit(flavour)).model, tmp_path, ending)

    def widen(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1]["config"]["units"] = 5

    if ending == ".keras":
        in_archive(source, "config.json", widen)
    else:
        with h5py.File(source, "a") as file:
            config = json.loads(file.attrs["model_config"])
            widen(config)
            file.attrs["model_config"] = json.dumps(config)
    assert refusal(source).reason == "CANNOT_LOAD"


@pytest.mark.parametrize("flavour", [TF_KERAS, KERAS])
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


@pytest.mark.parametrize("flavour", [TF_KERAS, KERAS])
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
