"""All sets below one directory."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from penult_service.errors import AlreadyExists, InvalidInput, NotFound, PenultError
from penult_service.storage import log
from penult_service.storage.disk import Disk, refused
from penult_service.storage.manifests import now
from penult_service.storage.names import check_name
from penult_service.storage.recovery import load
from penult_service.storage.rows import check_columns
from penult_service.storage.sets import EmbeddingSet, SetInfo
from penult_service.storage.snapshots import Generation
from penult_service.storage.state import MANIFEST, VECTORS, Manifest, read, state_of

DELETED = "deleted.json"
DIMENSION = 65_536

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SetPage:
    """Sets in the order of their names; `next_page_token` is empty on the last page."""

    sets: tuple[SetInfo, ...]
    next_page_token: str


class SetStore:
    """Makes, finds and deletes sets. One process at a time: `Storage` holds the lock."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        """Open the directory, and finish what an earlier process left unfinished.

        Raises:
            PenultError: the directory cannot be made or written.
        """
        self._directory = directory
        self._disk = disk
        self._lock = threading.RLock()
        self._open: dict[str, EmbeddingSet] = {}
        # Of all sets that are open or read, also of those that are deleted: who reads keeps them alive.
        self._lives: WeakValueDictionary[Path, Generation] = WeakValueDictionary()
        try:
            disk.make_directory(directory)
            disk.sync(directory.parent)
            for place in self._places():
                self._sweep(place)
        except OSError as error:
            raise refused(error, f"{directory} cannot be used") from error

    def create(
        self,
        name: str,
        *,
        space: str = "",
        dimension: int | None = None,
        columns: Mapping[str, str] | None = None,
        provenance: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> EmbeddingSet:
        """A new set without rows; `space` and `dimension` may be left to the first rows.

        `columns` are types by name (string, int64, float64, bool); `provenance` any JSON. What is overwritten is
        gone at once, except for its readers.

        Raises:
            InvalidInput: NAME_INVALID, DIMENSION, or as `check_columns`.
            AlreadyExists: and `overwrite` is False.
        """
        check_name(name)
        if dimension is not None and not 1 <= dimension <= DIMENSION:
            raise InvalidInput(
                f"dimension {dimension} is not in 1 to {DIMENSION}", reason="DIMENSION", field="dimension"
            )
        checked = check_columns(columns or {})
        with self._lock:
            if self._is_there(name) and not overwrite:
                raise AlreadyExists(
                    f"there is a set {name!r}; choose another name, or overwrite it",
                    reason="DATASET_EXISTS",
                    field="name",
                )
            try:
                return self._make(name, space, dimension, checked, provenance or {})
            except OSError as error:
                raise refused(error, f"set {name!r} was not made") from error

    def get(self, name: str) -> EmbeddingSet:
        """The set of that name.

        Raises:
            NotFound, or DataDamaged naming the file.
        """
        check_name(name)
        with self._lock:
            if name not in self._open:
                if not self._is_there(name):
                    raise NotFound(f"there is no set {name!r}", reason="DATASET_NOT_FOUND", field="name")
                place = self._directory / name
                try:
                    self._opened(name, EmbeddingSet(self._disk, place, load(self._disk, place)))
                except OSError as error:
                    raise refused(error, f"set {name!r} cannot be read") from error
            return self._open[name]

    def list(self, page_size: int = 100, page_token: str = "") -> SetPage:
        """Sets whose names follow `page_token`. A damaged one is there too, with its `problem`."""
        if page_size < 1:
            raise InvalidInput("page_size is at least 1", reason="PAGE_SIZE", field="page_size")
        names = [
            place.name for place in self._places() if place.name > page_token and self._is_there(place.name)
        ]
        infos = [info for name in names[:page_size] if (info := self._info(name)) is not None]
        return SetPage(tuple(infos), names[page_size - 1] if len(names) > page_size else "")

    def delete(self, name: str) -> None:
        """Delete a set, damaged or not. Its readers keep what they have.

        Raises:
            NotFound: there is none.
        """
        check_name(name)
        with self._lock:
            if not self._is_there(name):
                raise NotFound(f"there is no set {name!r}", reason="DATASET_NOT_FOUND", field="name")
            place, opened = self._directory / name, self._open.pop(name, None)
            if opened is not None:
                opened.retire()
            try:
                if (place / MANIFEST).exists():
                    self._disk.rename(place / MANIFEST, place / DELETED)
                else:
                    self._disk.put(place / DELETED, b"{}\n")
                if opened is None or opened.generation.doom():
                    self._clear(place)
            except OSError as error:
                raise refused(error, f"set {name!r} was perhaps not deleted") from error

    def forget(self) -> None:
        """Let all sets go as a process does that is killed: nothing is written. For tests."""
        with self._lock:
            for opened in self._open.values():
                opened.retire()
            self._open.clear()

    def close(self) -> None:
        """Fold the logs, so that the next start finds every file under a checksum."""
        with self._lock:
            for opened in self._open.values():
                opened.fold()
            self.forget()

    def _make(
        self,
        name: str,
        space: str,
        dimension: int | None,
        columns: Mapping[str, str],
        provenance: Mapping[str, Any],
    ) -> EmbeddingSet:
        place, time = self._directory / name, now()
        manifest = Manifest(
            name=name,
            generation="g" + secrets.token_hex(8),
            created=time,
            updated=time,
            embedding_space=space,
            dimension=dimension,
            columns=columns,
            provenance=provenance,
            rows=0,
            vectors_crc32=0,
            segments=(),
            log="log-000000",
            mark=secrets.token_hex(log.MARK_BYTES),
            next_number=1,
        )
        inner = place / manifest.generation
        self._disk.make_directory(place)
        self._disk.sync(self._directory)
        self._disk.make_directory(inner)
        for file in (VECTORS, manifest.log):
            self._disk.write(inner / file, 0, sync=True)
        self._disk.sync(inner)
        self._disk.sync(place)
        before, unopened = self._open.pop(name, None), _generation_of(place)
        if before is not None:
            before.retire()
        manifest.write(self._disk, place)
        self._disk.remove(place / DELETED)
        if before is not None:
            before.generation.doom()
        elif unopened is not None:
            self._disk.remove_tree(unopened)
        made = EmbeddingSet(self._disk, place, state_of(manifest, ()))
        return self._opened(name, made)

    def _opened(self, name: str, made: EmbeddingSet) -> EmbeddingSet:
        self._open[name] = made
        self._lives[made.generation.path] = made.generation
        return made

    def _info(self, name: str) -> SetInfo | None:
        try:
            return self.get(name).info
        except NotFound:
            return None
        except PenultError as error:
            return SetInfo(name, durable=self._disk.durable, problem=error.message)

    def _places(self) -> tuple[Path, ...]:
        return tuple(
            sorted(
                path for path in self._directory.iterdir() if path.is_dir() and not path.name.startswith(".")
            )
        )

    def _is_there(self, name: str) -> bool:
        """Also when its manifest is missing, but its data are not; not while it is being made."""
        place = self._directory / name
        return (place / MANIFEST).exists() or (not (place / DELETED).exists() and _holds_data(place))

    def _sweep(self, place: Path) -> None:
        """Finish a creation, deletion or overwriting that a process did not live to finish."""
        self._disk.remove(place / (MANIFEST + ".partial"))
        if (place / MANIFEST).exists():
            self._disk.remove(place / DELETED)
            current = _generation_of(place)
            for other in place.iterdir():
                if current is not None and other.is_dir() and other != current:
                    self._disk.remove_tree(other)
        elif (place / DELETED).exists() or not _holds_data(place):
            self._clear(place)
        else:
            _log.error("%s is missing, and there are data: the set cannot be read", place / MANIFEST)

    def _clear(self, place: Path) -> None:
        """Remove a directory, the mark of deletion last: what is left of it is never taken for a damaged set."""
        for inner in place.iterdir():
            earlier = self._lives.get(inner)
            if inner.is_dir() and (earlier is None or earlier.doom()):
                self._disk.remove_tree(inner)
        self._disk.sync(place)
        if not any(inner.is_dir() for inner in place.iterdir()):
            self._disk.remove_tree(place)


def _generation_of(place: Path) -> Path | None:
    """Where the set in `place` has its data; None when there is no set, or its manifest cannot be read."""
    try:
        return place / read(place).generation
    except PenultError:
        return None


def _holds_data(place: Path) -> bool:
    files = (path for path in place.rglob("*") if path.suffix != ".partial" and path.is_file())
    return any(path.stat().st_size for path in files)
