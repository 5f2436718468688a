"""Domain values as messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray
from penult.v1 import common_pb2

from penult_service.embedder import (
    CUT,
    NONE,
    UNKNOWN,
    ActiveDropout,
    ClassifyResult,
    EmbedOptions,
    EmbedResult,
    LoadedModel,
)
from penult_service.errors import Internal, PenultError
from penult_service.rpc.errors import status_of
from penult_service.vectors import FloatMatrix, matrix_to_bytes

POOLINGS = {
    "pooled": common_pb2.POOLING_POOLED,
    "cls": common_pb2.POOLING_CLS,
    "mean": common_pb2.POOLING_MEAN,
    "max": common_pb2.POOLING_MAX,
    "tokens": common_pb2.POOLING_TOKENS,
}
TRUNCATIONS = {
    UNKNOWN: common_pb2.TRUNCATION_UNKNOWN,
    NONE: common_pb2.TRUNCATION_NONE,
    CUT: common_pb2.TRUNCATION_CUT,
}
# Wire type by NumPy's kind and item size; other numbers travel as the narrowest of these that holds them.
TENSOR_TYPES: dict[str, tuple[common_pb2.DataType, str]] = {
    "float16": (common_pb2.DATA_TYPE_FLOAT32, "<f4"),
    "float32": (common_pb2.DATA_TYPE_FLOAT32, "<f4"),
    "float64": (common_pb2.DATA_TYPE_FLOAT64, "<f8"),
    "int8": (common_pb2.DATA_TYPE_INT32, "<i4"),
    "int16": (common_pb2.DATA_TYPE_INT32, "<i4"),
    "int32": (common_pb2.DATA_TYPE_INT32, "<i4"),
    "uint8": (common_pb2.DATA_TYPE_INT32, "<i4"),
    "uint16": (common_pb2.DATA_TYPE_INT32, "<i4"),
    "uint32": (common_pb2.DATA_TYPE_INT64, "<i8"),
    "int64": (common_pb2.DATA_TYPE_INT64, "<i8"),
    "bool": (common_pb2.DATA_TYPE_BOOL, "?"),
}


def vectors(matrix: FloatMatrix, space: str = "") -> common_pb2.Vectors:
    """float32 [rows, columns] -> the message."""
    rows, columns = matrix.shape
    return common_pb2.Vectors(
        rows=rows,
        columns=columns,
        data_type=common_pb2.DATA_TYPE_FLOAT32,
        data=matrix_to_bytes(matrix),
        embedding_space=space,
    )


def tensor(array: NDArray[Any]) -> common_pb2.Tensor:
    """An array of numbers, truth values or byte strings -> the message.

    Raises:
        Internal: an array of another type.
    """
    if array.dtype.kind in "OSU":
        values = [v if isinstance(v, bytes) else str(v).encode() for v in array.ravel().tolist()]
        return common_pb2.Tensor(
            shape=array.shape,
            data_type=common_pb2.DATA_TYPE_STRING,
            strings=common_pb2.ByteStrings(values=values),
        )
    if array.dtype.name not in TENSOR_TYPES:
        raise Internal(f"the model has an output of type {array.dtype}, which the contract cannot carry")
    kind, wire = TENSOR_TYPES[array.dtype.name]
    return common_pb2.Tensor(
        shape=array.shape, data_type=kind, data=np.ascontiguousarray(array, dtype=wire).tobytes()
    )


def provenance(model: LoadedModel) -> common_pb2.Provenance:
    """Where a reply's numbers came from."""
    return common_pb2.Provenance(
        model=f"models/{model.name}/versions/{model.version}",
        version=model.version,
        model_digest=model.manifest.model_digest,
        engine=model.engine.name,
        precision=model.engine.precision,
        dropout_proven_inactive=model.manifest.proof.proven,
        warnings=model.manifest.warnings,
    )


def embedding_provenance(
    model: LoadedModel, result: EmbedResult, options: EmbedOptions
) -> common_pb2.Provenance:
    """The same, with what was read and in which space it stands."""
    message = provenance(model)
    message.embedding_space = result.space
    message.layer = result.layer
    message.pooling = POOLINGS[result.pooling]
    message.normalized = options.normalize
    return message


def truncations(values: Sequence[str]) -> list[common_pb2.Truncation]:
    """Whether each text was cut."""
    return [TRUNCATIONS[value] for value in values]


def row_errors(errors: Mapping[int, PenultError]) -> list[common_pb2.RowError]:
    """The rows that failed, ascending."""
    return [common_pb2.RowError(index=i, status=status_of(error)) for i, error in sorted(errors.items())]


def predicted(result: ClassifyResult) -> list[int]:
    """Number of the most probable class a text; -1 for a row that failed."""
    classes = np.nan_to_num(result.probabilities, nan=-1.0).argmax(axis=1)
    classes[list(result.row_errors)] = -1
    return [int(number) for number in classes]


def active(dropouts: Sequence[ActiveDropout]) -> list[common_pb2.ActiveDropout]:
    """The dropouts that were put back."""
    return [
        common_pb2.ActiveDropout(path=one.path, layer_class=one.layer_class, rate=one.rate)
        for one in dropouts
    ]


def timestamp(text: str) -> Timestamp | None:
    """A time in ISO 8601 as the message; None of an empty text."""
    if not text:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromisoformat(text))
    return stamp
