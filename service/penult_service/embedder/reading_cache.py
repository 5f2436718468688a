"""Readings of rows that were computed before, within a bound."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from penult_service.embedder.passes import Reading

# Of a row beside its numbers: key, headers of the arrays, entry of the dictionary.
_ENTRY_BYTES = 640


class ReadingCache:
    """Readings by key, within so many bytes: what was not used for longest goes first. Used under a lock."""

    def __init__(self, most: int) -> None:
        self._most, self.size = most, 0  # bytes
        self._readings: OrderedDict[bytes, Reading] = OrderedDict()

    def __len__(self) -> int:
        return len(self._readings)

    def get(self, key: bytes) -> Reading | None:
        """What is kept of that row."""
        found = self._readings.get(key)
        if found is not None:
            self._readings.move_to_end(key)
        return found

    def put(self, key: bytes, reading: Reading) -> None:
        """Keep a copy: a reading is a view that keeps its whole batch alive."""
        size = _size(reading)
        if key in self._readings or size > self._most or not _finite(reading):
            return
        vector, probabilities = (None if array is None else array.copy() for array in reading)
        self._readings[key] = (vector, probabilities)
        self.size += size
        while self.size > self._most:
            _, oldest = self._readings.popitem(last=False)
            self.size -= _size(oldest)


def _size(reading: Reading) -> int:
    return _ENTRY_BYTES + sum(array.nbytes for array in reading if array is not None)


def _finite(reading: Reading) -> bool:
    return all(bool(np.isfinite(array).all()) for array in reading if array is not None)
