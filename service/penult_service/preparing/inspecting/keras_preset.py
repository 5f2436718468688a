"""A KerasHub preset, the directory that `save_to_preset` writes: its configurations and its files of weights."""

from __future__ import annotations

import json
from pathlib import Path

from penult_service.guard.saved_model import GRAPH_FILE
from penult_service.preparing.inspecting import hdf5, keras_config

TASK, CONFIG = "task.json", "config.json"
# Configurations of Keras; `metadata.json` is read by nobody.
_CONFIGS = (TASK, CONFIG, "preprocessor.json", "tokenizer.json")


def is_preset(directory: Path) -> bool:
    """Whether it looks like a preset, whole or not: a configuration of KerasHub, and no SavedModel."""
    if (directory / GRAPH_FILE).exists():
        return False
    return any(_is_of_keras(directory / name) for name in (TASK, CONFIG))


def refuse_harmful(directory: Path) -> None:
    """Looks at every configuration, and at the files of weights.

    Raises:
        ModelRefused, InvalidInput: as `keras_config.refuse_harmful` and `hdf5.refuse_harmful`.
    """
    for name in _CONFIGS:
        path = directory / name
        if path.is_file():
            with path.open("rb") as file:
                text = file.read(keras_config.MAX_CONFIG_BYTES + 1)
            keras_config.refuse_harmful(str(path), keras_config.parse(str(path), text))
    for path in sorted(directory.glob("*.h5")):
        hdf5.refuse_harmful(path)


def _is_of_keras(path: Path) -> bool:
    """Whether it is the JSON of an object of Keras, as `from_preset` tells it from other libraries' files."""
    try:
        if path.stat().st_size > keras_config.MAX_CONFIG_BYTES:
            return False
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "registered_name" in found and "class_name" in found
