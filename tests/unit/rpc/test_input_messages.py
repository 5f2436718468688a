"""Rows as they travel: what is read of them, and what is refused before any model is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from penult.v1 import common_pb2 as pb
from penult_service.config import Limits
from penult_service.errors import InvalidInput
from penult_service.rpc import inputs, replies

LIMITS = Limits(max_texts=3, max_text_bytes=8)


def record(*ordered: Any, **values: Any) -> pb.Record:
    def value(given: Any) -> pb.RecordValue:
        if isinstance(given, str):
            return pb.RecordValue(text=given)
        return pb.RecordValue(numbers=pb.NumberList(numbers=given))

    return pb.Record(
        values={name: value(given) for name, given in values.items()},
        ordered=[value(given) for given in ordered],
    )


def tensor_map(**tensors: pb.Tensor) -> pb.TensorMap:
    return pb.TensorMap(tensors=tensors)


def strings(*values: bytes, shape: tuple[int, ...] | None = None) -> pb.Tensor:
    return pb.Tensor(
        shape=shape or [len(values)],
        data_type=pb.DATA_TYPE_STRING,
        strings=pb.ByteStrings(values=values),
    )


def test_records_by_name_and_in_order() -> None:
    message = pb.RecordList(records=[record(a="x", n=[1, 2.5]), record("", [3])])
    named, ordered = inputs.records(message, "records", LIMITS).rows
    assert (named["a"], named["n"].tolist(), named["n"].dtype) == ("x", [1.0, 2.5], np.float64)
    assert (ordered[0], ordered[1].tolist()) == ("", [3.0])
    empty = inputs.records(pb.RecordList(records=[record([])]), "records", LIMITS)
    assert empty.rows[0][0].shape == (0,)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_tensors_come_out_as_they_went_in(dtype: str) -> None:
    array = (np.arange(12).reshape(3, 2, 2) % 2).astype(dtype)
    found = inputs.tensors(tensor_map(a=replies.tensor(array)), "tensors", LIMITS).columns["a"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, array)


def test_strings_come_out_as_they_went_in() -> None:
    texts = ["ä", "", "a\x00", "b"]
    array = np.array(texts, dtype=object)[:3, None]
    found = inputs.tensors(tensor_map(a=replies.tensor(array)), "tensors", LIMITS).columns["a"]
    assert (found.dtype, found.tolist()) == (object, array.tolist())


def test_floats_of_no_said_type() -> None:
    message = pb.Tensor(shape=[1, 2], data=np.float32([1, 2]).tobytes())
    found = inputs.tensors(tensor_map(a=message), "t", LIMITS).columns["a"]
    assert (found.dtype, found.tolist()) == (np.float32, [[1.0, 2.0]])


FLOATS = np.ones(6, np.float32).tobytes()
WRONG_TENSORS: list[tuple[pb.TensorMap, str, str, str]] = [
    (tensor_map(), "EMPTY_INPUT", "tensors", "at least one tensor"),
    (tensor_map(a=pb.Tensor(data=FLOATS)), "WRONG_SHAPE", "tensors[a]", "has shape []"),
    (tensor_map(a=pb.Tensor(shape=[0, 3])), "WRONG_SHAPE", "tensors[a]", "[0, 3]"),
    (tensor_map(a=pb.Tensor(shape=[-1, 3], data=FLOATS)), "WRONG_SHAPE", "tensors[a]", "[-1, 3]"),
    (tensor_map(a=pb.Tensor(shape=[1] * 80, data=FLOATS)), "WRONG_SHAPE", "tensors[a]", "1 to 8 axes"),
    (tensor_map(a=pb.Tensor(shape=[2, 2], data=FLOATS)), "WRONG_BYTE_COUNT", "tensors[a]", "has 24 bytes"),
    (tensor_map(a=pb.Tensor(shape=[1 << 62] * 3, data=FLOATS)), "WRONG_BYTE_COUNT", "tensors[a]", "takes"),
    (tensor_map(a=pb.Tensor(shape=[2])), "WRONG_BYTE_COUNT", "tensors[a]", "has 0 bytes"),
    (
        tensor_map(a=pb.Tensor(shape=[2], data_type=99, data=b"ab")),
        "WRONG_TYPE",
        "tensors[a].data_type",
        "99",
    ),
    (
        tensor_map(a=pb.Tensor(shape=[2], data_type=pb.DATA_TYPE_STRING, data=b"ab")),
        "WRONG_TYPE",
        "tensors[a].data_type",
        "bytes",
    ),
    (
        tensor_map(
            a=pb.Tensor(shape=[1], data_type=pb.DATA_TYPE_INT32, strings=pb.ByteStrings(values=[b"a"]))
        ),
        "WRONG_TYPE",
        "tensors[a].data_type",
        "strings",
    ),
    (
        tensor_map(a=pb.Tensor(shape=[2], data_type=pb.DATA_TYPE_BOOL, data=b"\x01\x02")),
        "OUT_OF_RANGE",
        "tensors[a]",
        "0 and 1",
    ),
    (tensor_map(a=strings(b"a", b"\xff")), "NOT_UTF8", "tensors[a]", "element 1"),
    (tensor_map(a=strings(b"a", b"b" * 9)), "TEXT_TOO_LARGE", "tensors[a]", "over the limit of 8"),
    (tensor_map(a=strings(b"a", shape=(2,))), "WRONG_BYTE_COUNT", "tensors[a]", "has 1 strings"),
    (tensor_map(a=strings(b"a"), b=strings(b"a", b"b")), "WRONG_SHAPE", "tensors", "a 1, b 2"),
    (tensor_map(a=strings(*[b"a"] * 4)), "TOO_MANY_TEXTS", "tensors", "has 4 rows"),
]


@pytest.mark.parametrize(("message", "reason", "field", "says"), WRONG_TENSORS)
def test_wrong_tensors(message: pb.TensorMap, reason: str, field: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        inputs.tensors(message, "tensors", LIMITS)
    assert (refused.value.reason, refused.value.field) == (reason, field)
    assert says in refused.value.message


WRONG_RECORDS: list[tuple[list[pb.Record], str, str, str]] = [
    ([], "EMPTY_INPUT", "a.records", "at least one record"),
    ([record("a"), record()], "EMPTY_INPUT", "a.records[1]", "is empty"),
    ([record("a", b="c")], "EMPTY_INPUT", "a.records[0]", "by name and in order"),
    ([pb.Record(ordered=[pb.RecordValue()])], "EMPTY_INPUT", "a.records[0].ordered[0]", "neither a text"),
    ([pb.Record(values={"n": pb.RecordValue()})], "EMPTY_INPUT", "a.records[0].n", "neither a text"),
    ([record("a"), record("ü" * 5)], "TEXT_TOO_LARGE", "a.records[1].ordered[0]", "has 10 bytes"),
    ([record("a")] * 4, "TOO_MANY_TEXTS", "a.records", "has 4 records, one call takes 3"),
]


@pytest.mark.parametrize(("records", "reason", "field", "says"), WRONG_RECORDS)
def test_wrong_records(records: list[pb.Record], reason: str, field: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        inputs.records(pb.RecordList(records=records), "a.records", LIMITS)
    assert (refused.value.reason, refused.value.field) == (reason, field)
    assert says in refused.value.message
