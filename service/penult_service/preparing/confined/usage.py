"""What a process uses that the kernel's limits do not hold down: looked at from outside, a few times a second."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil


def size(places: Iterable[Path], most: int) -> tuple[int, int]:
    """Bytes on the disk and count of the files there: in directories, and of files.

    Not counted to the end when they are more than `most`; as many too when a directory cannot be listed, since what
    is in it is hidden.
    """
    found = count = 0
    hidden: list[OSError] = []
    for place in places:
        if place.is_file():
            found, count = found + _on_disk(place.stat()), count + 1
            continue
        for directory, _, names in os.walk(place, onerror=hidden.append):
            for name in names:
                with suppress(OSError):
                    found += _on_disk(os.lstat(os.path.join(directory, name)))  # noqa: PTH118
            count += 1 + len(names)
            if count > most:
                return found, count
    if any(isinstance(error, PermissionError) for error in hidden):
        return found, most + 1
    return found, count


def _on_disk(status: os.stat_result) -> int:
    return max(status.st_size, status.st_blocks * 512)  # packed, or with more set aside


def written(process: psutil.Process) -> int:
    """Bytes that it has written in all, also to files that are gone; 0 where the system does not count them."""
    if not hasattr(process, "io_counters"):
        return 0
    try:
        counted = process.io_counters()
    except psutil.Error:
        return 0
    return max(counted.write_bytes, counted.write_chars)


def children(pid: int) -> list[psutil.Process]:
    """The processes that it began, and those that they began."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
