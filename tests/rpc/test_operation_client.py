"""Operations through both clients over a real socket, against a server that does what the test says."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import grpc
import numpy as np
import penult_client
import pytest
from penult_client import (
    CancelledError,
    InvalidInputError,
    NotFoundError,
    OperationStatus,
    PreconditionError,
)
from support import wire_operations
from support.analysis_calls import ALL_CALLS, ROWS, same
from support.wire_numbers import vector_of
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


@pytest.mark.parametrize("method", ALL_CALLS)
@pytest.mark.parametrize("inline", [1 << 20, 0], ids=["inline", "read"])
def test_what_is_too_large_at_once_is_the_same_as_an_operation(
    flavour, address, script, ledger, method, inline
):
    call, fields = ALL_CALLS[method]
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
    assert getattr(asked, asked.WhichOneof("analysis")) == again
    if method == "GrowClustering":  # two calls of the test, which take the rows in twice
        assert again.request_id != unary.request_id
        again.request_id = unary.request_id
    assert again == unary
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
