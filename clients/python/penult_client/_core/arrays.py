"""Vectors and Tensors of the wire, from and to NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult.v1 import common_pb2 as common

from penult_client._exceptions import InternalError

_DTYPES: dict[common.DataType, np.dtype[Any]] = {
    common.DATA_TYPE_UNSPECIFIED: np.dtype("<f4"),
    common.DATA_TYPE_FLOAT32: np.dtype("<f4"),
    common.DATA_TYPE_FLOAT64: np.dtype("<f8"),
    common.DATA_TYPE_INT32: np.dtype("<i4"),
    common.DATA_TYPE_INT64: np.dtype("<i8"),
    common.DATA_TYPE_BOOL: np.dtype("?"),
}
_TYPES = {dtype: number for number, dtype in _DTYPES.items() if number}


def bad_reply(what: str) -> InternalError:
    """The error for a reply that cannot be right."""
    return InternalError(f"the server's reply cannot be right: {what}; please report it", reason="BAD_REPLY")


def to_matrix(
    parts: Sequence[common.Vectors], rows: Sequence[int], data: Iterable[bytes | memoryview] | None = None
) -> NDArray[np.float32]:
    """Parts, in order, of `rows` rows each -> one float32 [sum of rows, columns] that may be written to.

    Their numbers are in `data`, where that is given: as of `Vectors.data`, each held no longer than it is copied.
    """
    data = (part.data for part in parts) if data is None else data
    columns = parts[0].columns
    whole = np.empty((sum(rows), columns), dtype=np.float32)
    start = 0
    for part, count, numbers in zip(parts, rows, data, strict=True):
        if (part.rows, part.columns) != (count, columns) or len(numbers) != 4 * count * columns:
            raise bad_reply(
                f"{part.rows} x {part.columns} numbers in {len(numbers)} bytes for {count} x {columns}"
            )
        whole[start : start + count] = np.frombuffer(numbers, dtype="<f4").reshape(count, columns)
        start += count
    return whole


def to_array(tensor: common.Tensor) -> NDArray[Any]:
    """A tensor of any rank; strings become an object array of bytes."""
    shape = tuple(tensor.shape)
    if tensor.WhichOneof("elements") == "strings":
        values = np.empty(len(tensor.strings.values), dtype=object)
        values[:] = list(tensor.strings.values)
    else:
        dtype = _DTYPES.get(tensor.data_type)
        if dtype is None or len(tensor.data) % dtype.itemsize:
            raise bad_reply(f"a tensor of type {tensor.data_type} in {len(tensor.data)} bytes")
        values = np.frombuffer(tensor.data, dtype=dtype).copy()
    if prod(shape) != values.size:
        raise bad_reply(f"a tensor of shape {list(shape)} with {values.size} elements")
    return values.reshape(shape)


def to_tensor(array: NDArray[Any]) -> common.Tensor:
    """An array of a type of the wire, or an object array of bytes, as it travels."""
    if array.dtype == object:
        strings = common.ByteStrings(values=array.ravel().tolist())
        return common.Tensor(shape=array.shape, data_type=common.DATA_TYPE_STRING, strings=strings)
    return common.Tensor(shape=array.shape, data_type=_TYPES[array.dtype], data=array.tobytes())
