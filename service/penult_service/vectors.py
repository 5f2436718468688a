"""Arrays as they travel: bytes and back, finite checks, pooling, normalisation, similarity; vector spaces.

NumPy only: every room may import this one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput

FloatMatrix = NDArray[np.float32]

POOLINGS = ("pooled", "cls", "mean", "max")
TRUNCATIONS = ("right", "error")
METRICS = ("cosine", "dot", "euclidean", "manhattan")

_BLOCK = 1 << 21  # numbers that are worked on at a time
_CACHED = 1 << 15  # the same, where they should stay in the processor's cache


@dataclass(frozen=True)
class Space:
    """What two embeddings must share to be comparable. Engine and precision are provenance, not identity."""

    model_digest: str
    layer: str
    pooling: str
    normalize: bool
    truncate: str

    @property
    def digest(self) -> str:
        """The `embedding_space` of replies: 32 hex digits of SHA-256 over the fields in a fixed order."""
        return _digest(self)


@lru_cache(maxsize=256)
def _digest(space: Space) -> str:
    text = json.dumps(asdict(space), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def matrix_from_bytes(data: bytes, rows: int, columns: int, field: str) -> FloatMatrix:
    """Little-endian row-major float32 bytes -> float32 [rows, columns].

    Raises:
        InvalidInput: the byte count is not rows * columns * 4 (WRONG_BYTE_COUNT), or a value is not finite
            (NOT_FINITE, the field names the first such row).
    """
    if rows < 0 or columns < 0:
        raise InvalidInput(
            f"{field} says {rows} rows of {columns} columns; neither may be negative",
            reason="WRONG_SHAPE",
            field=field,
        )
    expected = rows * columns * 4
    if len(data) != expected:
        raise InvalidInput(
            f"{field} has {len(data)} bytes, but {rows} rows of {columns} float32 columns take {expected}",
            reason="WRONG_BYTE_COUNT",
            field=f"{field}.data",
        )
    matrix = np.frombuffer(data, dtype="<f4").reshape(rows, columns)
    bad = rows_not_finite(matrix)
    if bad.size:
        raise InvalidInput(
            f"row {bad[0]} of {field} holds NaN or infinity ({bad.size} such rows); send finite numbers",
            reason="NOT_FINITE",
            field=f"{field}[{bad[0]}]",
        )
    return matrix


def matrix_to_bytes(matrix: NDArray[Any]) -> bytes:
    """Float [rows, columns] -> little-endian row-major float32 bytes."""
    return np.ascontiguousarray(matrix, dtype="<f4").tobytes()


def rows_not_finite(matrix: NDArray[Any]) -> NDArray[np.intp]:
    """Numbers of the rows that hold a NaN or an infinity, ascending."""
    return np.flatnonzero(~np.isfinite(matrix).all(axis=tuple(range(1, matrix.ndim))))


def pool_tokens(tokens: NDArray[Any], mask: NDArray[Any], how: str) -> FloatMatrix:
    """Token outputs float [n, length, d], mask [n, length] of 0 and 1 -> float32 [n, d].

    ``cls`` takes the first token, ``mean`` and ``max`` go over the tokens whose mask is 1 (special tokens
    included, as sentence-transformers does).
    """
    tokens = np.asarray(tokens, dtype=np.float32)
    if how == "cls":
        return np.ascontiguousarray(tokens[:, 0])
    weights = np.asarray(mask, dtype=np.float32)
    if how == "mean":  # summed in order, as `sum` does, but without all products in memory
        sums = np.einsum("nl,nld->nd", weights, tokens)
        return np.asarray(sums / np.maximum(weights.sum(axis=1, keepdims=True), 1.0))
    if how == "max":
        return np.asarray(np.where(weights[:, :, None] > 0, tokens, -np.inf).max(axis=1), dtype=np.float32)
    raise ValueError(how)


def l2_normalize(matrix: FloatMatrix) -> FloatMatrix:
    """Rows of unit Euclidean length; an all-zero row stays zero, one with NaN becomes NaN."""
    return _unit(np.asarray(matrix, dtype=np.float64)).astype(np.float32)


def similarity(a: FloatMatrix, b: FloatMatrix, metric: str) -> FloatMatrix:
    """Scores float32 [n, m] of rows a [n, d] against rows b [m, d].

    ``cosine`` and ``dot`` are similarities (larger is closer), ``euclidean`` and ``manhattan`` are distances,
    as in `sklearn.metrics.pairwise`. The cosine with an all-zero row is 0. Computed in float64, so that the
    distance of a row to itself is 0 and near-equal rows are not lost in rounding. Scores beyond float32's range are
    its largest number.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if metric == "cosine":
        x, y = (_unit(m) for m in (x, y))
        return np.clip(x @ y.T, -1.0, 1.0).astype(np.float32)
    if metric == "dot":
        return in_float32(x @ y.T)
    if metric == "euclidean":
        return _euclidean(x, y)
    if metric == "manhattan":
        return _manhattan(x, y)
    raise ValueError(metric)


def pair_similarity(a: FloatMatrix, b: FloatMatrix, metric: str) -> FloatMatrix:
    """Scores float32 [n, 1] of row i of a [n, d] with row i of b [n, d], as those of `similarity`."""
    scores = np.empty((len(a), 1), dtype=np.float32)
    step = max(1, _BLOCK // max(1, a.shape[1]))
    for start in range(0, len(a), step):
        x, y = (side[start : start + step].astype(np.float64) for side in (a, b))
        scores[start : start + step, 0] = _of_pairs(x, y, metric)
    return scores


def in_float32(scores: NDArray[np.float64]) -> FloatMatrix:
    """Scores as float32, those beyond its range as its largest number."""
    largest = float(np.finfo(np.float32).max)
    return np.clip(scores, -largest, largest).astype(np.float32)


def _of_pairs(x: NDArray[np.float64], y: NDArray[np.float64], metric: str) -> FloatMatrix:
    if metric == "cosine":
        return np.clip(np.einsum("ij,ij->i", _unit(x), _unit(y)), -1.0, 1.0).astype(np.float32)
    if metric == "dot":
        return in_float32(np.einsum("ij,ij->i", x, y))
    if metric == "euclidean":
        return in_float32(np.sqrt(np.square(x - y).sum(axis=1)))
    if metric == "manhattan":
        return in_float32(np.abs(x - y).sum(axis=1))
    raise ValueError(metric)


def _euclidean(x: NDArray[np.float64], y: NDArray[np.float64]) -> FloatMatrix:
    """Distances by |x|^2 + |y|^2 - 2xy; where that loses more than float32 shows, by the differences themselves."""
    scores = np.empty((len(x), len(y)), dtype=np.float32)
    if not scores.size:
        return scores
    centre = y.mean(axis=0)
    centred = y - centre
    squares = np.einsum("ij,ij->i", centred, centred)
    # The squared distance is wrong by at most (d + 4) 2^-52 (|x|^2 + |y|^2), and may be by 2^-26 of itself.
    lost = (x.shape[1] + 4) * 2.0**-26
    step = max(1, _BLOCK // len(y))
    for start in range(0, len(x), step):
        block = x[start : start + step] - centre
        sums = np.einsum("ij,ij->i", block, block)[:, None] + squares
        distances = np.maximum(sums - 2 * (block @ centred.T), 0)
        near = distances <= lost * sums
        for i in np.flatnonzero(near.any(axis=1)):
            columns = np.flatnonzero(near[i])
            distances[i, columns] = np.square(y[columns] - x[start + i]).sum(axis=1)
        scores[start : start + step] = in_float32(np.sqrt(distances))
    return scores


def _manhattan(x: NDArray[np.float64], y: NDArray[np.float64]) -> FloatMatrix:
    scores = np.empty((len(x), len(y)))
    step = max(1, _CACHED // max(1, y.shape[1]))
    for start in range(0, len(y), step):
        block = y[start : start + step]
        differences = np.empty_like(block)
        for row, into in zip(x, scores[:, start : start + step], strict=True):
            np.abs(np.subtract(block, row, out=differences), out=differences).sum(axis=1, out=into)
    return in_float32(scores)


def _unit(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, norms, out=np.zeros_like(matrix), where=norms != 0)


def digest_of_parts(parts: Sequence[str]) -> str:
    """SHA-256 hex of strings in order, each with its length, so that no two lists share a digest."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()
