"""Files that take record batches in order: parquet, Arrow, npy, and the stream in which shards wait.

The same batches give the same bytes: nothing of the time, the place or the run goes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Write = Callable[[pa.RecordBatch], None]
STREAM = ".arrows"


def opened(path: Path, kind: str, schema: pa.Schema) -> AbstractContextManager[Write]:
    """A file of the kind (the end of its name, such as ``.parquet``), whole when the block ends well."""
    return _SINKS[kind](path, schema)


def shard_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """What was written as a stream, a batch at a time."""
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        yield from reader


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[Write]:
    """A batch a row group. Numbers have no dictionary: hardly any two are the same."""
    named = [item.name for item in schema if not _is_matrix(item.type)]
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=named) as writer:
        yield writer.write_batch


@contextmanager
def _arrow(path: Path, schema: pa.Schema) -> Iterator[Write]:
    """The Arrow IPC file format, uncompressed, so that it can be mapped. Dictionaries become plain values: the
    format has room for one a column, and batches bring their own."""
    plain = pa.schema([_undictionaried(item) for item in schema], metadata=schema.metadata)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, plain) as writer:
        yield lambda batch: writer.write_batch(batch if plain == schema else batch.cast(plain))


@contextmanager
def _stream(path: Path, schema: pa.Schema) -> Iterator[Write]:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        yield writer.write_batch


@contextmanager
def _npy(path: Path, schema: pa.Schema) -> Iterator[Write]:
    """The embeddings alone, float32 [rows, d], NaN in rows without one. The header is written twice: how many rows
    there are is known at the end, and NumPy leaves room for it."""
    dimension = schema.field("embedding").type.list_size
    rows = 0

    def write(batch: pa.RecordBatch) -> None:
        nonlocal rows
        column = batch.column("embedding")
        values = np.asarray(column.values.slice(column.offset * dimension, len(column) * dimension))
        matrix = np.array(values.reshape(len(column), dimension), np.float32)
        if column.null_count:
            matrix[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
        file.write(matrix.data)
        rows += len(column)

    with path.open("wb") as file:
        _npy_header(file, 0, dimension)
        yield write
        file.seek(0)
        _npy_header(file, rows, dimension)


def _npy_header(file: Any, rows: int, dimension: int) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimension)}
    np.lib.format.write_array_header_1_0(file, header)


def _is_matrix(kind: pa.DataType) -> bool:
    return pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type)


def _undictionaried(item: pa.Field) -> pa.Field:
    return item.with_type(item.type.value_type) if pa.types.is_dictionary(item.type) else item


_SINKS: dict[str, Callable[[Path, pa.Schema], AbstractContextManager[Write]]] = {
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".npy": _npy,
    STREAM: _stream,
}
