"""What a tokenizer gives: token inputs, counts, and whether each text was cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.prepared import TokenInput

# Truncation of a text, as in the contract's enum.
UNKNOWN, NONE, CUT = "unknown", "none", "cut"


@dataclass(frozen=True, eq=False)
class TokenTable:
    """The tokens of n texts: token inputs by name, int [n, max_length], padded on the right.

    Numbers for each token, of role ``steps``, are among them: [n, max_length, ...].

    `lengths` int32 [n] counts tokens without padding, special tokens included; `truncations` has one of
    ``unknown``, ``none``, ``cut`` a text. `values` has what the model takes beside tokens, by name, [n, ...]. Rows that
    join longer ones are filled up with 0, or with what `filling` says for that input. `reads` int32 [n] is how far each
    row must reach, where that is further than its length.
    """

    inputs: Mapping[str, NDArray[Any]]
    lengths: NDArray[np.int32]
    truncations: Sequence[str]
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    filling: Mapping[str, int] = field(default_factory=dict)
    reads: NDArray[np.int32] | None = None

    def needed(self, row: int) -> int:
        """How many cells of a row the model may look at."""
        return int((self.lengths if self.reads is None else self.reads)[row])


def token_lengths(inputs: Mapping[str, NDArray[Any]], tokens: Sequence[TokenInput]) -> NDArray[np.int32]:
    """Tokens a row without padding, int32 [n]: by the mask, else up to the last id that is not 0; at least 1.

    Where there are several rows of ids, by the longest. Without either every cell is a token; of values alone a row
    counts as one.
    """
    tables = {
        role: [inputs[token.name] for token in tokens if token.role == role]
        for role in dict.fromkeys(token.role for token in tokens if token.role != "value")
    }
    masks, ids = tables.get("mask", []), tables.get("ids", [])
    used = masks if len(masks) >= len(ids) else masks + ids
    first = next(iter(tables.values()), [None])[0]
    if first is None or not first.shape[1]:  # values, or nothing but empty texts, padded to the longest
        return np.ones(len(next(iter(inputs.values()))), np.int32)
    if not used:
        return np.full(len(first), first.shape[1], np.int32)
    return np.max([_last(table != 0) for table in used], axis=0).astype(np.int32)


def cells_read(tables: Iterable[NDArray[Any]]) -> NDArray[np.int32]:
    """How far rows of tokens reach that a caller made, int32 [n]: no model is known to pass over more than zeros."""
    used = (table != 0 for table in tables)
    found = [_last(each if each.ndim == 2 else each.any(axis=tuple(range(2, each.ndim)))) for each in used]
    return np.max(found, axis=0).astype(np.int32)


def _last(used: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The place of the last one that is true, from 1; 1 without any."""
    last = used.shape[1] - np.argmax(used[:, ::-1], axis=1)
    return np.where(used.any(axis=1), last, 1)
