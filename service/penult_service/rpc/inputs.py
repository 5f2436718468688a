"""Rows as they travel: texts, records and tensors, checked as far as that needs no model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult.v1 import common_pb2

from penult_service.config import Limits
from penult_service.embedder import Records, Tensors, Value
from penult_service.errors import InvalidInput

# How the elements of a tensor lie in its bytes.
_TYPES = {
    common_pb2.DATA_TYPE_UNSPECIFIED: "<f4",
    common_pb2.DATA_TYPE_FLOAT32: "<f4",
    common_pb2.DATA_TYPE_FLOAT64: "<f8",
    common_pb2.DATA_TYPE_INT32: "<i4",
    common_pb2.DATA_TYPE_INT64: "<i8",
    common_pb2.DATA_TYPE_BOOL: "<u1",
}
_MOST_AXES = 8


def texts(message: common_pb2.TextList, field: str, limits: Limits) -> list[str]:
    """Texts, at least one, none over the limits.

    Raises:
        InvalidInput: EMPTY_INPUT, TOO_MANY_TEXTS or TEXT_TOO_LARGE.
    """
    _check_count(len(message.texts), "texts", "text (an empty text is one)", field, limits)
    found = list(message.texts)
    if 4 * max(map(len, found)) > limits.max_text_bytes:  # as in `_check_text`
        for i, text in enumerate(found):
            _check_text(text, f"{field}[{i}]", limits)
    return found


def records(message: common_pb2.RecordList, field: str, limits: Limits) -> Records:
    """Rows of several inputs, at least one.

    Raises:
        InvalidInput: as `texts`; or EMPTY_INPUT: a record or a value is empty, or a record is by name and in order.
    """
    _check_count(len(message.records), "records", "record", field, limits)
    return Records([_record(record, f"{field}[{i}]", limits) for i, record in enumerate(message.records)])


def tensors(message: common_pb2.TensorMap, field: str, limits: Limits) -> Tensors:
    """Columns with the same number of rows, at least one.

    Raises:
        InvalidInput: as `texts`; WRONG_SHAPE, WRONG_BYTE_COUNT, WRONG_TYPE, OUT_OF_RANGE or NOT_UTF8.
    """
    if not message.tensors:
        _check_count(0, "tensors", "tensor", field, limits)
    columns = {
        name: _array(tensor, f"{field}[{name[:80]}]", limits)
        for name, tensor in sorted(message.tensors.items())
    }
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name[:80]} {count}" for name, count in counts.items())
        raise InvalidInput(
            f"all {field} have the same number of rows, which is their first axis; these have: {said}",
            reason="WRONG_SHAPE",
            field=field,
        )
    _check_count(next(iter(counts.values())), "rows", "row", field, limits)
    return Tensors(columns)


def _check_count(count: int, several: str, one: str, field: str, limits: Limits) -> None:
    if not count:
        raise InvalidInput(
            f"{field} is empty; send at least one {one}",
            reason="EMPTY_INPUT",
            field=field,
        )
    if count > limits.max_texts:
        raise InvalidInput(
            f"{field} has {count} {several}, one call takes {limits.max_texts}; split them",
            reason="TOO_MANY_TEXTS",
            field=field,
            metadata={"limit": str(limits.max_texts)},
        )


def _check_text(text: str, field: str, limits: Limits) -> None:
    # A character takes four bytes at most, so only very long texts have to be encoded to know.
    if len(text) * 4 > limits.max_text_bytes and len(text.encode()) > limits.max_text_bytes:
        raise InvalidInput(
            f"{field} has {len(text.encode())} bytes, over the limit of {limits.max_text_bytes}",
            reason="TEXT_TOO_LARGE",
            field=field,
            metadata={"limit": str(limits.max_text_bytes)},
        )


def _record(message: common_pb2.Record, field: str, limits: Limits) -> Mapping[str, Value] | list[Value]:
    if bool(message.values) == bool(message.ordered):
        what = "has values by name and in order" if message.values else "is empty"
        raise InvalidInput(
            f"{field} {what}; give a value for each input of the model, by its name or in their order",
            reason="EMPTY_INPUT",
            field=field,
        )
    if message.ordered:
        return [_value(value, f"{field}.ordered[{i}]", limits) for i, value in enumerate(message.ordered)]
    return {name: _value(value, f"{field}.{name[:80]}", limits) for name, value in message.values.items()}


def _value(message: common_pb2.RecordValue, field: str, limits: Limits) -> Value:
    kind = message.WhichOneof("value")
    if kind is None:
        raise InvalidInput(
            f"{field} is neither a text nor numbers; give it one", reason="EMPTY_INPUT", field=field
        )
    if kind == "text":
        _check_text(message.text, field, limits)
        return str(message.text)
    numbers = message.numbers.numbers
    return np.fromiter(numbers, np.float64, len(numbers))


def _array(message: common_pb2.Tensor, field: str, limits: Limits) -> NDArray[Any]:
    """The tensor as an array; strings as `str`, dtype object."""
    shape = tuple(message.shape)
    if not 1 <= len(shape) <= _MOST_AXES or min(shape) < 1:
        raise InvalidInput(
            f"{field} has shape {list(shape)[:20]}; it needs 1 to {_MOST_AXES} axes, none empty, the rows first",
            reason="WRONG_SHAPE",
            field=field,
        )
    strings = message.WhichOneof("elements") == "strings"
    what = "strings" if strings else "bytes"
    known = (common_pb2.DATA_TYPE_UNSPECIFIED, common_pb2.DATA_TYPE_STRING) if strings else _TYPES
    if message.data_type not in known:
        raise InvalidInput(
            f"{field}.data_type is {message.data_type}, but it holds {what}",
            reason="WRONG_TYPE",
            field=f"{field}.data_type",
        )
    each = 1 if strings else np.dtype(_TYPES[message.data_type]).itemsize
    found, wanted = len(message.strings.values if strings else message.data), math.prod(shape) * each
    if found != wanted:
        raise InvalidInput(
            f"{field} has {found} {what}, its shape {list(shape)} takes {wanted}",
            reason="WRONG_BYTE_COUNT",
            field=field,
        )
    if strings:
        return _strings(message.strings.values, shape, field, limits)
    array = np.frombuffer(message.data, _TYPES[message.data_type]).reshape(shape)
    return _truths(array, field) if message.data_type == common_pb2.DATA_TYPE_BOOL else array


def _strings(values: Any, shape: tuple[int, ...], field: str, limits: Limits) -> NDArray[Any]:
    found = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        try:
            found[i] = value.decode()
        except UnicodeDecodeError:
            raise InvalidInput(
                f"element {i} of {field} is not UTF-8; decode it with the encoding it is in, and send it as UTF-8",
                reason="NOT_UTF8",
                field=field,
            ) from None
        _check_text(found[i], field, limits)
    return found.reshape(shape)


def _truths(array: NDArray[Any], field: str) -> NDArray[np.bool_]:
    if array.max() > 1:
        raise InvalidInput(
            f"{field} holds {array.max()}; truth values are 0 and 1", reason="OUT_OF_RANGE", field=field
        )
    return array.astype(np.bool_)
