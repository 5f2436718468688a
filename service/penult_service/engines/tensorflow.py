"""Runs a prepared model with TensorFlow: its signatures, called one at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the operations of `tokenize`)
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.guard import prepared as guard
from penult_service.prepared import EMBEDDING, HEAD, TEXT, WHOLE, Manifest


class TensorFlowEngine:
    """Fulfils `embedder.Engine`, in the arithmetic that the model was saved with.

    Args:
        signatures: The model's functions.
        manifest: What they are.
        tokenize: Texts -> token inputs int [n, length], for a model whose graph does not make them.
    """

    name = "tensorflow"
    precision = "fp32"

    def __init__(
        self,
        signatures: Mapping[str, Any],
        manifest: Manifest,
        tokenize: Callable[[Sequence[str]], Mapping[str, NDArray[Any]]] | None = None,
    ) -> None:
        self._signatures = signatures
        self._manifest = manifest
        self._tokenize = tokenize

    def encode(
        self, inputs: Mapping[str, NDArray[Any]], layers: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Token inputs int [n, length] -> readouts float32 by layer: [n, d], or [n, length, d] for tokens."""
        signature = self._signatures[self._manifest.encode_signature(layers)]
        return _numpy(signature(**{name: tf.constant(value) for name, value in inputs.items()}))

    def head(self, embedding: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Embedding at the seam float32 [n, d] -> the model's outputs by name."""
        return _numpy(self._signatures[HEAD](**{EMBEDDING: tf.constant(embedding)}))

    def whole(self, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Texts -> the model's outputs by name: the saved inference function as it is."""
        whole = self._signatures[WHOLE]
        if self._tokenize is None:
            return _numpy(whole(**{TEXT: tf.constant(list(texts), dtype=tf.string)}))
        return _numpy(whole(**{name: tf.constant(value) for name, value in self._tokenize(texts).items()}))


def signatures(directory: Path, allow_ops: Collection[str] = ()) -> Mapping[str, Any]:
    """The signatures of a prepared model; they keep what they need alive.

    Before TensorFlow loads the model, its operations are held against the allow list, to which `allow_ops` adds the
    operator's own.

    Raises:
        InvalidInput, ModelRefused: as `guard.prepared.check`, nothing of the model has run then; or DAMAGED, TensorFlow
            cannot load it, or a function that is asked for is not there.
    """
    guard.check(directory, allow_ops)
    try:
        loaded = tf.saved_model.load(str(directory))
        return _Kept(directory, loaded.signatures, loaded)
    except Exception as error:  # whatever TensorFlow raises at a graph that does not fit together
        first = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise InvalidInput(
            f"{directory} cannot be loaded ({first}); prepare the model again", reason="DAMAGED"
        ) from error


class _Kept(dict[str, Any]):
    """A dict that keeps the loaded object: its variables live no longer than it does."""

    def __init__(self, directory: Path, items: Mapping[str, Any], owner: Any) -> None:
        super().__init__(items)
        self.directory, self.owner = directory, owner

    def __missing__(self, name: str) -> Any:
        raise InvalidInput(
            f"{self.directory} has no function {name!r}; prepare the model again", reason="DAMAGED"
        )


def _numpy(tensors: Mapping[str, tf.Tensor]) -> dict[str, NDArray[Any]]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
