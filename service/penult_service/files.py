"""Directories that are there whole or not at all, syncs and hashes of files, the cache. The standard library only."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """A directory to fill, hidden beside `target`: renamed to it when the block ends, removed when it fails.

    Also removed on Ctrl-C. Everything is synced before the rename, so `target` is never half-written.

    Raises:
        OSError: `target` exists and is not an empty directory, or the file system refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        yield draft
        for path in draft.rglob("*"):
            sync(path)
        with suppress(PermissionError):  # a confined process may not, nor may anybody on some file systems
            draft.chmod(0o777 & ~_umask())
        draft.rename(target)
        sync(target.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def user_cache() -> Path:
    """The user's cache directory for Penult: below XDG_CACHE_HOME, else ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "penult"


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no directories
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The process' umask, which can only be read by setting it."""
    current = os.umask(0)
    os.umask(current)
    return current
