"""The request messages."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeVar

from google.protobuf.message import Message
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference

from penult_client._about import Limits
from penult_client._core import enums, inputs
from penult_client._datasets import Dataset
from penult_client._exceptions import InvalidInputError
from penult_client._results import Embeddings

# Of a request, for what is beside the rows.
_ROOM = 512

TextRequest = TypeVar(
    "TextRequest",
    bound=inference.EmbedRequest
    | inference.ClassifyRequest
    | inference.PredictRequest
    | inference.TokenizeRequest,
)


def embed_options(
    *, model: Any, layer: Any, pooling: str, normalize: bool, truncate: str
) -> common.EmbedOptions:
    """Which model reads the texts, and how.

    Raises:
        InvalidInputError: an unknown word (UNKNOWN_POOLING, UNKNOWN_TRUNCATE) or a name that is none.
    """
    return common.EmbedOptions(
        model=inputs.check_model(model),
        layer=inputs.check_layer(layer),
        pooling=enums.to_number(pooling, enums.POOLINGS, "pooling"),
        normalize=bool(normalize),
        truncate=enums.to_number(truncate, enums.TRUNCATES, "truncate"),
    )


def with_texts(
    template: TextRequest, texts: inputs.Texts, start: int, stop: int, limits: Limits
) -> TextRequest:
    """The template with texts `start` to `stop`, for a reply of any size that the server makes."""
    request = deepcopy(template)
    request.texts.texts.extend(texts.items[start:stop])
    request.max_response_bytes = limits.max_response_bytes
    return request


def check_source(side: Any, name: str) -> inputs.Texts | common.Source:
    """A side of a comparison: texts, checked; an array [n, d] or Embeddings (which name their space), packed; or a
    set by its name.

    Raises:
        InvalidInputError: see `inputs.check_texts` and `inputs.check_vectors`.
    """
    if isinstance(side, Dataset):
        return common.Source(dataset=side.name)
    if isinstance(side, Embeddings):
        return vector_source(side, name)
    if inputs.is_texts(side):
        return inputs.check_texts(side, f"{name}.texts")
    return _vectors(side, "", name)


def check_sides(**sides: Any) -> dict[str, inputs.Texts | common.Source]:
    """The sides of an analysis by name, as of `check_source`; those that are None are left out."""
    return {name: check_source(side, name) for name, side in sides.items() if side is not None}


def rows_of(side: inputs.Texts | common.Source) -> int | None:
    """Rows of a checked side; None: the server knows."""
    if isinstance(side, common.Source) and side.HasField("dataset"):
        return None
    return len(side) if isinstance(side, inputs.Texts) else side.vectors.rows


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


def text_source(texts: inputs.Texts, options: common.EmbedOptions) -> common.Source:
    """Texts for the server to embed."""
    return common.Source(texts=common.TextList(texts=texts.items), options=options)


def vector_source(embedded: Embeddings, name: str) -> common.Source:
    """Embeddings with the space that they stand in."""
    return _vectors(embedded.vectors, embedded.space, name)


def _vectors(vectors: Any, space: str, name: str) -> common.Source:
    matrix = inputs.check_vectors(vectors, f"{name}.vectors")
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
