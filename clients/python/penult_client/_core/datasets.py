"""Sets: what is uploaded as requests, what comes back as records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult.v1 import common_pb2 as common
from penult.v1 import dataset_service_pb2 as datasets

from penult_client._about import Limits
from penult_client._core import arrays, inputs
from penult_client._core.enums import to_word
from penult_client._core.names import split_name
from penult_client._core.splitting import PART_BYTES, PART_ROWS, Part
from penult_client._core.tables import Column, as_matrix, check_columns, is_rows_of_numbers
from penult_client._datasets import Appended, Dataset, DatasetInfo, DatasetRows
from penult_client._exceptions import InputTypeError, InvalidInputError
from penult_client._results import Embeddings

# One message is one append, durable as one; one stream is what is sent again after a break.
MESSAGE_BYTES = 4 << 20
STREAM_BYTES = 16 << 20
# What is read comes in smaller ones: the next is made while one is on its way.
READ_BYTES = 1 << 20
# Of a row beside its vector and texts: tags, lengths, an id.
_ROW_BYTES = 48
_SAMPLE = 256
_PREFIX = "datasets/"
_TYPES = {
    "string": datasets.COLUMN_TYPE_STRING,
    "int64": datasets.COLUMN_TYPE_INT64,
    "float64": datasets.COLUMN_TYPE_FLOAT64,
    "bool": datasets.COLUMN_TYPE_BOOL,
}
_FIELDS = {"string": "strings", "int64": "int64s", "float64": "doubles", "bool": "bools"}
_EMPTY: dict[str, Any] = {"string": "", "int64": 0, "float64": 0.0, "bool": False}


@dataclass(frozen=True, eq=False)
class Upload:
    """Rows that can be sent, checked. `vectors` None: the server embeds the texts."""

    ids: list[str]
    vectors: NDArray[np.float32] | None
    texts: list[str | None] | None
    columns: dict[str, Column]
    space: str

    def __len__(self) -> int:
        return len(self.ids)


def check_name(dataset: Any) -> str:
    """The name of a set, from a `Dataset` or a str.

    Raises:
        InputTypeError: it is neither (BAD_NAME).
    """
    name = dataset.name if isinstance(dataset, Dataset) else dataset
    if isinstance(name, str) and name:
        return name
    raise InputTypeError(
        f"the name of a set is {name!r}; pass a str or a Dataset", reason="BAD_NAME", field="name"
    )


def check_upload(source: Any, texts: Any, columns: Any, ids: Any, space: Any = None) -> Upload:
    """What a caller wants to keep.

    Raises:
        InputTypeError, InvalidInputError: as `check_texts`, `check_vectors`, `check_columns`; not one id, text or value
            a row (WRONG_SHAPE); texts twice (TEXTS_TWICE); an id that is none (ID_INVALID); a space of something else
            than an array (BAD_SPACE).
    """
    vectors, given = None, None
    if space is not None and (not isinstance(space, str) or isinstance(source, Embeddings)):
        raise InputTypeError(
            f"space={space!r}; it is a str, and of arrays only", reason="BAD_SPACE", field="space"
        )
    if isinstance(source, Embeddings):
        vectors, space = inputs.check_embedded(source, "vectors"), source.space
    elif inputs.is_texts(source) and not is_rows_of_numbers(source):
        if texts is not None:
            raise InvalidInputError(
                "texts are there twice: pass vectors and their texts, or texts alone",
                reason="TEXTS_TWICE",
                field="texts",
            )
        given = list[str | None](inputs.check_texts(source).items)
    else:
        vectors = as_matrix(source, "vectors")
    rows = len(given or ()) if vectors is None else len(vectors)
    if texts is not None:
        given = _check_texts(texts, rows)
    return Upload(_check_ids(ids, rows), vectors, given, check_columns(columns, rows), space or "")


def create_request(
    name: str, upload: Upload, options: common.EmbedOptions | None, overwrite: bool
) -> datasets.CreateDatasetRequest:
    """Asks for a set that these rows fit in; the same rows ask for the same set, so that an upload can go on."""
    request = datasets.CreateDatasetRequest(
        name=name,
        columns=[
            datasets.ColumnSpec(name=name, type=_TYPES[kind]) for name, (kind, _) in upload.columns.items()
        ],
        options=options,
        embedding_space=upload.space,
        dimension=0 if upload.vectors is None else upload.vectors.shape[1],
        overwrite=overwrite,
    )
    request.request_id = _digest(upload, request)
    return request


def parts(upload: Upload, limits: Limits) -> list[Part]:
    """The rows in streams, in order.

    Raises:
        InvalidInputError: a row alone is more than a request may hold (ROW_TOO_LARGE).
    """
    sizes = _sizes(upload)
    room = limits.max_request_bytes - _ROW_BYTES
    if sizes.max() > room:
        row = int(sizes.argmax())
        raise InvalidInputError(
            f"row {row} takes {sizes[row]} bytes, the server takes {room} in one request: cut it",
            reason="ROW_TOO_LARGE",
            field=f"ids[{row}]",
        )
    if upload.vectors is None:
        return [Part(*each) for each in _packed(sizes, PART_BYTES, min(PART_ROWS, limits.max_texts))]
    return [Part(*each) for each in _packed(sizes, STREAM_BYTES, len(upload))]


def messages(name: str, upload: Upload, part: Part, limits: Limits) -> Iterator[datasets.AppendRowsRequest]:
    """The messages of one stream, each made when it is sent."""
    most = min(MESSAGE_BYTES, limits.max_request_bytes - 2 * _ROW_BYTES - len(name.encode()))
    sizes = _sizes(upload, part.start, part.stop)
    for start, stop in _packed(sizes, most, len(sizes)):
        rows = _rows(upload, part.start + start, part.start + stop)
        yield datasets.AppendRowsRequest(name=name, rows=rows)


def info(told: datasets.Dataset) -> DatasetInfo:
    """What is known of a set."""
    model, version = split_name(told.options.model)
    return DatasetInfo(
        told.name.removeprefix(_PREFIX),
        rows=told.rows,
        dimension=told.dimension,
        space=told.embedding_space,
        columns={spec.name: to_word(spec.type, datasets.ColumnType, "COLUMN_TYPE_") for spec in told.columns},
        model=f"{model}@{version}" if model else "",
        digest=told.model_digest,
        layer=told.options.layer,
        pooling=to_word(told.options.pooling, common.Pooling, "POOLING_") if model else "",
        normalized=told.options.normalize,
        created=told.create_time.ToDatetime(UTC) if told.HasField("create_time") else None,
        updated=told.update_time.ToDatetime(UTC) if told.HasField("update_time") else None,
        size=told.size_bytes,
        durable=told.durable,
        generation=told.generation,
        problem=told.problem,
    )


def appended(replies: Sequence[datasets.AppendRowsResponse]) -> Appended:
    """What became of the rows of several streams."""
    return Appended(
        added=sum(reply.added for reply in replies),
        already_there=sum(reply.already_there for reply in replies),
        space_checked=all(reply.space_checked for reply in replies),
        dataset=info(replies[-1].dataset),
    )


def read_request(
    name: str, columns: Sequence[str] | None, part: Part, limits: Limits
) -> datasets.ReadRowsRequest:
    """Asks for the rows of a part."""
    return datasets.ReadRowsRequest(
        name=name,
        columns=columns,
        first_row=part.start,
        row_count=len(part),
        max_message_bytes=min(READ_BYTES, limits.max_response_bytes),
    )


def check_read_columns(columns: Any, there: DatasetInfo) -> list[str]:
    """The columns to read; None: all.

    Raises:
        InvalidInputError: there is none of a name (COLUMN_UNKNOWN), or a name is there twice (COLUMN_TWICE).
    """
    known = ["id", "text", "vector", *there.columns]
    names = known if columns is None else inputs.as_list(columns, "columns")
    for name in names:
        if name not in known or names.count(name) > 1:
            twice = name in known
            raise InvalidInputError(
                f"columns names {name!r} twice"
                if twice
                else f"{there.name!r} has no column {name!r}; it has {', '.join(map(repr, known))}",
                reason="COLUMN_TWICE" if twice else "COLUMN_UNKNOWN",
                field="columns",
            )
    return list(names)


def ranges(there: DatasetInfo, first: int = 0) -> Iterator[Part]:
    """The rows of a set in parts that are asked for one after the other."""
    size = max(1, STREAM_BYTES // (4 * there.dimension + 256))
    for start in range(first, there.rows, size):
        yield Part(start, min(start + size, there.rows))


def rows_of(reply: datasets.ReadRowsResponse, there: DatasetInfo, columns: Sequence[str]) -> DatasetRows:
    """The rows of one message."""
    count, told = reply.row_count, reply.rows
    found: dict[str, list[Any]] = {}
    for column in told.columns:
        values = getattr(column, column.WhichOneof("values") or "strings").values
        found[column.name] = _with_gaps(values, column.null_rows, count)
    texts = _with_gaps(told.texts, told.null_texts, count) if told.texts else [None] * count
    if "id" in columns and len(told.ids) != count:
        raise arrays.bad_reply(f"{len(told.ids)} ids of {count} rows")
    return DatasetRows(
        name=there.name,
        first_row=reply.first_row,
        rows=count,
        ids=list(told.ids) if "id" in columns else None,
        vectors=arrays.to_matrix([told.vectors], [count]) if "vector" in columns else None,
        texts=texts if "text" in columns else None,
        columns={name: found[name] for name in columns if name in there.columns},
        types={name: there.columns[name] for name in columns if name in there.columns},
        space=there.space,
    )


class Gathered:
    """Rows of a set, put together as they come: the vectors in one array from the start."""

    def __init__(self, there: DatasetInfo, columns: Sequence[str]) -> None:
        self._there, self._columns = there, columns
        wanted = "vector" in columns
        self._vectors = np.empty((there.rows, there.dimension), np.float32) if wanted else None
        self._ids: list[str] = []
        self._texts: list[str | None] = []
        self._values: dict[str, list[Any]] = {name: [] for name in columns if name in there.columns}
        self.rows = 0

    def add(self, rows: DatasetRows) -> None:
        """The next ones."""
        if self._vectors is not None and rows.vectors is not None:
            self._vectors[self.rows : self.rows + len(rows)] = rows.vectors
        self._ids += rows.ids or ()
        self._texts += rows.texts or ()
        for name, values in rows.columns.items():
            self._values[name] += values
        self.rows += len(rows)

    def whole(self) -> DatasetRows:
        """All of them."""
        there = self._there
        return DatasetRows(
            name=there.name,
            first_row=0,
            rows=self.rows,
            ids=self._ids if "id" in self._columns else None,
            vectors=self._vectors,
            texts=self._texts if "text" in self._columns else None,
            columns=self._values,
            types={name: there.columns[name] for name in self._values},
            space=there.space,
        )


def _with_gaps(values: Any, gaps: Sequence[int], count: int) -> list[Any]:
    found = list(values)
    if len(found) != count or any(not 0 <= row < count for row in gaps):
        raise arrays.bad_reply(f"{len(found)} values of {count} rows")
    for row in gaps:
        found[row] = None
    return found


def _check_texts(texts: Any, rows: int) -> list[str | None]:
    items = inputs.as_list(texts, "texts")
    if len(items) != rows:
        raise InvalidInputError(
            f"there are {len(items)} texts for {rows} rows; give one a row (None: it has none)",
            reason="WRONG_SHAPE",
            field="texts",
        )
    for i, text in enumerate(items):
        if text is not None:
            inputs.check_text(text, i, "texts")
    return [None if text is None else str(text) for text in items]


def _check_ids(ids: Any, rows: int) -> list[str]:
    if ids is None:
        return [str(row) for row in range(rows)]
    items = inputs.as_list(ids, "ids", "list of str or whole numbers")
    if len(items) != rows:
        raise InvalidInputError(
            f"there are {len(items)} ids for {rows} rows; give one a row", reason="WRONG_SHAPE", field="ids"
        )
    for i, item in enumerate(items):
        if isinstance(item, bool) or not isinstance(item, str | int | np.integer):
            raise InputTypeError(
                f"ids[{i}] is {item!r}; ids are str or whole numbers", reason="ID_INVALID", field=f"ids[{i}]"
            )
        inputs.check_text(str(item), i, "ids")
    return [str(item) for item in items]


def _sizes(upload: Upload, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
    """Bytes that the rows take in a message, at most."""
    chosen = slice(start, stop)
    ids = upload.ids[chosen]
    width = 0 if upload.vectors is None else 4 * upload.vectors.shape[1]
    sizes = np.full(len(ids), width + _ROW_BYTES + 24 * len(upload.columns), np.int64)
    strings = [ids, upload.texts[chosen] if upload.texts is not None else None]
    strings += [values[chosen] for kind, values in upload.columns.values() if kind == "string"]
    for values in strings:
        if values is not None:
            sizes += np.fromiter((_length(value) for value in values), np.int64, len(ids))
    return sizes


def _length(text: str | None) -> int:
    if text is None:
        return 0
    return len(text) if text.isascii() else len(text.encode())


def _packed(sizes: NDArray[np.int64], most_bytes: int, most_rows: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows, in order, each as large as may be."""
    ends = np.cumsum(sizes)
    start, held = 0, 0
    while start < len(sizes):
        stop = int(np.searchsorted(ends, held + most_bytes, "right"))
        stop = max(start + 1, min(stop, start + most_rows))
        yield start, stop
        start, held = stop, int(ends[stop - 1])


def _rows(upload: Upload, start: int, stop: int) -> datasets.Rows:
    rows = datasets.Rows(ids=upload.ids[start:stop])
    if upload.vectors is not None:
        rows.vectors.rows, rows.vectors.columns = stop - start, upload.vectors.shape[1]
        rows.vectors.data_type = common.DATA_TYPE_FLOAT32
        rows.vectors.data = upload.vectors[start:stop].tobytes()
        rows.vectors.embedding_space = upload.space
    if upload.texts is not None:
        texts = upload.texts[start:stop]
        rows.texts.extend("" if text is None else text for text in texts)
        rows.null_texts.extend(i for i, text in enumerate(texts) if text is None)
    for name, (kind, values) in upload.columns.items():
        column = rows.columns.add(name=name)
        own = getattr(column, _FIELDS[kind])
        own.SetInParent()
        own.values.extend(_EMPTY[kind] if value is None else value for value in values[start:stop])
        column.null_rows.extend(i for i, value in enumerate(values[start:stop]) if value is None)
    return rows


def _digest(upload: Upload, request: datasets.CreateDatasetRequest) -> str:
    """Names an upload: ids, texts, and a sample of the vectors. Every row is compared when it is sent again."""
    digest = hashlib.sha256(request.SerializeToString(deterministic=True))
    facts = {"rows": len(upload), "ids": upload.ids, "texts": upload.texts}
    digest.update(json.dumps(facts).encode())
    if upload.vectors is not None:
        digest.update(upload.vectors[:: max(1, len(upload) // _SAMPLE)].tobytes())
    return digest.hexdigest()
