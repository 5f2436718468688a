"""Kernels of the sieve, compiled by numba: of tiles of rough float32 keys, what may be among the nearest.

Of each query `heap` float32 [b, k] holds the k smallest keys yet, largest first (`seen` int32 [b] of them), and `found`
int32 [b, room] and `values` float32 [b, room] the rows (`counts` int32 [b]) whose key was at most `limits` float32 [b],
which is slope * (k-th smallest key) + margin. A count of -1 says that there was no room; the limit is right all the
same.
"""

from __future__ import annotations

import numba
import numpy as np

_STRIDE = 64

_inline = numba.njit(nogil=True, cache=True, inline="never", error_model="numpy")
_kernel = numba.njit(nogil=True, cache=True, error_model="numpy")


@_kernel
def sift_rows(tile, start, slope, margins, heap, seen, limits, found, values, counts):  # type: ignore[no-untyped-def]
    """Takes from a tile of keys [b, c], whose columns are the corpus rows from `start` on, what may be nearest."""
    for i in range(len(tile)):
        row, smallest, its_found, its_values = tile[i], heap[i], found[i], values[i]
        size, limit, count = seen[i], limits[i], counts[i]
        for j in range(0, len(row), _STRIDE):
            part = row[j : j + _STRIDE]
            if len(part) < _STRIDE or _any_within(part, limit):
                for at in range(len(part)):
                    if part[at] <= limit:
                        size, limit, count = _take(
                            start + j + at, part[at], slope, margins[i],
                            smallest, its_found, its_values, size, limit, count,
                        )  # fmt: skip
        seen[i], limits[i], counts[i] = size, limit, count


@_kernel
def sift_columns(tile, first, start, slope, margins, heap, seen, limits, found, values, counts):  # type: ignore[no-untyped-def]
    """The same for the queries that are the tile's columns from `first` on.

    The tile's rows are the corpus rows from `start` on.
    """
    for i in range(len(tile)):
        row = tile[i, first:]
        for j in range(0, len(row), _STRIDE):
            part = row[j : j + _STRIDE]
            if len(part) < _STRIDE or _any_within_its(part, limits[j : j + _STRIDE]):
                for at in range(j, j + len(part)):
                    if row[at] <= limits[at]:
                        seen[at], limits[at], counts[at] = _take(
                            start + i, row[at], slope, margins[at],
                            heap[at], found[at], values[at], seen[at], limits[at], counts[at],
                        )  # fmt: skip


@_kernel
def sift_marked(  # type: ignore[no-untyped-def]
    tile, marks, which, block, width, start, slope, margins, heap, seen, limits, found, values, counts
):  # fmt: skip
    """As `sift_rows`, of a tile's first `width` columns, where the keys that may be within the limits are marked.

    Row t of the tile is of query which[t]. Bit b of `marks` uint64 [t, c / block] is of column block * j + b.
    """
    for t in range(len(tile)):
        i = which[t]
        row, smallest, its_found, its_values = tile[t], heap[i], found[i], values[i]
        size, limit, count = seen[i], limits[i], counts[i]
        for j in range(marks.shape[1]):
            mark, at = marks[t, j], j * block
            while mark != 0 and at < width:
                if mark & np.uint64(1) and row[at] <= limit:
                    size, limit, count = _take(
                        start + at, row[at], slope, margins[i],
                        smallest, its_found, its_values, size, limit, count,
                    )  # fmt: skip
                mark >>= np.uint64(1)
                at += 1
        seen[i], limits[i], counts[i] = size, limit, count


@_kernel
def first_limits(tile, slope, margins, heap, limits):  # type: ignore[no-untyped-def]
    """Limits from the keys [b, c] of some of the corpus rows."""
    for i in range(len(tile)):
        size = 0
        for j in range(tile.shape[1]):
            if size < heap.shape[1] or tile[i, j] < heap[i, 0]:
                size = _offer_value(heap[i], size, tile[i, j])
        if size == heap.shape[1]:
            limits[i] = _limit(heap[i], slope, margins[i])


@numba.njit(nogil=True, cache=True, inline="always", error_model="numpy")
def _take(row, value, slope, margin, smallest, found, values, size, limit, count):  # type: ignore[no-untyped-def]
    """A row whose key is within the limit of one query: the new size of its heap, its limit and count."""
    if size < len(smallest) or value < smallest[0]:
        size = _offer_value(smallest, size, value)
        if size == len(smallest):
            limit = min(limit, _limit(smallest, slope, margin))
    if count == len(found):
        count = _compress(found, values, limit)
    if count >= 0 and value <= limit:
        found[count], values[count] = row, value
        count += 1
    return size, limit, count


@_inline
def _compress(found, values, limit):  # type: ignore[no-untyped-def]
    """Leaves what is within the limit; how much, -1 when that is not much less."""
    kept = 0
    for j in range(len(found)):
        if values[j] <= limit:
            found[kept], values[kept] = found[j], values[j]
            kept += 1
    return kept if kept <= len(found) * 3 // 4 else -1


@_inline
def _limit(heap, slope, margin):  # type: ignore[no-untyped-def]
    limit = slope * heap[0] + margin
    rounded = np.float32(limit)
    return np.nextafter(rounded, np.float32(np.inf)) if np.float64(rounded) < limit else rounded


@_inline
def _offer_value(heap, size, value):  # type: ignore[no-untyped-def]
    """Offers a value to a heap of the smallest, the largest of them first, of which `size` are there; the new size."""
    at = size
    if size < len(heap):
        while at > 0 and heap[(at - 1) // 2] < value:
            heap[at] = heap[(at - 1) // 2]
            at = (at - 1) // 2
        heap[at] = value
        return size + 1
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= value:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = value
    return size


@_inline
def _any_within(keys, limit):  # type: ignore[no-untyped-def]
    """Whether any of _STRIDE keys is within the limit. Counting, not leaving early, makes vectors of it."""
    count = np.int32(0)
    for j in range(_STRIDE):
        count += np.int32(keys[j] <= limit)
    return count > 0


@_inline
def _any_within_its(keys, limits):  # type: ignore[no-untyped-def]
    count = np.int32(0)
    for j in range(_STRIDE):
        count += np.int32(keys[j] <= limits[j])
    return count > 0
