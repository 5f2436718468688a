"""The parts of a call: which is next, what follows a failure, when time is out. No I/O, no clock of its own."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from penult_client._core.errors import count_from
from penult_client._core.splitting import Part
from penult_client._core.timing import Deadline
from penult_client._exceptions import DeadlineError, PenultError, ResourceExhaustedError, UnavailableError

Reply = TypeVar("Reply")

# Where the server does not say how long to wait: 0.1 s, doubled each time, five times. Where it says, its word
# is followed for as long as there is time, and no attempt is counted.
BLIND_RETRIES = 5
FIRST_DELAY = 0.1


class PartQueue(Generic[Reply]):
    """The parts of one call and their replies.

    Args:
        parts: What is to be sent.
        timeout: The longest wait for one RPC, seconds; without a deadline, retries of a part end with it too.
        deadline: The end of the whole call.
        called: What the caller calls the rows; the server says ``texts``, ``records`` or ``tensors``.
        again: Whether a part may be sent again that the server may have received: after a break.
        jitter: Draws a factor between two, so that clients refused together do not come back together.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        timeout: float,
        deadline: Deadline,
        called: str = "",
        again: bool = True,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.waiting = deque(parts)
        self.done: list[tuple[Part, Reply]] = []
        self.total = sum(len(part) for part in parts)
        self._timeout = timeout
        self._deadline = deadline
        self._called = called
        self._blind_retries = BLIND_RETRIES if again else 0
        self._jitter = jitter

    @property
    def rows_done(self) -> int:
        """Rows whose replies are there."""
        return sum(len(part) for part, _ in self.done)

    def take(self, now: float) -> tuple[Part, float]:
        """The next part to send, and the seconds it may take.

        Raises:
            DeadlineError: no time is left.
            PenultError: nor was there any for an attempt after this.
        """
        part = self.waiting.popleft()
        if part.until is None:
            part.until = now + self._timeout if self._deadline.at is None else self._deadline.at
        left = part.until - now
        if left <= 0:
            raise part.refused or self._out_of_time()
        part.given, part.sent, part.seen = min(self._timeout, left), now, len(self.done)
        return part, part.given

    def succeeded(self, part: Part, reply: Reply) -> None:
        """Keeps the reply."""
        self.done.append((part, reply))

    def failed(self, part: Part, error: PenultError, now: float, looked: float | None = None) -> float:
        """Puts the part back and returns the seconds to wait, or raises the error when it is final.

        `looked` is when its answer was first looked for: until then others were waited for.
        """
        fits = _rows_that_fit(part, error)
        if 0 < fits < len(part):
            self.waiting = deque(piece for each in (part, *self.waiting) for piece in each.split(fits))
            return 0.0
        if isinstance(error, DeadlineError) and part.refused is not None and part.given < FIRST_DELAY:
            raise part.refused  # what was left was no time for an answer
        delay = self._delay(part, error)
        if delay is not None and isinstance(error, ResourceExhaustedError):
            delay = max(0.0, delay - (0.0 if looked is None else looked - part.sent))  # so much has passed
            if len(self.done) > part.seen and self._deadline.at is None:
                part.until = None  # the call goes on: this part has not had its time yet
        if delay is None or (part.until is not None and now + delay >= part.until):
            raise count_from(part.start, error, self._called)
        part.attempts += error.retry_after is None
        part.refused = count_from(part.start, error, self._called)
        self.waiting.appendleft(part)
        return delay

    def in_order(self) -> list[tuple[Part, Reply]]:
        """The replies in the order of the rows."""
        return sorted(self.done, key=lambda pair: pair[0].start)

    def _delay(self, part: Part, error: PenultError) -> float | None:
        if error.retry_after is not None:
            if not isinstance(error, UnavailableError | ResourceExhaustedError):
                return None
            return error.retry_after * self._jitter(1.0, 1.25)
        if not isinstance(error, UnavailableError) or part.attempts >= self._blind_retries:
            return None
        return float(FIRST_DELAY * 2**part.attempts * self._jitter(0.5, 1.0))

    def _out_of_time(self) -> DeadlineError:
        asked = self._deadline.seconds
        limit = f"timeout of {self._timeout:g}" if asked is None else f"deadline of {asked:g}"
        return DeadlineError(f"the {limit} s passed with {self.rows_done} of {self.total} rows done")


def _rows_that_fit(part: Part, error: PenultError) -> int:
    """How many rows to send instead when the server found the part too large; 0: that is not what it said."""
    if error.reason == "RESPONSE_TOO_LARGE" and error.metadata.get("most_rows", "").isdigit():
        return int(error.metadata["most_rows"])
    if error.reason == "REQUEST_TOO_LARGE":  # counted in tokens, which only the server knows
        return len(part) // 2
    return 0
