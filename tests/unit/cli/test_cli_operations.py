"""`penult operations`, and analyses that become operations, against a server that does what the test says."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from penult_client import Client
from penult_service.cli import operation_progress, operations
from penult_service.cli.app import main
from support import wire_operations
from support.wire_operations import TOO_LARGE, Ledger
from support.wire_server import Script, status

ROWS = np.arange(28, dtype=np.float32).reshape(7, 4)
DIED = status(grpc.StatusCode.INTERNAL, "the worker\ndied", reason="WORKER_DIED")


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def server(script: Script, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(operations, "POLL_SECONDS", 0.02)
    running, where = wire_operations.start(script, ledger)
    yield where
    running.stop(0).wait()


@pytest.fixture
def three(server: str, ledger: Ledger) -> list[str]:
    """One that is done, one that runs, one that waits; their names."""
    with Client(server) as client:
        names = [client.project(ROWS, wait=False).name]
        ledger.hold = True
        names += [client.cluster(ROWS, wait=False).name, client.neighbors(ROWS, wait=False).name]
    ledger.tell(f"operations/{names[1]}", "reducing", 3, 12, left=3725)
    return names


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "rows.npy", ROWS)
    return tmp_path / "rows.npy"


def lines(text: str) -> list[list[str]]:
    """The words of each line of a table."""
    return [line.split() for line in text.splitlines()]


def test_list(three: list[str], server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operations", "list", "--server", server]) == 0
    assert lines(capsys.readouterr().out) == [
        ["name", "analysis", "rows", "state", "stage", "left", "created"],
        [three[2], "neighbors", "7", "waiting", "-", "-", "1970-01-01", "00:00"],
        [three[1], "cluster", "7", "running", "reducing", "25", "%", "1:02:05", "1970-01-01", "00:00"],
        [three[0], "project", "7", "done", "-", "-", "1970-01-01", "00:00"],
    ]
    assert main(["operations", "list", "--server", server, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told] == three[::-1]
    assert told[1]["seconds_left"] == 3725.0
    assert (told[2]["error"], told[2]["ended"]) == (None, "1970-01-01T00:00:02+00:00")


def test_an_empty_list(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operations", "list", "--server", server]) == 0
    assert capsys.readouterr().out == f"{server} has no operations\n"


def test_show(three: list[str], server: str, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.fail(f"operations/{three[2]}", DIED)
    assert main(["operations", "show", three[1], three[2], "--server", server]) == 0
    shown = {words[0]: words[1:] for words in lines(capsys.readouterr().out) if words}
    assert shown["error"] == ["the", "worker", "died"]
    assert shown["state"] == ["failed"]
    assert main(["operations", "show", three[2], "--server", server, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["error"] == {"code": "INTERNAL", "reason": "WORKER_DIED", "message": "the worker\ndied"}
    assert main(["operations", "show", "none", "--server", server]) == 2
    assert "there is no operation 'none'" in capsys.readouterr().err


def test_cancel_and_delete(
    three: list[str], server: str, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["operations", "delete", three[1], "--server", server]) == 1
    assert main(["operations", "cancel", *three, "--server", server]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{three[0]} had ended before: done",
        f"{three[1]} was cancelled",
        f"{three[2]} was cancelled",
    ]
    assert ledger.reason(f"operations/{three[1]}") == "OPERATION_CANCELLED"
    assert main(["operations", "delete", *three, "--server", server]) == 0
    assert ledger.operations == {}


def test_wait(
    three: list[str], server: str, script: Script, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    end = [None, None, None, None, lambda request, _: ledger.finish(request.name)]
    script.fail("GetOperation", *end)
    assert main(["operations", "wait", *three[:2], "--server", server]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name} is done" for name in three[:2]]
    script.fail("GetOperation", *[None] * 5, lambda request, _: ledger.fail(request.name, DIED))
    assert main(["operations", "wait", *three, "--server", server]) == 1
    told = capsys.readouterr()
    assert told.err == f"error: {three[2]}: the worker died\n"
    assert told.out.splitlines() == [f"{name} is done" for name in three[:2]]
    assert main(["operations", "wait", three[2], "--server", server, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["state"] == "failed"
    assert script.asked("ReadResult") == []


def interrupt(*_: Any) -> None:
    """Ctrl-C while it is waited for."""
    time.sleep(0.25)
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_while_waiting_leaves_it_alone(
    three: list[str], server: str, script: Script, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    script.fail("GetOperation", None, None, interrupt)
    assert main(["operations", "wait", three[1], "--server", server]) == 130
    assert capsys.readouterr().err == f"operation {three[1]} goes on\n"
    assert not ledger.operations[f"operations/{three[1]}"].done


@pytest.mark.parametrize("command", ["map", "cluster", "neighbors"])
def test_ctrl_c_cancels_what_a_command_has_started(
    file: Path,
    server: str,
    script: Script,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.setattr("penult_client._core.progress.SHOWN", 0.05)
    ledger.hold = True
    method = {"map": "Project", "cluster": "Cluster", "neighbors": "SearchNeighbors"}[command]
    script.fail(method, TOO_LARGE)
    script.fail("WaitOperation", None, interrupt)
    assert main([command, str(file), "--server", server, "--json"]) == 130
    name = ledger.only()
    assert ledger.reason(name) == "OPERATION_CANCELLED"
    assert capsys.readouterr().err == f"operation {name.partition('/')[2]} was told to end\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("screen", [True, False])
def test_progress_of_an_operation(
    file: Path,
    server: str,
    script: Script,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    screen: bool,
) -> None:
    monkeypatch.setattr("penult_client._core.progress.SHOWN", 0.2)
    monkeypatch.setattr(operation_progress, "LINE_SECONDS", 0.0)
    stream = Terminal() if screen else io.StringIO()
    ledger.hold = True
    script.fail("Project", TOO_LARGE)
    script.fail("WaitOperation", lambda request, _: ledger.tell(request.name, "layout", 3, 12, left=65))
    script.fail("WaitOperation", lambda request, _: ledger.finish(request.name))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        patch.setenv("TERM", "xterm")
        assert main(["map", str(file), "--method", "pca", "--server", server, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["coordinates"]) == 7
    shown = stream.getvalue()
    if screen:
        assert "waiting for the server's analysis" in shown
        assert "project-1: layout, 1:05 left" in shown
        assert "━" in shown
    else:
        assert shown == "project-1: project of 7 rows, layout 25 %, 1:05 left\n"


def test_what_is_answered_at_once_says_nothing(
    file: Path, server: str, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["map", str(file), "--method", "pca", "--server", server, "--json"]) == 0
    assert capsys.readouterr().err == ""
    assert ledger.operations == {}
