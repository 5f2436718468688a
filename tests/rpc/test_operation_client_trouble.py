"""What both clients do when time runs out, somebody leaves, or a server is lost while an operation runs."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from penult_client import (
    AsyncClient,
    CancelledError,
    Client,
    DeadlineError,
    InternalError,
    NotFoundError,
    UnavailableError,
)
from support import wire_operations
from support.analysis_calls import ROWS
from support.wire_operations import TOO_LARGE, Ledger
from support.wire_server import Script, status


@pytest.fixture
def address(script: Script, ledger: Ledger) -> Iterator[str]:
    server, where = wire_operations.start(script, ledger)
    yield where
    server.stop(0).wait()


def waits(script: Script, what: Callable[[str], None]) -> None:
    """When the client waits for the operation, this happens to it."""
    script.fail("WaitOperation", lambda request, _: what(request.name))


def test_a_deadline_of_a_call_cancels_it(flavour, address, script, ledger):
    ledger.hold = True
    script.fail("Project", TOO_LARGE)
    began = time.monotonic()
    with pytest.raises(
        DeadlineError, match=r"deadline of 0.3 s passed; operation project-1 was cancelled"
    ) as caught:
        flavour.run(flavour.client(address).project(ROWS, deadline=0.3))
    assert time.monotonic() - began < 2
    assert ledger.reason(ledger.only()) == "OPERATION_CANCELLED"
    assert caught.value.metadata["operation"] == "project-1"


def test_a_server_that_does_not_take_the_cancellation(flavour, address, script, ledger, monkeypatch):
    monkeypatch.setattr("penult_client._sync.waiting.CANCEL_SECONDS", 0.2)
    monkeypatch.setattr("penult_client._async.waiting.CANCEL_SECONDS", 0.2)
    ledger.hold = True
    script.fail("Project", TOO_LARGE)
    script.fail("CancelOperation", lambda *_: time.sleep(1))
    with pytest.raises(
        DeadlineError, match=r"could not be told .* client.operation\('project-1'\).cancel\(\) does"
    ):
        flavour.run(flavour.client(address).project(ROWS, deadline=0.3))


def test_what_is_done_just_then_is_not_lost(flavour, address, script, ledger):
    ledger.hold = True
    script.fail("Project", TOO_LARGE)
    script.fail("CancelOperation", lambda request, _: ledger.finish(request.name))
    client = flavour.client(address)
    with pytest.raises(DeadlineError, match=r"was done by then: client.operation\('project-1'\)") as caught:
        flavour.run(client.project(ROWS, deadline=0.3))
    operation = flavour.run(client.operation(caught.value.metadata["operation"]))
    np.testing.assert_array_equal(flavour.run(operation.wait()).coordinates, ROWS[:, :2])


def test_a_deadline_of_wait_does_not(flavour, address, ledger):
    ledger.hold = True
    operation = flavour.run(flavour.client(address).project(ROWS, wait=False))
    with pytest.raises(DeadlineError, match="goes on: wait for it again, or end it with cancel"):
        flavour.run(operation.wait(deadline=0.2))
    assert not ledger.operations[ledger.only()].done
    ledger.finish(ledger.only())
    np.testing.assert_array_equal(flavour.run(operation.wait(deadline=5)).coordinates, ROWS[:, :2])


def test_a_server_that_does_not_wait_is_not_asked_all_the_time(flavour, address, script, ledger):
    """A wait that is told to take no time is answered at once."""
    ledger.hold = True
    operation = flavour.run(flavour.client(address).project(ROWS, wait=False))
    script.fail("WaitOperation", *[lambda request, _: request.ClearField("timeout")] * 1000)
    with pytest.raises(DeadlineError):
        flavour.run(operation.wait(deadline=0.9))
    assert len(script.asked("WaitOperation")) <= 3


def interrupt(*_: Any) -> None:
    """Ctrl-C while the client waits: in the midst of gRPC's own code it would leave a channel that is locked."""
    time.sleep(0.25)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_ctrl_c_cancels_it(address, script, ledger, flavour):
    ledger.hold = True
    script.fail("Project", TOO_LARGE)
    script.fail("WaitOperation", interrupt)

    def sync() -> None:
        with Client(address) as client:
            client.project(ROWS)

    async def awaited() -> None:
        async with AsyncClient(address) as client:
            await client.project(ROWS)

    with pytest.raises(KeyboardInterrupt):
        sync() if flavour == "sync" else asyncio.run(awaited())
    assert ledger.reason(ledger.only()) == "OPERATION_CANCELLED"


@pytest.mark.parametrize("wait", [True, False])
def test_ctrl_c_before_it_is_known_to_run_cancels_it(address, script, ledger, wait):
    ledger.hold = True
    arrived = threading.Event()

    def late(*_: Any) -> None:
        interrupt()
        arrived.wait(1)  # the client has left when the answer is there

    script.fail("Project", TOO_LARGE)
    script.fail("StartAnalysis", late)
    with pytest.raises(KeyboardInterrupt), Client(address) as client:
        client.project(ROWS, wait=wait)
    arrived.set()
    assert ledger.reason(ledger.only()) == "OPERATION_CANCELLED"


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_task_that_is_cancelled_cancels_it(address, script, ledger, how):
    ledger.hold = True
    script.fail("Project", TOO_LARGE)

    async def work() -> None:
        async with AsyncClient(address) as client:
            if how == "timeout":
                async with asyncio.timeout(0.5):
                    await client.project(ROWS)
            task = asyncio.create_task(client.project(ROWS))
            while not script.asked("WaitOperation"):
                await asyncio.sleep(0.01)
            task.cancel()
            await task

    with pytest.raises(TimeoutError if how == "timeout" else asyncio.CancelledError):
        asyncio.run(work())
    assert ledger.reason(ledger.only()) == "OPERATION_CANCELLED"


@pytest.mark.parametrize("where", ["StartAnalysis", "WaitOperation"])
def test_a_task_that_is_cancelled_again_and_again_cancels_it(address, script, ledger, where):
    ledger.hold = True
    script.fail("Project", TOO_LARGE)
    script.fail("StartAnalysis", lambda *_: time.sleep(0.2))
    script.fail("CancelOperation", lambda *_: time.sleep(0.2))

    async def work() -> None:
        async with AsyncClient(address) as client:
            task = asyncio.create_task(client.project(ROWS))
            while not script.asked(where):
                await asyncio.sleep(0.01)
            while not task.done():
                task.cancel()
                await asyncio.sleep(0.01)
            while not (ledger.operations and ledger.reason(ledger.only())):
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(work(), 10))


@pytest.mark.usefixtures("quick")
def test_a_callers_function_that_fails_cancels_it(flavour, address, script, ledger):
    ledger.hold = True
    script.fail("Project", TOO_LARGE)
    waits(script, lambda name: ledger.tell(name, "layout", 1, 0))
    waits(script, lambda name: ledger.tell(name, "layout", 1, 4))
    with pytest.raises(ZeroDivisionError):
        flavour.run(flavour.client(address).project(ROWS, progress=lambda *_: 1 // 0))
    assert ledger.reason(ledger.only()) == "OPERATION_CANCELLED"


def test_what_it_failed_of_is_raised(flavour, address, script, ledger):
    ledger.hold = True
    died = status(grpc.StatusCode.INTERNAL, "it died", reason="WORKER_DIED")
    waits(script, lambda name: ledger.fail(name, died))
    script.fail("Project", TOO_LARGE)
    with pytest.raises(InternalError, match="it died") as caught:
        flavour.run(flavour.client(address).project(ROWS))
    assert (caught.value.reason, caught.value.metadata["operation"]) == ("WORKER_DIED", "project-1")
    assert script.asked("CancelOperation") == []


def test_a_server_that_is_lost(flavour, script, ledger, monkeypatch):
    monkeypatch.setattr("penult_client._core.retries.FIRST_DELAY", 0.02)
    server, address = wire_operations.start(script, ledger)
    ledger.hold = True
    operation = flavour.run(flavour.client(address).project(ROWS, wait=False))
    script.fail("WaitOperation", lambda *_: server.stop(0))
    with pytest.raises(
        UnavailableError, match=r"client.operation\('project-1'\) tells what became of it"
    ) as caught:
        flavour.run(operation.wait())
    assert caught.value.metadata["operation"] == "project-1"
    monkeypatch.undo()
    ledger.restart()
    back, _ = wire_operations.start(script, ledger, int(address.rpartition(":")[2]))
    found = flavour.run(flavour.client(address).operation("project-1"))
    assert flavour.run(found.status()).state == "failed"
    with pytest.raises(UnavailableError, match="start it again") as caught:
        flavour.run(found.wait())
    assert caught.value.reason == "SERVER_RESTARTED"
    back.stop(0).wait()


def test_a_server_that_is_soon_back(flavour, script, ledger):
    server, address = wire_operations.start(script, ledger)
    started: list[grpc.Server] = []

    def restarted(name: str) -> None:
        def work() -> None:
            server.stop(0).wait()
            started.append(wire_operations.start(script, ledger, int(address.rpartition(":")[2]))[0])
            ledger.finish(name)

        threading.Thread(target=work).start()

    ledger.hold = True
    waits(script, restarted)
    script.fail("Project", TOO_LARGE)
    np.testing.assert_array_equal(flavour.run(flavour.client(address).project(ROWS)).coordinates, ROWS[:, :2])
    started[0].stop(0).wait()


def test_a_server_that_has_kept_nothing(flavour, address, script, ledger):
    waits(script, lambda name: ledger.operations.pop(name))
    script.fail("Project", TOO_LARGE)
    with pytest.raises(NotFoundError, match=r"was deleted, or the server was restarted .* start it again"):
        flavour.run(flavour.client(address).project(ROWS))


def test_a_closed_client_says_that_it_goes_on(address, script, ledger):
    ledger.hold = True
    client = Client(address)
    operation = client.project(ROWS, wait=False)
    waits(script, lambda _: client.close())
    with pytest.raises(CancelledError, match="project-1 goes on"):
        operation.wait()
    assert not ledger.operations[ledger.only()].done
