"""The request messages."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeVar

from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference

from penult_client._about import Limits
from penult_client._core import enums, inputs
from penult_client._results import Embeddings

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
    """A side of a comparison: texts, checked; or an array [n, d] or Embeddings (which name their space), packed.

    Raises:
        InvalidInputError: see `inputs.check_texts` and `inputs.check_vectors`.
    """
    if isinstance(side, Embeddings):
        return vector_source(side, name)
    if inputs.is_texts(side):
        return inputs.check_texts(side, f"{name}.texts")
    return _vectors(side, "", name)


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
