"""Equal rows are computed once: those of one request, those that others have in flight, those that a cache still has.

Every row keeps its own place in the scheduler, so nobody depends on another's deadline, lane or cancelled call:
whichever comes first computes, and the others take what is there when their turn comes. Those whose batches run at the
same moment are computed by each, and all take the first reading.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from penult_service.embedder.passes import EncodePass, Reading, Stacked
from penult_service.embedder.reading_cache import ReadingCache
from penult_service.embedder.row_keys import Key, digest_of, keys_of
from penult_service.tokenizing import TokenTable

_giving = threading.Lock()  # of readings: batches that run at once may have computed the same row


class SharedRow:
    """A row that several callers may wait for: its table, its row there, and its reading, once that is there.

    `digest` is its key in the cache; None where there is no cache.
    """

    __slots__ = ("digest", "reading", "row", "table")

    def __init__(self, table: TokenTable, row: int) -> None:
        self.table, self.row = table, row
        self.reading: Reading | None = None
        self.digest: bytes | None = None


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

    def compute(self, batch: _Ready, *, alone: bool = True) -> list[Reading]:
        """As `EncodePass.compute`."""
        missing = _missing(batch.missing)
        if len(missing) < len(batch.missing):  # the batch that ran meanwhile had some of them
            batch = self.prepare(batch.rows)
        if batch.stacked is not None:
            readings = self.encode.compute(batch.stacked, alone=alone)
            with _giving:
                for row, reading in zip(batch.missing, readings, strict=True):
                    if row.reading is None:
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


class Flight:
    """Rows of a request that are in flight: until `end`, and no longer than this is held.

    Attributes:
        rows: In the order of the request; equal ones are one object, and some may have their reading already.
        plain: None is equal to another, and none has a reading.
    """

    def __init__(
        self, rows: list[SharedRow], table: dict[Key, SharedRow], own: Iterable[Key], *, plain: bool
    ) -> None:
        self.rows, self.plain = rows, plain
        self._table, self._own = table, own

    def end(self) -> None:
        """None of them is found any more."""
        own, self._own = self._own, ()
        for key in own:
            self._table.pop(key, None)

    def __del__(self) -> None:
        self.end()


class Sharing:
    """Finds equal rows: of the same model by its digest, read in the same way, with the same tokens and values.

    Args:
        cache_bytes: What the readings of the past may take, the latest used first; 0: none are kept.
        observer: Told of rows and cache.
    """

    def __init__(self, cache_bytes: int = 0, observer: SharingObserver | None = None) -> None:
        self._cache = ReadingCache(cache_bytes) if cache_bytes else None
        self._observer = observer
        # Changed by single steps alone, which are whole under the interpreter's lock: two requests that come at one
        # instant may miss each other, and then both compute.
        self._flying: dict[Key, SharedRow] = {}
        self._lock = threading.Lock()  # of the cache

    @property
    def keeps(self) -> bool:
        """Whether there is a cache."""
        return self._cache is not None

    def rows(self, encode: EncodePass, table: TokenTable, numbers: Sequence[int]) -> Flight:
        """The rows of those numbers."""
        keys = keys_of(encode, table, numbers)
        if keys is None:
            return Flight([SharedRow(table, number) for number in numbers], {}, (), plain=True)
        flying = self._flying
        if self._cache is None and len(set(keys)) == len(keys) and not any(key in flying for key in keys):
            rows = [SharedRow(table, number) for number in numbers]
            flying.update(zip(keys, rows, strict=True))
            self._tell(computed=len(rows))
            return Flight(rows, flying, keys, plain=True)
        return self._compared(table, numbers, keys)

    def keep(self, rows: Sequence[SharedRow]) -> None:
        """Put their readings into the cache, where there is one."""
        if self._cache is None:
            return
        with self._lock:
            for row in rows:
                if row.digest is not None and row.reading is not None:
                    self._cache.put(row.digest, row.reading)
            told = len(self._cache), self._cache.size
        if self._observer:
            self._observer.cache_changed(*told)

    def _compared(self, table: TokenTable, numbers: Sequence[int], keys: Sequence[Key]) -> Flight:
        """As `rows`, one by one."""
        found: dict[Key, SharedRow] = {}
        own = []
        in_flight = cached = 0
        for number, key in zip(numbers, keys, strict=True):
            if key in found:
                continue
            row = self._flying.get(key)
            in_flight += row is not None
            if row is None:
                row = self._flying[key] = self._row(table, number, key)
                own.append(key)
                cached += row.reading is not None
            found[key] = row
        computed = len(found) - in_flight - cached
        self._tell(repeated=len(keys) - len(found), in_flight=in_flight, cached=cached, computed=computed)
        return Flight([found[key] for key in keys], self._flying, own, plain=False)

    def _row(self, table: TokenTable, number: int, key: Key) -> SharedRow:
        """One that is not in flight, with its reading where that is kept."""
        row = SharedRow(table, number)
        if self._cache is not None:
            row.digest = digest_of(key)
            with self._lock:
                row.reading = self._cache.get(row.digest)
        return row

    def _tell(self, repeated: int = 0, in_flight: int = 0, cached: int = 0, computed: int = 0) -> None:
        if self._observer:
            self._observer.rows_read(repeated=repeated, in_flight=in_flight, cached=cached, computed=computed)
