"""Folding: the rows of a log become a segment, small segments become larger ones, and a new log begins."""

from __future__ import annotations

import secrets
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from penult_service.errors import DataDamaged
from penult_service.storage import log
from penult_service.storage.disk import Disk
from penult_service.storage.recovery import map_vectors, replay_vectors
from penult_service.storage.segments import FULL_BYTES, Segment, combine, write_segment
from penult_service.storage.state import VECTORS, State

FRAMES = 4096
LOG_BYTES = 16 * 2**20


def due(state: State) -> bool:
    """Whether the log is long enough to be folded."""
    return len(state.tail) >= FRAMES or state.log_bytes >= LOG_BYTES


@dataclass(frozen=True)
class Folding:
    """One fold. The manifest is the moment: before it is renamed the old log counts, after it the segment."""

    disk: Disk
    directory: Path
    state: State

    def run(self) -> State:
        """The folded state, which is on disk.

        Raises:
            OSError: the file system refuses; what is on disk is the old state or the new one.
        """
        manifest, place = self.state.manifest, self._place
        crc = self._settle_vectors()
        kept, first, batch = self._merged()
        number = manifest.next_number
        segment = write_segment(self.disk, place, f"rows-{number:06d}.arrow", first, batch)
        new_log = f"log-{number:06d}"
        self.disk.remove(place / new_log)
        self.disk.write(place / new_log, 0, sync=True)
        self.disk.sync(place)
        folded = replace(
            manifest,
            updated=self.state.updated,
            embedding_space=self.state.space,
            dimension=self.state.dimension,
            rows=self.state.rows,
            vectors_crc32=crc,
            segments=(*manifest.segments[:kept], segment),
            log=new_log,
            mark=secrets.token_hex(log.MARK_BYTES),
            next_number=number + 1,
        )
        folded.write(self.disk, self.directory)
        for file in (manifest.log, *(old.file for old in manifest.segments[kept:])):
            self.disk.remove(place / file)
        return replace(
            self.state,
            manifest=folded,
            segments=(*self.state.segments[:kept], self._mapped(segment, batch)),
            tail=(),
            log_bytes=0,
        )

    @property
    def _place(self) -> Path:
        return self.directory / self.state.manifest.generation

    def _settle_vectors(self) -> int:
        """Vectors that travelled in the log are written once more and synced: the first time they were not."""
        manifest, path = self.state.manifest, self._place / VECTORS
        data = memoryview((self._place / manifest.log).read_bytes())[: self.state.log_bytes]
        for frame in log.scan(data, bytes.fromhex(manifest.mark)):
            if isinstance(frame, log.Broken):
                raise DataDamaged(f"{self._place / manifest.log} is damaged at byte {frame.start}")
            replay_vectors(self.disk, path, frame)
        self.disk.sync(path)
        fresh = map_vectors(path, self.state.rows, self.state.dimension)[manifest.rows :]
        return zlib.crc32(fresh.reshape(-1).view(np.uint8).data, manifest.vectors_crc32)

    def _merged(self) -> tuple[int, int, pa.RecordBatch]:
        """How many segments stay, the first row behind them, and all rows from there on.

        A segment is merged with what follows while that is at least half as large: so a row is written again a
        number of times that grows with the logarithm of the rows, and so does the number of segments.
        """
        segments = self.state.manifest.segments
        kept, size = len(segments), sum(batch.nbytes for batch in self.state.tail)
        while kept and segments[kept - 1].bytes < min(2 * size, FULL_BYTES):
            kept -= 1
            size += segments[kept].bytes
        first = segments[kept].first if kept < len(segments) else self.state.manifest.rows
        batches = [*self.state.segments[kept:], *self.state.tail]
        return kept, first, combine(batches, self.state.manifest.schema)

    def _mapped(self, segment: Segment, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows from their file instead of from memory."""
        data = pa.memory_map(str(self._place / segment.file)).read_buffer()
        mapped = pa.ipc.open_file(data).get_batch(0)
        return mapped if mapped.num_rows == batch.num_rows else batch
