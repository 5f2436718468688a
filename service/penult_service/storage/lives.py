"""One life of a stored thing: the directory that it has from its making to its deletion or overwriting."""

from __future__ import annotations

import threading
from pathlib import Path

from penult_service.storage.disk import Disk


class Life:
    """Who reads in a directory, so that it stays until the last one has left."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self.path = path
        self._disk = disk
        # Reentrant: a reader that nobody closed leaves when it is collected, at any moment.
        self._lock = threading.RLock()
        self._readers = 0
        self._doomed = False

    def enter(self) -> None:
        """One more reader."""
        with self._lock:
            self._readers += 1

    def leave(self) -> None:
        """One reader less; the last one takes a doomed directory with it."""
        with self._lock:
            self._readers -= 1
            if not self._readers:
                self._left()
            self._remove_if_free()

    def doom(self) -> bool:
        """It is over: remove the directory, now or with its last reader. Whether it was now."""
        with self._lock:
            self._doomed = True
            return self._remove_if_free()

    def _left(self) -> None:
        """Nobody reads any more."""

    def _remove_if_free(self) -> bool:
        free = self._doomed and self._readers == 0
        if free:
            self._disk.remove_tree(self.path)
        return free
