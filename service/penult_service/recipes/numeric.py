"""Tables of numbers from csv, jsonl and parquet files. Every error names the file, the row and the column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.files import sha256_file
from penult_service.recipes import data

MISSING = ("", "na", "n/a", "nan", "null", "none")
"""What stands in a csv cell where there is no number, in lower case."""

LARGEST = float(np.finfo(np.float32).max)
# Keras' Normalization takes the square of a deviation in float32, and none below its epsilon; and float32 has 24 bits
# for what the deviation is a part of: at a millionth, rounding is 6 % of it.
_LEAST, _MOST, _PART = 1e-7, 1e18, 1e-6
_CONSTANT = 1e-12  # of the largest number: less is the rounding of a mean


@dataclass(frozen=True)
class Numbers:
    """The numeric columns of one file, in the order asked for, else the file's: `values` is float64 [rows, names].

    `skipped` are the columns that were not read: those left out on purpose, and those that hold no number.
    """

    source: str
    sha256: str
    names: tuple[str, ...]
    values: NDArray[np.float64]
    skipped: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)


def read(path: Path, columns: Sequence[str] | None = None, ignored: Sequence[str] = ()) -> Numbers:
    """Reads a .csv, .jsonl or .parquet file.

    Args:
        columns: Those to read; None takes every column in which some cell is a number (a date is none).
        ignored: Columns to leave out, numbers or not.

    Raises:
        NotFound: There is no such file.
        InvalidInput: The file, or the cell that the message names, cannot be used: every cell read must be a finite
            number.
    """
    rows = list(data.rows(path))
    if not rows:
        raise _bad(path, "there are no rows", "NO_ROWS")
    there = list(dict.fromkeys(name for _, row in rows for name in row))
    for name in (*(columns or ()), *ignored):
        if name not in there:
            listed = ", ".join(map(repr, there))
            raise _bad(path, f"has no column {name!r}; there are {listed}", "COLUMN_MISSING", name)
    names = _chosen(path, columns, ignored, there, rows)
    values = np.array(
        [[_number(path, where, name, row) for name in names] for where, row in rows], np.float64
    )
    skipped = tuple(name for name in there if name not in names)
    return Numbers(path.name, sha256_file(path), names, values, skipped)


def mean_and_scale(
    numbers: Numbers, trained: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the rows trained on, for a layer in float32 that standardises by them.

    Args:
        numbers: Whose columns they are.
        trained: Rows of them, [n, names].

    Returns:
        float64 [names] each; the deviation of a column that never changes is 1.

    Raises:
        InvalidInput: A column is too large, or changes too little or too much, for float32.
    """
    largest = np.abs(trained).max(axis=0)
    with np.errstate(over="ignore"):
        mean, scale = trained.mean(axis=0), trained.std(axis=0)
    constant = scale <= _CONSTANT * np.maximum(largest, 1e-300)
    scale[constant] = 1.0
    apart = (scale >= np.maximum(_LEAST, _PART * largest)) & (scale <= _MOST)
    wrong = np.flatnonzero(~(constant | apart) | (largest > LARGEST))
    if len(wrong):
        name, at = numbers.names[wrong[0]], wrong[0]
        what = (
            f"{numbers.source}: column {name!r} goes up to {largest[at]:.3g} with a standard deviation of "
            f"{scale[at]:.3g}, which a model in float32 cannot standardise; take another unit or zero point, or "
            "leave it out"
        )
        raise InvalidInput(what, reason="SCALE", field=name)
    return mean, scale


def _chosen(
    path: Path,
    columns: Sequence[str] | None,
    ignored: Sequence[str],
    there: Sequence[str],
    rows: Sequence[data.Row],
) -> tuple[str, ...]:
    """The columns to read, which are none twice, and at least one."""
    if columns is not None:
        twice = next((name for index, name in enumerate(columns) if name in columns[:index]), None)
        if twice is not None:
            raise _bad(path, f"column {twice!r} is asked for twice", "COLUMN_TWICE", twice)
        names = tuple(name for name in columns if name not in ignored)
    else:
        left = [name for name in there if name not in ignored]
        names = tuple(name for name in left if any(_finite(row.get(name)) is not None for _, row in rows))
    if not names:
        raise _bad(path, "no column holds numbers", "NO_NUMBERS")
    return names


def _finite(cell: Any) -> float | None:
    """The number in a cell; None when there is none, or one that is not finite."""
    if isinstance(cell, bool) or (isinstance(cell, str) and "_" in cell):  # 1_000 is a number to Python alone
        return None
    try:
        value = float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _number(path: Path, where: str, column: str, row: Mapping[str, Any]) -> float:
    cell = row.get(column)
    value = _finite(cell)
    if value is not None:
        return value
    missing = cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING)
    if missing or (isinstance(cell, float) and math.isnan(cell)):
        what = f"{where}, column {column!r}: there is no number; fill it, or leave the row or the column out"
        raise _bad(path, what, "NUMBER_MISSING", column)
    raise _bad(path, f"{where}, column {column!r}: {cell!r} is not a finite number", "NOT_A_NUMBER", column)


def _bad(path: Path, what: str, reason: str, column: str = "") -> InvalidInput:
    return InvalidInput(f"{path}: {what}", reason=reason, field=column)
