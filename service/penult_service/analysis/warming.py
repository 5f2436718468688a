"""What makes the first analysis of a process as quick as the second: imports, numba's cache, and a little of each."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from penult_service.errors import InvalidInput

_log = logging.getLogger(__name__)


def use_numba_cache(directory: Path | None) -> bool:
    """Keep what numba compiles in this directory; whether that is so. Call it before numba is imported.

    Compiled code is run as it lies there, so the directory has to be this user's, and closed to writing by others:
    it is made with mode 0700. Where it cannot be used (None: not wanted) numba compiles in every process, which
    takes a minute, and the log says so.
    """
    if directory is None:
        return False
    try:
        _make_private(directory)
    except (OSError, InvalidInput) as error:
        _log.warning("numba compiles at every start, its cache %s cannot be used: %s", directory, error)
        return False
    os.environ["NUMBA_CACHE_DIR"] = str(directory)
    return True


def _make_private(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise InvalidInput(
            f"it belongs to another user, or others may write to it; chmod 700 {directory}",
            reason="CACHE_NOT_PRIVATE",
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise InvalidInput("it is read-only", reason="CACHE_NOT_WRITABLE")
