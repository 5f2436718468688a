"""A call that the thread which asks for it drives itself: interrupted, closed from elsewhere, out of time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from penult_client import CancelledError, DeadlineError
from penult_client._channel import SyncChannel
from penult_client._core import rpcs


class Slow(grpc.GenericRpcHandler):
    """Answers the first call when it is told to, the others at once."""

    def __init__(self) -> None:
        self.came, self.answer = threading.Event(), threading.Event()

    def service(self, _: Any) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(
            self._answered,
            request_deserializer=rpcs.SERVER_INFO.request.FromString,
            response_serializer=rpcs.SERVER_INFO.reply.SerializeToString,
        )

    def _answered(self, _request: Any, _context: Any) -> Any:
        if not self.came.is_set():
            self.came.set()
            self.answer.wait(60)
        return rpcs.SERVER_INFO.reply()


@pytest.fixture
def slow() -> Iterator[tuple[Slow, SyncChannel]]:
    handler = Slow()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = SyncChannel(f"127.0.0.1:{port}", None, ())
    yield handler, channel
    handler.answer.set()
    channel.close()
    server.stop(None)


def ask(channel: SyncChannel, timeout: float = 60.0, *, alone: bool = True) -> Any:
    return channel.start(rpcs.SERVER_INFO, rpcs.SERVER_INFO.request(), timeout, (), alone=alone).result()


def test_after_an_interrupt_the_channel_goes_on(slow: tuple[Slow, SyncChannel]) -> None:
    handler, channel = slow

    def interrupt() -> None:
        handler.came.wait(60)
        signal.raise_signal(signal.SIGINT)

    before = channel._open[0]
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        ask(channel)
    assert channel._open[0] is not before  # which may have been left locked, one time in a hundred
    ask(channel)
    ask(channel, alone=False)


def test_closed_from_another_thread_it_ends(slow: tuple[Slow, SyncChannel]) -> None:
    handler, channel = slow
    threading.Thread(target=lambda: (handler.came.wait(60), channel.close())).start()
    with pytest.raises(CancelledError):
        ask(channel)


def test_its_time_counts(slow: tuple[Slow, SyncChannel]) -> None:
    _, channel = slow
    with pytest.raises(DeadlineError, match="no answer from"):
        ask(channel, 0.3)
    ask(channel)
