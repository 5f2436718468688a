"""A set of embeddings: rows that are appended, kept and read in order."""

from __future__ import annotations

import logging
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from penult_service.errors import DataDamaged, InvalidInput, NotFound, PreconditionFailed
from penult_service.storage import log
from penult_service.storage.disk import Disk, refused
from penult_service.storage.folding import Folding, due
from penult_service.storage.index import IdIndex
from penult_service.storage.manifests import now
from penult_service.storage.parts import same_rows, take
from penult_service.storage.recovery import load, map_vectors
from penult_service.storage.rows import ID, Rows, Values, check_rows
from penult_service.storage.snapshots import Generation, Snapshot
from penult_service.storage.state import VECTORS, State

# Up to here the vectors of an append travel in the log: written twice, but synced once instead of twice.
HERE_BYTES = 256 * 2**10

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SetInfo:
    """What is known of a set. `dimension` 0 and `embedding_space` "" until the first rows say them.

    `problem` says which file is damaged; then the other facts may be missing, and reading raises DataDamaged.
    """

    name: str
    rows: int = 0
    dimension: int = 0
    embedding_space: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    updated: str = ""
    bytes: int = 0
    durable: bool = False
    generation: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class Appended:
    """Rows `added` by one append, those `already_there` with the same content, and all `rows` of the set then.

    `space_checked` False: the rows or the set came without an embedding space.
    """

    added: int
    already_there: int
    rows: int
    space_checked: bool


class EmbeddingSet:
    """One set, opened. Methods may be called from any thread; they block on the disk."""

    def __init__(self, disk: Disk, directory: Path, state: State) -> None:
        self._disk = disk
        self._directory = directory
        self._state = state
        self._lock = threading.Lock()
        self._index: IdIndex | None = None
        self._unclean = False
        self._gone = False
        self._fold_after = 0
        self.generation = Generation(disk, directory / state.manifest.generation, state.manifest)

    @property
    def info(self) -> SetInfo:
        """What the set is now."""
        state = self._state
        manifest = state.manifest
        return SetInfo(
            name=manifest.name,
            rows=state.rows,
            dimension=state.dimension or 0,
            embedding_space=state.space,
            columns=dict(manifest.columns),
            created=manifest.created,
            updated=state.updated,
            bytes=state.rows * state.row_bytes + state.log_bytes + sum(s.bytes for s in manifest.segments),
            durable=self._disk.durable,
            generation=manifest.generation,
            provenance=dict(manifest.provenance),
        )

    def snapshot(self) -> Snapshot:
        """The rows as they are now, for reading.

        Raises:
            NotFound: the set was deleted or overwritten.
        """
        with self._lock:
            self._check_there()
            return Snapshot(self.generation, self._state)

    def append(
        self,
        ids: Values,
        vectors: NDArray[Any],
        texts: Values | None = None,
        columns: Mapping[str, Values] | None = None,
        *,
        space: str = "",
    ) -> Appended:
        """Add rows behind those that are there: all of them or, with an error, none. Durable when it returns.

        `vectors` float [n, d]; ids and texts strings; `columns` values by name, null where one is not given.
        A row whose id is there already with the same content is counted and not added again, so a call may be
        repeated when its answer was lost. `space` is the embedding space of the rows, "" when unknown; the first
        rows give a set that has none theirs.

        Raises:
            InvalidInput: as `check_rows`; ID_CONFLICT: the id is there with other content; DIMENSION_MISMATCH.
            PreconditionFailed: SPACE_MISMATCH; NOT_WRITABLE.
            NotFound: the set was deleted or overwritten.
            ResourceExhausted: DISK_FULL. Unavailable: STORAGE_FAILED.
        """
        rows = check_rows(self._state.manifest.schema, ids, vectors, texts, columns)
        with self._lock:
            self._check_there()
            try:
                self._clean_up()
            except OSError as error:
                raise refused(error, f"set {self._state.manifest.name!r} cannot be written") from error
            checked = self._check_fits(rows, space)
            new = self._new_rows(rows)
            if len(new):
                self._commit(_picked(rows, new), space)
                self._fold_if_due()
            return Appended(len(new), rows.batch.num_rows - len(new), self._state.rows, checked)

    def find(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The row number of each id, -1 where it is not there: int64 [n].

        Raises:
            NotFound: the set was deleted or overwritten.
        """
        with self._lock:
            self._check_there()
            found = np.full(len(ids), -1, np.int64)
            places, numbers, _ = self._known(list(ids))
            found[places] = numbers
            return found

    def fold(self) -> None:
        """Move the rows of the log into a segment, so that opening has less to do; errors are logged."""
        with self._lock:
            if self._state.tail and not self._gone and not self._unclean:
                self._fold()

    def retire(self) -> None:
        """No more appends: the set is being deleted or overwritten. Waits for one that runs."""
        with self._lock:
            self._gone = True

    def _check_there(self) -> None:
        if self._gone:
            name = self._state.manifest.name
            raise NotFound(f"set {name!r} was deleted or overwritten meanwhile", reason="DATASET_NOT_FOUND")

    def _check_fits(self, rows: Rows, space: str) -> bool:
        state = self._state
        width = rows.vectors.shape[1]
        if rows.batch.num_rows and state.dimension is not None and width != state.dimension:
            raise InvalidInput(
                f"vectors have dimension {width}, those of set {state.manifest.name!r} have {state.dimension}",
                reason="DIMENSION_MISMATCH",
                field="vectors",
            )
        if space and state.space and space != state.space:
            raise PreconditionFailed(
                f"the rows are of embedding space {space}, set {state.manifest.name!r} is of {state.space}: "
                "embed them with the model, layer and options that made the set",
                reason="SPACE_MISMATCH",
                metadata={"rows": space, "dataset": state.space},
            )
        return bool(space) and (bool(state.space) or state.rows == 0)

    def _new_rows(self, rows: Rows) -> NDArray[np.int64]:
        """Places of the rows whose ids are not there yet, each id once."""
        ids = rows.batch.column(ID).to_pylist()
        new = np.ones(len(ids), bool)
        firsts: dict[str, int] = {}
        for place, key in enumerate(ids):
            if firsts.setdefault(key, place) != place:
                new[place] = False
        again = np.flatnonzero(~new)
        if again.size:
            earlier = np.array([firsts[ids[place]] for place in again])
            self._check_same(rows, again, rows.batch.take(pa.array(earlier)), rows.vectors[earlier])
        places, numbers, stored = self._known(ids)
        if not places.size:
            return np.flatnonzero(new)
        path = self.generation.path / VECTORS
        vectors = map_vectors(path, self._state.rows, self._state.dimension)[numbers]
        self._check_same(rows, places, stored, vectors)
        new[places] = False
        return np.flatnonzero(new)

    def _known(self, ids: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], pa.RecordBatch]:
        """Places of the ids that are there, their row numbers, and what is stored in those rows."""
        schema = self._state.manifest.schema
        places, numbers = self._index_of(self._state).candidates(ids)
        if not places.size:
            return places, numbers, pa.RecordBatch.from_pylist([], schema=schema)
        stored = take(self._state.parts, numbers, schema)
        sent = pa.array([ids[place] for place in places.tolist()], pa.string())
        hits = np.flatnonzero(pc.equal(stored.column(ID), sent).to_numpy(zero_copy_only=False))
        return places[hits], numbers[hits], stored.take(pa.array(hits))

    def _check_same(
        self, rows: Rows, places: NDArray[np.int64], stored: pa.RecordBatch, vectors: NDArray[np.float32]
    ) -> None:
        sent = np.ascontiguousarray(rows.vectors[places]).view(np.uint32)
        same = same_rows(stored, rows.batch.take(pa.array(places)))
        same &= (sent == np.ascontiguousarray(vectors).view(np.uint32)).all(axis=1)
        if not same.all():
            place = int(places[~same].min())
            key = rows.batch.column(ID)[place].as_py()
            raise InvalidInput(
                f"ids[{place}]: a row {key[:80]!r} is there already, with other content; nothing was appended",
                reason="ID_CONFLICT",
                field=f"ids[{place}]",
            )

    def _index_of(self, state: State) -> IdIndex:
        if self._index is None:
            self._index = IdIndex()
            first = 0
            for part in state.parts:
                self._index.add(part.column(ID).to_pylist(), first)
                first += part.num_rows
        return self._index

    def _commit(self, rows: Rows, space: str) -> None:
        state, place = self._state, self.generation.path
        width = rows.vectors.shape[1]
        here = rows.vectors.nbytes <= HERE_BYTES
        data = rows.vectors.reshape(-1).view(np.uint8).data
        batch = memoryview(rows.batch.serialize())
        head = log.Head(
            row=state.rows,
            rows=rows.batch.num_rows,
            dimension=width,
            space=state.space or (space if state.rows == 0 else ""),
            batch=batch.nbytes,
            vectors=log.HERE if here else log.IN_FILE,
            crc32=zlib.crc32(data),
            time=now(),
        )
        frame = log.encode(bytes.fromhex(state.manifest.mark), head, batch, data if here else memoryview(b""))
        length = sum(memoryview(part).nbytes for part in frame)
        self._unclean = True
        try:
            self._disk.write(place / VECTORS, state.rows * width * 4, data, sync=not here)
            room = log.room(state.log_bytes, length, (place / state.manifest.log).stat().st_size)
            self._disk.write(place / state.manifest.log, state.log_bytes, *frame, room, sync=True)
        except OSError as error:
            self._undo()
            raise refused(error, f"the rows were not appended to set {state.manifest.name!r}") from error
        self._unclean = False
        self._state = state.after(rows.batch, width, head.space, state.log_bytes + length, head.time)
        self._index_of(state).add(rows.batch.column(ID).to_pylist(), state.rows)

    def _undo(self) -> None:
        """Cut off what may have been written; when that fails too, the next append tries again before all else."""
        try:
            self._disk.truncate(self.generation.path / self._state.manifest.log, self._state.log_bytes)
            self._unclean = False
        except OSError as error:
            _log.warning(
                "set %s: an append that failed could not be undone yet (%s)", self._directory.name, error
            )

    def _clean_up(self) -> None:
        """After a failure that left open what is on disk: take back what nobody was promised, and read again."""
        if not self._unclean:
            return
        path = self.generation.path / self._state.manifest.log
        if path.exists():
            self._disk.truncate(path, self._state.log_bytes)
        state = load(self._disk, self._directory)
        if state.rows != self._state.rows or state.manifest.generation != self._state.manifest.generation:
            raise DataDamaged(
                f"{self._directory} has {state.rows} rows, {self._state.rows} were acknowledged"
            )
        self._state, self._unclean = state, False

    def _fold_if_due(self) -> None:
        if len(self._state.tail) >= self._fold_after and due(self._state):
            self._fold()

    def _fold(self) -> None:
        """Never fails the append that it follows: that one is in the log."""
        self._unclean = True
        try:
            self._state = Folding(self._disk, self._directory, self._state).run()
            self._unclean, self._fold_after = False, 0
        except (OSError, DataDamaged) as error:
            self._fold_after = 2 * len(self._state.tail)
            _log.warning("set %s: its log could not be folded, and grows (%s)", self._directory.name, error)


def _picked(rows: Rows, places: NDArray[np.int64]) -> Rows:
    if len(places) == rows.batch.num_rows:
        return rows
    return Rows(rows.batch.take(pa.array(places)), np.ascontiguousarray(rows.vectors[places]))
