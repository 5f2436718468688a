"""Refusing early what could not be done in time: before it is tokenized, when what waits ahead of it takes too long."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from penult_service.batching.backlog import Backlog
from penult_service.batching.pace import Stretch
from penult_service.batching.request import Lane, Request
from penult_service.errors import ResourceExhausted

# Of the time that a call has, where there is too much work: what may pass before its turn. Its turn takes a window's
# quarter and half of that, as rows of many calls are run together (see `group`); and the pace is never quite steady.
_BEFORE_ITS_TURN = 0.5
_LEAST, _MOST = 0.05, 60.0  # seconds until it is told to come back


def check_time(
    backlog: Backlog,
    stretch: Stretch,
    tokens: float,
    left: float,
    *,
    queue: Hashable,
    caller: Hashable,
    lane: Lane,
) -> None:
    """Whether so many tokens more of a caller can be run within the seconds that are left.

    Nothing is refused while no more waits than can be done in time. Once there is (one was refused, or waited in vain),
    and for as long as that one had, calls are taken that will have their turn early enough to be ended: else as many
    wait as can hardly be begun in time.

    Raises:
        ResourceExhausted: they cannot (OVERLOADED). `retry_after` is when they could, and at least half of the wait: a
            caller that comes back at once is as much work again.
    """
    if not stretch.known or not backlog or left <= 0:
        return
    ends = stretch.seconds(backlog.until_run(queue, caller, lane, tokens))
    begins = max(0.0, ends - stretch.seconds({queue: tokens}))
    over = max(ends - left, begins - _BEFORE_ITS_TURN * left if stretch.too_much else 0.0)
    if over <= 0:
        return
    stretch.late(left)
    delay = min(_MOST, max(_LEAST, over, begins / 2))
    raise ResourceExhausted(
        f"too much work waits: of its {left:.1f} s this call would wait {begins:.1f} s for its turn, and be done in "
        f"{ends:.1f} s; try again in {delay:.1f} s, or give it more time",
        reason="OVERLOADED",
        retry_after=delay,
        metadata={"wait_seconds": f"{ends:.1f}", "left_seconds": f"{left:.1f}"},
    )


def note_late(stretch: Stretch, gone: Iterable[Request], now: float) -> None:
    """Those of the requests that left whose time is over: what is a little too much shows in them alone."""
    for request in gone:
        if request.deadline is not None and request.deadline <= now:
            stretch.late(request.deadline - request.arrived)
