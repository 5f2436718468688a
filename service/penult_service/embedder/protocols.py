"""What the embedder needs of a model: the protocols that tokenizers and engines fulfil."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penult_service.prepared import Manifest
from penult_service.tokenizing import TokenTable


class Tokenizer(Protocol):
    """Texts to token ids, as the model was trained with. Called from several threads at once."""

    def tokenize(self, texts: Sequence[str]) -> TokenTable:
        """Tokens of the texts, in order."""
        ...


class Engine(Protocol):
    """Runs a prepared model. Called from one thread at a time; blocking. Compared by identity."""

    name: str
    precision: str

    def encode(
        self, inputs: Mapping[str, NDArray[Any]], layers: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Token inputs int [n, length] -> readouts float32 by layer: [n, d], or [n, length, d] for tokens."""
        ...

    def head(self, embedding: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Embedding at the seam float32 [n, d] -> the model's outputs by name."""
        ...

    def whole(self, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Texts -> the model's outputs by name: the saved inference function as it is."""
        ...


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A version of a model, ready to run."""

    name: str
    version: int
    manifest: Manifest
    tokenizer: Tokenizer
    engine: Engine
