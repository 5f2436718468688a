"""Files that are there whole or not at all, also after a power cut; every step of a job on the disk is one of these."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penult_service.files import sync

PARTIAL = ".partial"


@contextmanager
def whole(place: Path) -> Iterator[Path]:
    """A file to write beside its place: synced and renamed to it when the block ends, removed when it fails."""
    draft = place.with_name(place.name + PARTIAL)
    try:
        yield draft
        sync(draft)
        replace(draft, place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def append_line(path: Path, line: str) -> None:
    """Add a line to a file and sync it. What a crash leaves of it is at most a last line without its end."""
    with path.open("ab") as file:
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def whole_lines(path: Path) -> list[str]:
    """The lines that have an end; a last one without is cut off the file."""
    if not path.exists():
        return []
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end < len(data):
        os.truncate(path, end)
    return data[:end].decode(errors="replace").split("\n")[:-1]


def replace(draft: Path, place: Path) -> None:
    """Rename, over what is there, and sync the directory."""
    draft.replace(place)
    sync(place.parent)
