"""Small parts of the client: lines of progress, calls that do not end, channel options."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import grpc
import pytest
from penult_client import DeadlineError, OperationStatus
from penult_client._channel import SyncCall
from penult_client._core.addresses import channel_options, check_address
from penult_client._core.progress import OperationLine, ProgressLine, ignore, reporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_redrawn():
    stream = Terminal()
    line = ProgressLine("embedding", stream)
    line(512, 1024)
    line(513, 1024)  # too soon after the one before to be drawn
    line(1024, 1024)
    drawn = stream.getvalue().split("\r")[1:]
    assert len(drawn) == 2
    assert drawn[0].startswith("embedding [" + "#" * 15 + "." * 15 + "]   512/1,024  ")
    assert "s left" in drawn[0]
    assert drawn[1].startswith("embedding [" + "#" * 30 + "] 1,024/1,024  ")
    assert drawn[1].endswith("\x1b[K\n")


def test_a_file_gets_the_last_state_only():
    stream = io.StringIO()
    line = ProgressLine("embedding", stream)
    for done in (0, 5, 10):
        line(done, 10)
    assert stream.getvalue().count("\n") == 1
    assert "10/10" in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_what_is_counted_is_named():
    for unit in ("texts", "rows"):
        stream = io.StringIO()
        ProgressLine("counting", stream, unit)(3, 3)
        assert f" {unit}/s  in " in stream.getvalue()
    assert reporter(True, "reading", "rows")._unit == "rows"


def operation(**facts) -> OperationStatus:
    state = "done" if "ended" in facts else "running"
    told = {"name": "map-1", "analysis": "project", "rows": 50_000, "state": state, "stage": "layout"}
    return OperationStatus(**{**told, **facts})


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, "project of 50,000 rows: layout"),
        ({"seconds_left": 59.6}, "project of 50,000 rows: layout  1:00 left"),
        ({"done": 7, "seconds_left": 7.2}, "project of 50,000 rows: layout  7 s left"),
        ({"done": 1, "total": 2}, f"project of 50,000 rows: layout [{'#' * 15}{'.' * 15}] 1/2"),
        (
            {"done": 1500, "total": 1000, "seconds_left": 3661},
            f"project of 50,000 rows: layout [{'#' * 30}] 1,500/1,000  1:01:01 left",
        ),
    ],
)
def test_the_line_of_an_operation(facts, line):
    stream = Terminal()
    shown = OperationLine(stream)
    shown.status(operation(**facts))
    assert stream.getvalue() == f"\r{line}\x1b[K"
    shown.close()
    shown.close()
    assert stream.getvalue().endswith("\x1b[K\n")
    assert stream.getvalue().count("\n") == 1
    quiet = io.StringIO()
    OperationLine(quiet).status(operation(**facts))
    assert quiet.getvalue() == ""
    OperationLine(quiet).status(operation(**facts, stage="done", ended=datetime.now(UTC)))
    assert quiet.getvalue().startswith("project of 50,000 rows: done in 0.")


def test_shares():
    assert [operation(done=d, total=t).share for d, t in ((1, 4), (5, 4), (3, 0))] == [0.25, 1.0, None]


def test_a_call_is_given_up_when_grpc_does_not():
    """After an interrupt that met it at work, a channel may be locked for ever."""

    class Locked:
        def result(self, timeout):
            raise grpc.FutureTimeoutError(timeout)

    with pytest.raises(DeadlineError, match="no answer from h:1 within 2 s"):
        SyncCall(Locked(), "h:1", 2.0).result()


def test_progress_goes_where_the_caller_says(capsys):
    told = []
    assert reporter(lambda done, total: told.append((done, total)), "x")(1, 2) is None
    assert told == [(1, 2)]
    assert reporter(False, "x") is ignore
    reporter(False, "x")(1, 1)
    assert capsys.readouterr().err == ""
    reporter(True, "embedding")(1, 1)
    assert capsys.readouterr().err.startswith("embedding [")


@pytest.mark.parametrize(
    "address",
    ["localhost:50051", "10.0.0.1:1", "[::1]:50051", "host.example:443", "unix:/run/x", "dns:///h:1"],
)
def test_addresses(address):
    assert check_address(address) == address


def test_proxies_are_left_alone_on_loopback_only():
    for address in ("localhost:1", "127.0.0.1:1", "127.8.8.8:1", "[::1]:1"):
        assert ("grpc.enable_http_proxy", 0) in channel_options(address)
    assert "grpc.enable_http_proxy" not in dict(channel_options("host.example:1"))
    assert dict(channel_options("host.example:1"))["grpc.max_receive_message_length"] == -1
