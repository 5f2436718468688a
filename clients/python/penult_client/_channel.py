"""The only file that talks to gRPC: one channel and one call in both flavours, side by side."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Generic, TypeVar

import grpc
from grpc import aio
from grpc_status import rpc_status

from penult_client._core.errors import error_from_status
from penult_client._core.rpcs import Reply, Request, Rpc
from penult_client._exceptions import CancelledError, DeadlineError, PenultError

Options = Sequence[tuple[str, str | int]]
Metadata = Sequence[tuple[str, str | bytes]]

# What a call may take beyond its time before it is given up on this side, in seconds.
GRACE = 1.0

async_sleep = asyncio.sleep
sync_sleep = time.sleep

Result = TypeVar("Result")
_finishing: set[asyncio.Task[Any]] = set()


async def async_to_the_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Does it although the task that waits for it is cancelled, once more or again and again."""
    task = asyncio.create_task(work)
    _finishing.add(task)  # the loop itself holds it by a weak reference alone
    task.add_done_callback(_finishing.discard)
    return await asyncio.shield(task)


def sync_to_the_end(done: Result) -> Result:
    """The same where there are no tasks: it has been done."""
    return done


class AsyncChannel:
    """Calls in an event loop."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None, options: Options) -> None:
        if credentials is None:
            self._channel = aio.insecure_channel(address, options=options)
        else:
            self._channel = aio.secure_channel(address, credentials, options=options)
        self._methods: dict[str, Any] = {}
        self._address = address

    def start(
        self,
        rpc: Rpc[Request, Reply],
        request: Request,
        timeout: float,
        metadata: Metadata,
        *,
        alone: bool = False,  # noqa: ARG002  (here it is all one)
    ) -> AsyncCall[Reply]:
        """Sends the request and returns at once."""
        method = _method(self._channel, self._methods, rpc)
        return AsyncCall(method(request, timeout=timeout, metadata=metadata), self._address, timeout)

    def send(
        self, rpc: Rpc[Request, Reply], requests: Iterator[Request], timeout: float, metadata: Metadata
    ) -> AsyncCall[Reply]:
        """Sends the requests, each when there is room for it, and returns at once."""
        method = _method(self._channel, self._methods, rpc)
        return AsyncCall(method(requests, timeout=timeout, metadata=metadata), self._address, timeout)

    def receive(
        self, rpc: Rpc[Request, Reply], request: Request, timeout: float, metadata: Metadata
    ) -> AsyncMessages[Reply]:
        """Sends the request and returns at once."""
        method = _method(self._channel, self._methods, rpc)
        return AsyncMessages(method(request, timeout=timeout, metadata=metadata), self._address, timeout)

    async def close(self) -> None:
        """Ends the connection, and with it the calls that run."""
        await self._channel.close()


class SyncChannel:
    """Calls in threads."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None, options: Options) -> None:
        self._credentials, self._options, self._address = credentials, options, address
        self._open = self._connected()
        self._left: list[grpc.Channel] = []

    def _connected(self) -> tuple[grpc.Channel, dict[str, Any]]:
        """A channel, and its methods by path."""
        if self._credentials is None:
            return grpc.insecure_channel(self._address, options=self._options), {}
        return grpc.secure_channel(self._address, self._credentials, options=self._options), {}

    def start(
        self,
        rpc: Rpc[Request, Reply],
        request: Request,
        timeout: float,
        metadata: Metadata,
        *,
        alone: bool = False,
    ) -> SyncCall[Reply] | SyncAlone[Reply]:
        """Sends the request and returns at once; with `alone` it is sent when its result is asked for."""
        method = _method(*self._open, rpc)
        if alone:
            return SyncAlone(method, request, self._address, timeout, metadata, self._leave)
        return SyncCall(method.future(request, timeout=timeout, metadata=metadata), self._address, timeout)

    def send(
        self, rpc: Rpc[Request, Reply], requests: Iterator[Request], timeout: float, metadata: Metadata
    ) -> SyncCall[Reply]:
        """Sends the requests, each when there is room for it, and returns at once."""
        method = _method(*self._open, rpc)
        return SyncCall(method.future(requests, timeout=timeout, metadata=metadata), self._address, timeout)

    def receive(
        self, rpc: Rpc[Request, Reply], request: Request, timeout: float, metadata: Metadata
    ) -> SyncMessages[Reply]:
        """Sends the request and returns at once."""
        method = _method(*self._open, rpc)
        return SyncMessages(method(request, timeout=timeout, metadata=metadata), self._address, timeout)

    def close(self) -> None:
        """Ends the connection, and with it the calls that run."""
        for left in self._left:  # which may never come back from it
            threading.Thread(target=left.close, daemon=True).start()
        self._open[0].close()

    def _leave(self) -> None:
        """Calls from now on have another connection: an interrupt that met gRPC at work may have left this one locked.

        One in a hundred did: the next call waited until its deadline.
        """
        self._left.append(self._open[0])
        self._open = self._connected()


class AsyncCall(Generic[Reply]):
    """A call on its way."""

    def __init__(self, call: Any, address: str, timeout: float) -> None:
        self._call = call
        self._address = address
        self._timeout = timeout

    async def result(self) -> Reply:
        """The reply, or the error, as one of ours."""
        try:
            reply: Reply = await self._call
        except grpc.RpcError as error:
            raise _error(error, self._address, self._timeout) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not this task was cancelled but the call: somebody closed the channel.
            raise CancelledError("the client was closed before the answer came") from None
        return reply

    def cancel(self) -> None:
        """Ends the call; without effect when it has ended."""
        self._call.cancel()


class SyncCall(Generic[Reply]):
    """A call on its way."""

    def __init__(self, call: Any, address: str, timeout: float) -> None:
        self._call = call
        self._address = address
        self._timeout = timeout

    def result(self) -> Reply:
        """The reply, or the error, as one of ours."""
        try:
            reply: Reply = self._call.result(self._timeout + GRACE)
        except grpc.FutureTimeoutError:
            # gRPC's own deadline did not come: an interrupt that met gRPC at work has left the channel locked.
            raise DeadlineError(f"no answer from {self._address} within {self._timeout:.2g} s") from None
        except grpc.RpcError as error:
            raise _error(error, self._address, self._timeout) from None
        return reply

    def cancel(self) -> None:
        """Ends the call; without effect when it has ended."""
        self._call.cancel()


class SyncAlone(Generic[Reply]):
    """A call that the thread which waits for it also drives: gRPC's own thread, and the way to it, are left out.

    It cannot be ended before it is answered, unless the channel is closed. `interrupted` is called when an interrupt
    ends the wait.
    """

    def __init__(
        self,
        method: Any,
        request: Any,
        address: str,
        timeout: float,
        metadata: Metadata,
        interrupted: Callable[[], None],
    ) -> None:
        self._method, self._request, self._metadata = method, request, metadata
        self._address, self._timeout, self._interrupted = address, timeout, interrupted

    def result(self) -> Reply:
        """The reply, or the error, as one of ours."""
        try:
            reply: Reply = self._method(self._request, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _error(error, self._address, self._timeout) from None
        except KeyboardInterrupt:
            self._interrupted()
            raise
        return reply

    def cancel(self) -> None:
        """Without effect."""


class AsyncMessages(Generic[Reply]):
    """The replies of a call, one after the other."""

    def __init__(self, call: Any, address: str, timeout: float) -> None:
        self._call = call
        self._address = address
        self._timeout = timeout

    async def next(self) -> Reply | None:
        """The next reply, None after the last; or the error, as one of ours."""
        try:
            reply = await self._call.read()
        except grpc.RpcError as error:
            raise _error(error, self._address, self._timeout) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise CancelledError("the client was closed before the answer came") from None
        return None if reply is aio.EOF else reply

    def cancel(self) -> None:
        """Ends the call; without effect when it has ended."""
        self._call.cancel()


class SyncMessages(Generic[Reply]):
    """The replies of a call, one after the other."""

    def __init__(self, call: Any, address: str, timeout: float) -> None:
        self._call = call
        self._address = address
        self._timeout = timeout

    def next(self) -> Reply | None:
        """The next reply, None after the last; or the error, as one of ours."""
        try:
            reply: Reply | None = next(self._call, None)
        except grpc.RpcError as error:
            raise _error(error, self._address, self._timeout) from None
        return reply

    def cancel(self) -> None:
        """Ends the call; without effect when it has ended."""
        self._call.cancel()


def _method(channel: Any, methods: dict[str, Any], rpc: Rpc[Request, Reply]) -> Any:
    if rpc.path not in methods:
        sends = "unary" if rpc.sends == "one" else "stream"
        receives = "unary" if rpc.receives == "one" else "stream"
        methods[rpc.path] = getattr(channel, f"{sends}_{receives}")(
            rpc.path,
            request_serializer=rpc.request.SerializeToString,
            response_deserializer=rpc.parse or rpc.reply.FromString,
        )
    return methods[rpc.path]


def _error(error: Any, address: str, timeout: float) -> PenultError:
    code, message = error.code().name, error.details() or ""
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # the details contradict the status: a proxy rewrote one of them
        status = None
    if status is None and code == "UNAVAILABLE":
        message = f"no answer from a server at {address}: {message}"
    if status is None and code == "DEADLINE_EXCEEDED":
        message = f"no answer from {address} within {timeout:.2g} s"
    # Pair by pair: what aio returns looks like a mapping and is none.
    trailing = {key: value for key, value in error.trailing_metadata() or ()}  # noqa: C416
    return error_from_status(code, message, status, trailing.get("grpc-retry-pushback-ms"))
