"""The threads that run batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)


class Executors:
    """Threads, each with its work. `replace` and `alive` are called under one lock."""

    def __init__(self, works: Sequence[Callable[[], None]]) -> None:
        self._works = works
        self._threads: list[threading.Thread] = []
        for work in works:
            self._threads.append(_started(work))

    @property
    def alive(self) -> bool:
        """Whether all of them are."""
        return all(thread.is_alive() for thread in self._threads)

    def join(self, grace: float) -> None:
        """Wait until they have ended, so many seconds at most."""
        ends = time.monotonic() + grace
        for thread in list(self._threads):
            thread.join(max(0.0, ends - time.monotonic()))

    def replace(self) -> bool:
        """Start another in the place of this thread, which dies; False when the system gives none."""
        own = self._threads.index(threading.current_thread())
        try:
            self._threads[own] = _started(self._works[own])
        except (RuntimeError, MemoryError):
            log.critical("no new executor thread can be started")
            return False
        return True


def _started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="penult-executor", daemon=True)
    thread.start()
    return thread
