"""Rows for models of several inputs: dicts by the names of the inputs, or tuples in their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from penult.v1 import common_pb2 as common

from penult_client._core.inputs import ROW_OVERHEAD, TOKEN_BYTES, describe, text_size
from penult_client._core.tensors import check_input_name
from penult_client._exceptions import InputTypeError, InvalidInputError

# Whole numbers travel as float64.
_LARGEST_WHOLE = 1 << 53


@dataclass(frozen=True)
class Records:
    """Records that can be sent.

    Attributes:
        items: As they travel.
        sizes: Bytes of each, as it travels.
        weights: Of each: the bytes of its texts, and what its numbers count for beside texts.
        field: What the caller calls them.
        overhead: Bytes of a request in front of each.
        frame: Bytes of a request that belong to none of them.
    """

    items: Sequence[common.Record]
    sizes: Sequence[int]
    weights: Sequence[int]
    field: str = "records"

    overhead = ROW_OVERHEAD
    frame = 0

    def __len__(self) -> int:
        return len(self.items)

    def place(self, index: int) -> str:
        """What the caller calls that row."""
        return f"{self.field}[{index}]"

    def put(self, message: Any, start: int, stop: int) -> None:
        """Puts rows `start` to `stop` into a request or a source."""
        message.records.records.extend(self.items[start:stop])

    @property
    def has_text(self) -> bool:
        """Whether there is a text in the first one."""
        first = self.items[0]
        return any(value.HasField("text") for value in (*first.values.values(), *first.ordered))


def check_records(items: Sequence[Any], field: str = "records") -> Records:
    """Dicts by the names of the inputs, or tuples in their order: a text, a number, or numbers a value.

    Raises:
        InputTypeError: neither, or both (NOT_A_RECORD); a key that is no name (BAD_NAME); a value that is neither text
            nor numbers (NOT_A_VALUE).
        InvalidInputError: a record without an input that the first has, or with another (INPUTS_DIFFER); a text that
            has no UTF-8 form (NOT_UTF8); a whole number beyond 2^53 (OUT_OF_RANGE).
    """
    named = isinstance(items[0], Mapping)
    made, weights = [], []
    for index, item in enumerate(items):
        where = f"{field}[{index}]"
        if not _is_record(item) or isinstance(item, Mapping) != named:
            raise InputTypeError(
                f"{where} is {describe(item)}, {field}[0] is {describe(items[0])}; pass dicts by the names of the "
                "model's inputs, or tuples in their order, all alike",
                reason="NOT_A_RECORD",
                field=where,
            )
        record = common.Record()
        weights.append(
            _named(record, item, items[0], where, field) if named else _ordered(record, item, items[0], where)
        )
        made.append(record)
    return Records(made, [record.ByteSize() for record in made], weights, field)


def _is_record(item: Any) -> bool:
    return isinstance(item, Mapping | tuple | list)


def _named(
    record: common.Record, item: Mapping[Any, Any], first: Mapping[Any, Any], where: str, field: str
) -> int:
    if item.keys() != first.keys():
        missing = next((key for key in first if key not in item), None)
        odd = next((key for key in item if key not in first), None)
        told = (
            f"has no {missing!r}, which {field}[0] has"
            if missing is not None
            else f"has {odd!r}, which {field}[0] has not"
        )
        raise InvalidInputError(
            f"{where} {told}; give every record the same inputs", reason="INPUTS_DIFFER", field=where
        )
    if not item:
        raise _empty(where)
    weight = 0
    for key, value in item.items():
        name = check_input_name(key, where)
        weight += _fill(record.values[name], value, f"{where}.{name}")
    return weight


def _ordered(record: common.Record, item: Sequence[Any], first: Sequence[Any], where: str) -> int:
    if len(item) != len(first):
        raise InvalidInputError(
            f"{where} has {len(item)} values, the first one {len(first)}; give each one value an input",
            reason="INPUTS_DIFFER",
            field=where,
        )
    if not item:
        raise _empty(where)
    return sum(_fill(record.ordered.add(), value, f"{where}[{place}]") for place, value in enumerate(item))


def _fill(made: common.RecordValue, value: Any, where: str) -> int:
    """Puts the value where it travels; what it counts for."""
    if isinstance(value, str):
        size = text_size(value, where)
        made.text = str(value)
        return size
    made.numbers.numbers.extend(_numbers(value, where))
    return TOKEN_BYTES * len(made.numbers.numbers)


def _numbers(value: Any, where: str) -> Iterable[float]:
    if isinstance(value, float | bool | np.floating):
        return (float(value),)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):
        array = np.array(None)
    if array.dtype.kind not in "biuf":
        plural = isinstance(value, list | tuple)
        what = f"a {type(value).__name__}, ragged or not of numbers" if plural else describe(value)
        raise InputTypeError(
            f"{where} is {what}; an input takes a str, a number, or an array of numbers",
            reason="NOT_A_VALUE",
            field=where,
        )
    if array.dtype.kind in "iu" and array.size and max(-int(array.min()), int(array.max())) > _LARGEST_WHOLE:
        raise InvalidInputError(
            f"{where} holds a whole number beyond 2^53, which does not fit into a record; pass all rows as one dict of "
            "arrays",
            reason="OUT_OF_RANGE",
            field=where,
        )
    numbers: list[float] = array.astype(np.float64).ravel().tolist()
    return numbers


def _empty(where: str) -> InvalidInputError:
    return InvalidInputError(
        f"{where} has no values; give it one for each of the model's inputs",
        reason="EMPTY_INPUT",
        field=where,
    )
