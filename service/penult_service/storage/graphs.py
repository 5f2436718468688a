"""Neighbour graphs of the rows of a set, kept beside them: what is lost or damaged is made again.

GENERATION/graph-METRIC-xxxxxxxx    512 bytes of JSON, padded with blanks: what it is, with a checksum of the rest;
                                    then int32 [m, k] numbers of rows, float32 [m, k] distances
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.storage.arrays import ArrayPlace
from penult_service.storage.disk import Disk

PREFIX, FORMAT, VERSION = "graph-", "penult-graph", 1
_HEAD_BYTES = 512
_BLOCK = 1 << 22

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptGraph:
    """The neighbour graph of the first `rows` rows of a set under a metric: `near_rows` int32 [m, k] and
    `near_distances` float32 [m, k] of its m distinct rows, each row itself first."""

    rows: int
    near_rows: ArrayPlace
    near_distances: ArrayPlace


class Graphs:
    """The graphs beside one generation of a set, the newest of each metric. Methods may be called from any thread."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self._disk, self._directory = disk, directory
        self._lock = threading.Lock()
        self._known: dict[str, KeptGraph] | None = None
        self._replaced: list[Path] = []

    def find(self, metric: str, rows: int) -> KeptGraph | None:
        """The graph of so many rows, if there is one that is what was written."""
        with self._lock:
            found = self._all().get(metric)
            return found if found is not None and found.rows == rows else None

    def keep(
        self, metric: str, rows: int, near_rows: NDArray[np.int32], near_distances: NDArray[np.float32]
    ) -> None:
        """Keep a graph, unless there is one of more rows. Not synced; an error is logged."""
        with self._lock:
            before = self._all().get(metric)
            if before is not None and before.rows > rows:
                return
            path = self._directory / f"{PREFIX}{metric}-{secrets.token_hex(4)}"
            try:
                kept = self._write(path, metric, rows, near_rows, near_distances)
            except OSError as error:
                self._disk.remove(path)
                _log.warning("%s: a neighbour graph was not kept (%s)", self._directory, error)
                return
            self._all()[metric] = kept
            if before is not None:
                self._replaced.append(before.near_rows.path)

    def tidy(self) -> None:
        """Nobody reads: remove graphs that were replaced."""
        with self._lock:
            while self._replaced:
                self._disk.remove(self._replaced.pop())

    def _all(self) -> dict[str, KeptGraph]:
        """Those on the disk, looked at once."""
        if self._known is None:
            self._known = {}
            for path in sorted(self._directory.glob(f"{PREFIX}*")):
                if path.is_dir():  # none of ours
                    continue
                metric, found = _read(path)
                other = self._known.get(metric)
                if found is None or (other is not None and other.rows > found.rows):
                    self._replaced.append(path)
                    continue
                if other is not None:
                    self._replaced.append(other.near_rows.path)
                self._known[metric] = found
        return self._known

    def _write(
        self,
        path: Path,
        metric: str,
        rows: int,
        near_rows: NDArray[np.int32],
        near_distances: NDArray[np.float32],
    ) -> KeptGraph:
        numbers = np.ascontiguousarray(near_rows, "<i4").reshape(-1).view(np.uint8).data
        distances = np.ascontiguousarray(near_distances, "<f4").reshape(-1).view(np.uint8).data
        crc = zlib.crc32(distances, zlib.crc32(numbers))
        head = {
            "format": FORMAT,
            "version": VERSION,
            "metric": metric,
            "rows": rows,
            "shape": list(near_rows.shape),
            "crc32": crc,
        }
        text = json.dumps(head).encode()
        first = text + b" " * (_HEAD_BYTES - 1 - len(text)) + b"\n"
        self._disk.write(path, 0, first, numbers, distances, sync=False)
        return _graph(path, head)


def _read(path: Path) -> tuple[str, KeptGraph | None]:
    """The metric and the graph of a file; None when it is not what was written."""
    metric = path.name.removeprefix(PREFIX).rpartition("-")[0]
    try:
        with path.open("rb") as file:
            head = json.loads(file.read(_HEAD_BYTES))
            size = path.stat().st_size - _HEAD_BYTES
            crc = 0
            while block := file.read(_BLOCK):
                crc = zlib.crc32(block, crc)
        rows, columns = head["shape"]
        known = (head["format"], head["version"], head["metric"]) == (FORMAT, VERSION, metric)
        whole = size == 8 * rows * columns and crc == head["crc32"]
        if known and whole and min(rows, columns, head["rows"] - rows + 1) > 0:
            return metric, _graph(path, head)
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.info("%s is no neighbour graph, so it is made again (%s)", path, error)
    return "", None


def _graph(path: Path, head: Mapping[str, Any]) -> KeptGraph:
    shape = (head["shape"][0], head["shape"][1])
    near = ArrayPlace(path, shape, _HEAD_BYTES, "<i4")
    return KeptGraph(
        head["rows"], near, ArrayPlace(path, shape, _HEAD_BYTES + 4 * shape[0] * shape[1], "<f4")
    )
