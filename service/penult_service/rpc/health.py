"""`grpc.health.v1`: a service is SERVING when it makes progress, not merely when its process is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from grpc_health.v1.health import OVERALL_HEALTH
from grpc_health.v1.health import aio as health_aio
from grpc_health.v1.health_pb2 import HealthCheckResponse

_TICK_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Progress(Protocol):
    """What the scheduler says of itself."""

    @property
    def healthy(self) -> bool:
        """It lives, is not stalled, and has finished work since it last died."""
        ...

    @property
    def busy(self) -> bool:
        """Work runs or waits."""
        ...

    @property
    def since_progress(self) -> float:
        """Seconds since it last finished some."""
        ...


class HealthMonitor:
    """Sets the health of services from the progress of the work; when there is none, it makes a little.

    Args:
        always: Services that answer as soon as the server listens.
        by_progress: Services that need a model; the overall health goes with them.
        by_state: Services that know themselves whether they serve. The overall health does not wait for them: a
            server whose analysis workers still compile, have died, or are switched off, embeds all the same.
        progress: How the executor is doing.
        ready: Whether there is a model.
        probe: A real inference of every model that is ready; raises when one fails.
        interval: Seconds without work after which `probe` runs.
    """

    def __init__(
        self,
        *,
        always: Sequence[str],
        by_progress: Sequence[str],
        by_state: Mapping[str, Callable[[], bool]] | None = None,
        progress: Callable[[], Progress],
        ready: Callable[[], bool],
        probe: Callable[[], Awaitable[None]],
        interval: float,
    ) -> None:
        # The servicer starts with the overall health SERVING: it must not be seen before `start`.
        self.servicer = health_aio.HealthServicer()
        self._always, self._by_progress = always, (OVERALL_HEALTH, *by_progress)
        self._by_state = by_state or {}
        self._progress, self._ready, self._probe = progress, ready, probe
        self._interval = interval
        self._serving: bool | None = None
        self._states: dict[str, bool] = {}
        self._news, self._state_news = asyncio.Event(), asyncio.Event()

    async def start(self) -> None:
        """Nothing is warm yet. Called before the server listens."""
        for service in self._always:
            await self.servicer.set(service, HealthCheckResponse.SERVING)
        await self._set(False)
        await self._set_states()

    async def watch(self) -> None:
        """Look every second and at every `wake`, until cancelled."""
        # Two watches: a probe may wait for a long batch, and no state has to wait for it.
        await asyncio.gather(self._watch_progress(), self._watch_states())

    def wake(self) -> None:
        """Something has changed: look now."""
        self._news.set()
        self._state_news.set()

    async def drain(self) -> None:
        """NOT_SERVING for good."""
        await self.servicer.enter_graceful_shutdown()

    async def _watch_progress(self) -> None:
        tick = min(_TICK_SECONDS, self._interval)
        while True:
            self._news.clear()
            await self._set(await self._is_serving())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), tick)

    async def _watch_states(self) -> None:
        while True:
            self._state_news.clear()
            await self._set_states()
            await self._state_news.wait()

    async def _is_serving(self) -> bool:
        if not self._ready():
            return False
        progress = self._progress()
        lately = self._serving and progress.healthy and progress.since_progress < self._interval
        if progress.busy or lately:
            return progress.healthy
        try:
            await self._probe()
        except Exception as error:  # noqa: BLE001 - whatever it is, the server does not work
            _log.warning("the health probe failed: %s", type(error).__name__)
            return False
        return self._progress().healthy

    async def _set(self, serving: bool) -> None:
        if serving == self._serving:
            return
        self._serving = serving
        for service in self._by_progress:
            await self.servicer.set(service, _status(serving))
        _log.info("health is %s", HealthCheckResponse.ServingStatus.Name(_status(serving)))

    async def _set_states(self) -> None:
        for service, ready in self._by_state.items():
            serving = ready()
            if serving != self._states.get(service):
                self._states[service] = serving
                await self.servicer.set(service, _status(serving))
                name = HealthCheckResponse.ServingStatus.Name(_status(serving))
                _log.info("health of %s is %s", service, name)


def _status(serving: bool) -> HealthCheckResponse.ServingStatus:
    return HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
