"""Bad input over a real socket: the code, the reason, the field, and a server that goes on."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from penult.v1 import inference_service_pb2 as inference
from support.bad_input import CASES, GOOD_TEXTS, Case, embed
from support.calling import METHODS, call
from support.serving import open_channel

EMBED = f"/{METHODS['Embed'].containing_service.full_name}/Embed"


def vectors(channel: grpc.Channel, *texts: str) -> NDArray[np.float32]:
    outcome = call(channel, "Embed", embed(*texts))
    assert isinstance(outcome.reply, inference.EmbedResponse), outcome
    embeddings = outcome.reply.embeddings
    return np.frombuffer(embeddings.data, "<f4").reshape(embeddings.rows, embeddings.columns)


@pytest.fixture(scope="module")
def before(address: str) -> NDArray[np.float32]:
    """What the server answered before anything bad was sent."""
    with open_channel(address) as channel:
        return vectors(channel, "and the next call?")


@pytest.fixture(autouse=True)
def _answers_as_before(before: NDArray[np.float32], channel: grpc.Channel) -> Iterator[None]:
    """After whatever the test did, the next call is answered correctly.

    Not bitwise: it may share its batch with texts whose caller has just left.
    """
    yield
    assert np.allclose(vectors(channel, "and the next call?"), before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.method}: {case.name}")
def test_the_caller_is_told_what_is_wrong(channel: grpc.Channel, case: Case) -> None:
    outcome = call(channel, case.method, case.request)
    assert (outcome.code, outcome.reason, outcome.field) == (case.code, case.reason, case.field)
    assert outcome.message


@pytest.mark.parametrize("text", GOOD_TEXTS.values(), ids=GOOD_TEXTS.keys())
def test_a_strange_text_is_a_text(channel: grpc.Channel, text: str) -> None:
    alone = vectors(channel, text)
    assert np.isfinite(alone).all()
    among = vectors(channel, "first", text, "last")
    assert np.allclose(among[1], alone[0], rtol=0, atol=1e-6)


def test_limits_are_named(channel: grpc.Channel) -> None:
    outcome = call(channel, "Embed", embed(*["a"] * 100_000))
    assert outcome.metadata["limit"] == "16384"
    assert "16384" in outcome.message


def test_the_most_rows_that_fit_do_fit(channel: grpc.Channel) -> None:
    limit = 60_000
    request = embed(*["a"] * 2000)
    request.max_response_bytes = limit
    most = int(call(channel, "Embed", request).metadata["most_rows"])
    assert 0 < most < 2000
    del request.texts.texts[most:]
    assert call(channel, "Embed", request).code == "OK"


def test_a_deadline_of_a_millisecond(channel: grpc.Channel) -> None:
    assert call(channel, "Embed", embed(*["some words"] * 2000), timeout=0.001).code == "DEADLINE_EXCEEDED"


def test_a_cancel(channel: grpc.Channel) -> None:
    future = channel.unary_unary(EMBED).future(embed(*["some words"] * 2000).SerializeToString())
    future.cancel()
    assert future.code() is grpc.StatusCode.CANCELLED


def test_a_client_that_goes_away(address: str) -> None:
    leaving = open_channel(address)
    leaving.unary_unary(EMBED).future(embed(*["some words"] * 2000).SerializeToString())
    time.sleep(0.02)
    leaving.close()


def test_a_client_that_speaks_something_else(address: str) -> None:
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(1000))


def test_an_unknown_method(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/penult.v1.InferenceService/Dream")(b"", timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
