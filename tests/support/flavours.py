"""Both flavours of the client, called the same way."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from penult_client import AsyncClient, AsyncMockTransport, Client, MockTransport


class Flavour:
    """Clients of one kind; `run` calls a method and waits for it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._loop = asyncio.new_event_loop()
        self._open: list[Any] = []

    def client(self, address: str = "localhost:50051", **options: Any) -> Any:
        """A client, closed when the test ends."""
        made = (Client if self.kind == "sync" else AsyncClient)(address, **options)
        self._open.append(made)
        return made

    def mocked(self, handler: Callable[[str, Any], Any], **options: Any) -> Any:
        """A client whose requests the handler answers."""
        transport = (MockTransport if self.kind == "sync" else AsyncMockTransport)(handler)
        return self.client(transport=transport, **options)

    def run(self, outcome: Any) -> Any:
        """The result of a call, waited for where it is awaitable."""
        return self._loop.run_until_complete(outcome) if inspect.isawaitable(outcome) else outcome

    def end(self) -> None:
        """Closes every client."""
        for made in self._open:
            self.run(made.close())
        self._loop.close()
