"""Steps that are done once: each result has a stamp beside it, the hash of all that it was made from."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def fresh(place: Path, inputs: list[Path], settings: str = "") -> Iterator[Path | None]:
    """None when `place` was made from these very inputs; else a draft to make, which then takes its place."""
    key, stamp = _fingerprint(inputs, settings), stamp_of(place)
    if place.is_dir() and stamp.is_file() and stamp.read_text() == key:
        print("      as made before")
        yield None
        return
    draft = place.with_name(place.name + ".partial")
    stamp.unlink(missing_ok=True)
    for old in (draft, place):
        shutil.rmtree(old, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    yield draft
    draft.rename(place)
    stamp.write_text(key)


def stamp_of(place: Path) -> Path:
    """The file that says what `place` was made from."""
    return place.with_name(place.name + ".stamp")


def _fingerprint(inputs: list[Path], settings: str) -> str:
    """A hash over the content of files, and of all files in directories."""
    digest = hashlib.sha256(settings.encode())
    for path in inputs:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and file.suffix != ".pyc":
                with file.open("rb") as content:
                    digest.update(
                        f"{file.name}\0{hashlib.file_digest(content, 'sha256').hexdigest()}".encode()
                    )
    return digest.hexdigest()
