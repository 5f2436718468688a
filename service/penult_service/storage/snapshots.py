"""What a reader sees: the rows that were committed when it began, whatever happens to the set meanwhile."""

from __future__ import annotations

import hashlib
import weakref
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from penult_service.errors import DataDamaged, InvalidInput
from penult_service.storage.disk import Disk
from penult_service.storage.graphs import Graphs, KeptGraph
from penult_service.storage.lives import Life
from penult_service.storage.parts import slices, take
from penult_service.storage.recovery import map_vectors
from penult_service.storage.rows import ID, VECTOR
from penult_service.storage.segments import combine
from penult_service.storage.state import VECTORS, Manifest, State
from penult_service.vectors import FloatMatrix

BATCH_ROWS = 4096


@dataclass(frozen=True)
class VectorFile:
    """Where another process maps the vectors from: float32, little-endian, row-major, from byte 0 of `path`.

    Valid while the snapshot that gave it is open.
    """

    path: Path
    rows: int
    dimension: int

    def open(self) -> FloatMatrix:
        """float32 [rows, dimension], read-only; pages are read as they are touched."""
        return map_vectors(self.path, self.rows, self.dimension)


class Generation(Life):
    """The directory of one life of a set, from its creation to its deletion or overwriting, and who reads there."""

    def __init__(self, disk: Disk, path: Path, manifest: Manifest) -> None:
        super().__init__(disk, path)
        self.graphs = Graphs(disk, path)
        # The vectors that were there when the process opened the set are compared with their checksum once.
        self._unchecked = (manifest.rows, manifest.dimension, manifest.vectors_crc32)

    def check_vectors(self) -> None:
        """Raises DataDamaged when `vectors.f32` is not what was written."""
        with self._lock:
            rows, dimension, expected = self._unchecked
            stored = map_vectors(self.path / VECTORS, rows, dimension)
            if rows and zlib.crc32(stored.reshape(-1).view(np.uint8).data) != expected:
                raise DataDamaged(f"{self.path / VECTORS} is damaged: its checksum does not fit")
            self._unchecked = (0, None, 0)

    def _left(self) -> None:
        self.graphs.tidy()


class Snapshot:
    """Rows 0 to `rows` of a set. Keep it open (a context manager) while anything reads, in this process or another."""

    def __init__(self, generation: Generation, state: State) -> None:
        generation.enter()
        self._generation = generation
        self._parts_of = (state.segments, state.tail)
        self._close = weakref.finalize(self, generation.leave)
        self._close.atexit = False
        self.name = state.manifest.name
        self.generation = state.manifest.generation
        self.rows = state.rows
        self.dimension = state.dimension or 0
        self.embedding_space = state.space
        self.columns = dict(state.manifest.columns)
        self.schema = state.manifest.schema
        self.provenance = dict(state.manifest.provenance)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the files go. Arrays and batches that were read stay valid."""
        self._close()

    def vector_file(self) -> VectorFile:
        """For analysis workers.

        Raises:
            DataDamaged: the file is not what was written.
        """
        self._generation.check_vectors()
        return VectorFile(self._generation.path / VECTORS, self.rows, self.dimension)

    def vectors(self) -> FloatMatrix:
        """float32 [rows, dimension], mapped into memory, read-only.

        Raises:
            DataDamaged: the file is not what was written.
        """
        return self.vector_file().open()

    def graph(self, metric: str) -> KeptGraph | None:
        """The neighbour graph that is kept of these rows, for analysis workers; None: none."""
        return self._generation.graphs.find(metric, self.rows)

    def keep_graph(
        self, metric: str, near_rows: NDArray[np.int32], near_distances: NDArray[np.float32]
    ) -> None:
        """Keep the neighbour graph of these rows, int32 and float32 [m, k], as long as the set lives; not synced."""
        self._generation.graphs.keep(metric, self.rows, near_rows, near_distances)

    def read(
        self,
        columns: Sequence[str] | None = None,
        start: int = 0,
        count: int | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[pa.RecordBatch]:
        """Rows in order, from `start`, in batches of at most `batch_rows` that share the memory of the files.

        Columns are `id`, `text`, `vector` (fixed-size lists of float32) and the set's own; None is all of them.

        Raises:
            InvalidInput: COLUMN_UNKNOWN, or a range that is not within the rows (OUT_OF_RANGE).
            DataDamaged: the vectors are not what was written.
        """
        names = self._names(columns)
        stop = self.rows if count is None else start + count
        if not 0 <= start <= stop <= self.rows or batch_rows < 1:
            raise InvalidInput(
                f"rows {start} to {stop} of {self.rows}: there are no such rows",
                reason="OUT_OF_RANGE",
                field="start",
            )
        vectors = self.vectors() if VECTOR in names else None
        return self._batches(names, vectors, start, stop, batch_rows)

    def take(self, rows: NDArray[np.int64], columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """The rows of these numbers, in their order, copied. Raises as `read`."""
        names = self._names(columns)
        numbers = np.asarray(rows, np.int64)
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < self.rows):
            raise InvalidInput(
                f"a row number is not within {self.rows} rows", reason="OUT_OF_RANGE", field="rows"
            )
        batch = take(self._parts, numbers, self.schema)
        return _chosen(batch, self.vectors()[numbers] if VECTOR in names else None, names)

    def id_digest(self) -> str:
        """SHA-256 hex over the ids in order, as `vectors.digest_of_parts`: says which rows a result belongs to."""
        digest = hashlib.sha256()
        for part in self._parts:
            for key in part.column(ID).to_pylist():
                data = key.encode()
                digest.update(len(data).to_bytes(8, "little") + data)
        return digest.hexdigest()

    @cached_property
    def _parts(self) -> tuple[pa.RecordBatch, ...]:
        segments, tail = self._parts_of
        return (*segments, combine(tail, self.schema)) if tail else segments

    def _names(self, columns: Sequence[str] | None) -> list[str]:
        there = [*self.schema.names, VECTOR]
        names = there if columns is None else list(columns)
        unknown = next((name for name in names if name not in there), None)
        if unknown is not None:
            raise InvalidInput(
                f"set {self.name!r} has no column {unknown[:80]!r}; it has {', '.join(map(repr, there))}",
                reason="COLUMN_UNKNOWN",
                field="columns",
            )
        return names

    def _batches(
        self, names: list[str], vectors: FloatMatrix | None, start: int, stop: int, size: int
    ) -> Iterator[pa.RecordBatch]:
        for first, part in slices(self._parts, start, stop - start):
            for offset in range(0, part.num_rows, size):
                batch = part.slice(offset, size)
                low = first + offset
                yield _chosen(batch, None if vectors is None else vectors[low : low + batch.num_rows], names)


def _chosen(batch: pa.RecordBatch, vectors: FloatMatrix | None, names: list[str]) -> pa.RecordBatch:
    arrays = {name: batch.column(name) for name in batch.schema.names}
    if vectors is not None:
        arrays[VECTOR] = _lists(vectors)
    fields = [
        batch.schema.field(n) if n != VECTOR else pa.field(n, arrays[n].type, nullable=False) for n in names
    ]
    return pa.RecordBatch.from_arrays([arrays[name] for name in names], schema=pa.schema(fields))


def _lists(vectors: FloatMatrix) -> pa.Array:
    """float32 [n, d] as fixed-size lists that share its memory."""
    flat = pa.Array.from_buffers(pa.float32(), vectors.size, [None, pa.py_buffer(vectors.reshape(-1))])
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
