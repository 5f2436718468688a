# Made from ../_async/transport.py by scripts/unasync.py; change that one.
"""How requests travel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from penult_client._channel import SyncChannel, Metadata
from penult_client._core.addresses import channel_options, check_address
from penult_client._core.rpcs import Reply, Request, Rpc

Reply_co = TypeVar("Reply_co", covariant=True)


class Pending(Protocol[Reply_co]):
    """A call on its way."""

    def result(self) -> Reply_co:
        """The reply, or the error as a PenultError."""

    def cancel(self) -> None:
        """Ends the call; without effect when it has ended."""


class Receiving(Protocol[Reply_co]):
    """A call whose replies come one after the other."""

    def next(self) -> Reply_co | None:
        """The next reply, None after the last, or the error as a PenultError."""

    def cancel(self) -> None:
        """Ends the call; without effect when it has ended."""


class Transport(Protocol):
    """What a client needs of its transport."""

    def start(
        self, rpc: Rpc[Request, Reply], request: Request, timeout: float, *, alone: bool = False
    ) -> Pending[Reply]:
        """Sends the request and returns at once; the call may take `timeout` seconds.

        With `alone` nothing else is done before its result is asked for, and it is soon answered.
        """

    def send(
        self, rpc: Rpc[Request, Reply], requests: Iterator[Request], timeout: float
    ) -> Pending[Reply]:
        """Sends the requests, each when there is room for it, and returns at once."""

    def receive(self, rpc: Rpc[Request, Reply], request: Request, timeout: float) -> Receiving[Reply]:
        """Sends the request and returns at once; its replies come one after the other."""

    def close(self) -> None:
        """Ends all."""


class GrpcTransport:
    """Calls over one gRPC channel, opened by the first of them."""

    def __init__(
        self, address: str, *, credentials: grpc.ChannelCredentials | None, metadata: Metadata
    ) -> None:
        self._address = check_address(address)
        self._credentials = credentials
        self._metadata = tuple(metadata)
        self._channel: SyncChannel | None = None

    def start(
        self, rpc: Rpc[Request, Reply], request: Request, timeout: float, *, alone: bool = False
    ) -> Pending[Reply]:
        """Sends the request and returns at once; the call may take `timeout` seconds."""
        return self._opened().start(rpc, request, timeout, self._metadata, alone=alone)

    def send(
        self, rpc: Rpc[Request, Reply], requests: Iterator[Request], timeout: float
    ) -> Pending[Reply]:
        """Sends the requests, each when there is room for it, and returns at once."""
        return self._opened().send(rpc, requests, timeout, self._metadata)

    def receive(self, rpc: Rpc[Request, Reply], request: Request, timeout: float) -> Receiving[Reply]:
        """Sends the request and returns at once; its replies come one after the other."""
        return self._opened().receive(rpc, request, timeout, self._metadata)

    def close(self) -> None:
        """Ends the connection and the calls that run."""
        if self._channel is not None:
            self._channel.close()

    def _opened(self) -> SyncChannel:
        if self._channel is None:
            self._channel = SyncChannel(self._address, self._credentials, channel_options(self._address))
        return self._channel


class MockTransport:
    """Answers without a server, for tests of programs that use the client.

    Args:
        handler: Takes the method's name, such as ``Embed``, and the request message (of ``AppendRows`` the list of
            them); returns the reply message (of ``ReadRows`` and ``ReadResult`` the list of them), or raises a
            PenultError.
    """

    def __init__(self, handler: Callable[[str, Any], Message | Sequence[Message]]) -> None:
        self._handler = handler

    def start(
        self, rpc: Rpc[Request, Reply], request: Request, timeout: float, *, alone: bool = False
    ) -> Pending[Reply]:
        """A call that the handler answers when its result is asked for."""
        del timeout, alone
        return _Mocked(self._handler, rpc.method, request)

    def send(
        self, rpc: Rpc[Request, Reply], requests: Iterator[Request], timeout: float
    ) -> Pending[Reply]:
        """The same for a stream of requests."""
        del timeout
        return _Mocked(self._handler, rpc.method, list(requests))

    def receive(self, rpc: Rpc[Request, Reply], request: Request, timeout: float) -> Receiving[Reply]:
        """The same for a stream of replies."""
        del timeout
        return _MockedReplies(self._handler, rpc.method, request)

    def close(self) -> None:
        """Nothing to end."""


class _Mocked(Generic[Reply]):
    def __init__(self, handler: Callable[[str, Any], Any], method: str, request: Any) -> None:
        self._handler = handler
        self._method = method
        self._request = request

    def result(self) -> Reply:
        reply: Reply = self._handler(self._method, self._request)
        return reply

    def cancel(self) -> None:
        """Nothing runs."""


class _MockedReplies(Generic[Reply]):
    def __init__(self, handler: Callable[[str, Any], Any], method: str, request: Message) -> None:
        self._ask = partial(handler, method, request)
        self._left: list[Reply] | None = None

    def next(self) -> Reply | None:
        if self._left is None:
            self._left = list(self._ask())
        return self._left.pop(0) if self._left else None

    def cancel(self) -> None:
        """Nothing runs."""
