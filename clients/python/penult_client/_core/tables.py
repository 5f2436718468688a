"""Columns of values: lists, arrays, tables of pandas, polars and Arrow -> plain values with their type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_client._core.inputs import as_list, check_vectors
from penult_client._exceptions import InputTypeError, InvalidInputError

Column = tuple[str, list[Any]]
"""The type, and the values with None where there is none."""

_INT64 = 1 << 63
_MISSING = ("NAType", "NaTType")


def check_columns(columns: Any, rows: int) -> dict[str, Column]:
    """A mapping of names to values, or a table of pandas, polars or Arrow; None: none.

    Raises:
        InputTypeError: neither, or a value of a type that a set does not hold (COLUMN_TYPE).
        InvalidInputError: not one value a row (WRONG_SHAPE).
    """
    if columns is None:
        return {}
    return {name: _column(name, values, rows) for name, values in _parts(columns).items()}


def as_matrix(vectors: Any, field: str) -> NDArray[np.float32]:
    """An array [n, d], or a column of n lists of d numbers -> float32 [n, d].

    Raises:
        InvalidInputError: as `check_vectors`, or the lists are not of one length (WRONG_SHAPE).
    """
    if not isinstance(vectors, np.ndarray) or vectors.dtype == object:
        try:
            vectors = np.array([np.asarray(row, np.float64) for row in as_list(vectors, field)])
        except (ValueError, TypeError) as error:
            raise InvalidInputError(
                f"{field} is no matrix [n, d] of numbers: {error}", reason="WRONG_SHAPE", field=field
            ) from None
    return check_vectors(vectors, field)


def is_rows_of_numbers(source: Any) -> bool:
    """Whether a list or column holds a list of numbers a row."""
    if hasattr(source, "dtype") and getattr(source, "ndim", 1) != 1:
        return False
    first: Any = (
        next((row for row in source if row is not None), None) if hasattr(source, "__iter__") else None
    )
    if hasattr(first, "as_py"):
        first = first.as_py()
    return not isinstance(first, str | bytes | Mapping) and hasattr(first, "__len__")


def _parts(columns: Any) -> dict[str, Any]:
    if isinstance(columns, Mapping):
        parts = dict(columns)
    elif hasattr(columns, "column_names"):  # Arrow
        parts = {name: columns.column(name) for name in columns.column_names}
    elif hasattr(columns, "columns") and hasattr(columns, "__getitem__"):  # pandas, polars
        parts = {name: columns[name] for name in columns.columns}
    else:
        raise InputTypeError(
            f"columns is a {type(columns).__name__}; pass a mapping of names to values, or a table",
            reason="COLUMN_TYPE",
            field="columns",
        )
    for name in parts:
        if not isinstance(name, str):
            raise InputTypeError(
                f"a column is called {name!r}; names are str", reason="COLUMN_TYPE", field="columns"
            )
    return parts


def _column(name: str, values: Any, rows: int) -> Column:
    field = f"columns.{name}"
    items = as_list(values, field, "list of values")
    if len(items) != rows:
        raise InvalidInputError(
            f"{field} has {len(items)} values for {rows} rows; give one a row",
            reason="WRONG_SHAPE",
            field=field,
        )
    found = [None if value is None or type(value).__name__ in _MISSING else _plain(value) for value in items]
    kinds = {type(value) for value in found if value is not None}
    if kinds == {str, float}:  # pandas says NaN where a text is missing
        found = [None if isinstance(value, float) and math.isnan(value) else value for value in found]
        kinds = {type(value) for value in found if value is not None}
    kind = _kind(kinds)
    if kind is None or (kind == "int64" and not all(-_INT64 <= v < _INT64 for v in found if v is not None)):
        place = next(i for i, value in enumerate(found) if value is not None and not _fits(value, found))
        raise InputTypeError(
            f"{field}[{place}] is {found[place]!r}, a {type(found[place]).__name__}; a column holds str, whole"
            " numbers of 64 bits, floats or bools, all of one kind",
            reason="COLUMN_TYPE",
            field=f"{field}[{place}]",
        )
    if kind == "float64":
        found = [None if value is None else float(value) for value in found]
    return kind, found


def _kind(kinds: set[type]) -> str | None:
    if kinds <= {str}:
        return "string"
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int64"
    return "float64" if kinds <= {int, float} else None


def _fits(value: Any, values: list[Any]) -> bool:
    """Whether it has the kind of the first value, and fits."""
    first = next(each for each in values if each is not None)
    numbers = type(first) in (int, float) and type(value) in (int, float)
    if isinstance(value, int) and not isinstance(value, bool) and not -_INT64 <= value < _INT64:
        return False
    return type(value) in (str, bool, int, float) and (numbers or type(value) is type(first))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
