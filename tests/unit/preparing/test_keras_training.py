"""What a `.keras` or `.h5` file records of the training: the loss says what logits are; nothing is built of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import pytest
from penult_service.preparing.formats import keras_loss
from support.formats import shapes
from support.formats.kit import Kit, predicted
from support.keras_opening import FORMATS, check, in_archive, opened, save

pytestmark = pytest.mark.tensorflow


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
