"""What kind of file it is, by its content. The standard library only: the process that asks has no TensorFlow."""

from __future__ import annotations

import zipfile
from pathlib import Path

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def is_archive(source: Path) -> bool:
    """Whether it is a zip, such as a `.keras` file."""
    return zipfile.is_zipfile(source)


def is_hdf5(source: Path) -> bool:
    """Whether it is an HDF5 file, with a block of something else before it or not."""
    size, place = source.stat().st_size, 0
    with source.open("rb") as file:
        while place + len(HDF5_MAGIC) <= size:
            file.seek(place)
            if file.read(len(HDF5_MAGIC)) == HDF5_MAGIC:
                return True
            place = 2 * place or 512
    return False
