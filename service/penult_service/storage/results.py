"""Stored results, such as maps and clusterings: named arrays and JSON. No pickles: any NumPy reads them, for ever.

NAME/result.json      what it is, with a checksum of itself and of every array
NAME/<life>/*.npy     the arrays
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.errors import AlreadyExists, DataDamaged, InvalidInput, NotFound, PenultError
from penult_service.files import sha256_file
from penult_service.storage.disk import Disk, refused
from penult_service.storage.manifests import now, read_manifest, write_manifest
from penult_service.storage.names import check_name

MANIFEST, FORMAT, VERSION = "result.json", "penult-result", 1
_SMALL = 4096
_ARRAY_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class RowsOf:
    """The rows that a result belongs to: the first `rows` of one life of a set, or rows that were never stored.

    `id_digest` as `Snapshot.id_digest`; `dataset` and `generation` empty for rows that came with the request.
    """

    rows: int
    id_digest: str = ""
    dataset: str = ""
    generation: str = ""
    embedding_space: str = ""


@dataclass(frozen=True)
class ResultInfo:
    """What is known of a result without its arrays. `problem` says which file is damaged."""

    name: str
    created: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    source: RowsOf = RowsOf(0)
    versions: Mapping[str, str] = field(default_factory=dict)
    bytes: int = 0
    durable: bool = False
    problem: str = ""


@dataclass(frozen=True, eq=False)
class StoredResult:
    """A result: `arrays` are mapped into memory, read-only, and stay valid when it is deleted or overwritten."""

    info: ResultInfo
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ResultPage:
    """Results in the order of their names; `next_page_token` is empty on the last page."""

    results: tuple[ResultInfo, ...]
    next_page_token: str


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
        check_name(name)
        files = {_checked_array_name(key): _npy(array) for key, array in arrays.items()}
        content = {
            "name": name,
            "created": now(),
            "parameters": dict(parameters),
            "facts": dict(facts or {}),
            "source": asdict(source),
            "versions": {**_versions(), **(versions or {})},
        }
        json.dumps(content, allow_nan=False)
        with self._lock:
            self.check_free(name, overwrite=overwrite)
            try:
                self._write(name, files, content)
            except OSError as error:
                raise refused(error, f"{self._what} {name!r} was not stored") from error
            return self._read(name)[0]

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

    def get(self, name: str) -> StoredResult:
        """The result of that name, compared with its checksums.

        Raises:
            NotFound, or DataDamaged naming the file.
        """
        with self._lock:
            self._check_there(name)
            info, content = self._read(name)
            place = self._directory / name / content["life"]
            arrays = {key: _opened(place / f"{key}.npy", said) for key, said in content["arrays"].items()}
        return StoredResult(info, arrays)

    def info(self, name: str) -> ResultInfo:
        """What is known of the result of that name, without a look at its arrays.

        Raises:
            NotFound, or DataDamaged naming the manifest.
        """
        with self._lock:
            self._check_there(name)
            return self._read(name)[0]

    def list(self, page_size: int = 100, page_token: str = "") -> ResultPage:
        """Results whose names follow `page_token`. A damaged one is there too, with its `problem`."""
        if page_size < 1:
            raise InvalidInput("page_size is at least 1", reason="PAGE_SIZE", field="page_size")
        with self._lock:
            names = [p.name for p in self._places() if p.name > page_token and self._is_there(p.name)]
            infos = tuple(self._info(name) for name in names[:page_size])
        return ResultPage(infos, names[page_size - 1] if len(names) > page_size else "")

    def delete(self, name: str) -> None:
        """Delete a result, damaged or not. Arrays that were read stay valid.

        Raises:
            NotFound: there is none.
        """
        with self._lock:
            self._check_there(name)
            try:
                self._disk.remove(self._directory / name / MANIFEST)
                self._disk.sync(self._directory / name)
                self._disk.remove_tree(self._directory / name)
            except OSError as error:
                raise refused(error, f"{self._what} {name!r} was perhaps not deleted") from error

    def _write(self, name: str, files: Mapping[str, bytes], content: Mapping[str, Any]) -> None:
        place, life = self._directory / name, "r" + secrets.token_hex(8)
        self._disk.make_directory(place)
        self._disk.sync(self._directory)
        try:
            self._disk.make_directory(place / life)
            for key, data in files.items():
                self._disk.write(place / life / f"{key}.npy", 0, data, sync=True)
            self._disk.sync(place / life)
            self._disk.sync(place)
        except OSError:  # what came onto a full disk does not stay there until the next start
            self._disk.remove_tree(place / life)
            raise
        said = {
            key: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for key, data in files.items()
        }
        write_manifest(
            self._disk, place / MANIFEST, FORMAT, VERSION, {**content, "life": life, "arrays": said}
        )
        self._remove_others(place, life)

    def _read(self, name: str) -> tuple[ResultInfo, dict[str, Any]]:
        content = read_manifest(self._directory / name / MANIFEST, FORMAT, VERSION)
        info = ResultInfo(
            name=content["name"],
            created=content["created"],
            parameters=content["parameters"],
            facts=content["facts"],
            source=RowsOf(**content["source"]),
            versions=content["versions"],
            bytes=sum(said["bytes"] for said in content["arrays"].values()),
            durable=self._disk.durable,
        )
        return info, content

    def _info(self, name: str) -> ResultInfo:
        try:
            return self._read(name)[0]
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
            if other.is_dir() and other.name != life:
                self._disk.remove_tree(other)


def _checked_array_name(name: str) -> str:
    if not _ARRAY_NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of an array")
    return name


def _npy(array: NDArray[Any]) -> bytes:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"arrays of {array.dtype} are not stored")
    file = io.BytesIO()
    little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    np.lib.format.write_array(file, little, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def _opened(path: Path, said: Mapping[str, Any]) -> NDArray[Any]:
    try:
        if path.stat().st_size != said["bytes"] or sha256_file(path) != said["sha256"]:
            raise DataDamaged(f"{path} is damaged: it is not what was written")
        # An empty array cannot be mapped, and a small one need not be.
        return np.load(path, mmap_mode="r" if said["bytes"] > _SMALL else None, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataDamaged(f"{path} is missing") from error


def _versions() -> dict[str, str]:
    return {"penult": __version__, "python": platform.python_version(), "numpy": np.__version__}
