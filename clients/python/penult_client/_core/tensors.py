"""Arrays by the names of the model's inputs: token ids, masks, numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_client._core.arrays import to_tensor
from penult_client._core.inputs import ROW_OVERHEAD, TOKEN_BYTES, describe, text_size
from penult_client._exceptions import InputTypeError, InvalidInputError

# What travels as something wider.
_WIDER = {"i1": "<i4", "i2": "<i4", "u1": "<i4", "u2": "<i4", "u4": "<i8", "u8": "<i8", "f2": "<f4"}
_SAME = ("b1", "i4", "i8", "f4", "f8")


@dataclass(frozen=True)
class Tensors:
    """Arrays that can be sent, the batch first.

    Attributes:
        arrays: By the name of the input: numbers and truth values of a type of the wire, little-endian and row-major,
            or an object array of bytes.
        sizes: Bytes of each row, of all arrays together.
        weights: What each row counts for beside texts.
        field: What the caller calls them.
        overhead: Bytes of a request in front of each row.
    """

    arrays: Mapping[str, NDArray[Any]]
    sizes: Sequence[int]
    weights: Sequence[int]
    field: str = "tensors"

    overhead = 0

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def frame(self) -> int:
        """Bytes of a request for names, shapes and types, at most."""
        return sum(4 * len(name) + 10 * array.ndim + 48 for name, array in self.arrays.items())

    def place(self, index: int) -> str:
        """What the caller calls that row."""
        return f"row {index} of {self.field}"

    def put(self, message: Any, start: int, stop: int) -> None:
        """Puts rows `start` to `stop` into a request."""
        for name, array in self.arrays.items():
            message.tensors.tensors[name].CopyFrom(to_tensor(array[start:stop]))


def check_tensors(given: Mapping[Any, Any], field: str = "tensors") -> Tensors:
    """A mapping of the names of inputs to arrays or nested lists, all with one entry a row.

    Raises:
        InputTypeError: a name or an array is none (BAD_NAME, NOT_AN_ARRAY).
        InvalidInputError: there is nothing in it (EMPTY_INPUT); lists of different lengths (RAGGED), or arrays of
            different numbers of rows (WRONG_SHAPE); numbers that the wire does not hold (OUT_OF_RANGE), a string that
            has no UTF-8 form (NOT_UTF8).
    """
    if not given:
        raise InvalidInputError(
            f"{field} is an empty dict; pass arrays by the names of the model's inputs",
            reason="EMPTY_INPUT",
            field=field,
        )
    arrays = {
        check_input_name(name, field): _array(value, f"{field}[{name}]") for name, value in given.items()
    }
    first, *others = arrays
    rows = len(arrays[first])
    for name in others:
        if len(arrays[name]) != rows:
            raise InvalidInputError(
                f"{field}[{name}] has {len(arrays[name])} rows, {field}[{first}] has {rows}; all need one entry a row "
                "(the batch is the first axis)",
                reason="WRONG_SHAPE",
                field=f"{field}[{name}]",
            )
    if not rows:
        raise InvalidInputError(
            f"{field}[{first}] has no rows; send at least one",
            reason="EMPTY_INPUT",
            field=f"{field}[{first}]",
        )
    sizes, weights = _sizes(list(arrays.values()))
    return Tensors(arrays, sizes, weights, field)


def check_input_name(name: Any, field: str) -> str:
    """The name of an input.

    Raises:
        InputTypeError: it is none (BAD_NAME).
    """
    if isinstance(name, str) and name:
        return name
    raise InputTypeError(
        f"{field} has the key {name!r}; keys are the names of the model's inputs",
        reason="BAD_NAME",
        field=field,
    )


def _array(value: Any, where: str) -> NDArray[Any]:
    if isinstance(value, str | bytes | Mapping) or value is None:
        raise _no_array(value, where)
    try:
        array = np.asarray(value)
    except ValueError as error:  # NumPy's word for lists of different lengths
        raise _ragged(value, where) from error
    except (TypeError, RuntimeError) as error:
        raise _no_array(value, where) from error
    if array.ndim == 0:
        raise _no_array(value, where)
    if array.dtype == object and all(isinstance(each, int | float | np.number) for each in array.flat):
        array = np.asarray(array.tolist())  # a column of pandas
    if array.dtype.kind in "SU" and not isinstance(value, np.ndarray):
        array = np.asarray(value, dtype=object)  # NumPy has made texts of numbers among them
    if array.dtype.kind in "OSUT":
        return _strings(array, where)
    return _to_wire(array, where)


def _to_wire(array: NDArray[Any], where: str) -> NDArray[Any]:
    """The numbers in a type of the wire.

    Raises:
        InputTypeError: they are of a type that has none (NOT_AN_ARRAY).
        InvalidInputError: an unsigned number is beyond int64 (OUT_OF_RANGE).
    """
    kind = array.dtype.str[1:]
    if kind == "u8" and array.size and array.max() > np.iinfo(np.int64).max:
        raise InvalidInputError(
            f"{where} holds {array.max()}, beyond 64 bits with a sign", reason="OUT_OF_RANGE", field=where
        )
    wanted = _WIDER.get(kind) or (f"<{kind}" if kind in _SAME else None)
    if wanted is None:
        raise InputTypeError(
            f"{where} is of type {array.dtype}; pass integers, floats of 16 to 64 bits, bools or str",
            reason="NOT_AN_ARRAY",
            field=where,
        )
    return np.ascontiguousarray(array, dtype=wanted)


def _strings(array: NDArray[Any], where: str) -> NDArray[Any]:
    """Strings as an object array of bytes."""
    found = np.empty(array.shape, dtype=object)
    for place, value in np.ndenumerate(array):
        row = f"row {place[0]} of {where}"
        if isinstance(value, list | tuple | np.ndarray):
            raise _ragged(array.tolist(), where)
        if not isinstance(value, str | bytes):
            raise InputTypeError(
                f"{row} holds {describe(value)}; an array holds texts alone, or numbers alone",
                reason="NOT_AN_ARRAY",
                field=row,
            )
        if isinstance(value, str):
            text_size(value, row)
        found[place] = value.encode() if isinstance(value, str) else bytes(value)
    return found


def _sizes(arrays: Sequence[NDArray[Any]]) -> tuple[list[int], list[int]]:
    """Bytes and weights of the rows. Token ids and their masks are of the same tokens: the largest array counts."""
    rows = len(arrays[0])
    sizes, weights = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    for array in arrays:
        if array.dtype == object:
            bytes_of = np.array(
                [sum(len(each) + ROW_OVERHEAD for each in row) for row in array.reshape(rows, -1)]
            )
            sizes += bytes_of
            weights += bytes_of
        else:
            sizes += array[:1].nbytes
    largest = max((array[:1].size for array in arrays if array.dtype != object), default=0)
    return sizes.tolist(), (weights + TOKEN_BYTES * largest).tolist()


def _ragged(value: Any, where: str) -> InvalidInputError:
    """The error for lists of different lengths, with the first row that differs when there is one."""
    lengths = [len(row) if hasattr(row, "__len__") and not isinstance(row, str) else -1 for row in value]
    odd = next((i for i, length in enumerate(lengths) if length != lengths[0]), None)
    told = "its rows have different shapes"
    if odd is not None and -1 not in (lengths[0], lengths[odd]):
        told = f"row {odd} has {lengths[odd]} entries, row 0 has {lengths[0]}"
    return InvalidInputError(
        f"{where} is ragged: {told}; pad the rows to one length, and mark the padding in the model's mask",
        reason="RAGGED",
        field=where,
    )


def _no_array(value: Any, where: str) -> InputTypeError:
    return InputTypeError(
        f"{where} is {describe(value)}; pass an array or a list with one entry a row",
        reason="NOT_AN_ARRAY",
        field=where,
    )
