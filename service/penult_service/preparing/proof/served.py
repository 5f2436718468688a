"""A prepared model as it will be served: its signatures, called with arrays. For the experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from penult_service.masks import Draw
from penult_service.prepared import (
    EMBEDDING,
    GRAPH,
    HEAD,
    RATES,
    ROW_KEYS,
    SAMPLE_ENCODE,
    SAMPLE_HEAD,
    SHARED_KEYS,
    TEXT,
    TOKENIZE,
    WHOLE,
    Manifest,
)
from penult_service.preparing.examples import Rows
from penult_service.tokenizing import token_lengths
from penult_service.tokenizing.library import LibraryTokenizer

Arrays = dict[str, NDArray[Any]]


@dataclass
class Served:
    """The model.

    Attributes:
        signatures: Its functions.
        manifest: What they are, as far as it is known.
        tokenizer: Makes the token inputs of texts, where no signature does.
    """

    signatures: Mapping[str, Any]
    manifest: Manifest
    tokenizer: LibraryTokenizer | None = None

    def tokenize(self, rows: Rows) -> Arrays:
        """What `encode` takes: token inputs int [n, length], and the values beside them."""
        inputs = self.manifest.inputs
        found: Arrays = {}
        if self.tokenizer is not None:
            found |= self.tokenizer.tokenize(list(rows.columns[TEXT])).inputs
        elif TOKENIZE in self.signatures:
            texts = {f.argument: tf.constant(list(rows.columns[f.name])) for f in self.manifest.texts}
            made = self.signatures[TOKENIZE](**texts)
            found |= {token.name: made[token.name].numpy() for token in inputs if token.name in made}
            empty = (
                (0, 0),
                (0, 1),
            )  # nothing but empty texts, padded to the longest: a column, as when served
            found = {name: table if table.shape[1] else np.pad(table, empty) for name, table in found.items()}
        given = {token.name: rows.columns[token.field] for token in inputs if token.name not in found}
        return found | given

    def encode(self, inputs: Arrays) -> NDArray[np.float32]:
        """The embedding at the seam, float32 [n, d]."""
        seam = self.manifest.seam
        arguments = {name: tf.constant(value) for name, value in inputs.items()}
        return np.asarray(self.signatures[self.manifest.encode_signature([seam])](**arguments)[seam].numpy())

    def sample_encode(self, inputs: Arrays, draw: Draw) -> NDArray[np.float32]:
        """As `encode`, the dropouts in front of the seam active."""
        arguments = {name: tf.constant(value) for name, value in inputs.items()}
        found = self.signatures[SAMPLE_ENCODE](**arguments, **_keys(draw))
        return np.asarray(found[self.manifest.seam].numpy())

    def head(self, embedding: NDArray[np.float32], inputs: Arrays) -> Arrays:
        """The outputs by name; of `inputs`, what joins behind the seam is used."""
        return numpy_of(self.signatures[HEAD](**self._behind(embedding, inputs)))

    def sample_head(self, embedding: NDArray[np.float32], inputs: Arrays, draw: Draw) -> Arrays:
        """As `head`, the other dropouts active."""
        return numpy_of(self.signatures[SAMPLE_HEAD](**self._behind(embedding, inputs), **_keys(draw)))

    def _behind(self, embedding: NDArray[np.float32], inputs: Arrays) -> dict[str, tf.Tensor]:
        beside = {name: tf.constant(inputs[name]) for name in self.manifest.head_values}
        return {EMBEDDING: tf.constant(embedding), **beside}

    def whole(self, rows: Rows) -> Arrays:
        """The outputs by name, by the function as saved."""
        if self.manifest.tokenizer != GRAPH:
            arguments = {name: tf.constant(value) for name, value in self.tokenize(rows).items()}
        else:
            arguments = {f.argument: _constant(rows.columns[f.name]) for f in self.manifest.fields}
        return numpy_of(self.signatures[WHOLE](**arguments))

    def lengths(self, inputs: Arrays) -> NDArray[np.int32]:
        """How long each row is cut to: its tokens without padding, and at least 1, as batches are served."""
        return np.maximum(token_lengths(inputs, self.manifest.inputs), 1)

    @property
    def takes_tokens(self) -> bool:
        """Whether `encode` takes tokens, and not values alone."""
        return any(token.role != "value" for token in self.manifest.inputs)

    def batch(
        self, inputs: Arrays, rows: Sequence[int] | slice | NDArray[Any], width: int | None = None
    ) -> Arrays:
        """These rows, their tokens cut to that width."""
        values = {token.name for token in self.manifest.inputs if token.role == "value"}
        chosen = {name: value[rows] for name, value in inputs.items()}
        return {name: value if name in values else value[:, :width] for name, value in chosen.items()}

    def width(self, inputs: Arrays) -> int:
        """The length that rows of tokens are padded to."""
        return int(inputs[next(t.name for t in self.manifest.inputs if t.role != "value")].shape[1])


def numpy_of(tensors: Mapping[str, tf.Tensor]) -> Arrays:
    """Tensors by name, as arrays."""
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _keys(draw: Draw) -> dict[str, tf.Tensor]:
    given = {ROW_KEYS: draw.row_keys, SHARED_KEYS: draw.shared_keys, RATES: draw.rates}
    return {name: tf.constant(value) for name, value in given.items()}


def _constant(column: NDArray[Any]) -> tf.Tensor:
    return tf.constant(list(column) if column.dtype == object else column)
