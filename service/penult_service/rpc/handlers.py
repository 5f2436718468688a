"""What is the same for every RPC, written once: parsing, the gate, errors, the log line, the counting."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from penult_service.embedder.callers import CALLER
from penult_service.errors import PenultError, Unavailable
from penult_service.rpc import errors, wire
from penult_service.rpc.laid import Laid

_log = logging.getLogger(__name__)
# Reasons of calls that are refused because there is too much work.
_TOO_MUCH = ("OVERLOADED", "QUEUE_FULL")


@dataclass
class Call:
    """One RPC. Servicers note here what the log line and the metrics should say of it."""

    method: str
    deadline: float | None
    """On the clock of `time.monotonic`; None when the caller set none."""
    model: str = ""
    texts: int = 0
    tokens: int = 0
    rows: int = 0
    """Rows of sets that were appended or read."""
    code: str = "OK"
    reason: str = ""
    started: float = field(default_factory=time.perf_counter)
    ended: float | None = None
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Since the request was parsed, until its answer was made."""
        return (time.perf_counter() if self.ended is None else self.ended) - self.started

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a part of the work."""
        started = time.perf_counter()
        yield
        self.stages[name] = self.stages.get(name, 0.0) + time.perf_counter() - started


class CallObserver(Protocol):
    """Is told of every call when it ends."""

    def call_ended(self, call: Call) -> None:
        """The call is over; its `code` is final."""
        ...


# What servicers have: a coroutine that takes (message, Call), or with a client stream (async iterator of messages,
# Call); with a server stream an async generator of messages instead.
Method = Callable[[Any, Call], Awaitable[Message | Laid]] | Callable[[Any, Call], AsyncGenerator[Message]]
Context = grpc.aio.ServicerContext


class Gate:
    """Every RPC of ours passes here: refused while draining, counted while it runs."""

    def __init__(self, observer: CallObserver) -> None:
        self._observer = observer
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._too_much = _TooMuch()

    def handlers(self, service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
        """The methods of a service: those of `servicer` in snake_case, as of `Method`."""
        return grpc.method_handlers_generic_handler(
            service.full_name,
            {method.name: self._handler(method, servicer) for method in service.methods},
        )

    def close(self) -> None:
        """From now on calls are UNAVAILABLE, reason DRAINING; those that run go on."""
        self._draining = True

    async def idle(self) -> None:
        """Wait until the reply of every call is sent."""
        await self._idle.wait()

    def _handler(self, method: MethodDescriptor, servicer: object) -> grpc.RpcMethodHandler:
        function: Method = getattr(servicer, _snake_case(method.name))
        name = f"{method.containing_service.name}/{method.name}"
        make, serve = self._shapes(method.client_streaming, method.server_streaming, name, function)
        handler: grpc.RpcMethodHandler = make(
            serve,
            request_deserializer=wire.parser(GetMessageClass(method.input_type)),
            response_serializer=_written,
        )
        return handler

    def _shapes(
        self, client_streams: bool, server_streams: bool, name: str, function: Any
    ) -> tuple[Callable[..., grpc.RpcMethodHandler], Callable[..., Any]]:
        """gRPC's maker of a handler, and the function that it calls."""
        taken: Callable[[Any], Any] = _parsed_each if client_streams else _parsed

        async def answer(request: Any, context: Context) -> Message | Laid:
            async with self._call(name, context) as call:
                message: Message | Laid = await function(taken(request), call)
                return message

        async def stream(request: Any, context: Context) -> None:
            async with (
                self._call(name, context) as call,
                aclosing(function(taken(request), call)) as messages,
            ):
                # A write returns when the caller's window has room: a slow reader holds one message here.
                async for message in messages:
                    await context.write(message)

        if server_streams:
            make = (
                grpc.stream_stream_rpc_method_handler
                if client_streams
                else grpc.unary_stream_rpc_method_handler
            )
            return make, stream
        make = grpc.stream_unary_rpc_method_handler if client_streams else grpc.unary_unary_rpc_method_handler
        return make, answer

    @asynccontextmanager
    async def _call(self, name: str, context: Context) -> AsyncIterator[Call]:
        """One call, from the gate to its line in the log. Errors from within become the status of the RPC."""
        call = Call(name, _deadline(context))
        CALLER.set(context.peer())  # a connection; of this task alone
        self._count(context)
        try:
            if self._draining:
                raise Unavailable("the server is shutting down; ask another one, or later", reason="DRAINING")
            yield call
        except asyncio.CancelledError:
            late = call.deadline is not None and time.monotonic() >= call.deadline
            call.code = call.reason = "DEADLINE_EXCEEDED" if late else "CANCELLED"
            raise
        except Exception as error:  # noqa: BLE001 - the border: whatever it is, the caller gets an answer
            known = error if isinstance(error, PenultError) else errors.internal(error, name)
            call.code, call.reason = errors.code_of(known).name, known.reason
            await errors.abort(context, known)
        finally:
            call.ended = time.perf_counter()
            # The caller does not wait until it is counted: that takes as long as a short text to be tokenized.
            asyncio.get_running_loop().call_soon(self._tell, call)

    def _tell(self, call: Call) -> None:
        self._observer.call_ended(call)
        if call.reason not in _TOO_MUCH:
            _log_call(call)
        elif count := self._too_much.said(time.monotonic()):
            _log_call(call, refused=count)

    def _count(self, context: grpc.aio.ServicerContext) -> None:
        """The call runs until its reply is sent."""
        self._running += 1
        self._idle.clear()
        context.add_done_callback(self._uncount)  # type: ignore[arg-type]  # any callable does

    def _uncount(self, _: object) -> None:
        self._running -= 1
        if not self._running:
            self._idle.set()


class _TooMuch:
    """Of calls refused for too much work one is logged a second: each line takes a tenth of what the refusal does."""

    def __init__(self) -> None:
        self._count, self._next = 0, 0.0

    def said(self, now: float) -> int:
        """How many there were since the last that was logged, when it is time for one again; else 0."""
        self._count += 1
        if now < self._next:
            return 0
        count, self._count, self._next = self._count, 0, now + 1.0
        return count


def _written(reply: Message | Laid) -> bytes:
    return reply.SerializeToString()


def _parsed(request: Message | PenultError) -> Message:
    if isinstance(request, PenultError):
        raise request
    return request


async def _parsed_each(requests: AsyncIterator[Message | PenultError]) -> AsyncGenerator[Message]:
    async for request in requests:
        yield _parsed(request)


def _log_call(call: Call, *, refused: int = 1) -> None:
    facts = {
        "method": call.method,
        "code": call.code,
        "reason": call.reason,
        "model": call.model,
        "texts": call.texts,
        "tokens": call.tokens,
        "rows": call.rows or "",
        "ms": round(call.seconds * 1000, 2),
        "refused": refused if refused > 1 else "",
    }
    _log.info("call", extra={"facts": {name: value for name, value in facts.items() if value != ""}})


def _deadline(context: grpc.aio.ServicerContext) -> float | None:
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
