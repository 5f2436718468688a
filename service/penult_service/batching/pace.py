"""How fast it goes: of late, and since there has been work without a pause."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

# Seconds of a queue's batches, before their pace is believed.
_KNOWN = 1.0
# Seconds after which a batch counts for a third.
_MEMORY = 5.0


@dataclass
class Pace:
    """When a batch was taken last, on the clock of deadlines, and tokens a second of late; 0.0: not known."""

    now: float = 0.0
    tokens_per_second: float = 0.0


class Recent:
    """Of about ten batches, by the time that they took themselves, or their part of it where several ran at once."""

    def __init__(self) -> None:
        self._tokens = self._seconds = 0.0

    @property
    def tokens_per_second(self) -> float:
        """0.0: nothing has run."""
        return self._tokens / max(self._seconds, 1e-6)

    def ran(self, tokens: int, seconds: float) -> None:
        """One has."""
        self._tokens = 0.9 * self._tokens + tokens
        self._seconds = 0.9 * self._seconds + seconds


@dataclass
class _Own:
    """Of a queue: when a batch of it ended first and last; tokens and seconds of its batches, of late; and all their
    seconds.
    """

    first: float
    ended: float
    tokens: float = 0.0
    seconds: float = 0.0
    whole: float = 0.0

    @property
    def known(self) -> bool:
        """Whether its pace is believed."""
        return self.whole >= _KNOWN and self.tokens > 0

    def ran(self, now: float, tokens: int, seconds: float) -> None:
        """A batch has ended, so many seconds after the one before."""
        kept = math.exp((self.ended - now) / _MEMORY)
        self.ended = now
        self.tokens = kept * self.tokens + tokens
        self.seconds = kept * self.seconds + seconds
        self.whole += seconds


class Stretch:
    """Work without a pause: the pace of each queue (a model version) that who comes can count on.

    It is that of batches behind which more waited, with the time between them: others were as small as what had come.
    The first of them does not count, nor what ran beside it: it may have been slow because it was the first. Where
    nothing ran because nothing waited, all begins anew.
    """

    def __init__(self) -> None:
        self._last = 0.0
        self._too_much_until = -math.inf
        self._known = False
        self._of: dict[Hashable, _Own] = {}

    @property
    def known(self) -> bool:
        """Whether the pace of any queue is."""
        return self._known

    @property
    def too_much(self) -> bool:
        """Whether some work was late, not long ago."""
        return self._last < self._too_much_until

    def seconds(self, tokens: Mapping[Hashable, float]) -> float:
        """How long so many tokens of each queue take; none for those of a queue whose pace is not known."""
        found = ((number, self._of.get(queue)) for queue, number in tokens.items())
        return sum(number * own.seconds / own.tokens for number, own in found if own and own.known)

    def late(self, given: float) -> None:
        """Some work was, or would have been, that had so many seconds: for as long there is too much."""
        self._too_much_until = max(self._too_much_until, self._last + given)

    def begin(self, now: float) -> None:
        """Work has come, after a pause."""
        self._last, self._too_much_until, self._known = now, -math.inf, False
        self._of.clear()

    def ran(self, queue: Hashable, now: float, tokens: int, *, full: bool, began: float = math.inf) -> None:
        """A batch of so many tokens has ended that began then. `full`: well, and behind it more waited."""
        since, self._last = now - self._last, now
        if not full:
            return
        own = self._of.get(queue)
        if own is None:
            self._of[queue] = _Own(now, now)
            return
        if began < own.first:
            return
        own.ran(now, tokens, since)
        self._known = self._known or own.known
