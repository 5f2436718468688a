"""Checks of the parameters of analyses: types, and what the wire can hold. What suits a method, the server says."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

from penult_client._core.inputs import as_list
from penult_client._exceptions import InputTypeError, InvalidInputError

INT32 = (1 << 31) - 1
SEED = (1 << 32) - 1


def whole(value: Any, argument: str, most: int = INT32) -> int | None:
    """A whole number of 0 to `most`; None stays None.

    Raises:
        InputTypeError: it is no whole number (NOT_A_NUMBER).
        InvalidInputError: it is below 0 or above `most` (OUT_OF_RANGE).
    """
    if value is None:
        return None
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InputTypeError(
            f"{argument}={value!r}; give a whole number", reason="NOT_A_NUMBER", field=argument
        )
    if not 0 <= value <= most:
        raise InvalidInputError(
            f"{argument}={value}; give 0 to {most}", reason="OUT_OF_RANGE", field=argument
        )
    return int(value)


def real(value: Any, argument: str) -> float | None:
    """A finite number; None stays None.

    Raises:
        InputTypeError: it is no number (NOT_A_NUMBER).
        InvalidInputError: it is NaN or infinite (OUT_OF_RANGE).
    """
    if value is None:
        return None
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise InputTypeError(f"{argument}={value!r}; give a number", reason="NOT_A_NUMBER", field=argument)
    if not math.isfinite(value):
        raise InvalidInputError(
            f"{argument}={value}; give a finite number", reason="OUT_OF_RANGE", field=argument
        )
    return float(value)


def required(value: Any, argument: str, most: int = INT32) -> int:
    """A whole number as of `whole`, that has to be given."""
    number = whole(value, argument, most)
    if number is None:
        raise InputTypeError(
            f"{argument} is None; give a whole number", reason="NOT_A_NUMBER", field=argument
        )
    return number


def count_or_auto(value: Any, argument: str) -> dict[str, Any]:
    """The fields of a request for so many clusters, for the number that suits best (``auto``), or (None) neither.

    Raises:
        InputTypeError, InvalidInputError: as `whole`.
    """
    if isinstance(value, str):
        if value == "auto":
            return {"auto": True}
        raise InputTypeError(
            f"{argument}={value!r}; give a whole number, or 'auto'", reason="NOT_A_NUMBER", field=argument
        )
    return {argument: whole(value, argument)}


def stored_name(value: Any, argument: str = "name") -> str:
    """The name of a stored map or clustering.

    Raises:
        InputTypeError: it is no str, or empty (BAD_NAME).
    """
    if isinstance(value, str) and value:
        return value
    raise InputTypeError(
        f"{argument}={value!r}; pass the name of a map or clustering", reason="BAD_NAME", field=argument
    )


def resource_name(plural: str, value: Any) -> str:
    """``projections/map`` of ``map``, or of itself.

    Raises:
        InputTypeError: as `stored_name`.
    """
    return f"{plural}/{stored_name(value).removeprefix(f'{plural}/')}"


def keeping(name: Any, overwrite: Any) -> dict[str, Any]:
    """The fields of a request whose result shall be kept; none when `name` is None. It may be sent again.

    Raises:
        InputTypeError: as `stored_name`.
        InvalidInputError: `overwrite` without a name (WRONG_COMBINATION).
    """
    if name is not None:
        return {
            "name": stored_name(name),
            "overwrite": bool(overwrite),
            "request_id": secrets.token_hex(16),
        }
    if overwrite:
        raise InvalidInputError(
            "overwrite is of results that are kept; give a name",
            reason="WRONG_COMBINATION",
            field="overwrite",
        )
    return {}


def at_least_one(value: Any, argument: str) -> int | None:
    """A whole number as of `whole`, that is not 0.

    Raises:
        InputTypeError, InvalidInputError: as `whole`.
    """
    if value is not None and whole(value, argument) == 0:
        raise InvalidInputError(f"{argument}=0; give at least 1", reason="OUT_OF_RANGE", field=argument)
    return whole(value, argument)


def labels(values: Any, rows: int | None) -> Sequence[str]:
    """Labels, str or whole numbers, one a row (where the rows are known here); None: none.

    Raises:
        InputTypeError: a bare string, or an element of another type (NOT_A_LABEL).
        InvalidInputError: not one a row (LABELS_MISMATCH).
    """
    if values is None:
        return ()
    items = as_list(values, "labels", "list of str or whole numbers")
    if rows is not None and len(items) != rows:
        raise InvalidInputError(
            f"there are {len(items)} labels for {rows} rows; give one a row",
            reason="LABELS_MISMATCH",
            field="labels",
        )
    for index, item in enumerate(items):
        if not isinstance(item, str | int | np.integer | np.bool_):
            raise InputTypeError(
                f"labels[{index}] is {item!r}; labels are str or whole numbers",
                reason="NOT_A_LABEL",
                field=f"labels[{index}]",
            )
    return [str(item) for item in items]
