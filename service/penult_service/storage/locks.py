"""One process at a time writes below a directory: a lock that the operating system drops with its holder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from penult_service.errors import PreconditionFailed

LOCK = ".lock"


class DirectoryLock:
    """Held from making it until `close`, or the end of the process, however that comes."""

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            PreconditionFailed: DATA_IN_USE, naming the process that has it.
        """
        path = directory / LOCK
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise PreconditionFailed(
                f"{directory} is in use by another server (process {holder}): "
                "stop that one, or give this one another --data",
                reason="DATA_IN_USE",
                metadata={"process": holder},
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let go of it. The file stays: removing it would let two processes hold two locks."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
