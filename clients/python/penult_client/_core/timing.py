"""How long things may take."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from penult_client._about import Limits
from penult_client._exceptions import InvalidInputError

# For what comes before and after an analysis of the longest kind: others ahead of it, embedding, the way there.
ANALYSIS_MARGIN = 30.0


def check_seconds(seconds: Any, argument: str) -> float:
    """A number of seconds above 0.

    Raises:
        InvalidInputError: it is none (BAD_SECONDS).
    """
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < math.inf:
        return float(seconds)
    raise InvalidInputError(
        f"{argument}={seconds!r}; give a number of seconds above 0", reason="BAD_SECONDS", field=argument
    )


@dataclass(frozen=True)
class Deadline:
    """The end of a whole call: `seconds` after it began, at `at` of the monotonic clock; None: no such end."""

    seconds: float | None = None
    at: float | None = None

    @classmethod
    def begin(cls, seconds: Any) -> Deadline:
        """The deadline of a call that begins now."""
        if seconds is None:
            return cls()
        checked = check_seconds(seconds, "deadline")
        return cls(checked, time.monotonic() + checked)

    def later(self, seconds: float) -> Deadline:
        """The same call, with so much more time."""
        return self if self.at is None else Deadline(self.seconds, self.at + seconds)

    def left(self, longest: float) -> float:
        """Seconds until it, 0 when it has passed; at most `longest`."""
        return longest if self.at is None else max(0.0, min(longest, self.at - time.monotonic()))


NO_DEADLINE = Deadline()


def analysis_seconds(limits: Limits, deadline: Deadline, timeout: float) -> float:
    """The longest wait for an analysis: the deadline, else what the server lets it take and a margin, at least
    the timeout."""
    if deadline.seconds is not None:
        return deadline.seconds
    return max(timeout, limits.max_analysis_seconds + ANALYSIS_MARGIN)
