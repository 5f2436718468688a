"""Reads `.keras` and `.h5` files of tf_keras and of Keras 3: the model that Keras builds, its inference function.

The file has been looked at before (`inspecting`): it holds no code. Keras builds the model in safe mode, of its own
classes and of TF-Hub's; it is not compiled, so neither optimizer nor loss is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from penult_service.preparing.formats import keras_loss, keras_saved
from penult_service.preparing.formats.keras_load import load
from penult_service.preparing.formats.keras_saved import KERAS_3, KerasFile
from penult_service.preparing.formats.keras_trace import Traced, trace
from penult_service.preparing.opened import Opened, labels_in


def open_file(source: Path, modules: Mapping[str, str | Path] | None = None) -> Opened:
    """Reads the model.

    Args:
        source: A `.keras` or `.h5` file, `model.keras`; the names of its classes are in `model.labels.json` beside it.
        modules: Handle of a TF-Hub layer in it -> the directory that it stands for.

    Raises:
        InvalidInput: NOT_A_MODEL (weights alone), DAMAGED, BAD_LABELS.
        ModelRefused: UNKNOWN_WRITER, UNKNOWN_CLASS, CANNOT_LOAD, NO_VOCABULARY, NO_INPUTS, UNSUPPORTED_INPUT,
            UNSUPPORTED_OUTPUT; what `hub_handles.located` and `inspect` say of the model behind a TF-Hub layer.
    """
    file = keras_saved.read(source)
    return opened(file, load(file, modules))


def opened(file: KerasFile, model: Any) -> Opened:
    """The same, of the model that Keras built from the file."""
    traced = trace(str(file.source), model)
    return Opened(
        source=file.source,
        format=file.format,
        root=_root(file, model),
        function=traced.function,
        flat=traced.flat,
        inputs=traced.inputs,
        layers=traced.layers,
        labels=labels_in(file.source.with_name(f"{file.source.stem}.labels.json")),
        keras=lambda: model,
        marks=traced.marks,
        loss=keras_loss.meanings(file.training, _in_order(model, traced)),
        notes=traced.notes,
        trained=traced.trained,
    )


def _in_order(model: Any, traced: Traced) -> list[str]:
    """The outputs in the order in which Keras takes a list of losses: of a dict that of its sorted keys."""
    named = traced.function.structured_outputs
    return sorted(named) if isinstance(getattr(model, "output", None), dict) else list(named)


def _root(file: KerasFile, model: Any) -> tf.Module:
    """What tracks the model's variables and tables; a variable of Keras 3 hides the one of TensorFlow that it holds."""
    root = tf.Module()
    root.model = model
    if file.keras == KERAS_3:
        root.values = [variable.value for variable in model.variables]
    return root
