"""Inputs to measure a model with: tokens of given texts, or made up to given lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.prepared import CALLER, LIBRARY, Manifest, TokenInput
from penult_service.tokenizing import TokenTable
from penult_service.tokenizing.opening import Tokenizer

_SEED = 10
_VOCABULARY = 20_000  # ids at most; the first of a table are those that every model has
_ANY = 8  # along an axis of any length that is none of tokens


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows that `encode` takes: tokens int [n, width] and values [n, ...] by name, tokens a row int [n].

    `costs` is what each row takes in a batch: its length, or all cells where batches are not trimmed.
    """

    tokens: Mapping[str, NDArray[Any]]
    lengths: NDArray[np.int32]
    trims: bool
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def costs(self) -> NDArray[np.int32]:
        """Int [n], as above."""
        wide = max((array.shape[1] for array in self.tokens.values()), default=1)
        return self.lengths if self.trims else np.full(len(self.lengths), wide, np.int32)

    def batch(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        """The rows, cut to the longest of them where batches are trimmed."""
        width = int(self.lengths[list(rows)].max()) if self.trims else None
        cut = {name: np.ascontiguousarray(array[list(rows), :width]) for name, array in self.tokens.items()}
        return cut | {name: array[list(rows)] for name, array in self.values.items()}


def of_texts(manifest: Manifest, tokenizer: Tokenizer, texts: Sequence[str]) -> Examples:
    """The texts' tokens; where the model takes several texts, each with those that follow it.

    Beside texts, numbers are made up; as are the tokens of a model that takes no text.
    """
    count = 1 if manifest.tokenizer == LIBRARY else len(manifest.texts)
    if manifest.tokenizer == CALLER or not count:
        return of_lengths(manifest, [2 + len(text) // 4 for text in texts])
    columns = [[*texts[shift:], *texts[:shift]] for shift in range(count)]
    table: TokenTable = tokenizer.tokenize(*columns)
    lengths = table.lengths if table.reads is None else table.reads
    values = _values(manifest, len(texts))
    given = {t.name: _made_up(t, manifest, lengths) for t in manifest.inputs if _given(t, manifest)}
    return Examples({**table.inputs, **given}, np.maximum(lengths, 1), manifest.trims, values)


def of_lengths(manifest: Manifest, lengths: Sequence[int] | NDArray[Any]) -> Examples:
    """Made-up rows of so many tokens, at most the model's longest; numbers are drawn from a normal distribution."""
    fitting = np.clip(np.asarray(lengths, np.int32), 1, manifest.padded_cost)
    tokens = [token for token in manifest.inputs if token.role != "value"]
    made = {token.name: _made_up(token, manifest, fitting) for token in tokens}
    return Examples(made, fitting, manifest.trims, _values(manifest, len(fitting)))


def _given(token: TokenInput, manifest: Manifest) -> bool:
    """Whether a caller gives these tokens beside the texts of a model whose graph tokenizes them."""
    return bool(token.field) and token.role != "value" and manifest.tokenizer != LIBRARY


def _made_up(token: TokenInput, manifest: Manifest, lengths: NDArray[np.int32]) -> NDArray[Any]:
    """[n, width]: ids drawn evenly, masks of 1, all else 0; 0 behind a row's length.

    Numbers for each token, [n, width, ...], are drawn too, above 0 as what passes between events.
    """
    width = int(lengths.max()) if manifest.trims else manifest.padded_cost
    used = np.arange(width) < lengths[:, None]
    if token.role == "steps":
        beside = [_ANY if length < 0 else length for length in token.shape[1:]]
        drawn = np.abs(np.random.default_rng(_SEED).standard_normal((*used.shape, *beside)))
        drawn *= used.reshape(*used.shape, *[1] * len(beside))
        return drawn.astype("float32" if token.dtype == "bfloat16" else token.dtype)
    if token.role == "ids":
        limit = min(token.rows or manifest.vocabulary or 2, _VOCABULARY)
        drawn = np.random.default_rng(_SEED).integers(1, max(limit, 2), used.shape)
        return np.where(used, drawn, 0).astype(token.dtype)
    filled = used if token.role == "mask" else np.zeros_like(used)
    return filled.astype(token.dtype)


def _values(manifest: Manifest, count: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(_SEED)
    found = {}
    for token in manifest.inputs:
        if token.role == "value":
            shape = [_ANY if length < 0 else length for length in token.shape]
            dtype = "float32" if token.dtype == "bfloat16" else token.dtype
            drawn = random.standard_normal((count, *shape))
            found[token.name] = (drawn if dtype.startswith("float") else drawn > 0).astype(dtype)
    return found
