"""A lock on a folder that dies with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penult_service.errors import PreconditionFailed


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; its directory is made when it is not there.

    Args:
        path: The file, which holds the process id of its owner, for people.
        what: What is locked, for the message.

    Raises:
        PreconditionFailed: another process holds it (JOB_RUNNING).
    """
    descriptor = _opened(path, what)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path, what: str) -> int:
    """The locked file. One that was removed between opening and locking is no lock: then once more."""
    while True:
        path.parent.mkdir(exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise PreconditionFailed(
                f"another job is writing {what} (process {owner}); wait for it, or name another output",
                reason="JOB_RUNNING",
            ) from None
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        os.close(descriptor)
