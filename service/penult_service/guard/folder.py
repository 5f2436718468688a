"""The files of a model's folder, by their names, kinds and sizes alone: nothing is opened."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from penult_service.errors import InvalidInput, ModelRefused

MAX_FILES = 10_000
MAX_BYTES = 64 << 30


def refuse_unsafe_files(folder: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> None:
    """Refuses a folder that leads out of itself, or that is too much.

    Raises:
        ModelRefused: LINK_OUTSIDE (a symbolic link whose target is not in the folder), SPECIAL_FILE (a pipe, socket
            or device), TOO_MANY_FILES, TOO_LARGE.
        InvalidInput: DAMAGED, it cannot be listed.
    """
    home = folder.resolve()
    waiting, files, size = [home], 0, 0
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                found = [(Path(entry.path), entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError as error:
            raise InvalidInput(
                f"{folder} cannot be read ({error.strerror}: {error.filename}); copy it, or change its rights",
                reason="DAMAGED",
            ) from error
        for path, status in found:
            _refuse_kind(folder, home, path, status.st_mode)
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)
            files, size = files + 1, size + (status.st_size if stat.S_ISREG(status.st_mode) else 0)
        if files > max_files:
            raise ModelRefused(
                f"{folder} holds more than {max_files:,} files; name the folder of the model alone",
                reason="TOO_MANY_FILES",
            )
        if size > max_bytes:
            raise ModelRefused(
                f"{folder} holds more than {max_bytes / 2**30:,.3g} GiB; name the folder of the model alone",
                reason="TOO_LARGE",
            )


def _refuse_kind(folder: Path, home: Path, path: Path, mode: int) -> None:
    if stat.S_ISLNK(mode):
        try:
            target = path.resolve()
        except (OSError, RuntimeError):  # it leads to itself
            target = Path(path.anchor)
        if not target.is_relative_to(home):
            raise ModelRefused(
                f"{folder}/{path.relative_to(home)} is a link out of the folder; put the file itself in its place",
                reason="LINK_OUTSIDE",
            )
    elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ModelRefused(
            f"{folder}/{path.relative_to(home)} is no file but a pipe, a socket or a device; remove it",
            reason="SPECIAL_FILE",
        )
