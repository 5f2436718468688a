"""Handles of TF-Hub modules and the cache that tensorflow_hub keeps: what is here. No network, no TensorFlow.

A handle is a directory, or a URL whose module the cache has below the SHA-1 of that URL. A cache entry counts only when
it is there whole: tensorflow_hub itself takes any directory that is not empty, and keeps one that is.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from penult_service.errors import ModelRefused

CACHE = "TFHUB_CACHE_DIR"
_SHARD = re.compile(r"variables\.data-\d{5}-of-(\d{5})")


def is_remote(handle: str) -> bool:
    """Whether it is a URL."""
    return "://" in handle


def cache_directory() -> Path:
    """Where tensorflow_hub keeps modules: TFHUB_CACHE_DIR, else a folder of the system's temporary directory."""
    named = os.environ.get(CACHE, "")
    return Path(named) if named else Path(tempfile.gettempdir()) / "tfhub_modules"


def entry_of(handle: str) -> Path:
    """The directory in the cache for a URL, there or not."""
    return cache_directory() / hashlib.sha1(handle.encode(), usedforsecurity=False).hexdigest()


def cached(handle: str) -> Path | None:
    """The cache's directory for a URL when it is there whole.

    Raises:
        ModelRefused: CACHE_NOT_PRIVATE, the default cache is one that somebody else may write to.
    """
    entry = entry_of(handle)
    if not is_whole(entry):
        return None
    refuse_foreign_cache()
    return entry


def is_whole(directory: Path) -> bool:
    """Whether a SavedModel has its graph and all files of its variables, as far as names and sizes tell."""
    graph, variables = directory / "saved_model.pb", directory / "variables"
    if not graph.is_file() or not graph.stat().st_size:
        return False
    index = variables / "variables.index"
    if not index.is_file():
        return (directory / "tfhub_module.pb").is_file()  # of TensorFlow 1, which may have none
    shards = [found for path in variables.iterdir() if (found := _SHARD.fullmatch(path.name))]
    return bool(index.stat().st_size and shards and len(shards) == int(shards[0][1]))


def refuse_foreign_cache() -> None:
    """Refuses a cache in the shared temporary directory that this user has not made; a named one is the operator's.

    Raises:
        ModelRefused: CACHE_NOT_PRIVATE.
    """
    place = cache_directory()
    if os.environ.get(CACHE) or not os.path.lexists(place) or not hasattr(os, "geteuid"):
        return
    found = place.lstat()
    if place.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ModelRefused(
            f"{place}, where modules of TF-Hub are kept, belongs to another user or others may write to it, so what is "
            f"in it cannot be trusted; set {CACHE} to a directory of your own",
            reason="CACHE_NOT_PRIVATE",
        )


def located(what: str, handle: str, modules: Mapping[str, str | Path] | None = None) -> Path:
    """The directory of a module that a saved file names: the operator's, the handle itself, or the cache's.

    Args:
        what: The file, for the message.
        handle: As the file has it.
        modules: Handles that the operator gives a directory for.

    Raises:
        ModelRefused: TALKS_TO_OTHERS, it would have to be fetched; HANDLE_NOT_FOUND, its directory is not there;
            CACHE_NOT_PRIVATE.
    """
    named = (modules or {}).get(handle)
    place = Path(named) if named is not None else cached(handle) if is_remote(handle) else Path(handle)
    if place is not None and is_whole(place):
        return place
    instead = (
        f'name its directory in penult.toml (modules = {{ "{handle[:200]}" = "DIRECTORY" }}), or load the file where '
        "the module is and save a SavedModel, which holds it: model.save('a_directory')"
    )
    if place is None:
        raise ModelRefused(
            f"{what} needs the TF-Hub module {handle[:200]}, which is not fetched here, and {entry_of(handle)} does "
            f"not hold it; set {CACHE} to a cache that does, {instead}",
            reason="TALKS_TO_OTHERS",
        )
    raise ModelRefused(
        f"{what} needs the TF-Hub module {handle[:200]}, and {place} holds no SavedModel, or half of one; put the "
        f"module there, {instead}",
        reason="HANDLE_NOT_FOUND",
    )
