"""Which inputs a job was begun with, and whether they still are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from penult_service.errors import PreconditionFailed
from penult_service.files import sha256_file
from penult_service.jobs.chunks import names_of


@dataclass(frozen=True)
class Input:
    """A file as it was: its name, bytes, time of the last change (ns since 1970), and SHA-256."""

    name: str
    size: int
    modified: int
    sha256: str

    @classmethod
    def of(cls, path: Path, name: str) -> Self:
        """Read the whole file, once, in pieces."""
        before = path.stat()
        digest = sha256_file(path)
        if _stamp(path) != (before.st_size, before.st_mtime_ns):
            raise _changing(path)
        return cls(name, before.st_size, before.st_mtime_ns, digest)

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> Self:
        """What `facts` made."""
        return cls(**facts)

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def identify(paths: Sequence[Path]) -> list[Input]:
    """The files as they are now."""
    return [Input.of(path, name) for path, name in zip(paths, names_of(paths), strict=True)]


def check_untouched(paths: Sequence[Path], inputs: Sequence[Input]) -> None:
    """Raises PreconditionFailed (INPUT_CHANGED) when somebody has written to a file since it was looked at."""
    for path, known in zip(paths, inputs, strict=True):
        if _stamp(path) != (known.size, known.modified):
            raise _changing(path)


def changes(was: Sequence[Input], now: Sequence[Input]) -> list[str]:
    """What differs, in words; nothing when name, order and content of all are the same."""
    found = []
    old, new = {each.name: each for each in was}, {each.name: each for each in now}
    found += [f"the input {name} is no longer named" for name in old if name not in new]
    found += [f"the input {name} is new" for name in new if name not in old]
    for name in old.keys() & new.keys():
        a, b = old[name], new[name]
        if a.sha256 != b.sha256:
            found.append(
                f"{name} has another content ({b.size:,} bytes, last written {_when(b.modified)}; it was {a.size:,} "
                f"bytes, {_when(a.modified)})"
            )
    if not found and [each.name for each in was] != [each.name for each in now]:
        found.append("the inputs are named in another order")
    return found


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def _changing(path: Path) -> PreconditionFailed:
    return PreconditionFailed(
        f"{path} was changed while the job read it; let it be finished first, then start again",
        reason="INPUT_CHANGED",
    )


def _when(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
