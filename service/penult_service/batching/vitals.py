"""Whether the executors live and get on."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from penult_service.batching.reports import Health


class Vitals:
    """How the executors are. Kept under the scheduler's lock: nothing here is thread-safe.

    Args:
        stall_seconds, max_deaths: As of `Scheduler`.
        now: Seconds, as all times here.

    Attributes:
        fatal: They died too often, and stay dead.
    """

    def __init__(self, stall_seconds: float, max_deaths: int, now: float) -> None:
        self._stall_seconds, self._max_deaths = stall_seconds, max_deaths
        self._last = now
        self._busy: dict[Hashable, float] = {}  # since when, or since it ended one of the parts of its batch
        self._deaths = 0
        self._recent: deque[float] = deque(maxlen=max_deaths)
        self._unproven = self.fatal = False

    def woken(self, now: float) -> None:
        """Work has come after a pause."""
        self._last = now

    def began(self, executor: Hashable, now: float) -> None:
        """It begins a batch."""
        self._busy[executor] = now

    def ended(self, executor: Hashable, now: float, *, failed: bool) -> None:
        """It has ended one, or a part of one that is run by itself."""
        self._busy[executor] = self._last = now
        self._unproven = self._unproven and failed

    def rests(self, executor: Hashable) -> None:
        """It has no batch."""
        self._busy.pop(executor, None)

    def died(self, executor: Hashable, now: float) -> bool:
        """It has; whether that was too often within a minute. What ran when another died is the same accident."""
        self._deaths += 1
        self._unproven = True
        if not self._recent or self._busy.get(executor, now) >= self._recent[-1]:
            self._recent.append(now)
        return len(self._recent) == self._max_deaths and now - self._recent[0] < 60.0

    def health(self, now: float, *, busy: bool, alive: bool) -> Health:
        """At this moment."""
        since = now - min(self._busy.values(), default=self._last)
        stalled = busy and since > self._stall_seconds
        healthy = alive and not (stalled or self.fatal or self._unproven)
        return Health(healthy, busy, alive, stalled, self.fatal, self._deaths, since)
