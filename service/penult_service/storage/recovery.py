"""A set as it is on disk after any end of the process: what was acknowledged is read, what was not is cut off."""

from __future__ import annotations

import logging
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from penult_service.errors import DataDamaged
from penult_service.storage import log
from penult_service.storage.disk import Disk
from penult_service.storage.segments import read_segment
from penult_service.storage.state import VECTORS, Manifest, State, read, state_of

_log = logging.getLogger(__name__)


def load(disk: Disk, directory: Path) -> State:
    """The state of the set in `directory`, which is synced: what is read here is durable from now on.

    Raises:
        DataDamaged: a file is missing, cut or changed; the message names it.
        OSError: the file system refuses.
    """
    disk.sync(directory)
    manifest = read(directory)
    place = directory / manifest.generation
    if not place.is_dir():
        raise DataDamaged(f"{place} is missing")
    _sweep(disk, place, manifest)
    segments = tuple(read_segment(place, segment, manifest.schema) for segment in manifest.segments)
    state = _replay(disk, place, state_of(manifest, segments))
    disk.sync(place / manifest.log)
    vectors, expected = place / VECTORS, state.rows * state.row_bytes
    if vectors.stat().st_size > expected:
        disk.truncate(vectors, expected)
    return state


def map_vectors(path: Path, rows: int, dimension: int | None) -> NDArray[np.float32]:
    """The first rows of `vectors.f32`, float32 [rows, dimension], mapped into memory, read-only.

    Raises:
        DataDamaged: the file is shorter, or missing.
    """
    if not rows or not dimension:
        return np.empty((0, dimension or 0), np.float32)
    try:
        return np.memmap(path, dtype="<f4", mode="r", shape=(rows, dimension))
    except FileNotFoundError as error:
        raise DataDamaged(f"{path} is missing") from error
    except ValueError as error:
        raise DataDamaged(f"{path} is shorter than the {rows} rows of {dimension} in it") from error


def replay_vectors(disk: Disk, path: Path, frame: log.Frame) -> None:
    """Put the vectors that travelled in a frame into their place. Not synced: the frame is kept until they are."""
    if frame.head.vectors == log.HERE:
        disk.write(path, frame.head.row * frame.head.dimension * 4, frame.vectors, sync=False)


def _replay(disk: Disk, place: Path, state: State) -> State:
    manifest, path, vectors = state.manifest, place / state.manifest.log, place / VECTORS
    try:
        data = memoryview(path.read_bytes())
        map_vectors(vectors, state.rows, state.dimension)
        vectors.stat()
    except FileNotFoundError as error:
        raise DataDamaged(f"{error.filename} is missing") from error
    for found in log.scan(data, bytes.fromhex(manifest.mark)):
        if isinstance(found, log.Broken):
            _cut(disk, path, found, len(data))
            break
        state = _with_frame(disk, state, found, path, vectors)
    return state


def _with_frame(disk: Disk, state: State, frame: log.Frame, path: Path, vectors: Path) -> State:
    head = frame.head
    if head.row != state.rows or head.dimension != (state.dimension or head.dimension):
        raise DataDamaged(f"{path} is damaged: it goes on at row {head.row}, {state.rows} was expected")
    batch = pa.ipc.read_record_batch(pa.py_buffer(frame.batch), state.manifest.schema)
    replay_vectors(disk, vectors, frame)
    if head.vectors == log.IN_FILE:
        stored = map_vectors(vectors, head.row + head.rows, head.dimension)[head.row :]
        if zlib.crc32(np.ascontiguousarray(stored).view(np.uint8).data) != head.crc32:
            raise DataDamaged(f"{vectors} is damaged in rows {head.row} to {head.row + head.rows - 1}")
    return state.after(batch, head.dimension, head.space, frame.end, head.time)


def _cut(disk: Disk, path: Path, broken: log.Broken, length: int) -> None:
    if broken.followed:
        raise DataDamaged(f"{path} is damaged at byte {broken.start}: rows that were acknowledged follow")
    _log.warning("%s: %d bytes of an append that was not finished are cut off", path, length - broken.start)
    disk.truncate(path, broken.start)


def _sweep(disk: Disk, place: Path, manifest: Manifest) -> None:
    """Files of this generation that the manifest does not name: made or replaced by a fold that did not end."""
    named = {manifest.log, VECTORS, *(segment.file for segment in manifest.segments)}
    for path in place.iterdir():
        if path.name not in named and path.name.startswith(("log-", "rows-")):
            disk.remove(path)
