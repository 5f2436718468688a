"""Keras files as tests write, open and change them: what the model said before, against what is read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from penult_service.errors import PenultError
from penult_service.preparing.formats import keras_file
from penult_service.preparing.inspecting.inspection import inspect
from penult_service.preparing.opened import Opened
from support.formats.kit import KERAS, TF_KERAS

ENDINGS = (".keras", ".h5")
FLAVOURS = pytest.mark.parametrize("flavour", [TF_KERAS, KERAS])
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
