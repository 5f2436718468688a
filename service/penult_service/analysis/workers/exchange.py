"""What travels between the server and a worker: calls and facts as JSON, arrays as .npy files in a private directory.

SCRATCH/penult-analysis-xxxx/          one server's; locked while it lives, so that another may sweep the rest
    lock
    xxxx/                              one run's
        in/source.npy, labels.npy      memory-mapped by the worker
        in/source.json                 instead: where the rows lie already, to be mapped there
        in/source.f32                  rows of a run that waits (`spool_arrays`)
        in/source.rows                 rows that come in blocks (`append_rows`)
        out/coordinates.npy ...        its result
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis import results
from penult_service.analysis.calls import KINDS, Array, ArrayFile, Call
from penult_service.analysis.results import (
    Adjustment,
    Advice,
    Background,
    Distribution,
    DropoutEffect,
    Result,
    Stability,
)
from penult_service.errors import PreconditionFailed

_CALLS: dict[str, type[Call]] = {kind.name: kind for kind in KINDS}
_PREFIX = "penult-analysis-"
_LOCK = "lock"
_MAPPED = 1 << 24  # bytes of a result that the server would rather not hold

_log = logging.getLogger(__name__)


def call_to_json(call: Call) -> dict[str, Any]:
    """A call as JSON holds it; `call_from_json` is its inverse."""
    return {"name": call.name, "parameters": asdict(call)}


def call_from_json(told: Mapping[str, Any]) -> Call:
    """The call that `call_to_json` was given."""
    parameters: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in told["parameters"].items()
    }
    return _CALLS[told["name"]](**parameters)


def write_arrays(directory: Path, arrays: Mapping[str, Array]) -> None:
    """Each array to `directory`/NAME.npy; of one that lies in a file, to NAME.json where.

    Raises:
        PreconditionFailed: there is no room (SCRATCH_NOT_WRITABLE).
    """
    with _room():
        for name, array in arrays.items():
            if isinstance(array, ArrayFile):
                told = {**asdict(array), "path": str(array.path)}
                (directory / f"{name}.json").write_text(json.dumps(told), encoding="utf-8")
                continue
            np.save(directory / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def spool_arrays(directory: Path, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The same arrays, those of float32 written to `directory`/NAME.f32 where they do not lie in a file yet.

    Raises:
        PreconditionFailed: there is no room (SCRATCH_NOT_WRITABLE).
    """
    spooled = dict(arrays)
    for name, array in arrays.items():
        if isinstance(array, np.ndarray) and array.dtype == np.float32:
            path = directory / f"{name}.f32"
            with _room():
                np.ascontiguousarray(array, "<f4").tofile(path)
            spooled[name] = ArrayFile(path, array.shape)
    return spooled


def append_rows(path: Path, rows: NDArray[Any]) -> None:
    """Rows [n, ...] behind those that are in the file already, as `ArrayFile` reads them: little-endian.

    Raises:
        PreconditionFailed: there is no room (SCRATCH_NOT_WRITABLE).
    """
    with _room(), path.open("ab") as file:
        np.ascontiguousarray(rows, rows.dtype.newbyteorder("<")).tofile(file)


def map_arrays(directory: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a directory, memory-mapped: read when they are touched, and never written back.

    They are plain and writeable (copy on write): a read-only array is another type to numba, which would compile
    everything once more for it.
    """
    named = {path.stem: _named(path).open("c") for path in sorted(directory.glob("*.json"))}
    return {**named, **{path.stem: _mapped(path) for path in sorted(directory.glob("*.npy"))}}


def result_to_json(result: Result, directory: Path) -> dict[str, Any]:
    """A result as JSON, its arrays as files in `directory`.

    Raises:
        PreconditionFailed: there is no room (SCRATCH_NOT_WRITABLE).
    """
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    write_arrays(directory, arrays)
    told = {name: value for name, value in values.items() if name not in arrays}
    text = json.dumps(told, default=_plain)
    return {"type": type(result).__name__, "values": json.loads(text)}


def result_from_json(told: Mapping[str, Any], directory: Path) -> Result:
    """The result that `result_to_json` was given, its arrays in memory, large ones mapped into it.

    The files may be removed: what is mapped stays.
    """
    values = {
        name: _RECORDS[name](value) if name in _RECORDS else value for name, value in told["values"].items()
    }
    arrays = {
        path.stem: np.load(path, allow_pickle=False) if path.stat().st_size < _MAPPED else _mapped(path)
        for path in directory.glob("*.npy")
    }
    result: Result = getattr(results, told["type"])(**values, **arrays)
    return result


def _distribution(told: Mapping[str, Any] | None) -> Distribution | None:
    return None if told is None else Distribution(**{**told, "counts": tuple(told["counts"])})


def _effect(told: Mapping[str, Any]) -> DropoutEffect:
    distributions = ("cosine_to_clean", "cosine_between_draws", "cluster_agreement")
    return DropoutEffect(**{**told, **{name: _distribution(told[name]) for name in distributions}})


def _background(told: Mapping[str, Any] | None) -> Background | None:
    return None if told is None else Background(**{**told, "quantiles": tuple(told["quantiles"])})


# Fields of results that are records.
_RECORDS: dict[str, Callable[[Any], Any]] = {
    "adjustments": lambda told: tuple(Adjustment(**each) for each in told),
    "advice": lambda told: tuple(Advice(**each) for each in told),
    "background": _background,
    "stability": lambda told: None if told is None else Stability(**told),
    "curve": lambda told: tuple((int(count), float(score)) for count, score in told),
    "keywords": lambda told: tuple(tuple((word, weight) for word, weight in each) for each in told),
    "effects": lambda told: tuple(_effect(each) for each in told),
    "cluster_agreement_reseeded": _distribution,
}


class Scratch:
    """A directory for the files of one server's runs. What servers that died have left is removed at the start.

    Args:
        base: Where it is made; None, or when it cannot be used: the system's temporary directory.

    Raises:
        OSError: it cannot be made there either.
    """

    def __init__(self, base: Path | None) -> None:
        self.path = _made_in(base)
        self._lock: int | None = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # a file system without locks: nobody sweeps there either
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def new(self) -> Path:
        """A directory for one run, with `in` and `out`.

        Raises:
            PreconditionFailed: it cannot be made (SCRATCH_NOT_WRITABLE).
        """
        with _room():
            place = Path(tempfile.mkdtemp(dir=self.path))
            (place / "in").mkdir()
            (place / "out").mkdir()
        return place

    def remove(self) -> None:
        """Remove it with all that is in it."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = None


def remove(place: Path) -> None:
    """Remove the directory of a run."""
    shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _room() -> Iterator[None]:
    """What cannot be written in it is said to a caller."""
    try:
        yield
    except OSError as error:
        raise PreconditionFailed(
            f"the server has no room for the files of this analysis ({error.strerror or error}): make some where its"
            " --data or its TMPDIR is, or send fewer rows",
            reason="SCRATCH_NOT_WRITABLE",
        ) from error


def _made_in(base: Path | None) -> Path:
    if base is not None:
        try:
            base.parent.mkdir(parents=True, exist_ok=True)
            base.mkdir(mode=0o700, exist_ok=True)
            _sweep(base)
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        except OSError as error:
            _log.warning("%s cannot be used, so %s is: %s", base, tempfile.gettempdir(), error)
    _sweep(Path(tempfile.gettempdir()))
    return Path(tempfile.mkdtemp(prefix=_PREFIX))


def _named(path: Path) -> ArrayFile:
    told = json.loads(path.read_text(encoding="utf-8"))
    return ArrayFile(Path(told["path"]), tuple(told["shape"]), told["offset"], told["dtype"])


def _mapped(path: Path) -> NDArray[Any]:
    with path.open("rb") as file:
        shape = _shape(file)
    if 0 in shape:  # nothing to map
        return np.load(path, allow_pickle=False)
    mapped = np.load(path, mmap_mode="c", allow_pickle=False)
    return mapped.view(np.ndarray)  # numba does not know the subclass


def _shape(file: Any) -> tuple[int, ...]:
    np.lib.format.read_magic(file)
    shape, _, _ = np.lib.format.read_array_header_1_0(file)
    return shape


def _plain(value: object) -> object:
    """NumPy's numbers as numbers, records as mappings."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not part of a result")


def _sweep(base: Path) -> None:
    """Remove the directories of servers of this user that are no more."""
    for place in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if place.stat().st_uid == os.geteuid() and not place.is_symlink() and _is_abandoned(place):
                remove(place)


def _is_abandoned(place: Path) -> bool:
    """Whether nobody holds its lock. (One without a lock is just being made.)"""
    lock = os.open(place / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)
