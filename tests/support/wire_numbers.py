"""What the scripted server makes of a row, as functions of its text alone: oracles for tests of clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from penult.v1 import common_pb2 as common


def vector_of(text: str) -> list[float]:
    """float32-exact numbers that tell texts apart."""
    data = text.encode()
    return [
        float(len(data)),
        float(sum(data) % 65536),
        float(data[0] if data else 0),
        float(len(text.split())),
    ]


def token_vectors_of(text: str) -> list[list[float]]:
    """A row a token, of the two special ones too: the text's, and the number of the token."""
    return [[*vector_of(text)[:-1], float(number)] for number in range(len(text.split()) + 2)]


def as_text(row: Any) -> str:
    """The text that a row counts as: its values with the names of the inputs, in the order of the names."""
    if isinstance(row, str):
        return row
    named = sorted(row.items()) if isinstance(row, Mapping) else [("", value) for value in row]
    return "|".join(f"{name}={_said(value)}" for name, value in named)


def _said(value: Any) -> str:
    if isinstance(value, str | bytes):
        return value if isinstance(value, str) else value.decode()
    return ",".join(f"{number:g}" for number in np.ravel(value).tolist())


def rows_of(message: Any) -> list[str]:
    """The rows of a request or source, each as a text."""
    kind = message.WhichOneof("input")
    if kind == "records":
        return [as_text(_record(record)) for record in message.records.records]
    if kind == "tensors":
        columns = {name: _column(tensor) for name, tensor in message.tensors.tensors.items()}
        return [
            as_text(dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)
        ]
    return list(message.texts.texts)


def _record(record: common.Record) -> Any:
    def plain(value: common.RecordValue) -> Any:
        return value.text if value.HasField("text") else list(value.numbers.numbers)

    if record.ordered:
        return tuple(plain(value) for value in record.ordered)
    return {name: plain(value) for name, value in record.values.items()}


def _column(tensor: common.Tensor) -> Any:
    if tensor.data_type == common.DATA_TYPE_STRING:
        return list(tensor.strings.values)
    kinds = {
        common.DATA_TYPE_FLOAT32: "<f4",
        common.DATA_TYPE_FLOAT64: "<f8",
        common.DATA_TYPE_INT32: "<i4",
        common.DATA_TYPE_INT64: "<i8",
        common.DATA_TYPE_BOOL: "?",
    }
    return np.frombuffer(tensor.data, kinds[tensor.data_type]).reshape(list(tensor.shape))


def probabilities_of(text: str) -> list[float]:
    """(1 - p, p) with p a quarter, a half or three quarters."""
    p = (1 + len(text) % 3) / 4
    return [1 - p, p]


def packed(rows: Sequence[Sequence[float]]) -> common.Vectors:
    """Rows as they travel."""
    matrix = np.asarray(rows, dtype="<f4")
    return common.Vectors(
        rows=matrix.shape[0],
        columns=matrix.shape[1],
        data_type=common.DATA_TYPE_FLOAT32,
        data=matrix.tobytes(),
    )
