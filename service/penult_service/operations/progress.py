"""How far an operation is, and how long it will still take."""

from __future__ import annotations

import time

from penult_service.storage.manifests import now

WAITING, EMBEDDING, STARTING = "waiting", "embedding", "starting"
_BEFORE = (WAITING, EMBEDDING, STARTING)


class Progress:
    """What an operation does now. Told by its work, in the event loop.

    Args:
        estimate: Seconds that the work should take, without the stages named here; 0: not known.
    """

    def __init__(self, estimate: float = 0.0) -> None:
        self.stage, self.done, self.total = WAITING, 0, 0
        self._estimate = estimate
        self.started = ""
        """When it first did something, ISO 8601 in UTC; empty: it waits."""
        self._began: float | None = None
        self._stage_began = 0.0

    def tell(self, stage: str, done: int = 0, total: int = 0) -> None:
        """It does this, and has done so much of so much (0: not known)."""
        if stage != self.stage:
            self._stage_began = time.monotonic()
            self.started = self.started or now()
            if stage not in _BEFORE and self._began is None:
                self._began = self._stage_began
        self.stage, self.done, self.total = stage, done, total

    def seconds_left(self) -> float | None:
        """By the rate of the stage and by the estimate, whichever is longer; None: not known."""
        if self._began is None:
            return None
        now = time.monotonic()
        left = [self._estimate - (now - self._began)]
        if 0 < self.done <= self.total:
            left.append((now - self._stage_began) * (self.total - self.done) / self.done)
        longest = max(left)
        return longest if longest > 0 else None
