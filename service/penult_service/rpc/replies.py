"""Domain values as messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray
from penult.v1 import common_pb2, model_service_pb2

from penult_service.embedder import CUT, NONE, UNKNOWN, ClassifyResult, EmbedOptions, EmbedResult, LoadedModel
from penult_service.errors import Internal, PenultError
from penult_service.prepared import Manifest, Proof, Site
from penult_service.repository.repository import State, Version
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
_STATES = {
    State.LOADING: model_service_pb2.MODEL_STATE_LOADING,
    State.READY: model_service_pb2.MODEL_STATE_READY,
    State.FAILED: model_service_pb2.MODEL_STATE_FAILED,
}
_READOUT_KINDS = {
    "pooled": model_service_pb2.READOUT_KIND_POOLED,
    "tokens": model_service_pb2.READOUT_KIND_TOKENS,
    "other": model_service_pb2.READOUT_KIND_OTHER,
}
_HEAD_KINDS = {
    "sigmoid": model_service_pb2.HEAD_KIND_SIGMOID,
    "softmax": model_service_pb2.HEAD_KIND_SOFTMAX,
    "multilabel": model_service_pb2.HEAD_KIND_MULTILABEL,
    "other": model_service_pb2.HEAD_KIND_UNSPECIFIED,
}
_PLACES = {
    "before": model_service_pb2.DROPOUT_PLACE_BEFORE_EMBEDDING,
    "at": model_service_pb2.DROPOUT_PLACE_AT_SEAM,
    "after": model_service_pb2.DROPOUT_PLACE_IN_HEAD,
}
# Wire type by NumPy's kind and item size; other numbers travel as the narrowest of these that holds them.
_TENSOR_TYPES: dict[str, tuple[common_pb2.DataType, str]] = {
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
    if array.dtype.name not in _TENSOR_TYPES:
        raise Internal(f"the model has an output of type {array.dtype}, which the contract cannot carry")
    kind, wire = _TENSOR_TYPES[array.dtype.name]
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


def model(version: Version[LoadedModel], *, default: bool) -> model_service_pb2.Model:
    """A version of a model, as far as it is known in its state."""
    message = model_service_pb2.Model(
        name=version.resource,
        version=version.number,
        state=_STATES[version.state],
        state_message=version.message,
        default_version=default,
    )
    if version.model is not None:
        message.engine, message.precision = version.model.engine.name, version.model.engine.precision
        _describe(message, version.model.manifest)
    return message


def _describe(message: model_service_pb2.Model, manifest: Manifest) -> None:
    message.model_digest = manifest.model_digest
    message.format = manifest.source_format
    for readout in manifest.readouts:
        message.readouts.add(
            layer=readout.layer, dimension=readout.dimension, kind=_READOUT_KINDS[readout.kind]
        )
    message.poolings.extend(POOLINGS[pooling] for pooling in manifest.poolings)
    message.labels.extend(manifest.head.labels)
    message.head_kind = _HEAD_KINDS[manifest.head.kind]
    message.max_length = manifest.max_length
    message.trims_padding = manifest.trims
    message.dropout_proven_inactive = manifest.proof.proven


def dropout_report(model: LoadedModel) -> model_service_pb2.InspectDropoutResponse:
    """The dropouts found, and the proof."""
    manifest = model.manifest
    return model_service_pb2.InspectDropoutResponse(
        name=f"models/{model.name}/versions/{model.version}",
        model_digest=manifest.model_digest,
        sites=[_site(site) for site in manifest.sites],
        proof=_proof(manifest.proof, manifest.preparer),
    )


def _site(site: Site) -> model_service_pb2.DropoutSite:
    message = model_service_pb2.DropoutSite(
        path=site.path,
        noise_shape=site.noise_shape or (),
        place=_PLACES[site.place],
        layer_class=site.layer_class,
    )
    if site.rate is not None:
        message.rate = site.rate
    return message


def _proof(proof: Proof, preparer: str) -> model_service_pb2.DropoutProof:
    figures = [
        model_service_pb2.ProofFigure(name=f.name, meaning=f.meaning, value=f.value, limit=f.limit)
        for f in proof.figures
    ]
    return model_service_pb2.DropoutProof(
        proven=proof.proven, findings=proof.findings, figures=figures, preparer=preparer
    )


def timestamp(text: str) -> Timestamp | None:
    """A time in ISO 8601 as the message; None of an empty text."""
    if not text:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromisoformat(text))
    return stamp
