"""TF-Hub modules that a `.keras` or `.h5` file needs beside itself: their handles, known once the file was looked at.

A child finds the handles, this process the directories, and the next child is allowed to read these. Which handles a
file has is remembered in the cache of prepared models, so that what is prepared is found there without a child.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from penult_service.guard.folder import refuse_unsafe_files

_SUFFIX = ".handles"
_MAX_BYTES = 1 << 20


def found(source: Path, handles: Collection[str], given: Mapping[str, str]) -> dict[str, str]:
    """Handle -> the directory of its module, absolute; those that are declared (`given`) first.

    Raises:
        ModelRefused: a module is not there (see `formats.hub_handles.located`), or its folder is not safe.
        InvalidInput: DAMAGED, it cannot be listed.
    """
    from penult_service.preparing.formats.hub_handles import located

    places = dict(given)
    for handle in handles:
        place = located(str(source), handle, given).absolute()
        refuse_unsafe_files(place)
        places[handle] = str(place)
    return places


def recalled(cache: Path | None, key: str) -> list[str]:
    """The handles that a file of this key was found to have; none when that is not known."""
    if cache is None:
        return []
    path = cache / f"{key}{_SUFFIX}"
    try:
        status = path.lstat()
        if status.st_uid != os.geteuid() or status.st_size > _MAX_BYTES or not path.is_file():
            return []
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return told if isinstance(told, list) and all(isinstance(handle, str) for handle in told) else []


def remember(cache: Path | None, key: str, handles: Collection[str]) -> None:
    """So that `recalled` knows them."""
    if cache is None:
        return
    draft = cache / f".{key}{_SUFFIX}.{os.getpid()}"
    draft.write_text(json.dumps(list(handles)), encoding="utf-8")
    draft.replace(cache / f"{key}{_SUFFIX}")
