"""Sends calls: in parts, some at a time, again where that helps, and gathers their replies."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from penult_client._about import Limits, ServerInfo
from penult_client._async.transport import AsyncPending, AsyncReceiving, AsyncTransport
from penult_client._channel import async_sleep
from penult_client._core import about, rpcs
from penult_client._core.flight import Flight
from penult_client._core.progress import Report, ignore
from penult_client._core.requests import InputRequest, with_rows
from penult_client._core.retries import PartQueue
from penult_client._core.rows import Rows
from penult_client._core.rpcs import Reply, Request, Rpc
from penult_client._core.splitting import Part, patience, split_rows
from penult_client._core.timing import NO_DEADLINE, Deadline, analysis_seconds
from penult_client._exceptions import ClientClosedError, PenultError, ResourceExhaustedError

# Rows that the server computes in no time: should the caller leave, they need no cancelling.
_FEW = 8


class AsyncCaller:
    """Sends calls over a transport.

    Args:
        transport: How requests travel.
        timeout: The longest wait for one RPC, in seconds.
    """

    def __init__(self, transport: AsyncTransport, timeout: float) -> None:
        self._transport = transport
        self._timeout = timeout
        self._limits: Limits | None = None
        self._closed = False

    async def send(
        self, rpc: Rpc[Request, Reply], request: Request, deadline: Deadline = NO_DEADLINE
    ) -> Reply:
        """Sends one request as it is."""
        return await self._send(rpc, request, deadline, self._timeout)

    async def send_analysis(
        self, rpc: Rpc[Request, Reply], request: Request, deadline: Deadline, *, again: bool = True
    ) -> Reply:
        """Sends a request whose answer may take as long as the server lets an analysis take.

        It is sent `again` after a break; else only when the server says that it could not take it.
        """
        longest = analysis_seconds(await self.limits(deadline), deadline, self._timeout)
        return await self._send(rpc, request, deadline, longest, again=again)

    async def send_waiting(
        self, rpc: Rpc[Request, Reply], request: Request, deadline: Deadline, seconds: float
    ) -> Reply:
        """Sends a request that the server answers when something has happened, or after so many seconds."""
        return await self._send(rpc, request, deadline, self._timeout + seconds)

    async def send_input(
        self,
        rpc: Rpc[InputRequest, Reply],
        template: InputRequest,
        rows: Rows,
        deadline: Deadline,
        report: Report = ignore,
        passes: int = 1,
    ) -> list[tuple[Part, Reply]]:
        """Sends the template with as many of the rows at a time as fit; the replies in the order of the rows.

        The server runs each row in so many `passes`, and is waited for as long as those take.
        """
        limits = await self.limits(deadline)
        longest = self._timeout * patience(rows, passes)
        queue: PartQueue[Reply] = PartQueue(
            split_rows(rows, limits, template.ByteSize(), passes),
            timeout=longest,
            deadline=deadline,
            called=rows.field,
        )
        return await self._run(
            rpc,
            lambda part: with_rows(template, rows, part.start, part.stop, limits),
            queue,
            report,
            Flight(limits, longest),
            len(rows) * passes <= _FEW,
        )

    async def send_rows(
        self,
        rpc: Rpc[Request, Reply],
        build: Callable[[Part], Iterator[Request]],
        parts: Sequence[Part],
        deadline: Deadline,
        report: Report = ignore,
    ) -> list[tuple[Part, Reply]]:
        """Sends one stream of requests after the other, so that rows arrive in order; their replies."""
        queue: PartQueue[Reply] = PartQueue(parts, timeout=self._timeout, deadline=deadline)
        return await self._run(rpc, build, queue, report)

    def receive(self, rpc: Rpc[Request, Reply], request: Request, seconds: float) -> AsyncReceiving[Reply]:
        """Asks for a stream of replies."""
        self._check_open()
        return self._transport.receive(rpc, request, seconds)

    def queue_of(self, part: Part, deadline: Deadline) -> PartQueue[Any]:
        """One part, and what becomes of it when it fails."""
        return PartQueue([part], timeout=self._timeout, deadline=deadline)

    async def limits(self, deadline: Deadline) -> Limits:
        """What the server takes, asked for once."""
        if self._limits is None:
            self._limits = (await self.server_info(deadline)).limits
        return self._limits

    async def server_info(self, deadline: Deadline = NO_DEADLINE) -> ServerInfo:
        """What the server is, asked for anew."""
        return about.server_info(await self.send(rpcs.SERVER_INFO, rpcs.SERVER_INFO.request(), deadline))

    async def close(self) -> bool:
        """Ends the transport; False when that was done before."""
        if self._closed:
            return False
        self._closed = True
        await self._transport.close()
        return True

    async def _send(
        self,
        rpc: Rpc[Request, Reply],
        request: Request,
        deadline: Deadline,
        timeout: float,
        *,
        again: bool = True,
    ) -> Reply:
        queue: PartQueue[Reply] = PartQueue([Part(0, 1)], timeout=timeout, deadline=deadline, again=again)
        return (await self._run(rpc, lambda _: request, queue, ignore))[0][1]

    async def _run(
        self,
        rpc: Rpc[Request, Reply],
        build: Callable[[Part], Any],
        queue: PartQueue[Reply],
        report: Report,
        flight: Flight | None = None,
        few: bool = False,
    ) -> list[tuple[Part, Reply]]:
        flying: deque[tuple[Part, AsyncPending[Reply], float]] = deque()
        try:
            while queue.waiting or flying:
                while queue.waiting and len(flying) < (flight.most if flight else 1):
                    now = time.monotonic()
                    part, seconds = queue.take(now)
                    alone = few and not (flying or queue.waiting)
                    flying.append((part, self._start(rpc, build(part), seconds, alone=alone), now))
                part, pending, sent = flying[0]
                looked = time.monotonic()
                try:
                    reply = await pending.result()
                except PenultError as error:
                    flying.popleft()
                    if flight and isinstance(error, ResourceExhaustedError):
                        flight.refused()
                    await async_sleep(queue.failed(part, error, time.monotonic(), looked))
                else:
                    flying.popleft()
                    if flight:
                        flight.landed(time.monotonic() - sent)
                    queue.succeeded(part, reply)
                    report(queue.rows_done, queue.total)
        finally:
            # Of a call that failed, or that its caller left: nobody waits for these.
            for _, pending, _ in flying:
                pending.cancel()
        return queue.in_order()

    def _start(
        self, rpc: Rpc[Request, Reply], request: Any, seconds: float, *, alone: bool
    ) -> AsyncPending[Reply]:
        self._check_open()
        if rpc.sends == "stream":
            return self._transport.send(rpc, request, seconds)
        return self._transport.start(rpc, request, seconds, alone=alone)

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosedError("the client is closed; make a new one", reason="CLIENT_CLOSED")
