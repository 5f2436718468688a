"""Rows of a matrix: which are all zero, at unit length, and each distinct one once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK_BYTES = 1 << 24


@dataclass(frozen=True, eq=False)
class Distinct:
    """The distinct rows of a matrix [n, d].

    `rows` [m, d] in order of first appearance; `first` int32 [m] where each appears first; `inverse` int32 [n] the
    number of each row's distinct row, so that ``rows[inverse]`` is the matrix.
    """

    rows: NDArray[np.float32]
    first: NDArray[np.int32]
    inverse: NDArray[np.int32]


def zero_rows(matrix: NDArray[Any]) -> NDArray[np.int32]:
    """Numbers of the all-zero rows of [n, d], ascending, int32."""
    return np.flatnonzero(~matrix.any(axis=1)).astype(np.int32)


def unit_rows(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows float32 [n, d] of unit Euclidean length, lengths taken in float64; an all-zero row stays zero."""
    unit = np.empty(matrix.shape, dtype=np.float32)
    for block in blocks(len(matrix), 8 * matrix.shape[1]):
        wide = matrix[block].astype(np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
        unit[block] = np.divide(wide, lengths, out=wide, where=lengths != 0)
    return unit


def distinct(matrix: NDArray[np.float32]) -> Distinct:
    """The distinct rows of float32 [n, d]; -0 and 0 are equal."""
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    hashes = _hashes(matrix)
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    for block in blocks(len(matrix), 4 * matrix.shape[1]):
        if len(first) < len(matrix) and (matrix[block] != matrix[first[inverse[block]]]).any():
            # Different rows of one hash: the slow way, which compares all of each row.
            _, first, inverse = np.unique(
                matrix + np.float32(0), axis=0, return_index=True, return_inverse=True
            )
            break
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    appears = np.asarray(first[order], dtype=np.int32)
    rows = matrix if len(appears) == len(matrix) else matrix[appears]
    return Distinct(rows, appears, np.asarray(rank[inverse.reshape(-1)], dtype=np.int32))


def blocks(count: int, bytes_each: int, limit: int = _BLOCK_BYTES) -> list[slice]:
    """Slices that cover `count` things of `bytes_each` in order, each of at most `limit` bytes or one thing."""
    step = max(1, limit // max(1, bytes_each))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _hashes(matrix: NDArray[np.float32]) -> NDArray[np.uint64]:
    # A sum of the bits times odd random numbers, modulo 2^64 (multilinear hashing); the high half is the good one.
    weights = np.random.default_rng(20260101).integers(
        0, 2**64, matrix.shape[1], dtype=np.uint64
    ) | np.uint64(1)
    hashes = np.empty(len(matrix), dtype=np.uint64)
    for block in blocks(len(matrix), 8 * matrix.shape[1]):
        bits = (matrix[block] + np.float32(0)).view(np.uint32)
        hashes[block] = bits.astype(np.uint64) @ weights
    return hashes
