"""What tf_keras writes beside a SavedModel (`model.save(path)`): `keras_metadata.pb`, the layers and their configs.

It confirms which layers are dropouts, and tells their rates; Keras is not asked to build anything from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penult_service.guard.damage import damaged
from penult_service.preparing import tf_private
from penult_service.preparing.opened import NOISE_CLASSES, Layer

FORMAT = "tf_keras SavedModel"
# Classes that Keras may build again from their configs; with any other in the file Keras is not asked to.
_KNOWN_CLASSES = NOISE_CLASSES | {
    *("InputLayer", "KerasLayer", "Dense", "Functional", "Sequential", "Activation", "BatchNormalization"),
    *("LayerNormalization", "Embedding", "LSTM", "GRU", "Bidirectional", "Concatenate", "Add", "Flatten"),
    *(
        "GlobalAveragePooling1D",
        "GlobalMaxPooling1D",
        "Mean",
        "MeanMetricWrapper",
        "TensorShape",
        "__tuple__",
    ),
    *("GlorotUniform", "Zeros", "Ones", "Orthogonal", "RandomUniform", "RandomNormal", "TruncatedNormal"),
    *(
        "TypeSpec",
        "InputSpec",
        "Custom>Adam",
        "Custom>AdamW",
        "Custom>SGD",
        "Custom>RMSprop",
        "HeNormal",
        "HeUniform",
        "VarianceScaling",
    ),
}


@dataclass(frozen=True)
class Metadata:
    """What Keras wrote beside the graph.

    Attributes:
        layers: The layers, the model itself first.
        training: What it was compiled with; empty: it was not.
        keras: Loads the model with Keras; None where its configs name classes that might bring code along.
    """

    layers: tuple[Layer, ...]
    training: dict[str, Any]
    keras: Callable[[], Any] | None

    @property
    def outputs(self) -> list[str]:
        """The outputs in the model's own order, as its config lists the layers that make them; empty: not said."""
        listed = self.layers[0].config.get("output_layers") if self.layers else None
        if not isinstance(listed, list) or not all(isinstance(one, list) and one for one in listed):
            return []
        return [str(one[0]) for one in listed]


def read(directory: Path) -> Metadata | None:
    """Reads `keras_metadata.pb`; None where `model.save` of tf_keras did not write the directory.

    Raises:
        InvalidInput: DAMAGED.
    """
    path = directory / "keras_metadata.pb"
    if not path.is_file():
        return None
    try:
        entries = [(p, i, json.loads(text)) for p, i, text in tf_private.keras_metadata(path.read_bytes())]
        for _, _, raw in entries:
            _check_layer(raw)
    except (ValueError, RecursionError) as error:
        raise damaged(directory, error) from error
    layers = tuple(
        Layer(path, raw.get("name", ""), raw.get("class_name", ""), raw.get("config") or {})
        for path, identifier, raw in entries
        if not identifier.startswith("_tf_keras_metric")
    )
    training = next((raw.get("training_config") for path, _, raw in entries if path == "root"), None)
    classes = {name for _, _, raw in entries for name in _class_names(raw)}
    safe = classes <= _KNOWN_CLASSES
    return Metadata(
        layers,
        training if isinstance(training, dict) else {},
        (lambda: _with_keras(directory)) if safe else None,
    )


def _with_keras(directory: Path) -> Any:
    import tf_keras

    return tf_keras.models.load_model(str(directory), compile=False)


def _check_layer(raw: Any) -> None:
    """That a layer's JSON has the types that are read of it. Raises ValueError."""
    names: dict[str, Any] = raw if isinstance(raw, dict) else {"name": None}
    if not all(isinstance(names.get(key, ""), str) for key in ("name", "class_name")):
        raise ValueError("keras_metadata.pb holds a layer that is none")
    if not isinstance(names.get("config") or {}, dict):
        raise ValueError(f"keras_metadata.pb holds no config of layer {str(names.get('name', ''))[:40]!r}")


def _class_names(value: Any) -> Iterator[str]:
    """Every class that a config names, however deep."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield str(value["class_name"])
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _class_names(item)
