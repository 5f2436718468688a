"""KerasHub models that would have random weights, or no tokens of their own: refused in a sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from penult_service.errors import InvalidInput, ModelRefused, PenultError
from penult_service.preparing.declarations.declaration import NOTHING
from support import tiny_keras_hub as hub

pytestmark = pytest.mark.tensorflow
HEAD, BACKBONE = "task.weights.h5", "model.weights.h5"


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT classifier. Not to be changed: copy it first."""
    place = tmp_path_factory.mktemp("hub") / "preset"
    hub.classifier("bert").save_to_preset(str(place))
    return place


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with other sizes: three layers, five classes."""
    place = tmp_path_factory.mktemp("hub") / "other"
    models = hub.models()
    tokenizer = hub.made_tokenizer("bert")
    encoder = models.BertBackbone(
        tokenizer.vocabulary_size(), 3, 2, hub.WIDTH, 32, max_sequence_length=hub.LENGTH
    )
    preprocessor = models.BertTextClassifierPreprocessor(tokenizer, sequence_length=hub.LENGTH)
    models.BertTextClassifier(encoder, 5, preprocessor).save_to_preset(str(place))
    return place


def opened(source: Path) -> Any:
    from penult_service.preparing.inspecting.inspection import inspect
    from penult_service.preparing.opening import open_model

    inspect(source)
    return open_model(source, None, NOTHING)


def refusal(source: Path) -> PenultError:
    with pytest.raises((ModelRefused, InvalidInput)) as caught:
        opened(source)
    assert caught.value.message.startswith(str(source))
    assert "\n" not in caught.value.message
    return caught.value


def copied(source: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(source, tmp_path / "copy"))


def edited(path: Path, change: Callable[[Any], Any]) -> None:
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        (
            "task.json",
            "task.json is missing, so it is an encoder without a classifier, and the head would have random",
        ),
        (HEAD, "task.weights.h5 is missing, and the head would have random weights"),
        (BACKBONE, "model.weights.h5 is missing, and the encoder would have random weights"),
        ("assets/tokenizer/vocabulary.txt", "assets/tokenizer/vocabulary.txt is missing"),
    ],
)
def test_a_file_that_is_missing_is_named(preset: Path, tmp_path: Path, missing: str, says: str) -> None:
    place = copied(preset, tmp_path)
    (place / missing).unlink()
    error = refusal(place)
    assert error.reason == "FILE_MISSING"
    assert says in error.message


@pytest.mark.parametrize("family", ["roberta", "albert"])
def test_the_vocabulary_files_of_other_families(family: str, tmp_path: Path) -> None:
    hub.classifier(family).save_to_preset(str(tmp_path / "model"))
    name = {"roberta": "merges.txt", "albert": "vocabulary.spm"}[family]
    (tmp_path / "model" / "assets" / "tokenizer" / name).unlink()
    assert f"assets/tokenizer/{name} is missing" in refusal(tmp_path / "model").message


def test_a_preset_of_an_encoder(tmp_path: Path) -> None:
    model = hub.classifier("bert")
    model.backbone.save_to_preset(str(tmp_path / "model"))
    model.preprocessor.save_to_preset(str(tmp_path / "model"))
    error = refusal(tmp_path / "model")
    assert error.reason == "FILE_MISSING"
    assert "the head would have random weights; save the classifier" in error.message


def test_a_preset_of_another_task(tmp_path: Path) -> None:
    encoder = hub.made_backbone("bert", hub.made_tokenizer("bert").vocabulary_size())
    hub.models().BertMaskedLM(encoder).save_to_preset(str(tmp_path / "model"))
    error = refusal(tmp_path / "model")
    assert error.reason == "UNSUPPORTED_TASK"
    assert "task.json is a BertMaskedLM, no text classifier" in error.message


@pytest.mark.parametrize("name", [HEAD, BACKBONE])
def test_weights_of_another_model(preset: Path, other: Path, tmp_path: Path, name: str) -> None:
    place = copied(preset, tmp_path)
    shutil.copy(other / name, place / name)
    error = refusal(place)
    assert error.reason == "TENSOR_SHAPE"
    assert name in error.message


def test_weights_of_fewer_layers_than_the_file_has_are_another_model(other: Path, tmp_path: Path) -> None:
    """Keras reads the first two of three layers and says nothing."""
    place = copied(other, tmp_path)
    edited(place / "task.json", lambda config: config["config"]["backbone"]["config"].update(num_layers=2))
    error = refusal(place)
    assert error.reason == "TENSOR_SHAPE"
    assert "model.weights.h5 holds 55 tensors, of which the model of task.json takes 39" in error.message


def first_of(file: Any, wanted: str) -> str:
    names: list[str] = []
    file.visititems(lambda name, _: names.append(name) if wanted in name and name.endswith("/0") else None)
    return names[0]


def test_a_tensor_that_is_missing(preset: Path, tmp_path: Path) -> None:
    place = copied(preset, tmp_path)
    with h5py.File(place / BACKBONE, "a") as file:
        del file[first_of(file, "reversible_embedding")]
    error = refusal(place)
    assert error.reason in ("TENSOR_SHAPE", "TENSOR_MISSING")
    assert BACKBONE in error.message


def test_a_file_of_weights_without_any(preset: Path, tmp_path: Path) -> None:
    place = copied(preset, tmp_path)
    with h5py.File(place / HEAD, "w"):
        pass
    assert HEAD in refusal(place).message


def test_a_number_that_is_none(preset: Path, tmp_path: Path) -> None:
    place = copied(preset, tmp_path)
    with h5py.File(place / HEAD, "a") as file:
        file[first_of(file, "layers/dense")][0, 0] = np.nan
    error = refusal(place)
    assert error.reason == "WEIGHTS_NOT_FINITE"


def test_more_words_than_the_model_has_rows(preset: Path, tmp_path: Path) -> None:
    place = copied(preset, tmp_path)
    with (place / "assets/tokenizer/vocabulary.txt").open("a") as file:
        file.write("zyzzyva\nqwerty\n")
    error = refusal(place)
    assert error.reason == "VOCABULARY_UNSUPPORTED"
    assert "ids up to 233, the model's table 232 rows" in error.message


def test_texts_padded_to_more_than_the_model_has_positions_for(preset: Path, tmp_path: Path) -> None:
    place = copied(preset, tmp_path)
    text = (place / "task.json").read_text()
    (place / "task.json").write_text(text.replace('"sequence_length": 24', '"sequence_length": 25'))
    error = refusal(place)
    assert error.reason == "LENGTH_UNSUPPORTED"
    assert "pads texts to 25 tokens, and the model has positions for 24" in error.message


def test_a_vocabulary_without_what_the_tokenizer_needs(preset: Path, tmp_path: Path) -> None:
    place = copied(preset, tmp_path)
    path = place / "assets/tokenizer/vocabulary.txt"
    path.write_text(path.read_text().replace("[SEP]\n", "[sep]\n"))
    error = refusal(place)
    assert error.reason == "CANNOT_LOAD"
    assert "[SEP]" in error.message


def test_weights_in_several_files(preset: Path, tmp_path: Path) -> None:
    place = copied(preset, tmp_path)
    (place / BACKBONE).rename(place / "model_00000.weights.h5")
    (place / "model.weights.json").write_text("{}")
    assert "which are not read; max_shard_size=None saves one" in refusal(place).message


# What would run code, or read other files


@pytest.mark.parametrize("name", ["task.json", "config.json", "preprocessor.json", "tokenizer.json"])
def test_a_class_of_the_author(preset: Path, tmp_path: Path, name: str) -> None:
    place = copied(preset, tmp_path)
    edited(place / name, lambda config: config.update(module="mine", registered_name="mine>BertTokenizer"))
    error = refusal(place)
    assert error.reason == "NAMES_CODE"
    assert name in error.message


def test_a_vocabulary_by_its_path(preset: Path, tmp_path: Path) -> None:
    place = copied(preset, tmp_path)
    tokenizer = ("config", "preprocessor", "config", "tokenizer", "config")

    def change(config: Any) -> None:
        for key in tokenizer:
            config = config[key]
        config["vocabulary"] = "/etc/passwd"

    edited(place / "task.json", change)
    assert refusal(place).reason == "READS_FILES"


def test_a_folder_of_a_vocabulary_elsewhere(preset: Path, tmp_path: Path) -> None:
    place = copied(preset, tmp_path)
    (tmp_path / "vocabulary.txt").write_text("secret\n")
    text = (place / "task.json").read_text()
    (place / "task.json").write_text(text.replace('"tokenizer.json"', '"elsewhere/words.json"'))
    error = refusal(place)
    assert "secret" not in error.message
    assert error.reason == "FILE_DAMAGED"


def test_weights_that_lie_elsewhere(preset: Path, tmp_path: Path) -> None:
    place = copied(preset, tmp_path)
    with h5py.File(place / BACKBONE, "a") as file:
        name = first_of(file, "embedding")
        del file[name]
        file[name] = h5py.ExternalLink("/elsewhere.h5", "/x")
    assert refusal(place).reason == "LEAVES_THE_FILE"


# Files


def test_an_h5_asks_for_the_vocabulary(tmp_path: Path) -> None:
    hub.classifier("bert").save(tmp_path / "model.h5")
    error = refusal(tmp_path / "model.h5")
    assert error.reason == "NO_VOCABULARY"
    assert "put vocabulary.txt or vocab.txt into its folder" in error.message


def test_an_archive_without_its_vocabulary(tmp_path: Path) -> None:
    import zipfile

    hub.classifier("bert").save(tmp_path / "whole.keras")
    with (
        zipfile.ZipFile(tmp_path / "whole.keras") as old,
        zipfile.ZipFile(tmp_path / "model.keras", "w") as new,
    ):
        for entry in old.infolist():
            if not entry.filename.startswith("assets/"):
                new.writestr(entry, old.read(entry))
    error = refusal(tmp_path / "model.keras")
    assert error.reason == "NO_VOCABULARY"
    assert "BertTokenizer (vocabulary.txt)" in error.message


def test_an_archive_with_two_vocabularies(tmp_path: Path) -> None:
    import keras

    inputs, both = [], []
    for number, words in enumerate((["good"], ["bad"])):
        tokenizer = hub.models().BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
        preprocessor = hub.models().BertTextClassifierPreprocessor(tokenizer, sequence_length=8)
        text = keras.Input((), dtype="string", name=f"text_{number}")
        inputs.append(text)
        both.append(hub.made_backbone("bert", 6, 8)(preprocessor(text))["pooled_output"])
    joined = keras.layers.Dropout(0.1)(keras.layers.Concatenate()(both))
    keras.Model(inputs, keras.layers.Dense(2)(joined)).save(tmp_path / "model.keras")
    error = refusal(tmp_path / "model.keras")
    assert error.reason == "SEVERAL_VOCABULARIES"


def test_a_directory_of_hugging_face_is_none(tmp_path: Path, preset: Path) -> None:
    """KerasHub would convert it; it has a reader of its own."""
    from penult_service.preparing.formats.hf_classifier import is_directory
    from penult_service.preparing.inspecting.keras_preset import is_preset
    from support.tiny_hf import write_tiny_hf

    write_tiny_hf(tmp_path / "hf")
    assert (is_preset(tmp_path / "hf"), is_directory(tmp_path / "hf")) == (False, True)
    assert (is_preset(preset), is_directory(preset)) == (True, False)
