"""A model that has been read, whatever its format: its inference function whole and flat, its layers, its labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from penult_service.errors import InvalidInput
from penult_service.preparing.graph import FlatGraph, Ref
from penult_service.preparing.places import Known
from penult_service.tokenizing.library import LibraryTokenizer

NOISE_CLASSES = frozenset(
    {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"}
    | {"GaussianDropout", "GaussianNoise", "AlphaDropout"}
)


@dataclass(frozen=True)
class Input:
    """An input of the inference function: its name, as the model calls it, where it is fed, its type and shape.

    `shape` has the batch axis first; None: of any length.
    """

    name: str
    ref: Ref
    dtype: tf.DType
    shape: tuple[int | None, ...]

    @property
    def is_text(self) -> bool:
        """Whether it takes strings."""
        return bool(self.dtype == tf.string)


@dataclass(frozen=True)
class Layer:
    """A Keras layer as the file records it; `path` is its place among the tracked objects."""

    path: str
    name: str
    class_name: str
    config: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Mark:
    """A dropout whose place is known: its layer, and which call of it.

    `before` and `after` are the tensors on both sides; the same one where it leaves nothing in the graph.
    """

    before: Ref
    after: Ref
    layer: Layer
    call: int = 1


@dataclass(frozen=True)
class Opened:
    """A model that has been read.

    Attributes:
        source: The directory or file.
        format: What it is called.
        root: What tracks its variables and tables.
        function: Its inference function; takes `inputs` in order.
        flat: The same, flat.
        inputs: What it is fed with.
        layers: Its layers, as far as the file records them.
        labels: The names of its classes, or none.
        keras: Loads the Keras model, to compare with; None where Keras may not load the file, because it might bring
            code along.
        marks: Its dropouts, where their places are known; None: they are found by the names that tf_keras gives.
        tokenizer: Makes the tokens of texts, where the graph takes tokens; `tokenizer_text` is its file.
        loss: Output -> what its training loss says of it: ``softmax`` or ``sigmoid``, it gives logits of these;
            ``regression``; not there: nothing.
        mask: Which tokens count, where the graph makes that of the ids and a reader knows the tensor.
        known: Where it is cut, for a model that was built here; None: that is searched.
        notes: What a person should know of how it was read.
        signature: The function of a SavedModel that was chosen.
        trained: Traces its function for training; None: the one that `root` tracks, if any.
    """

    source: Path
    format: str
    root: Any
    function: Any
    flat: FlatGraph
    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...] = ()
    labels: tuple[str, ...] = ()
    keras: Callable[[], Any] | None = None
    marks: tuple[Mark, ...] | None = None
    tokenizer: LibraryTokenizer | None = None
    tokenizer_text: str = ""
    loss: Mapping[str, str] = field(default_factory=dict)
    mask: Ref | None = None
    known: Known | None = None
    notes: tuple[str, ...] = ()
    signature: str = ""
    trained: Callable[[], Any] | None = None

    @property
    def texts(self) -> tuple[Input, ...]:
        """The inputs that take strings."""
        return tuple(one for one in self.inputs if one.is_text)

    @property
    def sources(self) -> tuple[Ref, ...]:
        """Where what is read begins: the texts; without any, the tokens; without any, every input."""
        texts = [one.ref for one in self.texts]
        tokens = [one.ref for one in self.inputs if one.dtype.is_integer and len(one.shape) == 2]
        return tuple(texts or tokens or [one.ref for one in self.inputs])


def read_labels(directory: Path) -> tuple[str, ...]:
    """The class names of `labels.json` beside the model; empty without that file."""
    return labels_in(directory / "labels.json")


def labels_in(path: Path) -> tuple[str, ...]:
    """The class names of a file that is a list of strings; empty without that file.

    Raises:
        InvalidInput: BAD_LABELS.
    """
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
