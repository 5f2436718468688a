"""How often a vector is copied between the engine and the caller: once on each side."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from penult.v1 import common_pb2, inference_service_pb2
from penult_client._core import embedded, results
from penult_client._core.splitting import Part
from penult_service.embedder.results import Readings
from penult_service.rpc.laid import Laid
from penult_service.tokenizing import TokenTable

ROWS, COLUMNS, BATCH = 4096, 384, 32
SIZE = 4 * ROWS * COLUMNS
# Beside the numbers: a list of the rows, counts, truncations, messages.
MARGIN = 0.15


@pytest.fixture(scope="module")
def readings() -> Readings:
    """The readings of batches in which the rows ran in another order."""
    order = np.random.default_rng(1).permutation(ROWS)
    matrix = np.random.default_rng(2).standard_normal((ROWS, COLUMNS), dtype=np.float32)
    found: list[Any] = [None] * ROWS
    for start in range(0, ROWS, BATCH):
        batch = matrix[order[start : start + BATCH]]
        for i, row in enumerate(order[start : start + BATCH].tolist()):
            found[row] = (batch[i], None)
    table = TokenTable({}, np.full(ROWS, 20, np.int32), ["none"] * ROWS)
    return Readings(["text"] * ROWS, table, range(ROWS), found, {})


def written(readings: Readings) -> bytes:
    """The bytes of the reply."""
    pieces = readings.pieces()
    assert pieces is not None
    message = inference_service_pb2.EmbedResponse(
        token_counts=[20] * ROWS,
        truncations=[common_pb2.TRUNCATION_NONE] * ROWS,
        provenance=common_pb2.Provenance(model="models/m/versions/1"),
    )
    return Laid(message, "embeddings", (ROWS, COLUMNS), pieces, "").SerializeToString()


def read(reply: bytes) -> np.ndarray:
    """The vectors that the caller gets."""
    return results.embeddings([(Part(0, ROWS), embedded.parse(reply))]).vectors


def allocated(work: Callable[[], object]) -> float:
    """The most bytes that it has at a time, in those of the matrix."""
    tracemalloc.start()
    try:
        kept = work()
        most = tracemalloc.get_traced_memory()[1] / SIZE
        del kept
        return most
    finally:
        tracemalloc.stop()


def test_on_the_way_into_the_reply(readings: Readings) -> None:
    assert 1.0 <= allocated(lambda: written(readings)) < 1.0 + MARGIN


def test_on_the_way_out_of_the_reply(readings: Readings) -> None:
    reply = written(readings)
    assert 1.0 <= allocated(lambda: read(reply)) < 1.0 + MARGIN


def test_the_reply_stays_where_it_is(readings: Readings) -> None:
    reply = written(readings)
    assert allocated(lambda: embedded.parse(reply)) < MARGIN


def test_the_numbers_are_the_same(readings: Readings) -> None:
    np.testing.assert_array_equal(read(written(readings)), np.stack([row for row, _ in readings.readings]))
