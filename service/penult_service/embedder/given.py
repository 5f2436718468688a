"""What a caller gives for each row: texts, records of several inputs, or the same as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput

# A text, or the numbers of an input of one row: float64 [k], row-major.
Value = str | NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Records:
    """Rows of a model's inputs: values by the input's name, or in the order of the inputs; at least one row."""

    rows: Sequence[Mapping[str, Value] | Sequence[Value]]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Tensors:
    """Columns: input -> array [n, ...]. Texts are an array of `str`, dtype object. At least one, all with n rows."""

    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


Given = Sequence[str] | Records | Tensors


@dataclass(frozen=True)
class Place:
    """A row, or an input of a row, as messages and the fields of errors call it."""

    called: str
    field: str


def place_of(given: Given, row: int, name: str = "") -> Place:
    """Where that row of what was given stands; with a name, that input of it."""
    if isinstance(given, Tensors):
        column = f"tensors[{name}]" if name else "tensors"
        return Place(f"row {row} of {column}", column)
    if isinstance(given, Records):
        where = f"records[{row}]" + (f".{name}" if name else "")
        return Place(where, where)
    return Place(f"texts[{row}]", f"texts[{row}]")


def error_at(given: Given, row: int, name: str, what: str, reason: str) -> InvalidInput:
    """What is wrong with an input of a row."""
    where = place_of(given, row, name)
    return InvalidInput(
        f"{where.called} {what}",
        reason=reason,
        field=where.field,
        metadata={"row": str(row), "input": name},
    )


def column_of(given: Given, name: str) -> Place:
    """Where an input stands, all rows of it."""
    where = f"tensors[{name}]" if isinstance(given, Tensors) else f"records[0].{name}"
    return Place(where, where)
