"""A small, deterministic engine without TensorFlow, for tests: it misbehaves when told to.

The embedding of a text depends on each of its tokens and their places, and on nothing else in the batch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penult_service.masks import Draw, dropped, uniform
from penult_service.prepared import (
    CALLER,
    GRAPH,
    LIBRARY,
    TEXT,
    Cost,
    Field,
    Head,
    Manifest,
    Proof,
    Readout,
    Site,
    TokenInput,
)
from penult_service.vectors import digest_of_parts

DIMENSION = 16
POOLED, TOKENS, OUTPUT = "pooled_output", "sequence_output", "output"
LABELS = ("negative", "neutral", "positive")
VOCABULARY = 30_000
NUMBERS = 2
NOT_CUT = "no tensor of this model lies on every way from its text to its outputs"
_IDS = (Field("input_ids", "ids", "int32", (-1,)), Field("attention_mask", "mask", "int32", (-1,)))
# What a caller gives it.
_FIELDS = {
    "text": (Field(TEXT, TEXT, "string"),),
    "pair": (Field("premise", "premise", "string"), Field("hypothesis", "hypothesis", "string")),
    "numbers": (Field(TEXT, TEXT, "string"), Field("age and size", "age", "float32", (NUMBERS,))),
    "ids": _IDS,
    "file": _IDS,
}


@dataclass(frozen=True)
class Traits:
    """What kind of model it plays.

    `head` is ``softmax`` over three labels, ``sigmoid`` (one output), ``multilabel``, ``logits`` (linear, declared),
    ``regression`` or ``other``. It `takes` ``text``, a ``pair``, a text with ``numbers``, ``ids``, or either way
    (``file``). With `whole_only` nothing can be read; `pooling` is its default one. Without `tokens` only the pooled
    output can be read. Without `trims` the embedding really depends on the padding. The marks are token ids: a batch
    with `fails_on` raises, one with `dies_on` ends the thread, a row with `nan_on` is not finite. A batch takes
    `seconds`, and waits for `gate` where there is one.
    """

    head: str = "softmax"
    takes: str = "text"
    whole_only: bool = False
    pooling: str = "pooled"
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
    if traits.takes != "text":
        computed["takes"] = traits.takes
    pooled, tokens = Readout(POOLED, DIMENSION, "pooled"), Readout(TOKENS, DIMENSION, "tokens")
    readouts = () if traits.whole_only else (pooled, tokens) if traits.tokens else (pooled,)
    named = traits.takes in ("ids", "file")
    inputs = tuple(
        TokenInput(role, role, "int32", name if named else "")
        for role, name in (("ids", "input_ids"), ("mask", "attention_mask"))
    )
    if traits.takes == "numbers":
        inputs += (TokenInput("age", "value", "float32", "age and size", (NUMBERS,)),)
    return Manifest(
        source="fake",
        source_format="fake",
        model_digest=digest_of_parts(["fake", str(version), repr(computed)]),
        preparer="fake",
        inputs=inputs,
        readouts=readouts,
        seam="" if traits.whole_only else POOLED,
        outputs=(OUTPUT,),
        head=_head(traits.head),
        max_length=traits.max_length,
        trims=traits.trims,
        counts_wordpieces=False,
        sites=(
            Site("encoder/dropout", "Dropout", 0.1, None, TOKENS, "before", sampled=True),
            Site("dropout", "Dropout", 0.1, None, POOLED, "at", sampled=True),
        ),
        unsampled=NOT_CUT if traits.whole_only else "",
        proof=Proof(proven=True, findings=("no graph, so no random operation",), figures=()),
        cost=Cost(0.0, 0),
        tokenizer={"ids": CALLER, "file": LIBRARY}.get(traits.takes, GRAPH),
        fields=_FIELDS[traits.takes],
        head_values=("age",) if traits.takes == "numbers" else (),
        unread=NOT_CUT if traits.whole_only else "",
        vocabulary=VOCABULARY,
        pooling=traits.pooling,
    )


def _head(kind: str) -> Head:
    classes = {"sigmoid": 2, "other": 1, "regression": 1}.get(kind, 3)
    labels = LABELS[-classes:] if classes > 1 else ()
    if kind == "logits":
        return Head("softmax", OUTPUT, classes, labels, "softmax")
    return Head(kind, OUTPUT, classes, labels)


class Tokens(Protocol):
    """What a fake model needs of a tokenizer."""

    def tokenize(self, *texts: Sequence[str]) -> Any:
        """As in `embedder.Tokenizer`."""
        ...


class FakeEngine:
    """Computes with fixed random weights.

    `batches` has the shape of every batch that it was given, `alone` whether `encode` was told that it is alone.
    """

    name = "fake"
    precision = "float32"

    def __init__(self, tokenizer: Tokens, version: int = 1, traits: Traits | None = None) -> None:
        self._tokenizer, self._traits = tokenizer, traits or Traits()
        self.batches: list[tuple[int, int]] = []
        self.alone: list[bool] = []
        random = np.random.default_rng(version)
        outputs = 1 if self._traits.head in ("sigmoid", "other", "regression") else 3
        self._words = random.standard_normal((30_000, DIMENSION), dtype=np.float32)
        self._places = random.standard_normal((self._traits.max_length, DIMENSION), dtype=np.float32)
        self._weights = random.standard_normal((DIMENSION, outputs), dtype=np.float32)
        self._beside = random.standard_normal((NUMBERS, DIMENSION), dtype=np.float32)

    def encode(
        self, inputs: Mapping[str, NDArray[Any]], layers: Sequence[str], *, alone: bool = True
    ) -> dict[str, NDArray[np.float32]]:
        """As in `Engine`; `alone` changes nothing."""
        self.alone.append(alone)
        tokens = self._tokens(inputs["ids"])
        found = {POOLED: self._pooled(tokens, inputs), TOKENS: tokens}
        return {layer: found[layer] for layer in layers}

    def sample_encode(self, inputs: Mapping[str, NDArray[Any]], draw: Draw) -> NDArray[np.float32]:
        """As in `Engine`; each number of a token by itself."""
        tokens = self._tokens(inputs["ids"])
        kept = uniform(draw.row_keys, 0, tokens.shape[1:]) >= draw.rates[0]
        return self._pooled(np.where(kept, tokens / (1 - draw.rates[0]), np.float32(0)), inputs)

    def _tokens(self, ids: NDArray[Any]) -> NDArray[np.float32]:
        self.batches.append((ids.shape[0], ids.shape[1]))
        self._misbehave(ids)
        tokens = np.tanh(self._words[ids] + 0.3 * self._places[: ids.shape[1]])
        tokens[(ids == self._traits.nan_on).any(axis=1)] = np.nan
        return np.asarray(tokens)

    def _pooled(self, tokens: NDArray[np.float32], inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        mask = inputs["mask"]
        weights = (mask if self._traits.trims else np.ones_like(mask))[:, :, None].astype(np.float32)
        # Summed token by token, so that padding changes not even the last bit.
        pooled = np.add.accumulate(tokens * weights, axis=1)[:, -1] / weights.sum(axis=1)
        if "age" in inputs:
            pooled = pooled + inputs["age"] @ self._beside
        return np.asarray(pooled, dtype=np.float32)

    def head(
        self, embedding: NDArray[np.float32], values: Mapping[str, NDArray[Any]] | None = None
    ) -> dict[str, NDArray[Any]]:
        """As in `Engine`."""
        seam = embedding + np.sin(values["age"] @ self._beside) if values else embedding
        logits = seam @ self._weights
        if self._traits.head == "softmax":
            exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
            return {OUTPUT: exponentials / exponentials.sum(axis=1, keepdims=True)}
        linear = self._traits.head in ("other", "regression", "logits")
        return {OUTPUT: logits if linear else 1.0 / (1.0 + np.exp(-logits))}

    def sample_head(
        self, embedding: NDArray[np.float32], values: Mapping[str, NDArray[Any]] | None, draw: Draw
    ) -> dict[str, NDArray[Any]]:
        """As in `Engine`."""
        for site in (1, 2):  # the model's own, and that on the embedding itself
            embedding = dropped(embedding, draw.row_keys, site, float(draw.rates[site]))
        return self.head(embedding, values)

    def whole(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """As in `Engine`."""
        values = {name: array for name, array in inputs.items() if name == "age"}
        texts = [array.tolist() for array in inputs.values() if array.dtype == object]
        tokens = self._tokenizer.tokenize(*texts).inputs if texts else inputs
        return self.head(self.encode({**tokens, **values}, [POOLED])[POOLED], values)

    def _misbehave(self, ids: NDArray[Any]) -> None:
        if self._traits.gate:
            self._traits.gate.wait()
        time.sleep(self._traits.seconds)
        if (ids == self._traits.dies_on).any():
            raise SystemExit("the fake engine was told to die")
        if (ids == self._traits.fails_on).any():
            raise RuntimeError("the fake engine was told to fail")
