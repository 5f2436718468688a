"""Which reader a model needs, by what lies there."""

from __future__ import annotations

from pathlib import Path

from penult_service.preparing import hf_model
from penult_service.preparing.declarations.declaration import Declaration
from penult_service.preparing.formats import (
    hf_classifier,
    keras_file,
    keras_hub_model,
    keras_hub_preset,
    keras_hub_words,
    keras_saved,
    saved_model,
)
from penult_service.preparing.opened import Opened


def open_model(source: Path, layer: str | None, declared: Declaration) -> Opened:
    """Reads the model, whatever its format.

    Args:
        source: The directory or file; it has been looked at (`inspecting`).
        layer: A layer to read instead of the one in front of the dropout.
        declared: What a person says of it.

    Raises:
        InvalidInput, ModelRefused: as the reader tells.
    """
    if keras_hub_preset.is_preset(source):
        return keras_hub_preset.open_preset(source, declared)
    if hf_classifier.is_directory(source):
        return hf_model.open_model(source, layer, declared.max_length)
    if keras_saved.is_keras_file(source):
        file = keras_saved.read(source)
        if keras_hub_words.is_from_hub(file.config):
            return keras_hub_model.open_file(file, declared)
        return keras_file.open_file(source, {name: Path(place) for name, place in declared.modules.items()})
    return saved_model.open_model(source, declared)
