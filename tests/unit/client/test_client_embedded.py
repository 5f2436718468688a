"""Replies to Embed whose numbers stay where they arrived, against protobuf's own parser."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from penult.v1 import common_pb2, inference_service_pb2
from penult_client._core.embedded import of_message, parse

RANDOM = np.random.default_rng(2)


def reply(rows: int, columns: int = 24) -> inference_service_pb2.EmbedResponse:
    data = RANDOM.standard_normal((rows, columns), dtype=np.float32).tobytes()
    vectors = common_pb2.Vectors(
        rows=rows,
        columns=columns,
        data_type=common_pb2.DATA_TYPE_FLOAT32,
        data=data,
        embedding_space="s" * 32,
    )
    return inference_service_pb2.EmbedResponse(
        embeddings=vectors,
        probabilities=vectors,
        labels=["a", "b"],
        token_counts=range(rows),
        provenance=common_pb2.Provenance(model="models/m/versions/1"),
    )


def same(data: bytes) -> None:
    """It parses as protobuf parses it."""
    expected = of_message(inference_service_pb2.EmbedResponse.FromString(data))
    found = parse(data)
    assert bytes(found.data) == bytes(expected.data)
    expected.message.embeddings.ClearField("data")
    found.message.embeddings.ClearField("data")
    assert found.message == expected.message


@pytest.mark.parametrize("rows", [0, 1, 3, 500])
def test_as_servers_write_it(rows: int) -> None:
    message = reply(rows)
    written = message.SerializeToString()
    same(written)
    found = parse(written)
    assert not found.message.embeddings.data
    if rows:
        assert found.data.obj is written  # no copy


def test_what_was_taken_is_let_go() -> None:
    found = parse(reply(3).SerializeToString())
    taken = found.take()
    assert len(taken) == 3 * 24 * 4
    assert not found.data


def test_as_others_might_write_it() -> None:
    whole, numbers = reply(3), inference_service_pb2.EmbedResponse()
    numbers.embeddings.data = whole.embeddings.data
    rest = reply(3)
    rest.embeddings.ClearField("data")
    front = inference_service_pb2.EmbedResponse(embeddings=rest.embeddings)
    rest.ClearField("embeddings")
    same(b"")
    same(rest.SerializeToString())
    same(rest.SerializeToString() + whole.SerializeToString())
    same(front.SerializeToString() + numbers.SerializeToString() + rest.SerializeToString())
    same(numbers.SerializeToString() + numbers.SerializeToString())
    # A field of another type that is not known, in front of the numbers: 15, of eight bytes.
    inner = b"\x79" + bytes(8) + whole.embeddings.SerializeToString()
    same(b"\x0a" + bytes([len(inner) & 0x7F | 0x80, len(inner) >> 7]) + inner)


def test_numbers_without_an_end_are_given_up_at_once() -> None:
    endless = b"\xff" * (1 << 20)
    for broken in (endless, b"\x0a" + endless, b"\x0a\xff\x01" + endless):
        with pytest.raises(DecodeError):
            parse(broken)


def test_what_is_cut_or_broken() -> None:
    written = reply(3).SerializeToString()
    for size in range(len(written)):
        for broken in (written[:size], written[:size] + b"\xff" + written[size + 1 :]):
            try:
                inference_service_pb2.EmbedResponse.FromString(broken)
            except DecodeError:
                with pytest.raises(DecodeError):
                    parse(broken)
            else:
                same(broken)
