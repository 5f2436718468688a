"""Stored results, such as maps and clusterings: named arrays and JSON. No pickles: any NumPy reads them, for ever.

NAME/result.json      what it is, with a checksum of itself and of every array
NAME/<life>/*.npy     the arrays
"""

from __future__ import annotations

import json
import platform
import secrets
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.errors import AlreadyExists, InvalidInput, NotFound, PenultError, PreconditionFailed
from penult_service.storage.arrays import (
    ArrayPlace,
    Checked,
    check_array,
    open_array,
    place_of,
    write_array,
)
from penult_service.storage.disk import Disk, refused
from penult_service.storage.lives import Life
from penult_service.storage.manifests import now, read_manifest, write_manifest
from penult_service.storage.names import check_name
from penult_service.storage.result_records import HeldResult, ResultInfo, ResultPage, RowsOf, StoredResult

MANIFEST, FORMAT, VERSION = "result.json", "penult-result", 1
_MANIFESTS_KEPT = 64


class ResultStore:
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
        self._lives: dict[Path, Life] = {}
        self._drafts: set[Path] = set()
        try:
            disk.make_directory(directory)
            disk.sync(directory.parent)
            for place in self._places():
                self._sweep(place)
        except OSError as error:
            raise refused(error, f"{directory} cannot be used") from error

    def put(
        self,
        name: str,
        arrays: Mapping[str, NDArray[Any]],
        *,
        parameters: Mapping[str, Any],
        facts: Mapping[str, Any] | None = None,
        source: RowsOf,
        versions: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ) -> ResultInfo:
        """Store a result; durable when it returns. `parameters` and `facts` (quality, provenance) are any JSON.

        Arrays of numbers and truth values only. `versions` of libraries are added to ours.

        Raises:
            InvalidInput: NAME_INVALID.
            AlreadyExists: and `overwrite` is False.
            TypeError, ValueError: not arrays of numbers, or not JSON: a mistake of the caller's code.
        """
        content = {
            "name": name,
            "created": now(),
            "parameters": dict(parameters),
            "facts": dict(facts or {}),
            "source": asdict(source),
            "versions": {**_versions(), **(versions or {})},
        }
        self.check_free(name, overwrite=overwrite)
        return self._store(name, arrays, content, lambda: self.check_free(name, overwrite=overwrite))

    def change(
        self,
        before: ResultInfo,
        arrays: Mapping[str, NDArray[Any]],
        *,
        keep: Collection[str],
        facts: Mapping[str, Any],
        source: RowsOf | None = None,
    ) -> ResultInfo:
        """Put another life in the place of one that is held: all of it or, with an error, nothing; durable.

        Args:
            before: What is changed; its name, `created`, parameters and versions stay.
            arrays: New ones.
            keep: Names of arrays that stay as they are, if they are there; all others go.
            facts: All of them.
            source: The rows now; None: as before.

        Raises:
            PreconditionFailed: it was deleted or overwritten meanwhile (such as CLUSTERING_CHANGED).
        """
        with self._lock:
            self.check_same(before)
            content = dict(self._content(before.name))
        said, life = content.pop("arrays"), self._directory / before.name / content.pop("life")
        content |= {"facts": dict(facts), "updated": now(), "source": asdict(source or before.source)}
        if not arrays and set(said) <= set(keep):  # what is said of it alone: the arrays stay where they are
            content |= {"arrays": said, "life": life.name}
            with self._lock:
                self.check_same(before)
                return self._written(before.name, content)
        kept = {key: (life / f"{key}.npy", said[key]) for key in said if key in keep and key not in arrays}
        return self._store(before.name, arrays, content, lambda: self.check_same(before), kept)

    def check_free(self, name: str, *, overwrite: bool = False) -> None:
        """Refuse, before anything is computed, what `put` would.

        Raises:
            InvalidInput: NAME_INVALID.
            AlreadyExists: and `overwrite` is False.
        """
        check_name(name)
        if self._is_there(name) and not overwrite:
            raise AlreadyExists(
                f"there is a {self._what} {name!r}; choose another name, or overwrite it",
                reason=f"{self._what.upper()}_EXISTS",
                field="name",
            )

    def check_same(self, before: ResultInfo) -> None:
        """Refuse, before anything is computed, what `change` would.

        Raises:
            PreconditionFailed: it was deleted or overwritten meanwhile (such as CLUSTERING_CHANGED).
        """
        with self._lock:
            if self._is_there(before.name) and self._content(before.name)["life"] == before.life:
                return
        raise PreconditionFailed(
            f"{self._what} {before.name!r} was overwritten or deleted meanwhile; nothing was changed",
            reason=f"{self._what.upper()}_CHANGED",
            field=self._what,
        )

    def get(self, name: str, *, without: Collection[str] = ()) -> StoredResult:
        """The result of that name, with its arrays but those `without` which it is wanted.

        Raises:
            NotFound, or DataDamaged naming the file.
        """
        with self._lock:
            self._check_there(name)
            content = self._content(name)
            place = self._directory / name / content["life"]
            arrays = {}
            for key, said in content["arrays"].items():
                if key not in without:
                    self._checked.check(place / f"{key}.npy", said)
                    arrays[key] = open_array(place / f"{key}.npy", said)
        return StoredResult(self._info_of(content), arrays)

    def hold(self, name: str, arrays: Collection[str]) -> HeldResult:
        """The result of that name, for who maps those of the arrays that it has; close it afterwards.

        Raises:
            NotFound, or DataDamaged naming the file.
        """
        with self._lock:
            self._check_there(name)
            content = self._content(name)
            place = self._directory / name / content["life"]
            life = self._lives.setdefault(place, Life(self._disk, place))
            life.enter()
        try:
            places: dict[str, ArrayPlace] = {}
            for key in sorted(set(arrays) & set(content["arrays"])):
                self._checked.check(place / f"{key}.npy", content["arrays"][key])
                places[key] = place_of(place / f"{key}.npy")
        except BaseException:
            life.leave()
            raise
        return HeldResult(self._info_of(content), places, life)

    def info(self, name: str) -> ResultInfo:
        """What is known of the result of that name, without a look at its arrays.

        Raises:
            NotFound, or DataDamaged naming the manifest.
        """
        with self._lock:
            self._check_there(name)
            return self._info_of(self._content(name))

    def list(self, page_size: int = 100, page_token: str = "") -> ResultPage:
        """Results whose names follow `page_token`. A damaged one is there too, with its `problem`."""
        if page_size < 1:
            raise InvalidInput("page_size is at least 1", reason="PAGE_SIZE", field="page_size")
        with self._lock:
            names = [p.name for p in self._places() if p.name > page_token and self._is_there(p.name)]
            infos = tuple(self._info(name) for name in names[:page_size])
        return ResultPage(infos, names[page_size - 1] if len(names) > page_size else "")

    def delete(self, name: str) -> None:
        """Delete a result, damaged or not. Arrays that were read stay valid, and files that are held.

        Raises:
            NotFound: there is none.
        """
        with self._lock:
            self._check_there(name)
            place = self._directory / name
            try:
                self._disk.remove(place / MANIFEST)
                self._disk.sync(place)
                self._remove_others(place, "")
                with suppress(OSError):  # who reads there, or writes, is not done: the next start removes it
                    place.rmdir()
            except OSError as error:
                raise refused(error, f"{self._what} {name!r} was perhaps not deleted") from error

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
            raise refused(error, f"{self._what} {name!r} was not stored") from error
        finally:
            self._drafts.discard(life)

    def _checked_draft(self, life: Path, check: Callable[[], None]) -> None:
        try:
            check()
        except PenultError:
            self._disk.remove_tree(life)
            raise

    def _write(
        self,
        life: Path,
        arrays: Mapping[str, NDArray[Any]],
        kept: Mapping[str, tuple[Path, Mapping[str, Any]]],
    ) -> dict[str, Any]:
        self._disk.make_directory(life.parent)
        self._disk.sync(self._directory)
        try:
            self._disk.make_directory(life)
            said = {key: write_array(self._disk, life / f"{key}.npy", array) for key, array in arrays.items()}
            for key, (path, known) in kept.items():
                self._disk.link(path, life / f"{key}.npy")
                said[key] = dict(known)
            self._disk.sync(life)
            self._disk.sync(life.parent)
        except OSError:  # what came onto a full disk does not stay there until the next start
            if life.exists():
                self._disk.remove_tree(life)
            raise
        return said

    def _written(self, name: str, content: Mapping[str, Any]) -> ResultInfo:
        """Make it the one that counts."""
        place = self._directory / name
        write_manifest(self._disk, place / MANIFEST, FORMAT, VERSION, content)
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

    def _check_there(self, name: str) -> None:
        check_name(name)
        if not self._is_there(name):
            reason = f"{self._what.upper()}_NOT_FOUND"
            raise NotFound(f"there is no {self._what} {name!r}", reason=reason, field="name")

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
            held = self._lives.pop(other, None)
            if held is not None:
                held.doom()
            else:
                self._disk.remove_tree(other)


def _versions() -> dict[str, str]:
    return {"penult": __version__, "python": platform.python_version(), "numpy": np.__version__}
