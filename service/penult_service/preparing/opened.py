"""A model that has been read, whatever its format: its inference function whole and flat, its layers, its labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from penult_service.errors import InvalidInput
from penult_service.prepared import TEXT
from penult_service.preparing.graph import FlatGraph, Ref

NOISE_CLASSES = frozenset(
    {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"}
    | {"GaussianDropout", "GaussianNoise", "AlphaDropout"}
)


@dataclass(frozen=True)
class Layer:
    """A Keras layer as the file records it; `path` is its place among the tracked objects."""

    path: str
    name: str
    class_name: str
    config: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Opened:
    """A model that has been read: the loaded object, its inference function whole and flat, its layers.

    `keras_safe` says whether Keras may load the file too (for comparison only): no layer whose config holds code.
    """

    directory: Path
    format: str
    root: Any
    function: Any
    flat: FlatGraph
    text: Ref
    layers: tuple[Layer, ...]
    labels: tuple[str, ...]
    keras_safe: bool

    @property
    def takes_text(self) -> bool:
        """Whether its graph makes the tokens of texts itself."""
        return True

    @property
    def feeds(self) -> dict[Ref, tf.TensorSpec]:
        """What its graph is fed with: tensor -> its argument."""
        return {self.text: tf.TensorSpec([None], tf.string, name=TEXT)}

    def arguments(self, texts: Sequence[str]) -> list[tf.Tensor]:
        """These texts as its graph is fed with them, in the order of `feeds`."""
        return [tf.constant(list(texts), dtype=tf.string)]


def read_labels(directory: Path) -> tuple[str, ...]:
    """The class names of `labels.json` (a list of strings) beside the model; empty without that file."""
    path = directory / "labels.json"
    if not path.exists():
        return ()
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is not JSON ({error})", reason="BAD_LABELS") from error
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InvalidInput(
            f'{path} must be a list of names, such as ["negative", "positive"]', reason="BAD_LABELS"
        )
    return tuple(labels)
