"""The rows of a set beside their vectors: a few record batches in order, read as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def slices(parts: Sequence[pa.RecordBatch], start: int, count: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Rows `start` to `start + count`: number of the first row, and a batch that shares the part's memory."""
    first, stop = 0, start + count
    for part in parts:
        low, high = max(start, first), min(stop, first + part.num_rows)
        if low < high:
            yield low, part.slice(low - first, high - low)
        first += part.num_rows
        if first >= stop:
            return


def take(parts: Sequence[pa.RecordBatch], rows: NDArray[np.int64], schema: pa.Schema) -> pa.RecordBatch:
    """The rows of these numbers, in their order."""
    firsts = np.cumsum([0, *(part.num_rows for part in parts)])
    owners = np.searchsorted(firsts, rows, "right") - 1
    order = np.argsort(owners, kind="stable")
    taken = []
    for owner in np.unique(owners):
        mine = rows[owners == owner] - firsts[owner]
        taken.append(parts[owner].take(pa.array(mine)))
    table = pa.Table.from_batches(taken, schema).take(pa.array(np.argsort(order))).combine_chunks()
    return pa.RecordBatch.from_arrays([_one(column) for column in table.columns], schema=schema)


def same_rows(a: pa.RecordBatch, b: pa.RecordBatch) -> NDArray[np.bool_]:
    """Row by row, whether all columns are the same: null is null, and NaN is NaN when its bits are."""
    same = np.ones(a.num_rows, bool)
    for x, y in zip(a.columns, b.columns, strict=True):
        if pa.types.is_floating(x.type):
            x, y = x.view(pa.int64()), y.view(pa.int64())
        equal = pc.fill_null(pc.equal(x, y), False)
        both_null = pc.and_(pc.is_null(x), pc.is_null(y))
        same &= pc.or_(equal, both_null).to_numpy(zero_copy_only=False)
    return same


def _one(column: pa.ChunkedArray) -> pa.Array:
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks or [column.combine_chunks()])
    )
