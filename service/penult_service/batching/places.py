"""What runs, and what may begin beside it."""

from __future__ import annotations

from collections.abc import Hashable

from penult_service.batching.backlog import Backlog
from penult_service.batching.request import Batch, Lane


class Places:
    """Batches that run, each in the place of an executor. Used under the scheduler's lock: nothing here is thread-safe.

    As many run in turn as their limits allow. Where all of those are bulk work in streams, a little of the interactive
    lane runs beside them, one batch at a time: it takes some of their processor time and waits for none of them to end.

    Args:
        backlog: Of which batches are taken.
        executors: That run batches in turn.
    """

    def __init__(self, backlog: Backlog, executors: int) -> None:
        self._backlog, self._executors = backlog, executors
        self._running: dict[Hashable, Batch] = {}  # by the executor

    def __bool__(self) -> bool:
        return bool(self._running)

    @property
    def batches(self) -> list[Batch]:
        """All that run."""
        return list(self._running.values())

    @property
    def in_turn(self) -> list[Batch]:
        """Those of them that are not beside others."""
        return [batch for batch in self._running.values() if not batch.beside]

    def may_begin(self, *, beside: bool = False) -> bool:
        """Whether the next batch may run now, in its turn or beside those that do."""
        turns = self.in_turn
        taken, some_beside = len(turns), len(turns) < len(self._running)
        most = min([self._executors, *(batch.at_once for batch in turns)])
        if beside:
            in_streams = most > 1 and all(batch.lane is Lane.BULK for batch in turns)
            return in_streams and taken >= most and not some_beside and self._backlog.may_take_little
        next_ = self._backlog.may_run(idle=not self)
        return taken < min(most, next_) and not (next_ == 1 and some_beside)

    def begin(self, executor: Hashable, *, beside: bool = False) -> Batch | None:
        """What it runs from now on; None where none may begin."""
        if not self.may_begin(beside=beside):
            return None
        batch = self._backlog.take_little() if beside else self._backlog.take(idle=not self)
        if batch:
            self._running[executor] = batch
        return batch

    def leave(self, executor: Hashable) -> Batch | None:
        """It runs nothing any more; what it ran."""
        return self._running.pop(executor, None)
