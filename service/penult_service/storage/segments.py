"""Segments: the ids, texts and columns of rows that have left the log, one Arrow IPC file of one record batch each."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from penult_service.errors import DataDamaged
from penult_service.storage.disk import Disk

# A segment of this many bytes is not merged into larger ones any more.
FULL_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Segment:
    """Rows `first` to `first + rows` of a set, in `file`."""

    file: str
    first: int
    rows: int
    bytes: int
    crc32: int


def combine(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """One batch with the rows of all, in order."""
    if len(batches) == 1:
        return batches[0]
    whole = pa.Table.from_batches(batches, schema).combine_chunks().to_batches()
    return whole[0] if whole else pa.RecordBatch.from_pylist([], schema)


def write_segment(disk: Disk, directory: Path, file: str, first: int, batch: pa.RecordBatch) -> Segment:
    """Write a segment and sync it; its directory is not synced."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data = memoryview(sink.getvalue())
    # Left over from an attempt that failed, and perhaps longer.
    disk.remove(directory / file)
    disk.write(directory / file, 0, data, sync=True)
    return Segment(file, first, batch.num_rows, len(data), zlib.crc32(data))


def read_segment(directory: Path, segment: Segment, schema: pa.Schema) -> pa.RecordBatch:
    """The rows of a segment, mapped into memory, checked.

    Raises:
        DataDamaged: the file is missing or is not what was written.
    """
    path = directory / segment.file
    try:
        if path.stat().st_size != segment.bytes:
            raise DataDamaged(f"{path} is damaged: {path.stat().st_size} bytes, {segment.bytes} were written")
        data = pa.memory_map(str(path)).read_buffer()
    except FileNotFoundError as error:
        raise DataDamaged(f"{path} is missing") from error
    if zlib.crc32(data) != segment.crc32:
        raise DataDamaged(f"{path} is damaged: its checksum does not fit")
    batch = pa.ipc.open_file(data).get_batch(0)
    if batch.num_rows != segment.rows or batch.schema != schema:
        raise DataDamaged(f"{path} does not hold the rows that its set says")
    return batch
