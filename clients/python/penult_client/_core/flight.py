"""How many requests of one call are on their way at a time. No I/O, no clock of its own."""

from __future__ import annotations

from penult_client._about import Limits
from penult_client._core.inputs import TOKEN_BYTES
from penult_client._core.splitting import PART_BYTES

# One is computed while the next is on its way or waits in the server's queue.
FEW = 2
# The server packs the rows of two together, so that both end at about the same time: two more have to be there by then.
MOST = 4
# Of the timeout, what a server may take for a part so that MOST of them, and others' work, end within it.
_SHARE = 12


class Flight:
    """The requests of one call that are under way.

    Args:
        limits: What the server takes: no more are sent than its queue holds.
        timeout: The longest wait for one of them, in seconds.
    """

    def __init__(self, limits: Limits, timeout: float) -> None:
        held = limits.max_queued_tokens // (PART_BYTES // TOKEN_BYTES)
        self._few, self._many = (max(1, min(most, held)) for most in (FEW, MOST))
        self._quick = timeout / _SHARE
        self.most = self._few

    def refused(self) -> None:
        """One was: the others of this call are work enough for the server, and go one by one from now on."""
        self._few = self._many = self.most = 1

    def landed(self, seconds: float) -> None:
        """One was answered, so many seconds after it was sent: a slow server, or a busy one, is sent few."""
        self.most = self._many if seconds < self._quick * self.most else self._few
