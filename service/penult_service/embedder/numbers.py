"""Numbers that a caller gives, as the model takes them: type, shape and range, each checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.embedder.given import Given, column_of, error_at
from penult_service.embedder.slots import Slot
from penult_service.errors import InvalidInput
from penult_service.vectors import rows_not_finite

# What NumPy lacks is given to the engine as float32.
_HALF = {"bfloat16": "float32"}


def fitted(array: NDArray[Any], slot: Slot, given: Given) -> NDArray[Any]:
    """The column [n, ...] as the model takes it: of the slot's type and shape.

    Floats are rounded to the model's precision; every other cast must keep each value as it is.

    Raises:
        InvalidInput: WRONG_SHAPE, WRONG_TYPE, NOT_FINITE, or OUT_OF_RANGE: an id or a mask that cannot be.
    """
    column = _cast(_shaped(array, slot, given), slot, given)
    if np.issubdtype(column.dtype, np.inexact):
        bad = rows_not_finite(column)
        if bad.size:
            raise error_at(
                given, int(bad[0]), slot.name, "holds NaN or infinity; send finite numbers", "NOT_FINITE"
            )
    if slot.role == "ids":
        _check_ids(column, slot, given)
    if slot.role == "mask":
        _check_each(
            column,
            (column != 0) & (column != 1),
            slot,
            given,
            lambda value: (
                f"holds {value}; a mask has 1 for a token and 0 for padding. When it is none, declare it: "
                f'inputs = {{ "{slot.name}" = "value" }} in penult.toml'
            ),
        )
    return column


def _shaped(array: NDArray[Any], slot: Slot, given: Given) -> NDArray[Any]:
    """The column, an axis of one number added or left out where the model's own framework does so too."""
    found, wanted = array.shape[1:], slot.shape
    if len(found) == 1 and found[0] == 1 and not wanted:
        return array[:, 0]
    if not found and wanted in ((1,), (-1,)) and slot.role == "value":
        return array[:, None]
    if len(found) != len(wanted) or any(w not in (-1, f) for f, w in zip(found, wanted, strict=True)):
        where = column_of(given, slot.name)
        raise InvalidInput(
            f"{where.called} has rows of shape {_axes(found)}, the model takes {_axes(wanted)}",
            reason="WRONG_SHAPE",
            field=where.field,
        )
    return array


def _cast(array: NDArray[Any], slot: Slot, given: Given) -> NDArray[Any]:
    wanted = np.dtype(_HALF.get(slot.dtype, slot.dtype))
    if array.dtype == wanted:
        return array
    if np.issubdtype(array.dtype, np.inexact) and not np.issubdtype(wanted, np.inexact):
        where = column_of(given, slot.name)
        raise InvalidInput(
            f"{where.called} is of type {array.dtype}, the model takes {slot.dtype}; convert it",
            reason="WRONG_TYPE",
            field=where.field,
        )
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(wanted)
        kept = (
            np.isfinite(cast) | ~np.isfinite(array)
            if np.issubdtype(array.dtype, np.inexact)
            else cast.astype(array.dtype) == array
        )
    _check_each(array, ~kept, slot, given, lambda value: f"holds {value}, which {slot.dtype} cannot hold")
    return cast


def whole_numbers(array: NDArray[np.float64], slot: Slot, given: Given) -> NDArray[Any]:
    """Numbers of records, which travel as float64: int64 where the model takes no floats."""
    if np.issubdtype(np.dtype(_HALF.get(slot.dtype, slot.dtype)), np.inexact):
        return array
    with np.errstate(invalid="ignore"):
        cut = array.astype(np.int64)
    wrong = (cut != array) | (np.abs(array) > 2.0**53)
    _check_each(array, wrong, slot, given, lambda value: f"holds {value}, no whole number", "WRONG_TYPE")
    return cut


def _check_ids(column: NDArray[Any], slot: Slot, given: Given) -> None:
    known = f" 0 to {slot.limit - 1}" if slot.limit else " from 0 on"
    wrong = (column < 0) | (column >= slot.limit if slot.limit else False)
    _check_each(column, wrong, slot, given, lambda value: f"holds the id {value}, the model has{known}")


def _check_each(
    column: NDArray[Any],
    wrong: NDArray[np.bool_],
    slot: Slot,
    given: Given,
    what: Callable[[Any], str],
    reason: str = "OUT_OF_RANGE",
) -> None:
    rows = np.flatnonzero(wrong.reshape(len(column), -1).any(axis=1))
    if rows.size:
        row = int(rows[0])
        raise error_at(given, row, slot.name, what(column[row][wrong[row]].ravel()[0].item()), reason)


def _axes(shape: tuple[int, ...]) -> str:
    return f"[{', '.join('any' if length < 0 else str(length) for length in shape)}]"
