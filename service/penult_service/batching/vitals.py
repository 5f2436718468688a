"""Whether the executor lives and gets on."""

from __future__ import annotations

from collections import deque

from penult_service.batching.reports import Health


class Vitals:
    """How the executor is. Kept under the scheduler's lock: nothing here is thread-safe.

    Args:
        stall_seconds, max_deaths: As of `Scheduler`.
        now: Seconds, as all times here.

    Attributes:
        fatal: It died too often, and stays dead.
    """

    def __init__(self, stall_seconds: float, max_deaths: int, now: float) -> None:
        self._stall_seconds, self._max_deaths = stall_seconds, max_deaths
        self._progress = now
        self._deaths = 0
        self._recent: deque[float] = deque(maxlen=max_deaths)
        self._unproven = self.fatal = False

    def began(self, now: float) -> None:
        """A batch begins, or work has come after a pause."""
        self._progress = now

    def ended(self, now: float, *, failed: bool) -> None:
        """A batch has ended."""
        self._progress = now
        self._unproven = self._unproven and failed

    def died(self, now: float) -> bool:
        """The executor has; whether that was too often within a minute."""
        self._deaths += 1
        self._recent.append(now)
        self._unproven = True
        return len(self._recent) == self._max_deaths and now - self._recent[0] < 60.0

    def health(self, now: float, *, busy: bool, alive: bool) -> Health:
        """At this moment."""
        since = now - self._progress
        stalled = busy and since > self._stall_seconds
        healthy = alive and not (stalled or self.fatal or self._unproven)
        return Health(healthy, busy, alive, stalled, self.fatal, self._deaths, since)
