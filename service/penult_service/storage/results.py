"""Stored results, such as maps and clusterings: named arrays and JSON. No pickles: any NumPy reads them, for ever.

NAME/result.json      what it is, with a checksum of itself and of every array
NAME/<life>/*.npy     the arrays
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.errors import AlreadyExists, InvalidInput, NotFound, PreconditionFailed
from penult_service.storage.arrays import (
    ArrayPlace,
    open_array,
    place_of,
)
from penult_service.storage.disk import refused
from penult_service.storage.lives import Life
from penult_service.storage.manifests import now
from penult_service.storage.names import check_name
from penult_service.storage.result_files import MANIFEST, ResultFiles
from penult_service.storage.result_records import HeldResult, ResultInfo, ResultPage, RowsOf, StoredResult


class ResultStore(ResultFiles):
    """Results of one kind, below one directory; `what` is what messages call them, such as "projection"."""

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
        raise self.changed(before.name)

    def changed(self, name: str) -> PreconditionFailed:
        """The error of a change of what was deleted or overwritten meanwhile."""
        return PreconditionFailed(
            f"{self._what} {name!r} was overwritten or deleted meanwhile; nothing was changed",
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

    def _check_there(self, name: str) -> None:
        check_name(name)
        if not self._is_there(name):
            reason = f"{self._what.upper()}_NOT_FOUND"
            raise NotFound(f"there is no {self._what} {name!r}", reason=reason, field="name")


def _versions() -> dict[str, str]:
    return {"penult": __version__, "python": platform.python_version(), "numpy": np.__version__}
