"""Which row has an id: sorted hashes for most rows (16 bytes each), a dictionary for the latest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_LATEST = 16_384


class IdIndex:
    """Finds rows that may have an id; the caller compares the ids, since two may share a hash."""

    def __init__(self) -> None:
        self._hashes = np.empty(0, np.int64)
        self._rows = np.empty(0, np.int64)
        self._latest: dict[str, int] = {}

    def add(self, ids: Sequence[str], first: int) -> None:
        """Rows `first`, `first` + 1 ... have these ids."""
        if len(ids) <= _LATEST:
            self._latest.update(zip(ids, range(first, first + len(ids)), strict=True))
            if len(self._latest) <= _LATEST:
                return
            ids, rows = list(self._latest), np.fromiter(self._latest.values(), np.int64, len(self._latest))
            self._latest = {}
        else:
            rows = np.arange(first, first + len(ids))
        hashes = np.concatenate([self._hashes, _hashes(ids)])
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._rows = hashes[order], np.concatenate([self._rows, rows])[order]

    def candidates(self, ids: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs (place in `ids`, row): every row that has one of the ids is there, others may be."""
        pairs = [(place, self._latest[key]) for place, key in enumerate(ids) if key in self._latest]
        latest = np.array(pairs, np.int64).reshape(-1, 2)
        wanted = _hashes(ids)
        left = np.searchsorted(self._hashes, wanted, "left")
        counts = np.searchsorted(self._hashes, wanted, "right") - left
        places = np.repeat(np.arange(len(ids)), counts)
        within = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = self._rows[left[places] + within]
        return np.concatenate([latest[:, 0], places]), np.concatenate([latest[:, 1], rows])


def _hashes(ids: Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, ids), np.int64, len(ids))
