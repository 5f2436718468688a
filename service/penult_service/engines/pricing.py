"""What another engine or precision changes: embeddings and predictions held against TensorFlow's in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penult_service.batching.plan import Limits, plan
from penult_service.engines.examples import Examples
from penult_service.prepared import Head, Manifest
from penult_service.tuned import FLOAT32, Price
from penult_service.vectors import FloatMatrix, pool_tokens, similarity

# An engine in float32 must agree with TensorFlow to this: figures of the engines that were tried are ten times better.
LARGEST_DIFFERENCE, LOWEST_COSINE = 1e-4, 0.999999
# The price that reduced precision may have.
ACCEPTED_COSINE, ACCEPTED_FLIPS = 0.999, 0.005
NEIGHBORS, FEWEST = 10, 20  # of so many texts at least
_ASKED, _BLOCK = 2000, 256  # texts whose neighbours are looked for among all, and at once


class Computes(Protocol):
    """What is needed of an engine, see `embedder.Engine`."""

    def encode(
        self, inputs: Mapping[str, NDArray[Any]], layers: Sequence[str], *, alone: bool = True
    ) -> dict[str, NDArray[np.float32]]:
        """Readouts by layer; `alone`: as in `embedder.Engine`."""
        ...

    def head(
        self, embedding: NDArray[np.float32], values: Mapping[str, NDArray[Any]] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name."""
        ...


@dataclass(frozen=True, eq=False)
class Read:
    """What an engine makes of n rows: embeddings float32 [n, d], outputs of the head [n, numbers]; None: not read."""

    embeddings: FloatMatrix
    outputs: NDArray[Any] | None = None


def layers_read(manifest: Manifest) -> tuple[str, ...]:
    """What the default embedding is made of: the default readout, or the tokens that are pooled."""
    if manifest.pooling == "pooled" or manifest.tokens is None:
        return (manifest.readouts[0].layer,)
    return (manifest.tokens.layer,)


def read(engine: Computes, manifest: Manifest, examples: Examples, *, alone: bool = True) -> Read:
    """The default embedding of every row, and the head's output, in batches as the server makes them.

    `alone`: each by all threads; else as one of several that are computed at once.
    """
    (layer,) = layers_read(manifest)
    layers = [r.layer for r in manifest.readouts if r.layer in (layer, manifest.seam)]
    parts, outputs, order = [], [], []
    for rows in plan(examples.costs.tolist(), Limits()):
        inputs = examples.batch(rows)
        found = engine.encode(inputs, layers, alone=alone)
        parts.append(_pooled(found[layer], manifest, inputs, examples.lengths[rows]))
        seam = np.asarray(found[manifest.seam], np.float32)
        values = {name: inputs[name] for name in manifest.head_values}
        outputs.append(np.asarray(engine.head(seam, values)[manifest.head.output]))
        order += rows
    back = np.argsort(order)
    by_row = all(len(output) == len(part) for output, part in zip(outputs, parts, strict=True))
    stacked = np.concatenate(outputs)[back].reshape(len(back), -1) if by_row else None
    return Read(np.concatenate(parts)[back], stacked)


def _pooled(
    readout: NDArray[Any], manifest: Manifest, inputs: Mapping[str, NDArray[Any]], lengths: NDArray[Any]
) -> FloatMatrix:
    if readout.ndim != 3:
        return np.asarray(readout, np.float32)
    name = next((token.name for token in manifest.inputs if token.role == "mask"), None)
    mask = inputs[name] if name else np.arange(readout.shape[1]) < lengths[:, None]
    return pool_tokens(readout, mask, manifest.pooling)


def price(wanted: Read, found: Read, head: Head) -> Price:
    """What `found` changes of `wanted`, the same rows by TensorFlow in float32.

    Rows that are not finite for both are left out: some models make such numbers of an empty text, which the server
    then answers with an error whatever the engine.
    """
    lost = [~np.isfinite(each.embeddings).all(axis=1) for each in (wanted, found)]
    counted = np.asarray(~(lost[0] & lost[1]))
    a, b = (_finite(each.embeddings[counted]) for each in (wanted, found))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    same = (a == b).all(axis=1)  # also where both are 0
    cosines = np.where(same, 1.0, (a * b).sum(axis=1) / np.where(norms > 0, norms, 1.0))
    cosines = np.where(np.isfinite(cosines), np.clip(cosines, -1.0, 1.0), -1.0)
    apart = np.abs(a - b)
    largest = float(apart.max(initial=0.0)) if np.isfinite(apart).all() else float(np.finfo(np.float32).max)
    return Price(
        texts=len(a),
        lowest_cosine=float(cosines.min(initial=1.0)),
        mean_cosine=float(cosines.mean()) if len(a) else 1.0,
        largest_difference=largest,
        flipped=_flipped(wanted, found, counted, head),
        neighbors_kept=_kept(a, b) if len(a) >= FEWEST else None,
    )


def _finite(embeddings: FloatMatrix) -> NDArray[np.float64]:
    """Float64 [n, d]; rows that are not finite are NaN as a whole."""
    rows = embeddings.astype(np.float64)
    return np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, np.nan)


def _flipped(wanted: Read, found: Read, counted: NDArray[np.bool_], head: Head) -> float | None:
    """Share of the rows that count whose predicted classes changed; None: no classes."""
    if (
        wanted.outputs is None
        or found.outputs is None
        or head.kind in ("regression", "other")
        or not counted.any()
    ):
        return None
    classes = _classes_of(head)
    changed = classes(wanted.outputs[counted]) != classes(found.outputs[counted])
    return float(changed.reshape(len(changed), -1).any(axis=1).mean())


def _classes_of(head: Head) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Outputs [n, numbers] -> the class int [n], or of several that may hold at once, which do, bool [n, classes]."""
    threshold = 0.0 if head.activation == "sigmoid" else 0.5
    if head.kind == "multilabel":
        return lambda outputs: outputs > threshold
    return lambda outputs: (
        outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > threshold).astype(int)
    )


def _kept(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    asked = np.unique(np.linspace(0, len(wanted) - 1, min(len(wanted), _ASKED)).round().astype(int))
    near, still = _nearest(wanted, asked), _nearest(found, asked)
    return float(np.mean([len(np.intersect1d(a, b)) / NEIGHBORS for a, b in zip(near, still, strict=True)]))


def _nearest(embeddings: NDArray[np.float64], asked: NDArray[Any]) -> NDArray[np.intp]:
    """The ten nearest other rows of those at m places, by cosine, int [m, 10]."""
    rows, found = embeddings.astype(np.float32), []
    for start in range(0, len(asked), _BLOCK):
        places = asked[start : start + _BLOCK]
        scores = similarity(rows[places], rows, "cosine")
        scores[np.arange(len(places)), places] = -2.0
        found.append(np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBORS])
    return np.concatenate(found)


def refusal(precision: str, found: Price) -> str:
    """Why the price is too high, a sentence for people; empty when it is not."""
    if precision == FLOAT32:
        if found.largest_difference <= LARGEST_DIFFERENCE and found.lowest_cosine >= LOWEST_COSINE:
            return ""
        return (
            f"its embeddings differ from TensorFlow's by {found.largest_difference:.2g} (cosine "
            f"{found.lowest_cosine:.7f}; accepted are {LARGEST_DIFFERENCE:g} and {LOWEST_COSINE})"
        )
    faults = []
    if found.lowest_cosine < ACCEPTED_COSINE:
        faults.append(
            f"the lowest cosine to float32 is {found.lowest_cosine:.5f} ({ACCEPTED_COSINE} is accepted)"
        )
    if (found.flipped or 0.0) > ACCEPTED_FLIPS:
        faults.append(f"{found.flipped:.2%} of the predictions change ({ACCEPTED_FLIPS:.1%} is accepted)")
    return f"{precision} costs too much on {found.texts:,} texts: {' and '.join(faults)}" if faults else ""
