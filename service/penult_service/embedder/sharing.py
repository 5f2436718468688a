"""Equal rows are computed once: those of one request, those that others have in flight, those that a cache still has.

Every row keeps its own place in the scheduler, so nobody depends on another's deadline, lane or cancelled call:
whichever comes first computes, and the others take what is there when their turn comes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol
from weakref import WeakValueDictionary

import numpy as np

from penult_service.embedder.passes import EncodePass, Reading, Stacked
from penult_service.tokenizing import TokenTable

# Of a row in the cache beside its numbers: key, headers of the arrays, entry of the dictionary.
_ENTRY_BYTES = 640


class SharedRow:
    """A row that several callers may wait for: its table, its row there, and its reading, once that is there."""

    __slots__ = ("__weakref__", "key", "reading", "row", "table")

    def __init__(self, table: TokenTable, row: int, key: bytes | None) -> None:
        self.table, self.row, self.key = table, row, key
        self.reading: Reading | None = None


@dataclass(frozen=True, eq=False)
class _Ready:
    """A batch: its rows, those of them that had no reading, and what makes readings of these."""

    rows: Sequence[SharedRow]
    missing: Sequence[SharedRow]
    stacked: Stacked | None


@dataclass(frozen=True)
class SharedPass:
    """A forward pass of the rows that have no reading yet, each once. Equal passes share batches."""

    encode: EncodePass

    def __call__(self, rows: Sequence[SharedRow]) -> list[Reading]:
        """Rows of any tables of one kind -> a reading each."""
        return self.compute(self.prepare(rows))

    def prepare(self, rows: Sequence[SharedRow]) -> _Ready:
        """As `EncodePass.prepare`."""
        missing = _missing(rows)
        stacked = self.encode.prepare([(row.table, row.row) for row in missing]) if missing else None
        return _Ready(rows, missing, stacked)

    def compute(self, batch: _Ready) -> list[Reading]:
        """As `EncodePass.compute`."""
        missing = _missing(batch.missing)
        if len(missing) < len(batch.missing):  # the batch that ran meanwhile had some of them
            batch = self.prepare(batch.rows)
        if batch.stacked is not None:
            for row, reading in zip(batch.missing, self.encode.compute(batch.stacked), strict=True):
                row.reading = reading
        return [row.reading for row in batch.rows if row.reading is not None]


def _missing(rows: Sequence[SharedRow]) -> list[SharedRow]:
    return [row for row in dict.fromkeys(rows) if row.reading is None]


class SharingObserver(Protocol):
    """Told how rows came to their readings, for metrics. Quick, never raises; from any thread."""

    def rows_read(self, *, repeated: int, in_flight: int, cached: int, computed: int) -> None:
        """So many rows were equal to another of their request, to one of a request in flight, to one in the cache; the
        others are computed."""
        ...

    def cache_changed(self, rows: int, size: int) -> None:
        """So many rows are in the cache, in so many bytes."""
        ...


class Sharing:
    """Finds equal rows: of the same model by its digest, read in the same way, with the same tokens and values.

    Args:
        cache_bytes: What the readings of the past may take, the latest used first; 0: none are kept.
        observer: Told of rows and cache.
    """

    def __init__(self, cache_bytes: int = 0, observer: SharingObserver | None = None) -> None:
        self._cache = _Cache(cache_bytes) if cache_bytes else None
        self._observer = observer
        self._flying: WeakValueDictionary[bytes, SharedRow] = WeakValueDictionary()
        self._lock = threading.Lock()

    @property
    def keeps(self) -> bool:
        """Whether there is a cache."""
        return self._cache is not None

    def rows(self, encode: EncodePass, table: TokenTable, numbers: Sequence[int]) -> list[SharedRow]:
        """The rows of those numbers, in order: equal ones are one object, and some may have their reading already.

        They are in flight for as long as somebody holds them.
        """
        keys = _digests(_about(encode), table, numbers, trims=encode.manifest.trims)
        if keys is None:
            return [SharedRow(table, number, None) for number in numbers]
        found: dict[bytes, SharedRow] = {}
        in_flight = cached = 0
        with self._lock:
            for number, key in zip(numbers, keys, strict=True):
                if key in found:
                    continue
                row = self._flying.get(key)
                in_flight += row is not None
                if row is None:
                    row = self._flying[key] = SharedRow(table, number, key)
                    row.reading = self._cache.get(key) if self._cache else None
                    cached += row.reading is not None
                found[key] = row
        if self._observer:
            self._observer.rows_read(
                repeated=len(keys) - len(found),
                in_flight=in_flight,
                cached=cached,
                computed=len(found) - in_flight - cached,
            )
        return [found[key] for key in keys]

    def keep(self, rows: Sequence[SharedRow]) -> None:
        """Put their readings into the cache, where there is one."""
        if self._cache is None:
            return
        with self._lock:
            for row in rows:
                if row.key is not None and row.reading is not None:
                    self._cache.put(row.key, row.reading)
            told = len(self._cache), self._cache.size
        if self._observer:
            self._observer.cache_changed(*told)


class _Cache:
    """Readings by key, within so many bytes: what was not used for longest goes first. Used under a lock."""

    def __init__(self, most: int) -> None:
        self._most, self.size = most, 0
        self._readings: OrderedDict[bytes, Reading] = OrderedDict()

    def __len__(self) -> int:
        return len(self._readings)

    def get(self, key: bytes) -> Reading | None:
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


def _about(encode: EncodePass) -> bytes:
    """A digest of what two passes share that give equal rows equal readings, whatever file or engine they are of.

    Engine and precision are no part of a model's identity, but replies name them; inputs and head may be declared.
    """
    manifest, head = encode.manifest, encode.manifest.head
    of_model = (manifest.model_digest, manifest.seam, manifest.trims, manifest.inputs)
    of_engine = (encode.engine.name, encode.engine.precision)
    asked = (encode.layer, encode.pooling, encode.probabilities, encode.kind)
    of_head = (head.kind, head.output, head.activation, manifest.head_values) if encode.probabilities else ()
    return blake2b(repr((of_model, of_engine, asked, of_head)).encode(), digest_size=32).digest()


def _digests(about: bytes, table: TokenTable, numbers: Sequence[int], *, trims: bool) -> list[bytes] | None:
    """A digest of each row: of what is said `about` its pass, and what the model reads of it.

    None: it reads what has no bytes of its own.
    """
    tokens = [table.inputs[name] for name in sorted(table.inputs)]
    values = [table.values[name] for name in sorted(table.values)]
    if any(array.dtype == object for array in (*tokens, *values)):
        return None
    found = []
    for number in numbers:
        width = table.needed(number) if trims else None
        parts = [array[number, :width].tobytes() for array in tokens]
        parts += [array[number].tobytes() for array in values]
        # Each with its length, so that no two lists of parts are alike.
        sizes = (int(table.lengths[number]), *map(len, parts))
        head = b"".join(size.to_bytes(8, "little") for size in sizes)
        found.append(blake2b(b"".join((head, *parts)), digest_size=16, key=about).digest())
    return found
