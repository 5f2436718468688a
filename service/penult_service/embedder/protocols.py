"""What the embedder needs of a model: the protocols that tokenizers and engines fulfil."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penult_service.masks import Draw
from penult_service.prepared import Manifest
from penult_service.tokenizing import TokenTable
from penult_service.tuned import Setting, Tuned


class Tokenizer(Protocol):
    """Texts to token ids, as the model was trained with. Called from several threads at once."""

    def tokenize(self, *texts: Sequence[str]) -> TokenTable:
        """Tokens of n rows, in order: of n texts, or of as many lists of n texts as the model takes texts a row."""
        ...

    def brief(self, text: str) -> bool:
        """Whether this text alone takes less time than the way to another thread and back, 0.1 ms."""
        ...


class Engine(Protocol):
    """Runs a prepared model. Called from several threads at once; blocking. Compared by identity.

    Arrays are named as the signatures of `prepared` name them. InvalidInput: the model refuses these numbers.
    """

    name: str
    precision: str

    def encode(
        self, inputs: Mapping[str, NDArray[Any]], layers: Sequence[str], *, alone: bool = True
    ) -> dict[str, NDArray[np.float32]]:
        """Tokens int [n, length], values [n, ...] -> readouts float32 by layer: [n, d], or [n, length, d] of tokens.

        `alone`: the call is none of several in streams, so that all threads may take part; it changes nothing else.
        """
        ...

    def head(
        self, embedding: NDArray[np.float32], values: Mapping[str, NDArray[Any]] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Embedding at the seam float32 [n, d], and the values that join it -> the model's outputs by name."""
        ...

    def sample_encode(self, inputs: Mapping[str, NDArray[Any]], draw: Draw) -> NDArray[np.float32]:
        """As `encode`, of the seam's readout alone, the dropouts in front of it active: float32 [n, d]."""
        ...

    def sample_head(
        self, embedding: NDArray[np.float32], values: Mapping[str, NDArray[Any]] | None, draw: Draw
    ) -> dict[str, NDArray[Any]]:
        """As `head`, the dropouts between the embedding and the outputs active."""
        ...

    def whole(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """What the model takes [n, ...] (texts as dtype object) -> its outputs by name: the saved function as it is."""
        ...


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A version of a model, ready to run. `tuned` is how its engine runs it, and why."""

    name: str
    version: int
    manifest: Manifest
    tokenizer: Tokenizer
    engine: Engine
    tuned: Tuned = field(default_factory=lambda: Tuned(Setting()))
