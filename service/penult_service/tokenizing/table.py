"""What a tokenizer gives: token inputs, counts, and whether each text was cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Truncation of a text, as in the contract's enum.
UNKNOWN, NONE, CUT = "unknown", "none", "cut"


@dataclass(frozen=True, eq=False)
class TokenTable:
    """The tokens of n texts: token inputs by name, int [n, max_length], padded on the right.

    `lengths` int32 [n] counts tokens without padding, special tokens included; `truncations` has one of
    ``unknown``, ``none``, ``cut`` a text.
    """

    inputs: Mapping[str, NDArray[Any]]
    lengths: NDArray[np.int32]
    truncations: Sequence[str]
