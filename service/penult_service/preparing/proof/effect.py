"""What dropout would have done to the embeddings if it had been active in front of the head."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from penult_service.preparing.report import DropoutEffect

NEIGHBOURS = 15
DRAWS = 10
_SEED = 42

Matrix = NDArray[np.float32]


def dropped(embedding: Matrix, rate: float, generator: np.random.Generator) -> Matrix:
    """Inverted dropout as Keras does it: zero with probability `rate`, the rest divided by 1 - rate."""
    kept = generator.random(embedding.shape) >= rate
    return np.where(kept, embedding / np.float32(1 - rate), np.float32(0)).astype(np.float32)


def measure(embedding: Matrix, rate: float, predict: Callable[[Matrix], NDArray[np.intp]]) -> DropoutEffect:
    """The effect on these rows, averaged over `DRAWS` pairs of draws.

    Args:
        embedding: Clean embeddings, float32 [n, d], n at least 2.
        rate: The dropout's rate p, below 1.
        predict: Embeddings -> predicted classes int [n].
    """
    generator = np.random.default_rng(_SEED)
    k = min(NEIGHBOURS, len(embedding) - 1)
    clean, classes = nearest(embedding, k), predict(embedding)
    rows = []
    for _ in range(DRAWS):
        one, two = dropped(embedding, rate, generator), dropped(embedding, rate, generator)
        found = nearest(one, k)
        changed = [k - len(np.intersect1d(a, b)) for a, b in zip(clean, found, strict=True)]
        rows.append(
            (
                cosines(embedding, one).mean(),
                cosines(one, two).mean(),
                np.mean(changed),
                np.mean(clean[:, 0] == found[:, 0]),
                np.mean(classes != predict(one)),
            )
        )
    cosine, draw, changed_mean, nearest_kept, flipped = (float(x) for x in np.mean(rows, axis=0))
    return DropoutEffect(
        rate=rate,
        texts=len(embedding),
        neighbours=k,
        mean_cosine=cosine,
        expected_cosine=math.sqrt(1 - rate),
        draw_cosine=draw,
        expected_draw_cosine=1 - rate,
        neighbours_changed=changed_mean,
        nearest_kept=nearest_kept,
        predictions_flipped=flipped,
    )


def cosines(a: Matrix, b: Matrix) -> NDArray[np.float64]:
    """Cosine of each row of `a` with the same row of `b`, float64 [n]."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return np.asarray((x * y).sum(axis=1) / np.where(norms > 0, norms, 1.0))


def nearest(embedding: Matrix, k: int) -> NDArray[np.intp]:
    """The k nearest other rows by cosine, nearest first, int [n, k]."""
    norms = np.linalg.norm(embedding, axis=1, keepdims=True)
    unit = (embedding / np.where(norms > 0, norms, 1)).astype(np.float32)
    found = []
    for start in range(0, len(unit), 1024):
        scores = unit[start : start + 1024] @ unit.T
        scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -np.inf
        found.append(np.argsort(-scores, axis=1, kind="stable")[:, :k])
    return np.concatenate(found)


def predicted_classes(outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.intp]:
    """The class of each row by the first output: the largest, or above one half when there is one number a row."""
    first = np.asarray(outputs[0]).reshape(len(outputs[0]), -1)
    return (first[:, 0] > 0.5).astype(np.intp) if first.shape[1] == 1 else first.argmax(axis=1)
