"""Keras builds the model of a `.keras` or `.h5` file: in safe mode, uncompiled, by the Keras that wrote it.

Here stand the private names of both Keras that are needed for it, with tests of their own: `SafeModeScope` (an `.h5` of
tf_keras is else read without), how Keras 3 builds a model from the configuration in an `.h5`, and where it unpacks.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from inspect import isfunction
from pathlib import Path
from typing import Any

import tensorflow_text  # noqa: F401  (registers the operations that a text model needs)

from penult_service.errors import ModelRefused, PenultError
from penult_service.guard.damage import damaged
from penult_service.preparing.formats.hub_handles import located
from penult_service.preparing.formats.keras_saved import (
    CONFIG,
    KERAS_2,
    KERAS_3,
    KerasFile,
    named,
)
from penult_service.preparing.inspecting.inspection import inspect

# Layers whose words an `.h5` holds in its configuration, or nowhere.
_LOOKUPS = frozenset({"TextVectorization", "StringLookup", "IntegerLookup"})
_UNKNOWN_CLASS = re.compile(
    r"(?:Could not (?:locate|find) (?:class|function)|Unknown (?:layer|object|config_item)):? '?([\w>.]+)"
)
_OPERATION = "operation>"


def load(
    file: KerasFile,
    modules: Mapping[str, str | Path] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """The Keras model of a file, its weights and vocabularies loaded.

    Args:
        file: The file.
        modules: Handle of a TF-Hub layer -> its directory.
        custom_objects: Class name -> class, for classes that neither Keras nor TF-Hub has.

    Raises:
        InvalidInput: DAMAGED.
        ModelRefused: UNKNOWN_CLASS, NO_VOCABULARY, CANNOT_LOAD; what `hub_handles.located` and `inspect` say of the
            model behind a TF-Hub layer.
    """
    if not file.archive:
        _refuse_lost_words(file)
    objects = dict(custom_objects or {})
    if any(found["class_name"].rpartition(">")[2] == "KerasLayer" for found in file.classes()):
        objects["KerasLayer"] = _hub_layer(file, modules or {})
    try:
        with _named_as_it_is(file) as path, warnings.catch_warnings():
            # Keras 3 only warns of some layers (in lists of lists) for which a file has no weights, and makes them up.
            warnings.filterwarnings("error", message="Skipping nested container")
            return _by_tf_keras(path, objects) if file.keras == KERAS_2 else _by_keras_3(file, path, objects)
    except PenultError:
        raise
    except (OSError, EOFError) as error:
        raise damaged(file.source, error) from error
    except Exception as error:
        raise _not_loaded(file, error) from error


def _by_tf_keras(path: Path, objects: Mapping[str, Any]) -> Any:
    import tf_keras
    from tf_keras.src.saving.serialization_lib import SafeModeScope

    with SafeModeScope(True), _weights_unpacked():
        return tf_keras.models.load_model(str(path), custom_objects=objects, compile=False, safe_mode=True)


def _by_keras_3(file: KerasFile, path: Path, objects: dict[str, Any]) -> Any:
    if file.archive:
        return _from_archive(path, objects)
    from keras.src.legacy.saving import json_utils
    from keras.src.legacy.saving.saving_options import keras_option_scope
    from keras.src.legacy.saving.saving_utils import model_from_config
    from keras.src.saving.serialization_lib import SafeModeScope

    # Not by `load_model`: it knows layers only, and a functional model may hold operations (`x[:, 0]`, a mask).
    config = json_utils.decode(json.dumps(file.config))
    objects |= dict.fromkeys(_functions_of_layers())
    operations = _operations()
    for found in named(config):
        name = found["class_name"]
        if name in operations and "module" not in found and "trainable" not in (found.get("config") or {}):
            found["class_name"] = _OPERATION + name
            objects[_OPERATION + name] = operations[name]
    with keras_option_scope(use_legacy_config=True), SafeModeScope(True):
        model = model_from_config(config, custom_objects=objects)
    model.load_weights(str(path))
    return model


def _functions_of_layers() -> Iterator[str]:
    """`dot`, `add` and their like: Keras 3 takes a setting of that name in an `.h5` (`score_mode="dot"`) for them."""
    import keras

    return (name for name, found in vars(keras.layers).items() if isfunction(found))


def _operations() -> dict[str, type]:
    """The operations of Keras 3 by class name; layers of the same names (`Add`, `Multiply`) are not among them."""
    import keras

    found: dict[str, type] = {}
    waiting: list[type] = [keras.Operation]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.__module__.startswith("keras.src.ops."):
            found[cls.__name__] = cls
    return found


def _from_archive(path: Path, objects: Mapping[str, Any]) -> Any:
    """A `.keras` file of Keras 3, its weights unpacked to a temporary folder and read one after the other.

    `load_model` reads all of them into memory, twice, those of the optimizer too (3.7 GB for a model of 0.4 GB); or it
    unpacks them beside the file, where this process may not write.
    """
    from keras.src.saving import saving_lib

    before = saving_lib._MEMORY_UPPER_BOUND
    saving_lib._MEMORY_UPPER_BOUND = 0.0  # the share of the free memory up to which it would
    try:
        with tempfile.TemporaryDirectory(prefix="penult-") as place, path.open("rb") as file:
            file.raw.name = str(Path(place) / path.name)  # type: ignore[attr-defined]  # it unpacks there
            return saving_lib.load_model(file, objects, compile=False, safe_mode=True)
    finally:
        saving_lib._MEMORY_UPPER_BOUND = before


@contextmanager
def _weights_unpacked() -> Iterator[None]:
    """tf_keras reads the weights of an archive from a temporary folder.

    Else it reads them within the archive, and each step back in there begins anew: for 1.3 GB that does not end.
    """
    from tf_keras.src.saving import saving_lib

    before = saving_lib.H5IOStore

    with tempfile.TemporaryDirectory(prefix="penult-") as place:

        class Unpacked(before):  # type: ignore[misc, valid-type]
            def __init__(self, name: str, archive: zipfile.ZipFile | None = None, mode: str = "r") -> None:
                super().__init__(archive.extract(name, place) if archive else name, None, mode)

        saving_lib.H5IOStore = Unpacked
        try:
            yield
        finally:
            saving_lib.H5IOStore = before


@contextmanager
def _named_as_it_is(file: KerasFile) -> Iterator[Path]:
    """A path of the file whose ending says what it is: both Keras go by it."""
    ending = ".keras" if file.archive else ".h5"
    changed = file.archive and file.changed
    if not changed and file.source.name.endswith(ending) and not file.source.name.endswith(".weights.h5"):
        yield file.source
        return
    with tempfile.TemporaryDirectory(prefix="penult-") as place:
        path = Path(place) / f"model{ending}"
        _copy(file, path) if changed else shutil.copyfile(file.source, path)
        yield path


def _copy(file: KerasFile, target: Path) -> None:
    """The archive with the configuration that `file` has, everything else as it is."""
    with zipfile.ZipFile(file.source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            if entry.filename == CONFIG:
                new.writestr(CONFIG, json.dumps(file.config))
            else:
                with old.open(entry) as read, new.open(entry.filename, "w", force_zip64=True) as write:
                    shutil.copyfileobj(read, write, 1 << 20)


def _hub_layer(file: KerasFile, modules: Mapping[str, str | Path]) -> type:
    """`hub.KerasLayer`, reading the directories that the handles stand for, which are looked at first."""
    if file.keras == KERAS_3:
        raise ModelRefused(
            f"{file.source} holds a hub.KerasLayer, which Keras 3 has not; save the model with tf_keras",
            reason="UNKNOWN_CLASS",
            metadata={"class": "KerasLayer"},
        )
    import tensorflow_hub as hub

    looked_at: set[Path] = set()

    class KerasLayer(hub.KerasLayer):
        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            place = located(str(file.source), str(config.get("handle")), modules)
            if place not in looked_at:
                inspect(place)
                looked_at.add(place)
            return cls(**{**config, "handle": str(place)})

    return KerasLayer


def _refuse_lost_words(file: KerasFile) -> None:
    """An `.h5` does not hold the words that a layer was adapted to: Keras 3 would read it and know none."""
    for found in file.classes():
        config = found.get("config")
        if found["class_name"] in _LOOKUPS and isinstance(config, dict) and config.get("vocabulary") is None:
            raise ModelRefused(
                f"{file.source} does not hold the vocabulary of its layer {config.get('name')!r} "
                f"({found['class_name']}), which an .h5 file keeps only when it was given as a list; save the model as "
                ".keras: model.save('model.keras')",
                reason="NO_VOCABULARY",
            )


def _not_loaded(file: KerasFile, error: Exception) -> ModelRefused:
    """In one sentence: the class that is not known, or the first line of what Keras says."""
    installed = version("tf-keras" if file.keras == KERAS_2 else "keras")
    found = _UNKNOWN_CLASS.search(str(error))
    unknown = found[1] if found else _missing_layer(file)
    whole = "model.save('a_directory')" if file.keras == KERAS_2 else "model.export('a_directory')"
    if unknown:
        return ModelRefused(
            f"{file.source} names {unknown!r}, which {file.keras} {installed} does not have; save a SavedModel, which "
            f"needs no classes: {whole}",
            reason="UNKNOWN_CLASS",
            metadata={"class": unknown},
        )
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:300]
    return ModelRefused(
        f"{file.source}, written by Keras {file.version or '?'}, cannot be built by {file.keras} {installed} "
        f"({type(error).__name__}: {first}); save a SavedModel, which needs no building: {whole}",
        reason="CANNOT_LOAD",
    )


def _missing_layer(file: KerasFile) -> str | None:
    """A layer that this Keras does not have: it does not always say so."""
    layers = importlib.import_module(f"{file.keras}.layers")
    public = (found["class_name"] for found in file.classes() if found.get("module") == "keras.layers")
    return next((name for name in public if not hasattr(layers, name)), None)
