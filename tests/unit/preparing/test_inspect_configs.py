"""The configurations in `.keras` and `.h5` files: code, and names of code, paths and sizes, refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import pytest
from penult_service.errors import InvalidInput, ModelRefused, PenultError
from penult_service.preparing import launch
from penult_service.preparing.inspecting import keras_archive
from penult_service.preparing.inspecting.inspection import inspect
from support import keras_files
from support import seed_model as seeds
from support.keras_files import Change, archive, changed, configure, put, with_dense

pytestmark = pytest.mark.tensorflow


def refusal(source: Path) -> PenultError:
    around = set(source.parent.rglob("*"))
    with pytest.raises(PenultError) as caught:
        inspect(source)
    assert str(source) in caught.value.message
    assert set(source.parent.rglob("*")) == around
    return caught.value


@pytest.fixture(scope="module")
def files() -> Path:
    return keras_files.ordinary()


@pytest.mark.parametrize("name", ["tf_keras", "tf_functions", "keras"])
@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_ordinary_files_are_let_through(files: Path, name: str, kind: str) -> None:
    inspect(files / f"{name}.{kind}")


def test_models_of_kerashub_are_let_through(tmp_path: Path) -> None:
    import keras_hub

    tokenizer = keras_hub.models.BertTokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"], lowercase=True
    )
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=8)
    backbone = keras_hub.models.BertBackbone(6, 1, 1, 4, 8, max_sequence_length=8)
    keras_hub.models.BertTextClassifier(backbone, 2, preprocessor=preprocessor).save(tmp_path / "hub.keras")
    inspect(tmp_path / "hub.keras")


# A Lambda layer: bytecode in the file


@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_the_bytecode_of_a_lambda_layer(tmp_path: Path, kind: str) -> None:
    marker, source = tmp_path / "marker", tmp_path / f"model.{kind}"
    layers = seeds.keras().layers
    numbers = layers.Input((4,))
    noted = layers.Lambda(
        lambda x, place=str(marker): (open(place, "a").write("ran"), x * 2)[1],  # noqa: SIM115
        name="noted",
    )
    seeds.keras().Model(numbers, layers.Dense(1)(noted(numbers))).save(str(source))
    marker.unlink()
    error = refusal(source)
    assert isinstance(error, ModelRefused)
    assert error.reason == "RUNS_PYTHON_CODE"
    assert "a Lambda layer, 'noted'" in error.message
    assert not marker.exists()

    # The check can fail: Keras itself runs it, and in an .h5 even when told to be safe.
    seeds.keras().models.load_model(str(source), compile=False, safe_mode=kind == "h5")
    assert marker.exists()


# Names of code in a configuration


def function(module: str | None, name: str, registered: str | None = None) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": registered}


TYPE_SPEC = {
    "class_name": "__typespec__",
    "spec_name": "Popen",
    "module": "subprocess",
    "registered_name": None,
}
NAMES: dict[str, tuple[Change, str]] = {
    "a function of the system": (configure(activation=function("os", "system")), "os.system"),
    "a function that fetches files": (configure(activation=function("keras.utils", "get_file")), "get_file"),
    "a function that turns safety off": (
        configure(activation=function("keras.config", "enable_unsafe_deserialization")),
        "enable_unsafe_deserialization",
    ),
    "a function that loads models": (
        configure(activation=function("keras.models", "load_model")),
        "keras.models.load_model",
    ),
    "a function registered under another name": (
        configure(activation=function("builtins", "relu", "system")),
        "system",
    ),
    "a function of nobody's module": (configure(activation=function(None, "run")), "run"),
    "a class outside Keras": (put(module="subprocess", class_name="Popen"), "subprocess.Popen"),
    "a class of another place in Keras": (put(module="keras.src.utils", class_name="OrderedEnqueuer"), "utils"),
    "a module that only begins like one": (put(module="keras.layers_evil"), "keras.layers_evil.Dense"),
    "a class somebody registered": (put(registered_name="Custom>Dense"), "Custom>Dense"),
    "a class of no module": (put(module=None, registered_name="Mine>Head", class_name="Head"), "None.Head"),
    "a function in the place of a class": (put(module="keras.models", class_name="load_model"), "load_model"),
    "a type outside TensorFlow": (configure(dtype=TYPE_SPEC), "subprocess.Popen"),
    "a class that is no name": (put(class_name=["Dense"]), "['Dense']"),
    "a function of TensorFlow that writes": (
        put(class_name="TFOpLambda", module="keras.layers", config={"function": "io.write_file"}),
        "tf.io.write_file",
    ),
    "a raw operation of TensorFlow": (
        put(class_name="TFOpLambda", module="keras.layers", config={"function": "raw_ops.ReadFile"}),
        "tf.raw_ops.ReadFile",
    ),
    "a class of TensorFlow that reads": (
        put(class_name="ClassMethod", module="keras.layers", config={"cls_symbol": "data.TFRecordDataset"}),
        "tf.data.TFRecordDataset",
    ),
    "a method that is not public": (
        put(class_name="InstanceMethod", module="keras.layers", config={"method_name": "__reduce__"}),
        "__reduce__",
    ),
    "objects of one's own": (configure(custom_objects={"Dense": "os.system"}), "custom_objects"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "name"), NAMES.values(), ids=NAMES.keys())
def test_a_name_of_code(files: Path, tmp_path: Path, change: Change, name: str) -> None:
    error = refusal(changed(files / "keras.keras", tmp_path / "model.keras", change))
    assert isinstance(error, ModelRefused)
    assert error.reason == "NAMES_CODE"
    assert name in error.message
    assert "(config.json)" in error.message


OTHERS: dict[str, tuple[Change, str]] = {
    "safety turned off": (configure(safe_mode=False), "UNSAFE_CONFIG"),
    "a Lambda under another name": (put(registered_name="keras>Lambda"), "RUNS_PYTHON_CODE"),
    "a lambda as an activation": (
        configure(activation={"class_name": "__lambda__", "config": {"value": "4wAA"}}),
        "RUNS_PYTHON_CODE",
    ),
    "a module of another library": (put(class_name="TorchModuleWrapper"), "RUNS_PYTHON_CODE"),
    "a model at another place": (
        put(class_name="TFSMLayer", config={"filepath": "/somewhere/model"}),
        "READS_FILES",
    ),
    "a vocabulary at another place": (
        put(class_name="StringLookup", config={"vocabulary": "/etc/passwd"}),
        "READS_FILES",
    ),
    "a hub model from a bucket": (
        put(class_name="KerasLayer", module="tensorflow_hub.keras_layer", config={"handle": "gs://evil/model"}),
        "TALKS_TO_OTHERS",
    ),
    "a table larger than memory": (
        put(class_name="Embedding", config={"input_dim": 10**9, "output_dim": 10**6}),
        "TOO_LARGE",
    ),
    "a layer larger than memory": (configure(units=10**12), "TOO_LARGE"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), OTHERS.values(), ids=OTHERS.keys())
def test_other_harm_in_a_configuration(files: Path, tmp_path: Path, change: Change, reason: str) -> None:
    assert refusal(changed(files / "keras.keras", tmp_path / "model.keras", change)).reason == reason


def test_the_same_in_the_configuration_of_an_h5(files: Path, tmp_path: Path) -> None:
    source = tmp_path / "model.h5"
    source.write_bytes((files / "tf_keras.h5").read_bytes())
    with h5py.File(source, "a") as file:
        evil = configure(activation=function("posix", "system"))
        file.attrs["model_config"] = json.dumps(with_dense(json.loads(file.attrs["model_config"]), evil))
    error = refusal(source)
    assert error.reason == "NAMES_CODE"
    assert "(model_config)" in error.message
    assert "posix.system" in error.message


@pytest.mark.parametrize("handle", ["/models/encoder", "https://hub.invalid/encoder/1"])
def test_a_hub_model_is_named_to_the_reader(files: Path, tmp_path: Path, handle: str) -> None:
    """It needs the same look, by whoever reads it, and nobody fetches it."""
    hub = put(class_name="KerasLayer", module="tensorflow_hub.keras_layer", config={"handle": handle})
    source = changed(files / "keras.keras", tmp_path / "model.keras", hub)
    assert keras_archive.refuse_harmful(source) == (handle,)
    assert inspect(source) == (handle,)


def test_a_configuration_that_is_nested_without_end(tmp_path: Path) -> None:
    deep = b'{"config": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    error = refusal(archive(tmp_path / "model.keras", ("config.json", deep)))
    assert isinstance(error, InvalidInput)
    assert error.reason == "DAMAGED"


# From outside


def test_a_child_looks_before_it_reads(files: Path, tmp_path: Path) -> None:
    cache = tmp_path / "data" / "prepared"
    evil = changed(
        files / "keras.keras", tmp_path / "evil.keras", configure(activation=function("os", "system"))
    )
    with pytest.raises(ModelRefused) as caught:
        launch.prepare(evil, cache=cache)
    assert caught.value.reason == "NAMES_CODE"
    assert str(evil) in caught.value.message
    assert not list(cache.iterdir())
