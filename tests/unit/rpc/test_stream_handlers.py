"""Streams at the gate: the same errors, counting, draining and endings as single messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from penult.v1 import dataset_service_pb2 as pb
from penult_service.errors import InvalidInput
from penult_service.rpc.handlers import Call, Gate
from support.calling import outcome_of

SERVICE = pb.DESCRIPTOR.services_by_name["DatasetService"]


class Servicer:
    """Counts messages; a set's name says what happens."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.go = asyncio.Event()

    async def append_rows(self, requests: AsyncIterator[pb.AppendRowsRequest], call: Call) -> Any:
        async for request in requests:
            call.rows += 1
            if request.name == "wrong":
                raise InvalidInput("no", reason="NO", field="rows")
            if request.name == "bug":
                raise ValueError("a secret")
            if request.name == "wait":
                await self.go.wait()
        return pb.AppendRowsResponse(added=call.rows)

    async def read_rows(self, request: pb.ReadRowsRequest, call: Call) -> AsyncIterator[pb.ReadRowsResponse]:
        try:
            for number in range(request.row_count):
                call.rows += 1
                yield pb.ReadRowsResponse(first_row=number)
            if request.name == "bug":
                raise ValueError("a secret")
            if request.name == "wait":
                await self.go.wait()
        finally:
            self.left.set()

    def __getattr__(self, name: str) -> Any:
        async def nothing(*_: Any) -> Any:
            raise AssertionError(name)

        return nothing


class Ended:
    def __init__(self) -> None:
        self.calls: list[Call] = []

    def call_ended(self, call: Call) -> None:
        self.calls.append(call)


def running(test: Callable[[grpc.aio.Channel, Servicer, Gate, Ended], Awaitable[None]]) -> Ended:
    """Run a test against a server of its own; what the gate told of the calls."""
    ended = Ended()

    async def run() -> None:
        gate, servicer, server = Gate(ended), Servicer(), grpc.aio.server()
        server.add_generic_rpc_handlers((gate.handlers(SERVICE, servicer),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await asyncio.wait_for(test(channel, servicer, gate, ended), 20)
        finally:
            await server.stop(0)

    asyncio.run(run())
    return ended


def append(channel: grpc.aio.Channel, *requests: pb.AppendRowsRequest | bytes) -> Any:
    data = [each if isinstance(each, bytes) else each.SerializeToString() for each in requests]
    return channel.stream_unary(f"/{SERVICE.full_name}/AppendRows")(iter(data))


def read(channel: grpc.aio.Channel, timeout: float | None = None, **asked: Any) -> Any:
    request = pb.ReadRowsRequest(**asked).SerializeToString()
    return channel.unary_stream(f"/{SERVICE.full_name}/ReadRows")(request, timeout=timeout)


async def failed(call: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return outcome_of(caught.value)


NAMED = {name: pb.AppendRowsRequest(name=name) for name in ("fine", "wrong", "bug", "wait")}


def test_messages_come_in_order_and_are_counted() -> None:
    async def test(channel: Any, *_: Any) -> None:
        reply = pb.AppendRowsResponse.FromString(await append(channel, NAMED["fine"], NAMED["fine"]))
        assert reply.added == 2
        found = [pb.ReadRowsResponse.FromString(data).first_row async for data in read(channel, row_count=50)]
        assert found == list(range(50))

    ended = running(test)
    assert [(call.method, call.code, call.rows) for call in ended.calls] == [
        ("DatasetService/AppendRows", "OK", 2),
        ("DatasetService/ReadRows", "OK", 50),
    ]


def test_errors_are_statuses_whatever_came_before() -> None:
    async def test(channel: Any, *_: Any) -> None:
        wrong = await failed(append(channel, NAMED["fine"], NAMED["wrong"], NAMED["fine"]))
        assert (wrong.code, wrong.reason, wrong.field) == ("INVALID_ARGUMENT", "NO", "rows")
        bug = await failed(append(channel, NAMED["bug"]))
        assert (bug.code, bug.reason, len(bug.metadata["error_id"])) == ("INTERNAL", "INTERNAL", 12)
        assert "secret" not in bug.message
        not_utf8 = pb.AppendRowsRequest(rows=pb.Rows(ids=["a", "Xb"])).SerializeToString()
        bad = await failed(append(channel, NAMED["fine"], not_utf8.replace(b"X", b"\xff")))
        assert (bad.code, bad.reason, bad.field) == ("INVALID_ARGUMENT", "NOT_UTF8", "rows.ids[1]")
        call = read(channel, name="bug", row_count=2)
        for _ in range(2):
            await call.read()
        assert (await failed(call.read())).code == "INTERNAL"

    ended = running(test)
    assert [call.reason for call in ended.calls] == ["NO", "INTERNAL", "NOT_UTF8", "INTERNAL"]


def test_draining_lets_streams_end_and_takes_no_new_ones() -> None:
    async def test(channel: Any, servicer: Servicer, gate: Gate, _: Ended) -> None:
        call = append(channel, NAMED["wait"])
        reading = read(channel, name="wait", row_count=1)
        await reading.read()
        gate.close()
        assert (await failed(append(channel, NAMED["fine"]))).reason == "DRAINING"
        assert (await failed(read(channel, row_count=1).read())).reason == "DRAINING"
        idle = asyncio.create_task(gate.idle())
        await asyncio.sleep(0.05)
        assert not idle.done()
        servicer.go.set()
        assert pb.AppendRowsResponse.FromString(await call).added == 1
        assert await reading.read() is grpc.aio.EOF
        await idle

    running(test)


def test_a_caller_who_leaves_ends_the_work() -> None:
    async def test(channel: Any, servicer: Servicer, gate: Gate, _: Ended) -> None:
        call = read(channel, name="wait", row_count=1)
        await call.read()
        call.cancel()
        await servicer.left.wait()
        sending = append(channel, NAMED["wait"])
        await asyncio.sleep(0.05)
        sending.cancel()
        await gate.idle()

    ended = running(test)
    assert [(call.method.rpartition("/")[2], call.code) for call in ended.calls] == [
        ("ReadRows", "CANCELLED"),
        ("AppendRows", "CANCELLED"),
    ]


def test_a_deadline_ends_the_work() -> None:
    async def test(channel: Any, servicer: Servicer, gate: Gate, _: Ended) -> None:
        call = read(channel, 0.2, name="wait", row_count=1)
        await call.read()
        assert (await failed(call.read())).code == "DEADLINE_EXCEEDED"
        await servicer.left.wait()
        await gate.idle()

    assert [call.code for call in running(test).calls] == ["DEADLINE_EXCEEDED"]
