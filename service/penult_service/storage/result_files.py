"""How stored results lie on the disk: lives beside each other, and a manifest that names the one that counts."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from numpy.typing import NDArray

from penult_service.errors import PenultError
from penult_service.storage.arrays import Checked, check_array, write_array
from penult_service.storage.disk import Disk, refused
from penult_service.storage.lives import Life
from penult_service.storage.manifests import read_manifest, write_manifest
from penult_service.storage.result_records import ResultInfo, RowsOf

MANIFEST, FORMAT, VERSION = "result.json", "penult-result", 1
_MANIFESTS_KEPT = 64


class ResultFiles:
    """Results of one kind, below one directory; `what` is what messages call them, such as "projection"."""

    def __init__(self, directory: Path, disk: Disk, what: str) -> None:
        """Open the directory, and remove what an earlier process left unfinished.

        Raises:
            PenultError: the directory cannot be made or written.
        """
        self._directory = directory
        self._disk = disk
        self._what = what
        self._lock = threading.RLock()
        self._checked = Checked()
        self._manifests: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {}
        # Those that somebody reads, who keeps them alive; also when they do not count any more.
        self._lives: WeakValueDictionary[Path, Life] = WeakValueDictionary()
        self._drafts: set[Path] = set()
        try:
            disk.make_directory(directory)
            disk.sync(directory.parent)
            for place in self._places():
                self._sweep(place)
        except OSError as error:
            raise refused(error, f"{directory} cannot be used") from error

    def _store(
        self,
        name: str,
        arrays: Mapping[str, NDArray[Any]],
        content: Mapping[str, Any],
        check: Callable[[], None],
        kept: Mapping[str, tuple[Path, Mapping[str, Any]]] | None = None,
    ) -> ResultInfo:
        """Write a life beside the one that may be there; when `check` passes then too, it is the one that counts."""
        for key, array in arrays.items():
            check_array(key, array)
        json.dumps(content, allow_nan=False)
        life = self._directory / name / ("r" + secrets.token_hex(8))
        self._drafts.add(life)
        try:
            said = self._write(life, arrays, kept or {})
            with self._lock:
                self._checked_draft(life, check)
                return self._written(name, {**content, "life": life.name, "arrays": said})
        except OSError as error:
            self._forsake(name, life)
            raise refused(error, f"{self._what} {name!r} was not stored") from error
        finally:
            self._drafts.discard(life)

    def _checked_draft(self, life: Path, check: Callable[[], None]) -> None:
        try:
            check()
        except PenultError:
            self._disk.remove_tree(life)
            raise

    def _forsake(self, name: str, life: Path) -> None:
        """What came onto a full disk does not stay there until the next start, unless the manifest names it."""
        with self._lock, suppress(OSError, PenultError):
            if life.exists() and not (self._is_there(name) and self._content(name)["life"] == life.name):
                self._disk.remove_tree(life)

    def _write(
        self,
        life: Path,
        arrays: Mapping[str, NDArray[Any]],
        kept: Mapping[str, tuple[Path, Mapping[str, Any]]],
    ) -> dict[str, Any]:
        with self._lock:  # who deletes the one before does not take the place away meanwhile
            self._disk.make_directory(life.parent)
            self._disk.sync(self._directory)
            self._disk.make_directory(life)
        said = {key: write_array(self._disk, life / f"{key}.npy", array) for key, array in arrays.items()}
        for key, (path, known) in kept.items():
            self._disk.link(path, life / f"{key}.npy")
            said[key] = dict(known)
        self._disk.sync(life)
        self._disk.sync(life.parent)
        return said

    def _written(self, name: str, content: Mapping[str, Any]) -> ResultInfo:
        """Make it the one that counts."""
        place = self._directory / name
        write_manifest(self._disk, place / MANIFEST, FORMAT, VERSION, content)
        self._drafts.discard(place / content["life"])  # who replaces it now removes it
        self._remove_others(place, content["life"])
        return self._info_of(self._content(name))

    def _content(self, name: str) -> dict[str, Any]:
        """Of the manifest, read again only when it is another one."""
        path = self._directory / name / MANIFEST
        stat = path.stat()
        seen = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        known = self._manifests.get(name)
        if known is None or known[0] != seen:
            while len(self._manifests) >= _MANIFESTS_KEPT:
                self._manifests.pop(next(iter(self._manifests)))
            known = self._manifests[name] = (seen, read_manifest(path, FORMAT, VERSION))
        return known[1]

    def _info_of(self, content: Mapping[str, Any]) -> ResultInfo:
        sizes = {key: said["bytes"] for key, said in content["arrays"].items()}
        return ResultInfo(
            name=content["name"],
            created=content["created"],
            parameters=content["parameters"],
            facts=content["facts"],
            source=RowsOf(**content["source"]),
            versions=content["versions"],
            bytes=sum(sizes.values()),
            durable=self._disk.durable,
            updated=content.get("updated", ""),
            life=content["life"],
            array_bytes=sizes,
        )

    def _info(self, name: str) -> ResultInfo:
        try:
            return self._info_of(self._content(name))
        except PenultError as error:
            return ResultInfo(name, durable=self._disk.durable, problem=error.message)

    def _is_there(self, name: str) -> bool:
        return (self._directory / name / MANIFEST).exists()

    def _places(self) -> tuple[Path, ...]:
        return tuple(
            sorted(
                path for path in self._directory.iterdir() if path.is_dir() and not path.name.startswith(".")
            )
        )

    def _sweep(self, place: Path) -> None:
        """Without its manifest a result was never stored, or is deleted: arrays alone say nothing."""
        if not (place / MANIFEST).exists():
            self._disk.remove_tree(place)
            return
        try:
            life = read_manifest(place / MANIFEST, FORMAT, VERSION)["life"]
        except PenultError:
            return
        self._remove_others(place, life)

    def _remove_others(self, place: Path, life: str) -> None:
        for other in place.iterdir():
            if not other.is_dir() or other.name == life or other in self._drafts:
                continue
            self._checked.forget(other)
            held = self._lives.get(other)
            if held is not None:
                held.doom()
            else:
                self._disk.remove_tree(other)
