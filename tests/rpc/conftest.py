"""A server with a fake model, over a real socket; both clients; a server that does what a test says."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from penult.v1 import analysis_service_pb2 as pb
from support.calling import call
from support.fakes import fake_model
from support.flavours import Flavour
from support.serving import open_channel, serving
from support.wire_operations import Ledger
from support.wire_server import Script


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


@pytest.fixture(scope="module")
def keeping(analysing: str) -> Iterator[None]:
    """The maps and clusterings that a module stores there go with it."""
    yield
    with open_channel(analysing) as opened:
        for kind in ("Projection", "Clustering"):
            listed = call(opened, f"List{kind}s", getattr(pb, f"List{kind}sRequest")(page_size=1000)).reply
            for each in getattr(listed, f"{kind.lower()}s"):
                call(opened, f"Delete{kind}", getattr(pb, f"Delete{kind}Request")(name=each.name))


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    """A connection to it."""
    with open_channel(address) as opened:
        yield opened


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> Iterator[Flavour]:
    """One of the two clients, and how it is called."""
    made = Flavour(request.param)
    yield made
    made.end()


@pytest.fixture
def script() -> Script:
    """What a scripted server shall do."""
    return Script()


@pytest.fixture
def ledger() -> Ledger:
    """The operations of a scripted server."""
    return Ledger()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server tells how it gets on all the time."""
    for name in ("SHOWN", "UNSEEN"):
        monkeypatch.setattr(f"penult_client._core.progress.{name}", 0.05)
