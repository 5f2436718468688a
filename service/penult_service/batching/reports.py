"""What the scheduler tells: of each batch, of its queues, of its health."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class BatchStats:
    """A batch that ran: its queue, rows, tokens without and with padding, seconds, and whether it failed.

    `waited` is how long its first-come row waited before the batch started.
    """

    queue: Hashable
    rows: int
    tokens: int
    padded_tokens: int
    waited: float
    seconds: float
    failed: bool


class Observer(Protocol):
    """Told what happens, for metrics. Quick, never raises, never calls back; from any thread."""

    def queue_changed(self, queue: Hashable, waiting_tokens: int) -> None:
        """So many tokens wait in the queue now."""
        ...

    def batch_finished(self, stats: BatchStats) -> None:
        """A batch ran."""
        ...


@dataclass(frozen=True)
class Health:
    """Health is progress.

    `healthy`: the executors live, none is stalled, and a batch has finished since one last died (an idle server
    proves that by a real inference). `busy`: a batch runs or waits. `since_progress`: seconds since a batch last
    started or finished, on the executor where that is longest ago. `deaths`: of executors, ever. `fatal`: they
    died too often and stay dead.
    """

    healthy: bool
    busy: bool
    alive: bool
    stalled: bool
    fatal: bool
    deaths: int
    since_progress: float
