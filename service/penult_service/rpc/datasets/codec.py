"""Requests for sets, checked, as domain values. What the rows must be is said by `storage`, which has the set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penult.v1 import common_pb2
from penult.v1 import dataset_service_pb2 as pb

from penult_service.config import Limits
from penult_service.embedder import EmbedOptions
from penult_service.errors import InvalidInput
from penult_service.repository.names import Reference, parse_reference
from penult_service.rpc.codec import Codec, embed_options, enum_value
from penult_service.rpc.limits import page_size
from penult_service.vectors import FloatMatrix, matrix_from_bytes

TYPES = {
    pb.COLUMN_TYPE_STRING: "string",
    pb.COLUMN_TYPE_INT64: "int64",
    pb.COLUMN_TYPE_FLOAT64: "float64",
    pb.COLUMN_TYPE_BOOL: "bool",
}
MESSAGE_BYTES = 1 << 20
_PREFIX = "datasets/"
_REQUEST_ID_BYTES = 256
_LEAST_MESSAGE_BYTES = 1 << 12


@dataclass(frozen=True)
class AskedSet:
    """A set to make. `options` None: it takes vectors only; `reference` is the model of the options."""

    name: str
    columns: Mapping[str, str]
    reference: Reference
    options: EmbedOptions | None
    space: str
    dimension: int | None
    overwrite: bool
    request_id: str


@dataclass(frozen=True, eq=False)
class AskedRows:
    """Rows to append. `vectors` float32 [n, d], None: the texts are to be embedded; columns by name, null is None."""

    ids: Sequence[str]
    vectors: FloatMatrix | None
    texts: Sequence[str | None] | None
    columns: Mapping[str, Sequence[Any]]
    space: str


@dataclass(frozen=True)
class AskedRead:
    """Rows to read. `columns` None: all; `count` None: all that follow."""

    name: str
    columns: Sequence[str] | None
    first: int
    count: int | None
    max_bytes: int


class DatasetCodec:
    """Turns requests into domain values; every method raises InvalidInput naming the field at fault."""

    def __init__(self, codec: Codec, limits: Limits) -> None:
        self._codec, self._limits = codec, limits

    def create(self, request: pb.CreateDatasetRequest) -> AskedSet:
        """What the set shall be."""
        if len(request.request_id.encode()) > _REQUEST_ID_BYTES:
            raise InvalidInput(
                f"request_id is over {_REQUEST_ID_BYTES} bytes", reason="OUT_OF_RANGE", field="request_id"
            )
        given = request.options if request.HasField("options") else None
        return AskedSet(
            name=set_name(request.name, "name"),
            columns=_columns(request.columns),
            reference=parse_reference(request.options.model, "options.model"),
            options=None if given is None else embed_options(given, "options"),
            space=request.embedding_space,
            dimension=request.dimension or None,
            overwrite=request.overwrite,
            request_id=request.request_id,
        )

    def rows(self, message: pb.Rows) -> AskedRows:
        """Rows as they travel -> as they are appended."""
        count = len(message.ids)
        texts = _with_nulls(message.texts, message.null_texts, "null_texts") if message.texts else None
        columns: dict[str, Sequence[Any]] = {}
        for column in message.columns:
            if column.name in columns:
                raise InvalidInput(
                    f"column {column.name[:80]!r} is there twice", reason="COLUMN_TWICE", field="columns"
                )
            columns[column.name] = _values(column, count)
        if not message.HasField("vectors"):
            self._check_texts(message, texts)
            return AskedRows(list(message.ids), None, texts, columns, "")
        sent = message.vectors
        if sent.data_type not in (common_pb2.DATA_TYPE_UNSPECIFIED, common_pb2.DATA_TYPE_FLOAT32):
            raise InvalidInput(
                f"vectors.data_type is {sent.data_type}; rows are DATA_TYPE_FLOAT32",
                reason="WRONG_DATA_TYPE",
                field="vectors.data_type",
            )
        matrix = matrix_from_bytes(sent.data, sent.rows, sent.columns, "vectors")
        return AskedRows(list(message.ids), matrix, texts, columns, sent.embedding_space)

    def page(self, request: pb.ListDatasetsRequest) -> tuple[int, str]:
        """Number of entries of the page, and the name that they follow."""
        return page_size(request.page_size), request.page_token

    def read(self, request: pb.ReadRowsRequest) -> AskedRead:
        """Which rows and columns."""
        for field in ("first_row", "row_count", "max_message_bytes"):
            if getattr(request, field) < 0:
                raise InvalidInput(
                    f"{field} is {getattr(request, field)}; it cannot be negative",
                    reason="OUT_OF_RANGE",
                    field=field,
                )
        if len(set(request.columns)) < len(request.columns):
            raise InvalidInput("columns names one twice", reason="COLUMN_TWICE", field="columns")
        asked = request.max_message_bytes or MESSAGE_BYTES
        return AskedRead(
            name=set_name(request.name, "name"),
            columns=list(request.columns) or None,
            first=request.first_row,
            count=request.row_count or None,
            max_bytes=max(_LEAST_MESSAGE_BYTES, min(asked, self._limits.max_response_bytes)),
        )

    def _check_texts(self, message: pb.Rows, texts: Sequence[str | None] | None) -> None:
        """Texts that are to be embedded: all there, none over the limits."""
        count = len(message.ids)
        if texts is None or len(texts) != count:
            raise InvalidInput(
                f"{len(texts or ())} texts for {count} ids, and no vectors: send one of them for each row",
                reason="WRONG_SHAPE",
                field="texts",
            )
        if count:
            self._codec.texts(common_pb2.TextList(texts=message.texts), "texts")
        missing = next((i for i, text in enumerate(texts) if text is None), None)
        if missing is not None:
            raise InvalidInput(
                f"texts[{missing}] is null, and there is no vector for it; leave the row out",
                reason="NO_TEXT",
                field=f"texts[{missing}]",
            )


def set_name(text: str, field: str) -> str:
    """`datasets/reviews` or `reviews` -> `reviews`; whether it can be a name, storage says.

    Raises:
        InvalidInput: nothing is named (NAME_INVALID).
    """
    name = text.removeprefix(_PREFIX)
    if not name:
        raise InvalidInput(f"{field} is empty; name a set", reason="NAME_INVALID", field=field)
    return name


def _columns(specs: Sequence[pb.ColumnSpec]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for i, spec in enumerate(specs):
        if spec.name in columns:
            raise InvalidInput(
                f"column {spec.name[:80]!r} is there twice",
                reason="COLUMN_TWICE",
                field=f"columns[{i}].name",
            )
        columns[spec.name] = enum_value(TYPES, spec.type, pb.ColumnType, f"columns[{i}].type")
    return columns


def _values(column: pb.Column, count: int) -> Sequence[Any]:
    kind, where = column.WhichOneof("values"), f"columns.{column.name}"
    if kind is None:
        if len(column.null_rows) == count:
            return [None] * count
        raise InvalidInput(f"{where} has no values", reason="EMPTY_INPUT", field=where)
    return _with_nulls(getattr(column, kind).values, column.null_rows, f"{where}.null_rows")


def _with_nulls(values: Sequence[Any], nulls: Sequence[int], field: str) -> list[Any]:
    found = list(values)
    for row in nulls:
        if not 0 <= row < len(found):
            raise InvalidInput(f"{field} names row {row} of {len(found)}", reason="OUT_OF_RANGE", field=field)
        found[row] = None
    return found
