"""Sets and their rows as messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penult.v1 import common_pb2
from penult.v1 import dataset_service_pb2 as pb

from penult_service.errors import InvalidInput
from penult_service.rpc import replies
from penult_service.rpc.datasets.codec import TYPES
from penult_service.storage import SetInfo, Snapshot

# Of a row beside its vector, before any was seen.
_ROW_BYTES = 1024
_ID, _TEXT, _VECTOR = "id", "text", "vector"
_TYPE_NUMBERS = {word: number for number, word in TYPES.items()}
_POOLINGS, _TRUNCATIONS = (
    replies.POOLINGS,
    {
        "right": common_pb2.TRUNCATE_MODE_RIGHT,
        "error": common_pb2.TRUNCATE_MODE_ERROR,
    },
)


def dataset(info: SetInfo) -> pb.Dataset:
    """What is known of a set."""
    message = pb.Dataset(
        name=f"datasets/{info.name}",
        rows=info.rows,
        dimension=info.dimension,
        embedding_space=info.embedding_space,
        columns=[pb.ColumnSpec(name=name, type=_TYPE_NUMBERS[kind]) for name, kind in info.columns.items()],
        create_time=replies.timestamp(info.created),
        update_time=replies.timestamp(info.updated),
        size_bytes=info.bytes,
        durable=info.durable,
        generation=info.generation,
        problem=info.problem,
    )
    embedding = info.provenance.get("embedding")
    if embedding:
        message.options.CopyFrom(options(embedding))
        message.model_digest = embedding["model_digest"]
    return message


def options(embedding: Mapping[str, Any]) -> common_pb2.EmbedOptions:
    """How a set's texts are embedded."""
    return common_pb2.EmbedOptions(
        model=embedding["model"],
        layer=embedding["layer"],
        pooling=_POOLINGS[embedding["pooling"]],
        normalize=embedding["normalize"],
        truncate=_TRUNCATIONS[embedding["truncate"]],
    )


class RowReader:
    """The rows of a snapshot as messages of at most `max_bytes`. Blocking: every `next` reads, on a thread.

    Raises:
        InvalidInput: a column or a first row that is not there (COLUMN_UNKNOWN, OUT_OF_RANGE); a row alone is larger
            (RESPONSE_TOO_LARGE).
    """

    def __init__(
        self, snapshot: Snapshot, columns: Sequence[str] | None, first: int, count: int | None, max_bytes: int
    ) -> None:
        self._snapshot, self._columns, self._max_bytes = snapshot, columns, max_bytes
        self._row = first
        self._stop = snapshot.rows if count is None else min(first + count, snapshot.rows)
        self._size = max(1, max_bytes // (4 * snapshot.dimension + _ROW_BYTES))
        if first > snapshot.rows:
            raise InvalidInput(
                f"first_row is {first}, the set has {snapshot.rows} rows",
                reason="OUT_OF_RANGE",
                field="first_row",
            )
        # Asked for now, so that what is wrong with the request is said before the first message.
        snapshot.read(columns, first, max(0, self._stop - first))

    def next(self) -> pb.ReadRowsResponse | None:
        """The next message; None when all rows are read."""
        while self._row < self._stop:
            count = min(self._size, self._stop - self._row)
            batch = next(self._snapshot.read(self._columns, self._row, count, count))
            message = pb.ReadRowsResponse(first_row=self._row, row_count=batch.num_rows, rows=rows(batch))
            size, taken = message.ByteSize(), batch.num_rows
            # Nine tenths: rows are not all of one size, and a message that is too large is made again.
            self._size = max(1, int(0.9 * self._max_bytes * taken / size))
            if size <= self._max_bytes:
                self._row += taken
                return message
            if taken == 1:
                raise InvalidInput(
                    f"row {self._row} alone takes {size} bytes, over the limit of {self._max_bytes}; raise"
                    " max_message_bytes (and what your channel receives), or ask for fewer columns",
                    reason="RESPONSE_TOO_LARGE",
                    field="max_message_bytes",
                    metadata={"limit_bytes": str(self._max_bytes), "response_bytes": str(size)},
                )
            self._size = min(self._size, taken // 2)
        return None


def rows(batch: Any) -> pb.Rows:
    """An Arrow record batch as of `Snapshot.read` -> the message."""
    message = pb.Rows()
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if name == _VECTOR:
            _put_vectors(message, array)
        elif name == _ID:
            message.ids.extend(array.to_pylist())
        elif name == _TEXT:
            _put_texts(message, array)
        else:
            message.columns.append(_column(name, array))
    return message


def _put_vectors(message: pb.Rows, array: Any) -> None:
    width = array.type.list_size
    flat = array.flatten().to_numpy()
    message.vectors.rows, message.vectors.columns = len(array), width
    message.vectors.data_type = common_pb2.DATA_TYPE_FLOAT32
    message.vectors.data = flat.astype("<f4", copy=False).tobytes()


def _put_texts(message: pb.Rows, array: Any) -> None:
    if array.null_count == len(array):
        return
    texts = array.to_pylist()
    if array.null_count:
        message.null_texts.extend(i for i, text in enumerate(texts) if text is None)
        texts = ["" if text is None else text for text in texts]
    message.texts.extend(texts)


def _column(name: str, array: Any) -> pb.Column:
    values = array.to_pylist()
    message = pb.Column(name=name, null_rows=[i for i, value in enumerate(values) if value is None])
    kind = str(array.type)
    field: Any
    field, empty = {
        "string": (message.strings, ""),
        "int64": (message.int64s, 0),
        "double": (message.doubles, 0.0),
        "bool": (message.bools, False),
    }[kind]
    field.SetInParent()
    field.values.extend(empty if value is None else value for value in values)
    return message
