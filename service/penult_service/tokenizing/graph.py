"""Tokenizing by the model's own graph: the signature `tokenize` of a prepared model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from penult_service.prepared import TEXT, WORDPIECES, Manifest
from penult_service.tokenizing.table import CUT, NONE, UNKNOWN, TokenTable, token_lengths

_ROWS = 4096  # texts a call of the graph: its ragged tensors are several times the result


class GraphTokenizer:
    """Fulfils `embedder.Tokenizer`."""

    def __init__(self, signature: Callable[..., Mapping[str, Any]], manifest: Manifest) -> None:
        self._signature = signature
        self._manifest = manifest
        self._names = [token.name for token in manifest.inputs]

    def tokenize(self, texts: Sequence[str]) -> TokenTable:
        """Tokens of the texts, in order, padded as the graph pads."""
        blocks = [self._call(texts[start : start + _ROWS]) for start in range(0, len(texts), _ROWS)]
        width = max(
            1, *(block[self._names[0]].shape[1] for block in blocks)
        )  # empty texts alone may have no column
        inputs = {name: np.concatenate([_widened(b[name], width) for b in blocks]) for name in self._names}
        lengths = token_lengths(inputs, self._manifest.inputs)
        full = self._manifest.max_length
        cuts = [
            NONE if n < full else self._truncation(text, n) for text, n in zip(texts, lengths, strict=True)
        ]
        return TokenTable(inputs, lengths, cuts)

    def _call(self, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
        found = self._signature(**{TEXT: tf.constant(list(texts), dtype=tf.string)})
        return {name: found[name].numpy() for name in self._names}

    def _truncation(self, text: str, length: int) -> str:
        """Whether a text that fills the model's length was cut: by its number of word pieces before any cut."""
        if not self._manifest.counts_wordpieces:
            return UNKNOWN
        pieces = int(self._signature(**{TEXT: tf.constant([text])})[WORDPIECES])
        return CUT if pieces > length - self._special else NONE

    @cached_property
    def _special(self) -> int:
        """Special tokens a text, such as [CLS] and [SEP]: those of the empty text."""
        return int(token_lengths(self._call([""]), self._manifest.inputs)[0])


def _widened(matrix: NDArray[Any], width: int) -> NDArray[Any]:
    return np.pad(matrix, ((0, 0), (0, width - matrix.shape[1])))
