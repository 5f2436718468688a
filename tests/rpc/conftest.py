"""A server with a fake model, over a real socket."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from support.fakes import fake_model
from support.serving import open_channel, serving


@pytest.fixture(scope="package")
def address() -> Iterator[str]:
    """Where a server with one model listens."""
    with serving(fake_model("reviews", 3)) as server:
        yield server.address


@pytest.fixture(scope="package")
def analysing() -> Iterator[str]:
    """Where a server with an analysis worker and its spare listens."""
    with serving(fake_model("reviews", 3), analysis_workers=1) as server:
        yield server.address


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    """A connection to it."""
    with open_channel(address) as opened:
        yield opened
