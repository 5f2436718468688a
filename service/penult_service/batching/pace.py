"""How fast it goes: of late, and since there has been work without a pause."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Seconds of work without a pause, before its pace is believed.
_KNOWN = 1.0
# Seconds after which a batch counts for a third.
_MEMORY = 5.0


@dataclass
class Pace:
    """When a batch was taken last, on the clock of deadlines, and tokens a second of late; 0.0: not known."""

    now: float = 0.0
    tokens_per_second: float = 0.0


class Stretch:
    """Work without a pause: the pace that who comes can count on.

    It is that of batches behind which more waited, with the time between them: others were as small as what had come.
    Where the executor has waited for work, it begins anew.

    Attributes:
        too_much: Some work of it was refused, as it could not have been done in time.
    """

    def __init__(self) -> None:
        self.too_much = False
        self._last: float | None = None
        self._whole = self._tokens = self._seconds = 0.0

    @property
    def tokens_per_second(self) -> float:
        """0.0: not known."""
        return self._tokens / self._seconds if self._whole >= _KNOWN else 0.0

    def begin(self, now: float) -> None:
        """Work has come, after a pause."""
        self.too_much = False
        self._last = now
        self._whole = self._tokens = self._seconds = 0.0

    def ran(self, now: float, tokens: int, *, full: bool) -> None:
        """A batch of so many tokens has ended (0: in vain), behind which more waited, or not."""
        since, self._last = now - (now if self._last is None else self._last), now
        if not full:
            return
        kept = math.exp(-since / _MEMORY)
        self._tokens = kept * self._tokens + tokens
        self._seconds = kept * self._seconds + since
        self._whole += since
