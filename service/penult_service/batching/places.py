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
        self._beside: dict[Hashable, Batch] = {}

    def __bool__(self) -> bool:
        return bool(self._running or self._beside)

    @property
    def batches(self) -> list[Batch]:
        """All that run."""
        return [*self._running.values(), *self._beside.values()]

    @property
    def in_turn(self) -> int:
        """How many do, without what is beside them."""
        return len(self._running)

    def may_begin(self, *, beside: bool = False) -> bool:
        """Whether the next batch may run now, in its turn or beside those that do."""
        most = min([self._executors, *(batch.at_once for batch in self._running.values())])
        taken = len(self._running)
        if beside:
            in_streams = most > 1 and all(batch.lane is Lane.BULK for batch in self._running.values())
            return in_streams and taken >= most and not self._beside and self._backlog.may_take_little
        next_ = self._backlog.may_run(idle=not self)
        return taken < min(most, next_) and not (next_ == 1 and self._beside)

    def begin(self, executor: Hashable, *, beside: bool = False) -> Batch | None:
        """What it runs from now on; None where none may begin."""
        if not self.may_begin(beside=beside):
            return None
        batch = self._backlog.take_little() if beside else self._backlog.take(idle=not self)
        if batch:
            (self._beside if beside else self._running)[executor] = batch
        return batch

    def leave(self, executor: Hashable) -> Batch | None:
        """It runs nothing any more; what it ran."""
        return self._running.pop(executor, None) or self._beside.pop(executor, None)
