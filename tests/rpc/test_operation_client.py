"""Operations through both clients over a real socket, against a server that does what the test says."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import numpy as np
import penult_client
import pytest
from penult_client import (
    AsyncClient,
    CancelledError,
    Client,
    DeadlineError,
    InternalError,
    InvalidInputError,
    NotFoundError,
    OperationStatus,
    PreconditionError,
    UnavailableError,
)
from support import wire_operations
from support.flavours import Flavour
from support.wire_operations import TOO_LARGE, Ledger
from support.wire_server import Script, status, vector_of

ROWS = np.array([vector_of(f"{'x' * i} y") for i in range(7)], dtype=np.float32)


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> Iterator[Flavour]:
    made = Flavour(request.param)
    yield made
    made.end()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def address(script: Script, ledger: Ledger) -> Iterator[str]:
    server, where = wire_operations.start(script, ledger)
    yield where
    server.stop(0).wait()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server tells how it gets on all the time."""
    for name in ("SHOWN", "UNSEEN"):
        monkeypatch.setattr(f"penult_client._core.progress.{name}", 0.05)


def waits(script: Script, what: Callable[[str], None]) -> None:
    """When the client waits for the operation, this happens to it."""
    script.fail("WaitOperation", lambda request, _: what(request.name))


CALLS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "ComputeSimilarity": (lambda client, **how: client.similarity(ROWS, metric="dot", **how), ("scores",)),
    "SearchNeighbors": (
        lambda client, **how: client.neighbors(ROWS, k=3, metric="dot", **how),
        ("indices", "scores"),
    ),
    "Cluster": (lambda client, **how: client.cluster(ROWS, "hdbscan", noise="keep", **how), ("labels",)),
    "Project": (lambda client, **how: client.project(ROWS, "pca", 3, **how), ("coordinates",)),
}


def same(one: Any, other: Any) -> bool:
    """Whether two records say the same, bit for bit."""
    return type(one) is type(other) and all(
        repr(value) == repr(other_value)
        and (not isinstance(value, np.ndarray) or value.tobytes() == other_value.tobytes())
        for value, other_value in zip(vars(one).values(), vars(other).values(), strict=True)
    )


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("inline", [1 << 20, 0], ids=["inline", "read"])
def test_what_is_too_large_at_once_is_the_same_as_an_operation(
    flavour, address, script, ledger, method, inline
):
    call, fields = CALLS[method]
    client = flavour.client(address)
    at_once = flavour.run(call(client))
    assert script.asked("StartAnalysis") == []
    ledger.inline = inline
    script.fail(method, TOO_LARGE)
    made = flavour.run(call(client))
    assert same(made, at_once)
    for field in fields:
        array = getattr(made, field)
        assert (array.flags.writeable, array.flags.c_contiguous, array.dtype.isnative) == (True,) * 3
    ((asked,), (unary, again)) = script.asked("StartAnalysis"), script.asked(method)
    assert getattr(asked, asked.WhichOneof("analysis")) == again == unary
    assert len(asked.request_id) == 32
    assert len(script.asked("ReadResult")) == (4 if inline == 0 else 0)
    started = flavour.run(call(client, wait=False))
    assert started.name.startswith(ledger.operations[f"operations/{started.name}"].name.partition("/")[2])
    assert same(flavour.run(started.wait()), at_once)
    assert len(script.asked(method)) == 2


@pytest.mark.parametrize("reason", ["RESPONSE_TOO_LARGE", "TOO_MANY_SCORES"])
def test_so_is_what_no_single_reply_holds(flavour, address, script, ledger, reason):
    ledger.inline = 0
    script.fail(
        "Project",
        status(grpc.StatusCode.INVALID_ARGUMENT, "too large", reason=reason, metadata={"most_rows": "1"}),
    )
    made = flavour.run(flavour.client(address).project(ROWS))
    np.testing.assert_array_equal(made.coordinates, ROWS[:, :2])


@pytest.mark.parametrize("failure", [TOO_LARGE, None], ids=["too_large", "at_once"])
def test_texts_that_were_embedded_first_are_named(flavour, address, script, ledger, failure):
    ledger.inline = 0
    texts = [f"text {i}" for i in range(20)]
    script.fail("Project", failure)
    client = flavour.client(address)
    made = flavour.run(client.project(texts))
    np.testing.assert_array_equal(made.coordinates, [vector_of(text)[:2] for text in texts])
    assert (made.model, made.version, made.space) == ("reviews", 3, "space-d1")
    started = flavour.run(client.project(texts, wait=False))
    assert same(flavour.run(started.wait()), made)
    assert flavour.run(flavour.run(client.operation(started.name)).wait()).model == ""


def test_what_is_wrong_is_told_at_once(flavour, address, script, ledger):
    client = flavour.client(address)
    wrong = status(
        grpc.StatusCode.INVALID_ARGUMENT, "not finite", reason="NOT_FINITE", field="project.source.vectors"
    )
    for wait in (True, False):
        script.fail("Project", TOO_LARGE)
        script.fail("StartAnalysis", wrong)
        with pytest.raises(InvalidInputError) as caught:
            flavour.run(client.project(ROWS, wait=wait))
        assert (caught.value.reason, caught.value.field) == ("NOT_FINITE", "source.vectors")
    assert ledger.operations == {}


def test_a_break_does_not_start_it_twice(flavour, address, script):
    lost = status(grpc.StatusCode.UNAVAILABLE, "broken")
    script.fail("StartAnalysis", lost, None)
    client = flavour.client(address)
    flavour.run(client.project(ROWS, wait=False))
    first, second = script.asked("StartAnalysis")
    assert first.request_id == second.request_id
    flavour.run(client.project(ROWS, wait=False))
    assert script.asked("StartAnalysis")[-1].request_id != first.request_id


def test_what_is_known_of_it(flavour, address, ledger):
    ledger.hold = True
    client = flavour.client(address)
    operation = flavour.run(client.project(ROWS, wait=False))
    name = ledger.only()
    told = flavour.run(operation.status())
    at = [datetime.fromtimestamp(seconds, UTC) for seconds in range(1005)]
    waiting = OperationStatus(
        name=operation.name, analysis="project", rows=7, state="waiting", stage="waiting", created=at[1]
    )
    assert told == waiting
    assert told.share is None
    ledger.tell(name, "layout", 3, 12, left=90)
    running = flavour.run(operation.status())
    assert (running.state, running.stage, running.done, running.total) == ("running", "layout", 3, 12)
    assert (running.share, running.seconds_left, running.started, running.ended) == (0.25, 90.0, at[2], None)
    with pytest.raises(PreconditionError) as caught:
        flavour.run(operation.delete())
    assert caught.value.reason == "OPERATION_RUNNING"
    flavour.run(operation.cancel())
    ended = flavour.run(operation.status())
    assert (ended.state, ended.stage, ended.ended, ended.expires) == (
        "cancelled",
        "cancelled",
        at[3],
        at[1003],
    )
    assert isinstance(ended.error, CancelledError)
    assert ended.error.reason == "OPERATION_CANCELLED"
    with pytest.raises(CancelledError, match="was cancelled"):
        flavour.run(operation.wait())
    flavour.run(operation.cancel())  # changes nothing
    assert flavour.run(operation.status()) == ended
    ledger.hold = False
    done = [flavour.run(client.cluster(ROWS, wait=False)).name for _ in range(2)]
    listed = flavour.run(client.operations())
    assert [each.name for each in listed] == [*reversed(done), operation.name]
    assert [each.state for each in listed] == ["done", "done", "cancelled"]
    flavour.run(operation.delete())
    assert len(flavour.run(client.operations())) == 2
    for call in (
        operation.status,
        operation.cancel,
        operation.delete,
        lambda: client.operation(operation.name),
    ):
        with pytest.raises(NotFoundError):
            flavour.run(call())
    assert operation.name in repr(operation)


@pytest.mark.parametrize("name", ["", None, 3, "operations/"])
def test_names_that_are_none(flavour, address, name):
    with pytest.raises(penult_client.InputTypeError):
        flavour.run(flavour.client(address).operation(name))


def test_from_another_program(flavour, address):
    operation = flavour.run(flavour.client(address).project(ROWS, wait=False))
    other = flavour.client(address)
    for name in (operation.name, f"operations/{operation.name}"):
        found = flavour.run(other.operation(name))
        assert found.name == operation.name
        np.testing.assert_array_equal(flavour.run(found.wait()).coordinates, ROWS[:, :2])


class Watcher:
    """Notes all that it is told."""

    def __init__(self) -> None:
        self.seen: list[OperationStatus] = []

    def status(self, status: OperationStatus) -> None:
        self.seen.append(status)


def steps(script: Script, ledger: Ledger) -> None:
    """An operation that is seen at two points, then ends."""
    waits(script, lambda name: ledger.tell(name, "layout", 1, 4, left=61))
    waits(script, lambda name: ledger.tell(name, "layout", 4, 4))
    waits(script, lambda name: (ledger.tell(name, "measuring"), ledger.finish(name)))
    ledger.hold = True


@pytest.mark.usefixtures("quick")
def test_progress_is_told(flavour, address, script, ledger):
    client = flavour.client(address)
    steps(script, ledger)
    counted: list[tuple[int, int]] = []
    script.fail("Project", TOO_LARGE)
    flavour.run(client.project(ROWS, progress=lambda *told: counted.append(told)))
    assert counted == [(1, 4), (4, 4)]
    steps(script, ledger)
    watcher = Watcher()
    flavour.run(flavour.run(client.project(ROWS, wait=False)).wait(progress=watcher))
    assert [(each.stage, each.state) for each in watcher.seen] == [
        ("layout", "running"),
        ("layout", "running"),
        ("done", "done"),
    ]
    embedded: list[tuple[int, int]] = []
    ledger.hold = False
    flavour.run(client.project(["a"] * 20, wait=False, progress=lambda *told: embedded.append(told)))
    assert embedded == [(8, 20), (16, 20), (20, 20)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("progress", "stream", "lines"),
    [
        (None, Terminal, 1),
        (True, Terminal, 1),
        (True, io.StringIO, 1),
        (None, io.StringIO, 0),
        (False, Terminal, 0),
    ],
)
def test_the_line_on_stderr(flavour, address, script, ledger, monkeypatch, progress, stream, lines):
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    client = flavour.client(address)
    flavour.run(client.project(ROWS, progress=progress))
    assert shown.getvalue() == ""  # nothing had to be started
    steps(script, ledger)
    script.fail("Project", TOO_LARGE)
    flavour.run(client.project(ROWS, progress=progress))
    written = shown.getvalue()
    assert written.count("\n") == lines
    if lines:
        assert "project of 7 rows: done in " in written
    if lines and shown.isatty():
        assert "project of 7 rows: layout [" + "#" * 7 + "." * 23 + "] 1/4  1:01 left" in written


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


def test_a_server_that_is_lost(flavour, script, ledger):
    server, address = wire_operations.start(script, ledger)
    ledger.hold = True
    operation = flavour.run(flavour.client(address).project(ROWS, wait=False))
    script.fail("WaitOperation", lambda *_: server.stop(0))
    with pytest.raises(
        UnavailableError, match=r"client.operation\('project-1'\) tells what became of it"
    ) as caught:
        flavour.run(operation.wait())
    assert caught.value.metadata["operation"] == "project-1"
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


@pytest.mark.parametrize("method", CALLS)
def test_a_result_is_read_on_after_breaks(flavour, address, script, ledger, method):
    call, _ = CALLS[method]
    client = flavour.client(address)
    whole = flavour.run(call(client))
    ledger.inline = 0
    broken = status(grpc.StatusCode.UNAVAILABLE, "broken")
    # Six breaks, each after a part: more than the same part may have.
    script.fail("ReadResult", broken, None, broken, broken, None, broken, None, broken)
    operation = flavour.run(call(client, wait=False))
    assert same(flavour.run(operation.wait()), whole)
    asked = script.asked("ReadResult")
    assert [request.first_row for request in asked if request.max_part_bytes] == sorted(
        request.first_row for request in asked
    )
    assert {request.name for request in asked} == {f"operations/{operation.name}"}


def test_a_result_that_does_not_come(flavour, address, script, ledger):
    ledger.inline = 0
    broken = status(grpc.StatusCode.UNAVAILABLE, "broken")
    operation = flavour.run(flavour.client(address).project(ROWS, wait=False))
    script.fail("ReadResult", None, *[broken] * 20)
    with pytest.raises(UnavailableError, match=r"project-1 is done, and .* reads its result"):
        flavour.run(operation.wait())


def test_a_stream_may_take_longer_than_the_timeout(flavour, address, script, ledger):
    ledger.inline = 0
    client = flavour.client(address, timeout=0.25)
    operation = flavour.run(client.project(ROWS, wait=False))
    script.fail("ReadResult", *[lambda *_: time.sleep(0.1)] * 8)
    np.testing.assert_array_equal(flavour.run(operation.wait()).coordinates, ROWS[:, :2])
    assert len({request.first_row for request in script.asked("ReadResult")}) > 1
    script.fail("ReadResult", *[lambda *_: time.sleep(0.1)] * 8)
    with pytest.raises(DeadlineError):
        flavour.run(operation.wait(deadline=0.25))


def test_a_result_that_is_another_after_a_break(flavour, address, script, ledger):
    ledger.inline = 0
    client = flavour.client(address)
    operation = flavour.run(client.project(ROWS, wait=False))
    field, reply = ledger.results[ledger.only()]

    def shorter(*_: Any) -> None:
        kept = type(reply)()
        kept.CopyFrom(reply)
        kept.coordinates.rows = 3
        kept.coordinates.data = reply.coordinates.data[:24]
        ledger.results[ledger.only()] = (field, kept)

    def breaks(_: Any, context: grpc.ServicerContext) -> None:
        shorter()
        context.abort(grpc.StatusCode.UNAVAILABLE, "broken")

    script.fail("ReadResult", None, breaks)
    with pytest.raises(PreconditionError, match="overwritten while it was read"):
        flavour.run(operation.wait())


def test_a_result_without_rows(flavour, address, ledger):
    ledger.inline = 0
    operation = flavour.run(flavour.client(address).project(ROWS, wait=False))
    _, reply = ledger.results[ledger.only()]
    reply.coordinates.rows, reply.coordinates.data = 0, b""
    assert flavour.run(operation.wait()).coordinates.shape == (0, 2)


def test_a_closed_client_says_that_it_goes_on(address, script, ledger):
    ledger.hold = True
    client = Client(address)
    operation = client.project(ROWS, wait=False)
    waits(script, lambda _: client.close())
    with pytest.raises(CancelledError, match="project-1 goes on"):
        operation.wait()
    assert not ledger.operations[ledger.only()].done
