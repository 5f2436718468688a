"""What a `.keras` or `.h5` file says of itself: which Keras wrote it, the configuration of its model, of its training.

Nothing is built here. The file has been looked at before (`inspecting`).
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py

from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard.damage import damaged
from penult_service.preparing.inspecting.kinds import is_archive, is_hdf5

KERAS_2, KERAS_3 = "tf_keras", "keras"
CONFIG, _METADATA = "config.json", "metadata.json"
_NOT_READ = (OSError, KeyError, ValueError, RuntimeError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class KerasFile:
    """A file as read.

    Attributes:
        source: The file.
        keras: The module of the Keras that wrote it: ``tf_keras`` or ``keras``.
        version: That one's version; empty when the file does not say it.
        archive: Whether it is a `.keras` archive, else HDF5.
        config: The model's configuration.
        training: What it was compiled with; empty: it was not.
        changed: Whether `config` is not what stands in the file (`with_config`).
    """

    source: Path
    keras: str
    version: str
    archive: bool
    config: dict[str, Any] = field(repr=False)
    training: dict[str, Any] = field(repr=False)
    changed: bool = False

    @property
    def format(self) -> str:
        """What it is called."""
        return f"{'tf_keras' if self.keras == KERAS_2 else 'Keras 3'} {'.keras' if self.archive else '.h5'}"

    def with_config(self, config: dict[str, Any]) -> KerasFile:
        """The same weights and assets under another configuration of the model."""
        return replace(self, config=config, changed=True)

    def classes(self) -> Iterator[dict[str, Any]]:
        """Every object of the model's configuration that names a class, however deep."""
        return named(self.config)


def is_keras_file(source: Path) -> bool:
    """Whether it may be one, by its content."""
    return source.is_file() and (is_archive(source) or is_hdf5(source))


def read(source: Path) -> KerasFile:
    """Reads what the file says of itself.

    Raises:
        InvalidInput: DAMAGED; NOT_A_MODEL, it holds weights alone, or no model at all.
        ModelRefused: UNKNOWN_WRITER, it does not say which Keras wrote it.
    """
    archive = is_archive(source)
    try:
        config, training, version = _of_archive(source) if archive else _of_hdf5(source)
        if not (config is None or isinstance(config, dict)) or not isinstance(training, dict):
            raise ValueError("its configuration is no JSON object")
    except _NOT_READ as error:
        raise damaged(source, error) from error
    if not config:
        raise InvalidInput(
            f"{source} holds no model, or its weights alone: it has no configuration of a model; save the whole model: "
            "model.save('model.keras')",
            reason="NOT_A_MODEL",
        )
    return KerasFile(source, _writer(source, version, config), version, archive, config, training)


def named(config: Any) -> Iterator[dict[str, Any]]:
    """Every object in a configuration that names a class, outer ones first."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str):
                yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _of_archive(source: Path) -> tuple[Any, Any, str]:
    with zipfile.ZipFile(source) as archive:
        if CONFIG not in archive.namelist():
            return None, {}, ""
        config = json.loads(archive.read(CONFIG))
        metadata = json.loads(archive.read(_METADATA)) if _METADATA in archive.namelist() else {}
    training = config.get("compile_config") if isinstance(config, dict) else None
    version = metadata.get("keras_version", "") if isinstance(metadata, dict) else ""
    return config, training or {}, str(version)


def _of_hdf5(source: Path) -> tuple[Any, Any, str]:
    with h5py.File(source, "r") as file:
        config, training = (
            json.loads(file.attrs[name]) if name in file.attrs else {}
            for name in ("model_config", "training_config")
        )
        return config, training or {}, _text(file.attrs.get("keras_version", ""))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _writer(source: Path, version: str, config: dict[str, Any]) -> str:
    """By the version that it says; else by what only one of them writes."""
    major = version.partition(".")[0]
    if major in ("1", "2"):
        return KERAS_2
    if major == "3":
        return KERAS_3
    text = json.dumps(config)
    old, new = '"batch_input_shape"' in text or '"tf_keras' in text, '"DTypePolicy"' in text
    if version or old == new:
        raise ModelRefused(
            f"{source} was written by Keras {version or 'of a version that it does not tell'}; files of Keras 2 "
            "(tf_keras) and Keras 3 are read: save the model again with one of these",
            reason="UNKNOWN_WRITER",
        )
    return KERAS_2 if old else KERAS_3
