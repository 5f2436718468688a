"""Replies whose numbers are written as they lie, against the bytes that protobuf writes."""

from __future__ import annotations

import numpy as np
import pytest
from penult.v1 import common_pb2, inference_service_pb2
from penult_service.errors import Internal
from penult_service.rpc import replies
from penult_service.rpc.laid import Laid

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("rows", [0, 1, 3, 200])
@pytest.mark.parametrize("columns", [1, 31, 384])
@pytest.mark.parametrize("space", ["", "s" * 32])
def test_the_bytes_are_those_of_the_message(rows: int, columns: int, space: str) -> None:
    matrix = RANDOM.standard_normal((rows, columns), dtype=np.float32)
    rest = inference_service_pb2.EmbedResponse(
        probabilities=replies.vectors(matrix[:, :1]),
        labels=["a", "b"],
        token_counts=range(rows),
        truncations=[common_pb2.TRUNCATION_CUT] * rows,
        provenance=common_pb2.Provenance(model="models/m/versions/1", version=1),
        row_errors=[common_pb2.RowError(index=1)],
    )
    whole = inference_service_pb2.EmbedResponse(embeddings=replies.vectors(matrix, space))
    whole.MergeFrom(rest)
    pieces = [matrix[: rows // 2], *matrix[rows // 2 :]]
    for given in (pieces, [matrix], [np.asfortranarray(matrix)], list(matrix.astype(np.float64))):
        laid = Laid(rest, "embeddings", (rows, columns), given, space)
        assert laid.ByteSize() == whole.ByteSize()
        assert laid.SerializeToString() == whole.SerializeToString()
        assert laid.SerializeToString() == whole.SerializeToString()


def test_numbers_that_are_not_of_that_shape() -> None:
    with pytest.raises(Internal, match="12 bytes of numbers for a matrix of 2 x 3"):
        Laid(inference_service_pb2.EmbedResponse(), "embeddings", (2, 3), [np.ones(3, np.float32)], "")
