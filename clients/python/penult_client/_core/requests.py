"""The request messages."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeVar

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference

from penult_client._about import Limits
from penult_client._core import enums, inputs
from penult_client._core.inputs import Texts
from penult_client._core.records import Records
from penult_client._core.rows import Rows, check_rows
from penult_client._core.tensors import Tensors
from penult_client._datasets import Dataset
from penult_client._exceptions import InputTypeError, InvalidInputError
from penult_client._results import Embeddings

# Of a request, for what is beside the rows.
_ROOM = 512

InputRequest = TypeVar(
    "InputRequest",
    bound=inference.EmbedRequest
    | inference.ClassifyRequest
    | inference.PredictRequest
    | inference.TokenizeRequest
    | inference.SampleDropoutRequest,
)


def embed_options(
    *, model: Any, layer: Any, pooling: str | None, normalize: bool, truncate: str, tokens: bool = False
) -> common.EmbedOptions:
    """Which model reads the rows, and how. With `tokens`, one row a token may be asked for.

    Raises:
        InvalidInputError: an unknown word (UNKNOWN_POOLING, UNKNOWN_TRUNCATE), a row a token where one a text is
            needed (POOLING_UNAVAILABLE), or a name that is none.
    """
    if pooling == "tokens" and not tokens:
        raise InvalidInputError(
            "pooling='tokens' gives one row a token, and this call needs one a text; take 'cls', 'mean' or 'max'",
            reason="POOLING_UNAVAILABLE",
            field="pooling",
        )
    return common.EmbedOptions(
        model=inputs.check_model(model),
        layer=inputs.check_layer(layer),
        pooling=enums.to_number_or_none(pooling, enums.POOLINGS, "pooling"),
        normalize=bool(normalize),
        truncate=enums.to_number(truncate, enums.TRUNCATES, "truncate"),
    )


def model_options(model: Any) -> common.EmbedOptions:
    """Which model reads the rows; how, the server knows. Raises as `inputs.check_model`."""
    return common.EmbedOptions(model=inputs.check_model(model))


def with_rows(template: InputRequest, rows: Rows, start: int, stop: int, limits: Limits) -> InputRequest:
    """The template with rows `start` to `stop`, for a reply of any size that the server makes."""
    request = deepcopy(template)
    rows.put(request, start, stop)
    request.max_response_bytes = limits.max_response_bytes
    if isinstance(request, inference.SampleDropoutRequest):  # a row's masks are a function of its number
        request.first_row += start
    return request


def check_listed(given: Any) -> Texts | Records:
    """Texts or records, row by row.

    Raises:
        InputTypeError: one dict of arrays (NOT_A_LIST), or as `check_rows`.
    """
    rows = check_rows(given)
    if isinstance(rows, Tensors):
        raise InputTypeError(
            "texts is a dict of arrays; pass the rows: a list of str, of dicts or of tuples",
            reason="NOT_A_LIST",
            field="tensors",
        )
    return rows


def put_all(request: Any, rows: Texts | Records, limits: Limits) -> None:
    """Puts all rows into one request, which takes a reply of any size that the server makes.

    Raises:
        InvalidInputError: they are more than the server takes (REQUEST_TOO_LARGE).
    """
    size = sum(rows.sizes) + len(rows) * rows.overhead
    room = limits.max_request_bytes - request.ByteSize() - _ROOM
    if size > room:
        raise InvalidInputError(
            f"{rows.field} take {size} bytes, the server takes {max(room, 0)} in one request; send fewer",
            reason="REQUEST_TOO_LARGE",
            field=rows.field,
            metadata={"max_request_bytes": str(limits.max_request_bytes)},
        )
    rows.put(request, 0, len(rows))
    request.max_response_bytes = limits.max_response_bytes


def check_source(side: Any, name: str) -> Rows | common.Source:
    """A side of a comparison: texts, records or tensors, checked; an array [n, d] or Embeddings (which name their
    space), packed; or a set by its name.

    Raises:
        InvalidInputError: see `check_rows`, `inputs.check_vectors` and `inputs.check_embedded`.
    """
    if isinstance(side, Dataset):
        return common.Source(dataset=side.name)
    if isinstance(side, Embeddings):
        return vector_source(side, name)
    if not inputs.is_texts(side):
        return _packed(inputs.check_vectors(side, f"{name}.vectors"), "")
    rows = check_rows(side, f"{name}.")
    if isinstance(rows, Records) and not rows.has_text:
        raise InputTypeError(
            f"{name} is a list of numbers; pass vectors as an array: numpy.asarray({name})",
            reason="NOT_TEXT",
            field=f"{name}.records[0]",
        )
    return rows


def check_sides(**sides: Any) -> dict[str, Rows | common.Source]:
    """The sides of an analysis by name, as of `check_source`; those that are None are left out."""
    return {name: check_source(side, name) for name, side in sides.items() if side is not None}


def rows_of(side: Rows | common.Source) -> int | None:
    """Rows of a checked side; None: the server knows."""
    if not isinstance(side, common.Source):
        return len(side)
    return None if side.HasField("dataset") else side.vectors.rows


def check_room(request: Message, sources: Mapping[str, common.Source], limits: Limits) -> None:
    """That the rows fit into the request beside what it holds already.

    Raises:
        InvalidInputError: they are more than the server takes (REQUEST_TOO_LARGE).
    """
    sizes = {name: _size(source) for name, source in sources.items()}
    room = limits.max_request_bytes - request.ByteSize() - _ROOM
    if sum(sizes.values()) > room:
        largest = max(sizes, key=lambda name: sizes[name])
        raise InvalidInputError(
            f"{' and '.join(sizes)} take {sum(sizes.values())} bytes, the server takes {max(room, 0)} in one request;"
            f" upload them with client.upload(name, ...), and pass Dataset(name) for {largest}",
            reason="REQUEST_TOO_LARGE",
            field=largest,
            metadata={"max_request_bytes": str(limits.max_request_bytes)},
        )


def _size(source: common.Source) -> int:
    """Bytes of a source; of rows without making them, which ByteSize does."""
    if not source.HasField("vectors"):
        return source.ByteSize()
    return 4 * source.vectors.rows * source.vectors.columns


def row_source(rows: Texts | Records, options: common.EmbedOptions) -> common.Source:
    """Texts or records for the server to embed."""
    source = common.Source(options=options)
    rows.put(source, 0, len(rows))
    return source


def vector_source(embedded: Embeddings, name: str) -> common.Source:
    """Embeddings with the space that they stand in. Raises as `inputs.check_embedded`."""
    return _packed(inputs.check_embedded(embedded, f"{name}.vectors"), embedded.space)


def blank_source(rows: int, columns: int) -> common.Source:
    """Rows that stand for those of texts which are not embedded: what an estimate needs is how many there are."""
    return _packed(np.ones((rows, columns), np.float32), "")


def _packed(matrix: NDArray[np.float32], space: str) -> common.Source:
    rows, columns = matrix.shape
    return common.Source(
        vectors=common.Vectors(
            rows=rows,
            columns=columns,
            data_type=common.DATA_TYPE_FLOAT32,
            data=matrix.tobytes(),
            embedding_space=space,
        )
    )
