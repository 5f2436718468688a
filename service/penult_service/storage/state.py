"""What a set is at one moment: the part that its manifest says, and the rows appended since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from penult_service import __version__
from penult_service.storage.disk import Disk
from penult_service.storage.manifests import read_manifest, write_manifest
from penult_service.storage.rows import row_schema
from penult_service.storage.segments import Segment

MANIFEST, FORMAT, VERSION = "set.json", "penult-set", 1
VECTORS = "vectors.f32"


@dataclass(frozen=True)
class Manifest:
    """`set.json`. `rows` of them are in segments, and `vectors_crc32` is over their vectors; the rest is in `log`."""

    name: str
    generation: str
    created: str
    updated: str
    embedding_space: str
    dimension: int | None
    columns: Mapping[str, str]
    provenance: Mapping[str, Any]
    rows: int
    vectors_crc32: int
    segments: tuple[Segment, ...]
    log: str
    mark: str
    next_number: int

    @property
    def schema(self) -> pa.Schema:
        """Of the rows beside their vectors."""
        return row_schema(self.columns)

    def write(self, disk: Disk, directory: Path) -> None:
        """Put it into the directory of its set, synced."""
        facts = {**asdict(self), "columns": [{"name": n, "type": t} for n, t in self.columns.items()]}
        versions = {"penult": __version__, "numpy": np.__version__, "pyarrow": pa.__version__}
        write_manifest(disk, directory / MANIFEST, FORMAT, VERSION, {**facts, "written_by": versions})


def read(directory: Path) -> Manifest:
    """The manifest in the directory of a set.

    Raises:
        DataDamaged, PreconditionFailed: as `read_manifest`.
    """
    facts = read_manifest(directory / MANIFEST, FORMAT, VERSION)
    for key in ("version", "written_by"):
        facts.pop(key)
    facts["columns"] = {column["name"]: column["type"] for column in facts["columns"]}
    facts["segments"] = tuple(Segment(**segment) for segment in facts["segments"])
    return Manifest(**facts)


@dataclass(frozen=True)
class State:
    """A moment of a set, never changed: readers keep theirs. `tail` are the batches of the log's frames.

    `log_bytes` is the length of the log up to the last acknowledged frame.
    """

    manifest: Manifest
    segments: tuple[pa.RecordBatch, ...] = ()
    tail: tuple[pa.RecordBatch, ...] = ()
    rows: int = 0
    dimension: int | None = None
    space: str = ""
    log_bytes: int = 0
    updated: str = ""

    @property
    def parts(self) -> tuple[pa.RecordBatch, ...]:
        """All rows beside their vectors, in order."""
        return self.segments + self.tail

    @property
    def row_bytes(self) -> int:
        """Of one vector."""
        return 4 * (self.dimension or 0)

    def after(self, batch: pa.RecordBatch, dimension: int, space: str, log_bytes: int, updated: str) -> State:
        """The state when the batch was appended."""
        return replace(
            self,
            tail=(*self.tail, batch),
            rows=self.rows + batch.num_rows,
            dimension=dimension,
            space=space,
            log_bytes=log_bytes,
            updated=updated,
        )


def state_of(manifest: Manifest, segments: tuple[pa.RecordBatch, ...]) -> State:
    """The state that the manifest says, before its log is read."""
    return State(
        manifest,
        segments,
        rows=manifest.rows,
        dimension=manifest.dimension,
        space=manifest.embedding_space,
        updated=manifest.updated,
    )
