"""Modules of TF-Hub for who trains: from a directory, from tensorflow_hub's cache, or fetched by its own resolver.

What tensorflow_hub leaves open is closed here: it waits for ever for a server that says nothing, takes a half-written
cache entry for a module, keeps an empty one, and unpacks while it downloads.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psutil
import tensorflow as tf
from tensorflow_hub.compressed_module_resolver import HttpCompressedFileResolver

from penult_service.errors import InvalidInput, ModelRefused, NotFound, PenultError
from penult_service.guard.folder import MAX_BYTES
from penult_service.preparing.formats import hub_archive, hub_network
from penult_service.preparing.formats.hub_handles import (
    CACHE,
    cached,
    entry_of,
    is_remote,
    is_whole,
    refuse_foreign_cache,
)
from penult_service.preparing.inspecting.inspection import inspect

Progress = Callable[[int, int], None]
"""Called with the bytes that have come, and their total; 0 when the server does not say."""

_ABANDONED = 60  # seconds that another process' lock may stand without progress
_BLOCK = 1 << 20


def resolved(handle: str, role: str, progress: Progress | None = None) -> Path:
    """The directory of a module, looked at as any stranger's file is (`inspecting`).

    Args:
        handle: A directory or an http(s) URL.
        role: What it is for, such as ``encoder``; it stands in messages, and is their field.
        progress: Called while it is downloaded.

    Raises:
        NotFound: HANDLE_NOT_FOUND, no such directory, or the server has no such module.
        Unavailable: HANDLE_UNREACHABLE, it is not in the cache, and no server answers in time.
        InvalidInput: DAMAGED; HANDLE_UNSUPPORTED, another kind of URL; CACHE_NOT_WRITABLE.
        ModelRefused: the reasons of `hub_archive.refuse_harmful` and `inspect`; CACHE_NOT_PRIVATE.
    """
    if is_remote(handle):
        return _fetched(handle, role, progress or _nobody)
    if not Path(handle).is_dir():
        what = f"{role} {handle} is no directory; name the module's directory or its URL"
        raise NotFound(what, reason="HANDLE_NOT_FOUND", field=role)
    inspect(Path(handle))
    return Path(handle)


def _nobody(done: int, total: int) -> None:
    """For callers that show no progress."""
    del done, total


def _fetched(handle: str, role: str, progress: Progress) -> Path:
    hub_network.address_of(handle, role)
    found = cached(handle)
    if found is not None and _is_readable(found):
        return found
    refuse_foreign_cache()
    entry, what = entry_of(handle), f"{role} {handle}"
    try:
        entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=entry.parent) as archive, _aside(entry):
            _free_lock(entry)
            _Resolver(what, archive, progress)(handle)
            _look(what, entry)
    except hub_network.NoAnswer as error:
        raise hub_network.refusal(handle, role, error) from error
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise InvalidInput(
            f"{what} cannot be kept in {entry.parent} ({hub_network.said(error)}); set {CACHE} to a directory of yours "
            "with room",
            reason="CACHE_NOT_WRITABLE",
            field=role,
        ) from error
    return entry


def _is_readable(entry: Path) -> bool:
    """False when it is damaged, such as half-written; ModelRefused when it would do harm."""
    try:
        inspect(entry)
    except InvalidInput:
        return False
    return True


def _look(what: str, entry: Path) -> None:
    """At what came, before anybody uses it; what is refused does not stay in the cache."""
    try:
        if not is_whole(entry):
            raise InvalidInput("the archive holds no SavedModel, or half of one", reason="DAMAGED")
        inspect(entry)
    except PenultError as error:
        shutil.rmtree(entry, ignore_errors=True)
        kind = ModelRefused if isinstance(error, ModelRefused) else InvalidInput
        raise kind(f"{what}: {error.message}", reason=error.reason, metadata=error.metadata) from error


class _Resolver(HttpCompressedFileResolver):
    """tensorflow_hub's own, whose download ends in time and is looked at before it is unpacked.

    Args:
        what: The handle and its role, for messages.
        archive: An empty file that the download is kept in.
        progress: Called while it grows.
    """

    def __init__(self, what: str, archive: IO[bytes], progress: Progress) -> None:
        super().__init__()
        self._what, self._archive, self._progress = what, archive, progress

    def _call_urlopen(self, request: Any) -> IO[bytes]:
        with hub_network.opened(request, self._context) as response:
            size = self._saved(response)
        self._archive.seek(0)
        hub_archive.refuse_harmful(self._what, self._archive, size)
        return self._archive

    def _saved(self, response: Any) -> int:
        told = response.headers.get("Content-Length", "")
        total, size = int(told) if told.isdecimal() else 0, 0
        while block := hub_network.answered(lambda: response.read(_BLOCK)):
            size += len(block)
            if size > MAX_BYTES:
                raise ModelRefused(
                    f"{self._what} answered with more than {MAX_BYTES >> 30} GiB", reason="TOO_LARGE"
                )
            self._archive.write(block)
            self._progress(size, total)
        if size < total:
            raise hub_network.NoAnswer(f"the connection ended after {size:,} of {total:,} bytes")
        return size

    def _lock_file_timeout_sec(self) -> int:
        return _ABANDONED


@contextmanager
def _aside(entry: Path) -> Iterator[None]:
    """Puts an entry that is of no use out of the way, and back when nothing better comes."""
    old = entry.with_name(f"{entry.name}.{uuid.uuid4().hex}.broken")
    if not os.path.lexists(entry):
        yield
        return
    entry.rename(old)
    try:
        yield
    finally:
        if os.path.lexists(entry):
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(entry)


def _free_lock(entry: Path) -> None:
    """Removes the lock of a process of this machine that has ended; tensorflow_hub would wait ten minutes for it."""
    lock = entry.with_name(f"{entry.name}.lock")
    with suppress(OSError, ValueError):
        host, pid, task = lock.read_text(encoding="utf-8").rsplit(".", 2)
        if host == socket.gethostname() and not psutil.pid_exists(int(pid)):
            lock.unlink()
            shutil.rmtree(entry.with_name(f"{entry.name}.{task}.tmp"), ignore_errors=True)
