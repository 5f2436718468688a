# Made from ../_async/starting.py by scripts/unasync.py; change that one.
"""Starts and ends the private server of `open`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from penult_client._sync.transport import GrpcTransport, Transport
from penult_client._channel import sync_sleep
from penult_client._core import about, rpcs
from penult_client._exceptions import CancelledError, DeadlineError, ServerStartError, UnavailableError
from penult_client._process import ServerProcess

# Longer than the server's own --grace, 10 s unless said otherwise.
END_GRACE = 15.0
_PROBE_SECONDS = 10.0
_PAUSE = 0.05


class PrivateServer:
    """A server of our own, and the transport to it."""

    def __init__(
        self, path: str | os.PathLike[str], options: Mapping[str, object], env: Mapping[str, str] | None
    ) -> None:
        self.process = ServerProcess(path, options, env)

    def ready(self, seconds: float) -> Transport:
        """Waits until a model answers; ends the server when none does.

        Raises:
            ServerStartError: the server ended, the model failed to load, or the time ran out.
        """
        until = time.monotonic() + seconds
        transport: Transport | None = None
        try:
            while time.monotonic() < until:
                self.process.check_running()
                address = self.process.address()
                if address and transport is None:
                    transport = GrpcTransport(address, credentials=None, metadata=())
                if transport is not None and _has_settled(transport):
                    return transport
                sync_sleep(_PAUSE)
            raise ServerStartError(
                f"the server was not ready within {seconds:g} s; raise start_timeout",
                reason="START_TIMEOUT",
                metadata={"log": self.process.log[-2000:]},
            )
        except BaseException:
            if transport is not None:
                transport.close()
            self.process.kill()
            self.process.forget()
            raise

    def end(self) -> None:
        """Lets the server finish what it does, at most `END_GRACE` seconds."""
        self.process.terminate()
        until = time.monotonic() + END_GRACE
        while not self.process.ended() and time.monotonic() < until:
            sync_sleep(_PAUSE)
        self.process.kill()
        self.process.forget()


def _has_settled(transport: Transport) -> bool:
    request = rpcs.LIST_MODELS.request()
    call = transport.start(rpcs.LIST_MODELS, request, _PROBE_SECONDS)
    try:
        models = [about.model(told) for told in (call.result()).models]
    except (UnavailableError, DeadlineError, CancelledError):  # the last: it ends, having no model to serve
        return False
    states = {model.state for model in models}
    if states == {"failed"}:
        raise ServerStartError(models[0].state_message, reason="SERVER_REFUSED")
    # Of several versions the highest is to answer, not the one that was loaded first.
    return "ready" in states and "loading" not in states
