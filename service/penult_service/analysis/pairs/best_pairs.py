"""Pairs as they are found: how many, what they connect, and those that are most alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.pairs import pair_kernels

Rows = NDArray[np.int32]
Scores = NDArray[np.float64]

_ROOM = 1 << 16  # at least, beside the pairs that are wanted


class BestPairs:
    """Takes pairs of distinct rows in any order; says the same whatever the order was.

    Row r of n stands for counts[r] rows; a pair of two for counts[r] * counts[s] pairs. `total` of these there are, and
    `parents` int32 [n] leads from each row to the first that pairs connect it with.
    """

    def __init__(self, counts: NDArray[np.int64], most: int, larger_is_closer: bool) -> None:
        self.total = 0
        self.parents = np.arange(len(counts), dtype=np.int32)
        self._counts, self._most = counts, most
        self._sign = -1.0 if larger_is_closer else 1.0
        self._limit, self._size = np.inf, 0
        self._keys, self._rows = np.empty(_ROOM), np.empty((2, _ROOM), dtype=np.int32)

    def take(self, firsts: Rows, seconds: Rows, scores: Scores) -> None:
        """Pairs int32 [p] and int32 [p], the smaller number first, with scores float64 [p]."""
        self.total += int((self._counts[firsts] * self._counts[seconds]).sum())
        pair_kernels.unite(self.parents, firsts, seconds)
        keys = self._sign * scores
        near = keys <= self._limit
        count = int(np.count_nonzero(near))
        if self._size + count > len(self._keys):
            self._make_room(count)
        new = slice(self._size, self._size + count)
        self._keys[new], self._rows[0, new], self._rows[1, new] = keys[near], firsts[near], seconds[near]
        self._size += count

    def best(self) -> tuple[Scores, Rows, Rows]:
        """The first `most` pairs of distinct rows: keys (smaller is more alike), and rows; by key, then by number."""
        self._shrink()
        keys, (firsts, seconds) = self._keys[: self._size], self._rows[:, : self._size]
        order = np.lexsort((seconds, firsts, keys))
        return keys[order], firsts[order], seconds[order]

    def groups(self) -> Rows:
        """The first row of each row's group, int32 [n]."""
        found = np.empty_like(self.parents)
        pair_kernels.roots(self.parents, found)
        return found

    def _make_room(self, count: int) -> None:
        if self._size > self._most:
            self._shrink()
        needed = self._size + count
        if needed > len(self._keys):
            size = max(needed, min(2 * len(self._keys), self._most + max(_ROOM, self._most // 4)))
            keys, rows = np.empty(size), np.empty((2, size), dtype=np.int32)
            keys[: self._size], rows[:, : self._size] = (
                self._keys[: self._size],
                self._rows[:, : self._size],
            )
            self._keys, self._rows = keys, rows

    def _shrink(self) -> None:
        """Leaves the first `most`; of pairs with the last key those of smaller numbers."""
        if self._size <= self._most:
            return
        keys, rows = self._keys[: self._size], self._rows[:, : self._size]
        self._limit = float(np.partition(keys, self._most - 1)[self._most - 1])
        kept = np.flatnonzero(keys < self._limit)
        last = np.flatnonzero(keys == self._limit)
        last = last[np.lexsort((rows[1, last], rows[0, last]))[: self._most - len(kept)]]
        kept = np.concatenate([kept, last])
        self._size = len(kept)
        self._keys[: self._size], self._rows[:, : self._size] = keys[kept], rows[:, kept]
