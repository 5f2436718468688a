"""Results that both clients read in parts: breaks, what is missing, what has changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from penult_client import (
    DeadlineError,
    PreconditionError,
    UnavailableError,
)
from support import wire_operations
from support.analysis_calls import ALL_CALLS, ROWS, same
from support.wire_operations import Ledger
from support.wire_server import Script, status


@pytest.fixture
def address(script: Script, ledger: Ledger) -> Iterator[str]:
    server, where = wire_operations.start(script, ledger)
    yield where
    server.stop(0).wait()


@pytest.mark.parametrize("method", ALL_CALLS)
def test_a_result_is_read_on_after_breaks(flavour, address, script, ledger, method, monkeypatch):
    monkeypatch.setattr("penult_client._core.retries.FIRST_DELAY", 0.02)
    call, _ = ALL_CALLS[method]
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


def test_a_result_that_does_not_come(flavour, address, script, ledger, monkeypatch):
    monkeypatch.setattr("penult_client._core.retries.FIRST_DELAY", 0.02)
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
    for rows in (reply.coordinates, reply.row_neighbors_kept):
        rows.rows, rows.data = 0, b""
    assert flavour.run(operation.wait()).coordinates.shape == (0, 2)
