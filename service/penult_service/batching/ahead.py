"""The thread that makes the next batch ready while one runs."""

from __future__ import annotations

import logging
import threading

from penult_service.batching.backlog import Backlog
from penult_service.batching.request import Batch

log = logging.getLogger(__name__)


class Packer:
    """Packs and prepares what the backlog will give next; the executor does it itself where this is late, or fails.

    Args:
        lock: Of the backlog; held by who calls a method.
        backlog: Whose batches are prepared.
    """

    def __init__(self, lock: threading.Lock, backlog: Backlog) -> None:
        self._backlog = backlog
        self._wanted = threading.Condition(lock)
        self._ending = False
        threading.Thread(target=self._work, name="penult-packer", daemon=True).start()

    def wake(self) -> None:
        """The backlog has changed while a batch runs."""
        if self._backlog.wants_preparing():
            self._wanted.notify()

    def end(self) -> None:
        """End the thread."""
        self._ending = True
        self._wanted.notify()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            try:
                batch.prepare()
            except BaseException:  # whatever it is, the executor meets it again, and answers
                log.debug("a batch could not be prepared ahead", exc_info=True)
            del batch  # nothing is kept alive by who waits

    def _next(self) -> Batch | None:
        with self._wanted:
            while not (self._ending or self._backlog.wants_preparing()):
                self._wanted.wait()
            return None if self._ending else self._backlog.ahead()
