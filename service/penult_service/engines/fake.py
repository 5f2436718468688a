"""A small, deterministic engine without TensorFlow, for tests: it misbehaves when told to.

The embedding of a text depends on each of its tokens and their places, and on nothing else in the batch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.prepared import Cost, Head, Manifest, Proof, Readout, Site, TokenInput
from penult_service.vectors import digest_of_parts

DIMENSION = 16
POOLED, TOKENS, OUTPUT = "pooled_output", "sequence_output", "output"
LABELS = ("negative", "neutral", "positive")


@dataclass(frozen=True)
class Traits:
    """What kind of model it plays.

    `head` is ``softmax`` over three labels, ``sigmoid`` (one output), ``multilabel`` or ``other``. Without
    `tokens` only the pooled output can be read. Without `trims` the embedding really depends on the padding.
    The marks are token ids: a batch with `fails_on` raises, one with `dies_on` ends the thread, a row with
    `nan_on` is not finite. A batch takes `seconds`, and waits for `gate` where there is one.
    """

    head: str = "softmax"
    tokens: bool = True
    trims: bool = True
    max_length: int = 128
    fails_on: int = -1
    dies_on: int = -1
    nan_on: int = -1
    seconds: float = 0.0
    gate: threading.Event | None = field(default=None, compare=False)


def fake_manifest(version: int = 1, traits: Traits | None = None) -> Manifest:
    """The manifest of a fake model; another version is another model."""
    traits = traits or Traits()
    computed = {k: v for k, v in vars(traits).items() if k in ("head", "trims", "max_length")}
    classes = {"softmax": 3, "sigmoid": 2, "multilabel": 3, "other": 1}[traits.head]
    pooled, tokens = Readout(POOLED, DIMENSION, "pooled"), Readout(TOKENS, DIMENSION, "tokens")
    return Manifest(
        source="fake",
        source_format="fake",
        model_digest=digest_of_parts(["fake", str(version), repr(computed)]),
        preparer="fake",
        inputs=(TokenInput("ids", "ids", "int32"), TokenInput("mask", "mask", "int32")),
        readouts=(pooled, tokens) if traits.tokens else (pooled,),
        seam=POOLED,
        outputs=(OUTPUT,),
        head=Head(traits.head, OUTPUT, classes, LABELS[-classes:] if classes > 1 else ()),
        max_length=traits.max_length,
        trims=traits.trims,
        counts_wordpieces=False,
        sites=(Site("dropout", "Dropout", 0.1, None, POOLED, "at"),),
        proof=Proof(proven=True, findings=("no graph, so no random operation",), figures=()),
        cost=Cost(0.0, 0),
    )


class FakeEngine:
    """Computes with fixed random weights. `batches` has the shape of every batch that `encode` was given."""

    name = "fake"
    precision = "float32"

    def __init__(
        self,
        tokenize: Callable[[Sequence[str]], Mapping[str, NDArray[Any]]],
        version: int = 1,
        traits: Traits | None = None,
    ) -> None:
        self._tokenize, self._traits = tokenize, traits or Traits()
        self.batches: list[tuple[int, int]] = []
        random = np.random.default_rng(version)
        outputs = 1 if self._traits.head in ("sigmoid", "other") else 3
        self._words = random.standard_normal((30_000, DIMENSION), dtype=np.float32)
        self._places = random.standard_normal((self._traits.max_length, DIMENSION), dtype=np.float32)
        self._weights = random.standard_normal((DIMENSION, outputs), dtype=np.float32)

    def encode(
        self, inputs: Mapping[str, NDArray[Any]], layers: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """As in `Engine`."""
        ids, mask = inputs["ids"], inputs["mask"]
        self.batches.append((ids.shape[0], ids.shape[1]))
        self._misbehave(ids)
        tokens = np.tanh(self._words[ids] + 0.3 * self._places[: ids.shape[1]])
        tokens[(ids == self._traits.nan_on).any(axis=1)] = np.nan
        weights = (mask if self._traits.trims else np.ones_like(mask))[:, :, None].astype(np.float32)
        # Summed token by token, so that padding changes not even the last bit.
        pooled = np.add.accumulate(tokens * weights, axis=1)[:, -1] / weights.sum(axis=1)
        return {layer: {POOLED: pooled, TOKENS: tokens}[layer] for layer in layers}

    def head(self, embedding: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """As in `Engine`."""
        logits = embedding @ self._weights
        if self._traits.head == "softmax":
            exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
            return {OUTPUT: exponentials / exponentials.sum(axis=1, keepdims=True)}
        return {OUTPUT: logits if self._traits.head == "other" else 1.0 / (1.0 + np.exp(-logits))}

    def whole(self, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
        """As in `Engine`."""
        return self.head(self.encode(self._tokenize(texts), [POOLED])[POOLED])

    def _misbehave(self, ids: NDArray[Any]) -> None:
        if self._traits.gate:
            self._traits.gate.wait()
        time.sleep(self._traits.seconds)
        if (ids == self._traits.dies_on).any():
            raise SystemExit("the fake engine was told to die")
        if (ids == self._traits.fails_on).any():
            raise RuntimeError("the fake engine was told to fail")
