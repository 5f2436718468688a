"""Small parts of the client: the progress line, channel options."""

from __future__ import annotations

import io

import pytest
from penult_client._core.addresses import channel_options, check_address
from penult_client._core.progress import ProgressLine, ignore, reporter


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
