"""Both flavours of the client, called the same way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.flavours import Flavour


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> Iterator[Flavour]:
    made = Flavour(request.param)
    yield made
    made.end()
