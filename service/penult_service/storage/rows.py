"""Rows on their way into a set: made Arrow and float32, and checked, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.vectors import FloatMatrix, rows_not_finite

ID, TEXT, VECTOR = "id", "text", "vector"
TYPES = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
ID_BYTES = 1024
COLUMN_NAME_BYTES = 256
COLUMNS = 1000
# Of ids, texts and columns in one append: Arrow's offsets are 32 bits wide.
APPEND_BYTES = 2**30

Values: TypeAlias = Sequence[Any] | pa.Array


@dataclass(frozen=True)
class Rows:
    """`batch`: id, text and the columns of the set. `vectors` float32 [n, d], little-endian, row-major."""

    batch: pa.RecordBatch
    vectors: FloatMatrix


def check_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """Names and types (a key of `TYPES`) of further columns, as a set may have them.

    Raises:
        InvalidInput: COLUMN_NAME, COLUMN_TYPE, TOO_MANY_COLUMNS.
    """
    if len(columns) > COLUMNS:
        raise InvalidInput(f"{len(columns)} columns; a set has at most {COLUMNS}", reason="TOO_MANY_COLUMNS")
    for name, kind in columns.items():
        length = len(name.encode(errors="replace"))
        if not 1 <= length <= COLUMN_NAME_BYTES or name in (ID, TEXT, VECTOR) or not _is_utf8(name):
            raise InvalidInput(
                f"{name[:80]!r} cannot be the name of a column: 1 to {COLUMN_NAME_BYTES} bytes of UTF-8, "
                f"not {ID!r}, {TEXT!r} or {VECTOR!r}",
                reason="COLUMN_NAME",
                field="columns",
            )
        if kind not in TYPES:
            raise InvalidInput(
                f"column {name!r} has type {kind[:80]!r}; there are {', '.join(TYPES)}",
                reason="COLUMN_TYPE",
                field="columns",
            )
    return dict(columns)


def row_schema(columns: Mapping[str, str]) -> pa.Schema:
    """The Arrow schema of what a set stores beside its vectors."""
    fields = [pa.field(ID, pa.string(), nullable=False), pa.field(TEXT, pa.string())]
    return pa.schema([*fields, *(pa.field(name, TYPES[kind]) for name, kind in columns.items())])


def check_rows(
    schema: pa.Schema,
    ids: Values,
    vectors: NDArray[Any],
    texts: Values | None,
    columns: Mapping[str, Values] | None,
) -> Rows:
    """What a caller wants to append, in the types of the set; columns that are not given are null.

    Raises:
        InvalidInput: WRONG_SHAPE, NOT_FINITE, ID_INVALID, NOT_UTF8, COLUMN_UNKNOWN, COLUMN_TYPE, TOO_LARGE; the
            field names the row.
    """
    matrix = _matrix(vectors, len(ids))
    given = {ID: ids, TEXT: texts, **(columns or {})}
    unknown = next((name for name in given if name not in schema.names), None)
    if unknown is not None:
        there = ", ".join(repr(name) for name in schema.names[2:]) or "none"
        raise InvalidInput(
            f"the set has no column {unknown[:80]!r}; it has {there}",
            reason="COLUMN_UNKNOWN",
            field="columns",
        )
    arrays = []
    for item in schema:
        values = given.get(item.name)
        array = pa.nulls(len(ids), item.type) if values is None else _array(values, item, len(ids))
        arrays.append(array)
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    if batch.nbytes > APPEND_BYTES:
        raise InvalidInput(
            f"ids, texts and columns of one append take {batch.nbytes} bytes, at most {APPEND_BYTES}: send fewer rows",
            reason="TOO_LARGE",
        )
    _check_ids(batch.column(0))
    return Rows(batch, matrix)


def field_of(name: str) -> str:
    """How messages call a column: `ids`, `texts`, `columns.NAME`."""
    return {ID: "ids", TEXT: "texts"}.get(name, f"columns.{name}")


def _matrix(vectors: NDArray[Any], rows: int) -> FloatMatrix:
    given = np.asarray(vectors)
    if (
        given.ndim != 2
        or len(given) != rows
        or (rows and not given.shape[1])
        or given.dtype.kind not in "fiu"
    ):
        raise InvalidInput(
            f"vectors are {given.dtype} {list(given.shape)}; {rows} ids need numbers of shape [{rows}, dimension]",
            reason="WRONG_SHAPE",
            field="vectors",
        )
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(given, dtype="<f4")
    bad = rows_not_finite(matrix)
    if bad.size:
        raise InvalidInput(
            f"row {bad[0]} of vectors holds NaN or infinity ({bad.size} such rows); send finite float32 numbers",
            reason="NOT_FINITE",
            field=f"vectors[{bad[0]}]",
        )
    return matrix


def _array(values: Values, item: pa.Field, rows: int) -> pa.Array:
    name = field_of(item.name)
    if len(values) != rows:
        raise InvalidInput(
            f"{name} has {len(values)} values for {rows} rows", reason="WRONG_SHAPE", field=name
        )
    try:
        return _converted(values, item.type)
    except _UNFIT as error:
        raise _no_value(values, item, str(error)) from error


def _converted(values: Values, kind: pa.DataType) -> pa.Array:
    """The values as they are, never truncated or read out of a text: Arrow alone would make 2 of 2.5, and 5 of "5"."""
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not pa.types.is_null(array.type) and not any(test(array.type) for test in _KINDS[kind]):
        raise TypeError(f"{array.type} is not {kind}")
    cast = array.cast(kind)
    cast.validate(full=True)
    return cast


_UNFIT = (pa.ArrowException, UnicodeError, TypeError, ValueError, OverflowError)
_KINDS = {
    pa.string(): (pa.types.is_string, pa.types.is_large_string),
    pa.int64(): (pa.types.is_integer,),
    pa.float64(): (pa.types.is_floating, pa.types.is_integer),
    pa.bool_(): (pa.types.is_boolean,),
}


def _no_value(values: Values, item: pa.Field, why: str) -> InvalidInput:
    """The error for values that are not of the column's type, with the first row that is at fault."""
    name = field_of(item.name)
    for row, value in enumerate(_plain(values)):
        field = f"{name}[{row}]"
        try:
            if isinstance(value, bytes) and pa.types.is_string(item.type):
                value.decode()
            else:
                _converted([value], item.type)
        except UnicodeError:
            return InvalidInput(f"{field} is not UTF-8", reason="NOT_UTF8", field=field)
        except _UNFIT:
            return InvalidInput(
                f"{field} is {repr(value)[:80]}, the column holds {item.type}",
                reason="COLUMN_TYPE",
                field=field,
            )
    return InvalidInput(
        f"{name} cannot be read as {item.type}: {why[:200]}", reason="COLUMN_TYPE", field=name
    )


def _plain(values: Values) -> Sequence[Any]:
    """Python's values; of Arrow strings the bytes, which may not be UTF-8."""
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    return list((values.cast(pa.large_binary()) if text else values).to_pylist())


def _check_ids(ids: pa.Array) -> None:
    lengths = pc.fill_null(pc.binary_length(ids), 0).to_numpy(zero_copy_only=False)
    bad = np.flatnonzero((lengths < 1) | (lengths > ID_BYTES))
    if bad.size:
        raise InvalidInput(
            f"ids[{bad[0]}] has {lengths[bad[0]]} bytes; an id has 1 to {ID_BYTES}",
            reason="ID_INVALID",
            field=f"ids[{bad[0]}]",
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
