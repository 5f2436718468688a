"""Layers in lists of lists, of which files of older Keras 3 hold no weights: refused, not made up."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest
from penult_service.errors import ModelRefused
from penult_service.preparing.formats import keras_load, keras_saved
from support.formats.kit import KERAS, Kit

pytestmark = pytest.mark.tensorflow


def test_weights_that_keras_would_make_up_are_refused(tmp_path: Path) -> None:
    kit = Kit(KERAS)

    class Blocks(kit.layers.Layer):  # type: ignore[name-defined]
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.blocks = [[kit.layers.Dense(4)]]

        def build(self, shape: Any) -> None:
            self.blocks[0][0].build(shape)

        def call(self, inputs: Any) -> Any:
            return self.blocks[0][0](inputs)

    given = kit.layers.Input((4,))
    kit.model(given, Blocks()(given)).save(str(tmp_path / "new.keras"))
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            if name == "model.weights.h5":
                (tmp_path / name).write_bytes(content)
                with h5py.File(tmp_path / name, "a") as file:
                    del file["layers/blocks/blocks/container"]
                content = (tmp_path / name).read_bytes()
            old.writestr(name, content)
    classes = {"Blocks": Blocks}
    assert keras_load.load(keras_saved.read(tmp_path / "new.keras"), custom_objects=classes)
    with pytest.raises(ModelRefused, match="no matching group") as refused:
        keras_load.load(keras_saved.read(tmp_path / "old.keras"), custom_objects=classes)
    assert refused.value.reason == "CANNOT_LOAD"
