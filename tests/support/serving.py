"""A server in a thread, over a real socket, with models that are handed to it."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from penult_service.config import Limits, ServeConfig
from penult_service.embedder import LoadedModel
from penult_service.process import new_loop
from penult_service.repository.sources import Source
from penult_service.server import Server, run

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass(frozen=True)
class Serving:
    """A running server. `code` gets its exit code."""

    address: str
    code: Future[int]
    _server: Server
    _loop: asyncio.AbstractEventLoop

    def end(self) -> None:
        """Tell it to drain and end, as a signal does."""
        self._loop.call_soon_threadsafe(self._server.end)

    def channel(self) -> grpc.Channel:
        """A connection of its own, which takes replies of any size."""
        return open_channel(self.address)


def open_channel(address: str) -> grpc.Channel:
    """A connection of its own, which takes replies of any size."""
    return grpc.insecure_channel(
        address,
        options=[("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)],
    )


def health(channel: grpc.Channel, service: str = "") -> int:
    """What `grpc.health.v1` says of a service."""
    request = health_pb2.HealthCheckRequest(service=service)
    return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=5).status)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that will happen soon."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited {seconds} s in vain"
        time.sleep(0.005)


@contextmanager
def serving(
    *models: LoadedModel,
    sources: tuple[Source, ...] = (),
    load: Callable[[Source], LoadedModel] | None = None,
    limits: Limits | None = None,
    warm: bool = True,
    **settings: Any,
) -> Iterator[Serving]:
    """A server for these models (or for `sources`, loaded by `load`); `warm` waits until it is SERVING.

    It has no analysis workers unless `analysis_workers` says so; `warm` does not wait for them.
    """
    settings.setdefault("analysis_workers", 0)
    by_name = {(model.name, model.version): model for model in models}
    sources = sources or tuple(Source(name, version, None) for name, version in by_name)
    config = ServeConfig(paths=("given",), port=0, limits=limits or Limits(), **settings)
    started: queue.Queue[tuple[Server, str, asyncio.AbstractEventLoop]] = queue.Queue()
    code: Future[int] = Future()

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop()) as runner:
                code.set_result(
                    runner.run(
                        run(
                            config,
                            sources,
                            load or (lambda source: by_name[source.name, source.version]),
                            lambda server, address: started.put(
                                (server, address, asyncio.get_running_loop())
                            ),
                        )
                    )
                )
        except BaseException as error:  # noqa: BLE001
            code.set_exception(error)

    thread = threading.Thread(target=work)
    thread.start()
    server, address, loop = started.get(timeout=20)
    running = Serving(address, code, server, loop)
    try:
        if warm:
            with running.channel() as channel:
                wait_until(lambda: health(channel) == SERVING)
        yield running
    finally:
        if not code.done():
            running.end()
        thread.join(30)
        assert not thread.is_alive()
