"""Requests, checked once and for all, as domain values. What is behind this file may trust what it is given."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from penult.v1 import common_pb2, inference_service_pb2, model_service_pb2

from penult_service.config import Limits
from penult_service.embedder import EmbedOptions, Given, SampleOptions
from penult_service.embedder.dropouts import ALL, HEAD, SAMPLES, check_options
from penult_service.errors import InvalidInput, PenultError
from penult_service.repository.names import Reference, parse_reference
from penult_service.rpc import inputs
from penult_service.rpc.limits import page_size, response_limit

POOLINGS = {
    common_pb2.POOLING_UNSPECIFIED: None,
    common_pb2.POOLING_POOLED: "pooled",
    common_pb2.POOLING_CLS: "cls",
    common_pb2.POOLING_MEAN: "mean",
    common_pb2.POOLING_MAX: "max",
    common_pb2.POOLING_TOKENS: "tokens",
}
TRUNCATIONS = {
    common_pb2.TRUNCATE_MODE_UNSPECIFIED: "right",
    common_pb2.TRUNCATE_MODE_RIGHT: "right",
    common_pb2.TRUNCATE_MODE_ERROR: "error",
}
REPORTS = {
    common_pb2.ON_ROW_ERROR_UNSPECIFIED: False,
    common_pb2.ON_ROW_ERROR_FAIL: False,
    common_pb2.ON_ROW_ERROR_REPORT: True,
}
SCOPES = {
    common_pb2.DROPOUT_SCOPE_UNSPECIFIED: None,
    common_pb2.DROPOUT_SCOPE_HEAD: HEAD,
    common_pb2.DROPOUT_SCOPE_ALL: ALL,
}
# Of a seed that is drawn: short enough to be typed again.
_SEED_BITS = 32

V = TypeVar("V")


@dataclass(frozen=True)
class RowsCall:
    """Rows for one model, and the most bytes of the reply. With `reports` a failed row does not end the call."""

    given: Given
    reference: Reference
    max_bytes: int
    truncate: str = "right"
    reports: bool = False


@dataclass(frozen=True)
class EmbedCall:
    """Rows to embed."""

    on: RowsCall
    options: EmbedOptions
    probabilities: bool


@dataclass(frozen=True)
class SampleCall:
    """Rows to sample with active dropout: row i has the number `first_row` + i; with `draws` all samples are sent."""

    on: RowsCall
    options: SampleOptions
    first_row: int
    draws: bool


class _Rows(Protocol):
    """What every request of rows has."""

    texts: common_pb2.TextList
    records: common_pb2.RecordList
    tensors: common_pb2.TensorMap

    def WhichOneof(self, name: Any, /) -> Any:  # noqa: N802
        """As in protobuf."""
        ...


class _RowsRequest(_Rows, Protocol):
    """Classify, Predict, Tokenize and SampleDropout requests."""

    model: str
    max_response_bytes: int


class Codec:
    """Turns requests into domain values; every method raises InvalidInput naming the field at fault."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def embed(self, request: inference_service_pb2.EmbedRequest) -> EmbedCall:
        """The rows, the model, and how to embed."""
        on = RowsCall(
            given=self.given(request),
            reference=parse_reference(request.options.model, "options.model"),
            max_bytes=response_limit(request.max_response_bytes, self._limits),
            reports=_reports(request.on_row_error),
        )
        return EmbedCall(on, embed_options(request.options, "options"), request.probabilities)

    def classify(self, request: inference_service_pb2.ClassifyRequest) -> RowsCall:
        """The rows, the model, and what happens to those that are too long or fail."""
        truncate = enum_value(TRUNCATIONS, request.truncate, common_pb2.TruncateMode, "truncate")
        return self._rows_call(request, truncate, _reports(request.on_row_error))

    def predict(self, request: inference_service_pb2.PredictRequest) -> RowsCall:
        """The rows and the model."""
        return self._rows_call(request)

    def tokenize(self, request: inference_service_pb2.TokenizeRequest) -> RowsCall:
        """The rows and the model."""
        return self._rows_call(request)

    def sample(self, request: inference_service_pb2.SampleDropoutRequest) -> SampleCall:
        """The rows, the model, and which dropouts are put back; a seed that is not said is drawn."""
        truncate = enum_value(TRUNCATIONS, request.truncate, common_pb2.TruncateMode, "truncate")
        on = self._rows_call(request, truncate, _reports(request.on_row_error))
        options = dropout_options(request.dropout, truncate=truncate)
        return SampleCall(on, options, _first_row(request.first_row, len(on.given)), request.draws)

    def page(self, request: model_service_pb2.ListModelsRequest) -> tuple[int, int]:
        """First entry and number of entries of the page."""
        size = page_size(request.page_size)
        token = request.page_token
        if token and not (token.isascii() and token.isdecimal() and len(token) < 10):
            raise InvalidInput(
                "page_token is not one that ListModels gave; start again without it",
                reason="WRONG_PAGE_TOKEN",
                field="page_token",
            )
        return int(token or 0), size

    def _rows_call(self, request: _RowsRequest, truncate: str = "right", reports: bool = False) -> RowsCall:
        return RowsCall(
            given=self.given(request),
            reference=parse_reference(request.model, "model"),
            max_bytes=response_limit(request.max_response_bytes, self._limits),
            truncate=truncate,
            reports=reports,
        )

    def given(self, request: _Rows) -> Given:
        """The rows, at least one, none over the limits."""
        kind = request.WhichOneof("input")
        if kind == "records":
            return inputs.records(request.records, "records", self._limits)
        if kind == "tensors":
            return inputs.tensors(request.tensors, "tensors", self._limits)
        return inputs.texts(request.texts, "texts", self._limits)

    def texts(self, message: common_pb2.TextList, field: str) -> list[str]:
        """Texts, at least one, none over the limits."""
        return inputs.texts(message, field, self._limits)

    def side(self, source: common_pb2.Source, field: str) -> Given:
        """The texts or records of a source."""
        if source.WhichOneof("input") == "records":
            return inputs.records(source.records, f"{field}.records", self._limits)
        return inputs.texts(source.texts, f"{field}.texts", self._limits)


@contextmanager
def fields_under(prefix: str) -> Iterator[None]:
    """Errors from within name their fields as the caller sees them: ``texts[3]`` of a is ``a.texts[3]``."""
    try:
        yield
    except PenultError as error:
        if error.field:
            error.field = f"{prefix}.{error.field}"
        raise


def embed_options(options: common_pb2.EmbedOptions, field: str) -> EmbedOptions:
    """How to embed."""
    return EmbedOptions(
        layer=options.layer or None,
        pooling=enum_value(POOLINGS, options.pooling, common_pb2.Pooling, f"{field}.pooling"),
        normalize=options.normalize,
        truncate=enum_value(TRUNCATIONS, options.truncate, common_pb2.TruncateMode, f"{field}.truncate"),
    )


def dropout_options(
    options: common_pb2.DropoutOptions, *, truncate: str, seed: int | None = None
) -> SampleOptions:
    """Which dropouts are put back, how often and with which masks.

    A seed that is not said is `seed`; None: one is drawn.
    """
    drawn = secrets.randbits(_SEED_BITS) if seed is None else seed
    found = SampleOptions(
        scope=enum_value(SCOPES, options.scope, common_pb2.DropoutScope, "dropout.scope"),
        sites=tuple(options.sites),
        rate=options.rate if options.HasField("rate") else None,
        samples=options.samples or SAMPLES,
        seed=options.seed if options.HasField("seed") else drawn,
        truncate=truncate,
    )
    check_options(found)
    return found


def _first_row(number: int, rows: int) -> int:
    most = (1 << 63) - 1 - rows
    if not 0 <= number <= most:
        raise InvalidInput(
            f"first_row is {number}; give the number of the first row, 0 to {most}",
            reason="OUT_OF_RANGE",
            field="first_row",
        )
    return number


def _reports(on_row_error: int) -> bool:
    return enum_value(REPORTS, on_row_error, common_pb2.OnRowError, "on_row_error")


def enum_value(values: Mapping[Any, V], number: int, enum: EnumTypeWrapper, field: str) -> V:
    """The domain value of an enum; stubs newer than this server may send numbers that it does not know."""
    if number in values:
        return values[number]
    known = ", ".join(name for name, value in enum.items() if value)
    raise InvalidInput(
        f"{field} is {number}, which this server does not know; use one of {known}",
        reason="UNKNOWN_ENUM_VALUE",
        field=field,
    )
