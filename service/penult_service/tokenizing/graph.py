"""Tokenizing by the model's own graph: the signature `tokenize` of a prepared model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from penult_service.prepared import WORDPIECES, Manifest
from penult_service.tokenizing.table import CUT, NONE, UNKNOWN, TokenTable, token_lengths
from penult_service.tokenizing.wordpieces import WordPieces, is_plain

_ROWS = 4096  # texts a call of the graph: its ragged tensors are several times the result


class GraphTokenizer:
    """Fulfils `embedder.Tokenizer`; takes as many lists of texts as the model has inputs of text.

    Attributes:
        pieces: The same word pieces of plain texts, where they are known: whether a text was cut is told without
            calling the graph once more for each.
    """

    def __init__(self, signature: Callable[..., Mapping[str, Any]], manifest: Manifest) -> None:
        self._signature = signature
        self._manifest = manifest
        self.pieces: WordPieces | None = None
        self._arguments = [field.argument for field in manifest.texts]
        self._names = [token.name for token in manifest.inputs if token.role != "value" and not token.field]

    def tokenize(self, *texts: Sequence[str]) -> TokenTable:
        """Tokens of the rows, in order, padded as the graph pads."""
        count = len(texts[0])
        blocks = [
            self._call([column[start : start + _ROWS] for column in texts])
            for start in range(0, count, _ROWS)
        ]
        inputs = {name: _joined([block[name] for block in blocks]) for name in self._names}
        lengths = token_lengths(inputs, self._manifest.inputs)
        if len(texts) == 1:
            cuts = [self._truncation(text, int(n)) for text, n in zip(texts[0], lengths, strict=True)]
        else:
            cuts = self._truncations(texts, lengths)
        return TokenTable(inputs, lengths, cuts)

    def brief(self, text: str) -> bool:  # noqa: ARG002
        """No: a call of the graph takes as long as 200 short texts."""
        return False

    def _call(self, texts: Sequence[Sequence[str]]) -> dict[str, NDArray[Any]]:
        found = self._signature(**self._named(texts))
        return {name: found[name].numpy() for name in self._names}

    def _named(self, texts: Sequence[Sequence[str]]) -> dict[str, tf.Tensor]:
        columns = zip(self._arguments, texts, strict=True)
        return {name: tf.constant(list(column), dtype=tf.string) for name, column in columns}

    def _truncation(self, text: str, length: int) -> str:
        """Whether a text was cut, which it was not when it leaves room: by its word pieces before any cut."""
        if length < self._manifest.max_length:
            return NONE
        if not self._manifest.counts_wordpieces:
            return UNKNOWN
        room = length - self._special
        if self.pieces is not None and is_plain(text):
            return CUT if self.pieces.more_than(room, text) else NONE
        return CUT if self._pieces([[text]]) > room else NONE

    def _truncations(self, texts: Sequence[Sequence[str]], lengths: NDArray[np.int32]) -> list[str]:
        """Whether rows of several texts were cut: each text may have a length of its own, so room tells nothing."""
        count = len(lengths)
        if not self._manifest.counts_wordpieces:
            return [UNKNOWN] * count
        if self._pieces(texts) <= int(lengths.sum()) - self._special * count:
            return [NONE] * count
        if count == 1:
            return [CUT]
        half = count // 2
        first = self._truncations([column[:half] for column in texts], lengths[:half])
        return first + self._truncations([column[half:] for column in texts], lengths[half:])

    def _pieces(self, texts: Sequence[Sequence[str]]) -> int:
        """Word pieces of all these texts, before any is cut."""
        return int(self._signature(**self._named(texts))[WORDPIECES])

    @cached_property
    def _special(self) -> int:
        """Special tokens a row, such as [CLS] and [SEP]: those of empty texts."""
        empty = [[""] for _ in self._arguments]
        return int(token_lengths(self._call(empty), self._manifest.inputs)[0])


def _joined(blocks: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Rows of all blocks, as wide as the widest; empty texts alone may have no column."""
    width = max(1, *(block.shape[1] for block in blocks))
    if len(blocks) == 1 and blocks[0].shape[1] == width:  # one short text is tokenized sooner than padded
        return blocks[0]
    return np.concatenate([np.pad(block, ((0, 0), (0, width - block.shape[1]))) for block in blocks])
