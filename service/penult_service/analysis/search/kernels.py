"""Kernels of the neighbour search, compiled by numba: exact keys, and the choice of the nearest.

A key says how far a row is: smaller is closer; of equal keys the lower row number comes first. Keys are float64, in an
order of sums that the compiler chooses once (vectors of the processor's width): one place in one kernel computes all
keys that are compared with each other, so that a key depends on its two rows alone. Nothing here uses numba's
threading layer: the callers' threads each work on rows of their own.
"""

from __future__ import annotations

import numba
import numpy as np

DOT, COSINE, EUCLIDEAN, MANHATTAN = range(4)
_STRIDE = 64
_CACHED_ROWS = 128

_inline = numba.njit(nogil=True, cache=True, inline="never", error_model="numpy")
_sum = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nsz"})
_kernel = numba.njit(nogil=True, cache=True, error_model="numpy")


@_sum
def _dot(x, y):  # type: ignore[no-untyped-def]
    """Dot product of float32 rows in float64 (the products are exact)."""
    total = 0.0
    for j in range(len(x)):
        total += np.float64(x[j]) * np.float64(y[j])
    return total


@_sum
def _squares(x, y):  # type: ignore[no-untyped-def]
    """Squared Euclidean distance of float32 rows in float64."""
    total = 0.0
    for j in range(len(x)):
        difference = np.float64(x[j]) - np.float64(y[j])
        total += difference * difference
    return total


@_sum
def _absolutes(x, y):  # type: ignore[no-untyped-def]
    """Sum of absolute differences of float32 rows in float64."""
    total = 0.0
    for j in range(len(x)):
        total += abs(np.float64(x[j]) - np.float64(y[j]))
    return total


@_sum
def _rough_absolutes(x, y):  # type: ignore[no-untyped-def]
    """The same in float32."""
    total = np.float32(0)
    for j in range(len(x)):
        total += abs(x[j] - y[j])
    return total


@_kernel
def squared_norms(rows, norms):  # type: ignore[no-untyped-def]
    """float32 [n, d] -> float64 [n] into `norms`."""
    for i in range(len(rows)):
        norms[i] = _dot(rows[i], rows[i])


@_kernel
def rough_absolute_tile(x, y, tile):  # type: ignore[no-untyped-def]
    """Sums of absolute differences float32 [b, c] of rows x [b, d] and y [c, d], in float32, into `tile`."""
    for start in range(0, len(y), _CACHED_ROWS):
        for i in range(len(x)):
            for j in range(start, min(start + _CACHED_ROWS, len(y))):
                tile[i, j] = _rough_absolutes(x[i], y[j])


@_kernel
def absolute_tile(x, y, tile):  # type: ignore[no-untyped-def]
    """The same in float64, into float64 [b, c]."""
    for start in range(0, len(y), _CACHED_ROWS):
        for i in range(len(x)):
            for j in range(start, min(start + _CACHED_ROWS, len(y))):
                tile[i, j] = _absolutes(x[i], y[j])


@_inline
def _key(metric, x, y, xx, yy):  # type: ignore[no-untyped-def]
    """The key of a row y as a neighbour of x; xx and yy are their squared norms."""
    if metric == EUCLIDEAN:
        return _squares(x, y)
    if metric == MANHATTAN:
        return _absolutes(x, y)
    if metric == DOT:
        return -_dot(x, y)
    if yy == 0.0:
        return np.inf  # no direction: after all other rows
    if xx == 0.0:
        return 0.0
    return -min(1.0, max(-1.0, _dot(x, y) / np.sqrt(xx * yy)))


@_inline
def _before(key, row, other_key, other_row):  # type: ignore[no-untyped-def]
    return key < other_key or (key == other_key and row < other_row)


@_inline
def _sink(keys, rows, size, key, row):  # type: ignore[no-untyped-def]
    """Puts (key, row) in the place of the root of a heap whose root is its last in order."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and _before(keys[child], rows[child], keys[child + 1], rows[child + 1]):
            child += 1
        if not _before(key, row, keys[child], rows[child]):
            break
        keys[at], rows[at] = keys[child], rows[child]
        at = child
    keys[at], rows[at] = key, row


@_inline
def _offer(keys, rows, size, key, row):  # type: ignore[no-untyped-def]
    """Offers (key, row) to a heap of the len(keys) first in order, of which `size` are there; the new size."""
    if size == len(keys):
        if _before(key, row, keys[0], rows[0]):
            _sink(keys, rows, size, key, row)
        return size
    at = size
    while at > 0:
        parent = (at - 1) // 2
        if not _before(keys[parent], rows[parent], key, row):
            break
        keys[at], rows[at] = keys[parent], rows[parent]
        at = parent
    keys[at], rows[at] = key, row
    return size + 1


@_inline
def _sort(keys, rows, size):  # type: ignore[no-untyped-def]
    """Turns a heap into an ascending list."""
    for last in range(size - 1, 0, -1):
        key, row = keys[last], rows[last]
        keys[last], rows[last] = keys[0], rows[0]
        _sink(keys, rows, last, key, row)


@_kernel
def rank(metric, queries, corpus, query_norms, norms, limits, found, values, counts, keys, rows):  # type: ignore[no-untyped-def]
    """The nearest rows among those found, by exact keys: keys float64 [b, k] and rows int32 [b, k], in order.

    Of query i the first counts[i] of `found` count, where their float32 key is at most limits[i]; with a count of
    -1 the whole corpus does.
    """
    for i in range(len(queries)):
        size, every = 0, counts[i] < 0
        for j in range(len(corpus) if every else counts[i]):
            if not every and values[i, j] > limits[i]:
                continue
            row = j if every else found[i, j]
            key = _key(metric, queries[i], corpus[row], query_norms[i], norms[row])
            size = _offer(keys[i], rows[i], size, key, row)
        _sort(keys[i], rows[i], size)


@_kernel
def expand(keys, rows, starts, members, query, own, out_keys, out_rows):  # type: ignore[no-untyped-def]
    """From distinct rows to all: out_keys float64 [n, k] and out_rows int32 [n, k].

    Row i has the neighbours of distinct query query[i], which are `keys`, `rows` [distinct, at least k], in order,
    without row own[i]. Distinct row r stands for the rows members[starts[r]:starts[r + 1]], ascending.
    """
    k = out_keys.shape[1]
    for i in range(len(out_keys)):
        size, q = 0, query[i]
        for j in range(keys.shape[1]):
            if size == k and keys[q, j] > out_keys[i, 0]:
                break
            for at in range(starts[rows[q, j]], starts[rows[q, j] + 1]):
                if members[at] == own[i]:
                    continue
                if size == k and not _before(keys[q, j], members[at], out_keys[i, 0], out_rows[i, 0]):
                    break
                size = _offer(out_keys[i], out_rows[i], size, keys[q, j], members[at])
        _sort(out_keys[i], out_rows[i], size)


@_inline
def _count_below(keys, low, high):  # type: ignore[no-untyped-def]
    """How many of _STRIDE keys are below `low`, and how many not above `high`."""
    below, most = np.int32(0), np.int32(0)
    for j in range(_STRIDE):
        below += np.int32(keys[j] < low)
        most += np.int32(keys[j] <= high)
    return below, most


@_kernel
def ranks(metric, rows, norms, chosen, tile, unit, relative, margins, others, out):  # type: ignore[no-untyped-def]
    """How many rows are nearer to row chosen[i] than its row others[i, j]: int32 [b, k], exactly.

    `tile` float32 [b, n] holds all keys, roughly: wrong by at most relative * key + margin. What they leave open is
    computed in float64. Keys that differ by no more than float64's rounding are equal.
    """
    for i in range(len(tile)):
        x, xx = rows[chosen[i]], norms[chosen[i]]
        itself = _key(metric, x, x, xx, xx)
        for j in range(others.shape[1]):
            row = others[i, j]
            key = _key(metric, x, rows[row], xx, norms[row])
            # Cosines are of size 1 wherever they lie, the other keys have no more than their own digits to lose.
            equal = key - 2.0**-50 * np.sqrt(rows.shape[1]) * (1.0 if metric == COSINE else abs(key))
            rough = np.float64(tile[i, row]) if key == np.inf else unit * key
            low = np.float32(rough * (1 - relative) - margins[i])
            high = np.float32(rough * (1 + relative) + margins[i])
            low, high = np.nextafter(low, np.float32(-np.inf)), np.nextafter(high, np.float32(np.inf))
            nearer = 0
            for start in range(0, tile.shape[1], _STRIDE):
                part = tile[i, start : start + _STRIDE]
                if len(part) == _STRIDE:
                    below, most = _count_below(part, low, high)
                    if below == most:
                        nearer += below
                        continue
                for at in range(len(part)):
                    if part[at] < low:
                        nearer += 1
                    elif part[at] <= high:
                        nearer += _key(metric, x, rows[start + at], xx, norms[start + at]) < equal
            out[i, j] = nearer - (itself < equal)
