"""Every step that writes to the file system, one method each, so that tests can stop the world between any two.

What is synced survives loss of power as far as `fsync` goes; nothing else is relied on.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path

from penult_service.errors import PenultError, PreconditionFailed, ResourceExhausted, Unavailable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
# On macOS fsync stops at the drive's cache, and this does not.
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


class Disk:
    """Writes, syncs and renames. `durable` False leaves the syncs out, for directories that go with the process."""

    def __init__(self, durable: bool = True) -> None:
        self.durable = durable

    def write(self, path: Path, offset: int, *parts: bytes | memoryview, sync: bool) -> None:
        """Put bytes at a place of a file, which is made when it is not there (its directory is not synced)."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for part in parts:
                self._pwrite(descriptor, path, memoryview(part).cast("B"), offset)
                offset += len(memoryview(part).cast("B"))
            if sync:
                self._fsync(descriptor, path)
        finally:
            os.close(descriptor)

    def sync(self, path: Path) -> None:
        """Make the bytes of a file, or the names in a directory, survive loss of power."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._fsync(descriptor, path)
        finally:
            os.close(descriptor)

    def truncate(self, path: Path, length: int) -> None:
        """Cut a file, and sync it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._ftruncate(descriptor, path, length)
            self._fsync(descriptor, path)
        finally:
            os.close(descriptor)

    def make_directory(self, path: Path) -> None:
        """A directory for this user alone. It may be there; its parent is not synced."""
        path.mkdir(mode=0o700, exist_ok=True)

    def put(self, path: Path, data: bytes) -> None:
        """A file that is there whole or not at all, in the place of one that may be there; synced."""
        draft = path.with_name(path.name + ".partial")
        self.remove(draft)
        self.write(draft, 0, data, sync=True)
        self.rename(draft, path)

    def link(self, source: Path, target: Path) -> None:
        """The same file under a second name, or, on a file system without such links, a copy of it; synced."""
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
            self.sync(target)

    def rename(self, source: Path, target: Path) -> None:
        """Rename within one directory, and sync that."""
        self._rename(source, target)
        self.sync(target.parent)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there. Not synced: what is removed may come back."""
        path.unlink(missing_ok=True)

    def remove_tree(self, path: Path) -> None:
        """Remove a directory with all below it, as far as it goes. Not synced."""
        shutil.rmtree(path, ignore_errors=True)

    def _rename(self, source: Path, target: Path) -> None:
        source.replace(target)

    def _pwrite(self, descriptor: int, path: Path, data: memoryview, offset: int) -> None:  # noqa: ARG002
        while data:
            written = os.pwrite(descriptor, data, offset)
            data, offset = data[written:], offset + written

    def _ftruncate(self, descriptor: int, path: Path, length: int) -> None:  # noqa: ARG002
        os.ftruncate(descriptor, length)

    def _fsync(self, descriptor: int, path: Path) -> None:  # noqa: ARG002
        if not self.durable:
            return
        if _FULL_SYNC is not None:
            fcntl.fcntl(descriptor, _FULL_SYNC)
        else:
            # Size and bytes, without the times: no journal commit where the file does not grow.
            os.fdatasync(descriptor)


def refused(error: OSError, what: str) -> PenultError:
    """What the file system said, as an error of ours: `what` could not be done."""
    message = f"{what}: {error.strerror or error}"
    if error.errno in _FULL:
        return ResourceExhausted(
            f"{message}; make room on the server's disk", reason="DISK_FULL", retry_after=10
        )
    if error.errno in _CLOSED:
        return PreconditionFailed(f"{message}; the server may not write there", reason="NOT_WRITABLE")
    return Unavailable(message, reason="STORAGE_FAILED")
