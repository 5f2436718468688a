"""How long things may take."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from penult_client._exceptions import InvalidInputError


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


NO_DEADLINE = Deadline()
