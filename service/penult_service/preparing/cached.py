"""The cache of prepared models: a directory of this user alone, whose entries are whole, and nobody else's work."""

from __future__ import annotations

import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path

from penult_service.errors import InvalidInput
from penult_service.prepared import load_manifest

_DAY = 86_400.0  # seconds


def private(cache: Path) -> Path:
    """The cache directory, for this user alone: what is in it is trusted."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"{cache} cannot be made ({error.strerror}), and prepared models are kept there; "
            "give another place with --data DIR",
            reason="CACHE_NOT_WRITABLE",
        ) from error
    found = cache.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise InvalidInput(
            f"{cache} belongs to another user, or others may write to it, so what is in it cannot be trusted; "
            f"chmod 700 {cache}, or give another place with --data DIR",
            reason="CACHE_NOT_PRIVATE",
        )
    for draft in cache.glob(".*.partial"):  # left by a child that was killed while it wrote
        with suppress(FileNotFoundError):  # another process has just finished it
            if time.time() - draft.stat().st_mtime > _DAY:
                shutil.rmtree(draft, ignore_errors=True)
    return cache


def usable(target: Path) -> bool:
    """Whether the cache has it whole; what is damaged is removed, to be made again. InvalidInput: not ours."""
    if not os.path.lexists(target):
        return False
    _refuse_foreign(target)
    try:
        load_manifest(target)
    except InvalidInput:
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()
        return False
    return True


def _refuse_foreign(entry: Path) -> None:
    """What is in the cache is loaded as it is, so nobody else may have had a hand in it."""
    for path in (entry, *entry.rglob("*")):
        found = path.lstat()
        what = ""
        if stat.S_ISLNK(found.st_mode):
            what = "is a link"
        elif found.st_uid != os.geteuid():
            what = "belongs to another user"
        elif found.st_mode & 0o002:
            what = "may be written by everybody"
        if what:
            raise InvalidInput(
                f"{path}, in the cache of prepared models, {what}, so it cannot be trusted; remove {entry}, and the "
                "model is prepared again",
                reason="CACHE_NOT_PRIVATE",
            )
