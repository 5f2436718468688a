"""Arrays as .npy files: written in blocks, checked once, and named to who maps them."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import DataDamaged
from penult_service.files import sha256_file
from penult_service.storage.disk import Disk

_SMALL = 4096
_BLOCK = 1 << 23
_ARRAY_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class ArrayPlace:
    """Where another process maps an array from: row-major from byte `offset` of `path`, `dtype` as NumPy writes it."""

    path: Path
    shape: tuple[int, ...]
    offset: int
    dtype: str


def check_array(name: str, array: NDArray[Any]) -> None:
    """That an array can be stored under a name.

    Raises:
        TypeError, ValueError: it cannot: a mistake of the caller's code.
    """
    if not _ARRAY_NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of an array")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"arrays of {array.dtype} are not stored")


def write_array(disk: Disk, path: Path, array: NDArray[Any]) -> dict[str, Any]:
    """Write it, synced; what the manifest says of it. One in C order and little-endian is not copied."""
    little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(little))
    data = little.reshape(-1).view(np.uint8).data
    blocks = [data[start : start + _BLOCK] for start in range(0, len(data), _BLOCK)]
    parts: list[bytes | memoryview] = [head.getvalue(), *blocks]
    if len(data) <= _SMALL:
        parts = [head.getvalue() + data.tobytes()]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    disk.write(path, 0, *parts, sync=True)
    return {"bytes": sum(map(len, parts)), "sha256": digest.hexdigest()}


def open_array(path: Path, said: Mapping[str, Any]) -> NDArray[Any]:
    """A file that was checked, mapped into memory, read-only."""
    # An empty one cannot be mapped, and a small one need not be.
    array: NDArray[Any] = np.load(path, mmap_mode="r" if said["bytes"] > _SMALL else None, allow_pickle=False)
    return array


def place_of(path: Path) -> ArrayPlace:
    """Where the numbers of a file lie, from its head."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return ArrayPlace(path, shape, file.tell(), dtype.str)


class Checked:
    """Which files are what was written: each is read once, and again when it has changed since."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, ...]] = {}

    def check(self, path: Path, said: Mapping[str, Any]) -> None:
        """Raises DataDamaged when the file is missing, or not what was written."""
        try:
            stat = path.stat()
            now = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
            if self._seen.get(path) == now:
                return
            if stat.st_size != said["bytes"] or sha256_file(path) != said["sha256"]:
                raise DataDamaged(f"{path} is damaged: it is not what was written")
        except FileNotFoundError as error:
            raise DataDamaged(f"{path} is missing") from error
        self._seen[path] = now

    def forget(self, directory: Path) -> None:
        """The files of a directory are gone."""
        for path in [path for path in list(self._seen) if path.parent == directory]:  # others check meanwhile
            self._seen.pop(path, None)
