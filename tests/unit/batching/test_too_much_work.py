"""Ten times as much as can be done in time: what is begun is ended, so that as much is done as without the rest."""

from __future__ import annotations

import numpy as np
import pytest
from penult_service.batching import Lane, Limits
from penult_service.batching.backlog import Backlog
from penult_service.batching.request import Request
from penult_service.errors import ResourceExhausted

LIMITS = Limits(token_budget=2048, max_rows=32)
RATE = 14_000.0  # tokens a second
ROWS = 32


class World:
    """A model of that speed, on a clock of its own; calls of `ROWS` rows come at `times` the rate that it can do."""

    def __init__(self, callers: int, seconds: float, times: float) -> None:
        self.backlog = Backlog(max_waiting_tokens=1 << 18)
        self.now, self.came, self.done = 0.0, 0, 0
        self._random = np.random.default_rng(0)
        self._callers, self._seconds = callers, seconds
        # The mean of the lengths below is 20.
        self.capacity = RATE / (20 * ROWS)
        self._rate = times * self.capacity

    def run(self, seconds: float) -> float:
        """Calls a second that were answered in time."""
        began, done = self.now, self.done
        while self.now < began + seconds:
            while self.came / self._rate <= self.now:
                self._come()
            self._drop()
            self.backlog.pace.now, self.backlog.pace.tokens_per_second = self.now, RATE
            batch = self.backlog.take()
            if batch is None:
                self.now += 0.001
                continue
            self.now += batch.padded_tokens / RATE
            batch.deliver([None] * len(batch.rows))
            self.done += sum(not one.missing and self.now <= (one.deadline or 0.0) for one in batch.requests)
        return (self.done - done) / (self.now - began)

    def _come(self) -> None:
        arrived, caller = self.came / self._rate, self.came % self._callers
        self.came += 1
        lengths = self._random.integers(5, 36, ROWS).tolist()
        deadline = arrived + self._seconds
        one = Request("m", len, lengths, lengths, Lane.INTERACTIVE, arrived, deadline, LIMITS, caller)
        if not self.backlog.has_room(one):
            self._drop()
        try:
            self.backlog.add(one, RATE)
        except ResourceExhausted:
            one.future.cancel()

    def _drop(self) -> None:
        for one in self.backlog.drop_gone(self.now):
            one.future.cancel()


@pytest.mark.parametrize(
    ("callers", "seconds", "least"),
    [
        (1, 2.0, 0.9),
        (1, 10.0, 0.9),
        (1, 30.0, 0.9),
        (8, 2.0, 0.9),
        (8, 10.0, 0.9),
        # A call alone takes 0.05 seconds, and 1.4 with the turns of the others.
        (30, 2.0, 0.6),
        (30, 10.0, 0.9),
    ],
)
def test_nearly_as_much_is_done_as_can_be(callers: int, seconds: float, least: float) -> None:
    world = World(callers, seconds, times=10.0)
    world.run(2 * seconds)
    assert world.run(seconds) > least * world.capacity


def test_all_is_done_where_there_is_no_more_than_can_be() -> None:
    world = World(4, 5.0, times=0.9)
    world.run(30.0)
    assert world.came - world.done < 10
