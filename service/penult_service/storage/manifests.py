"""The JSON files that say what is there: with a format, its version, and a checksum over themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penult_service.errors import DataDamaged, PreconditionFailed
from penult_service.storage.disk import Disk

_CHECKSUM = "checksum"


def write_manifest(disk: Disk, path: Path, kind: str, version: int, facts: Mapping[str, Any]) -> None:
    """Put the facts at `path`, whole or not at all, synced."""
    content = {"format": kind, "version": version, **facts}
    text = json.dumps({**content, _CHECKSUM: _digest(content)}, indent=1, ensure_ascii=False, allow_nan=False)
    disk.put(path, text.encode() + b"\n")


def read_manifest(path: Path, kind: str, version: int) -> dict[str, Any]:
    """The facts as they were written, with `version` as the file has it (at most the one given).

    Raises:
        DataDamaged: the file is missing, cut or changed.
        PreconditionFailed: FORMAT_TOO_NEW.
    """
    try:
        content = json.loads(path.read_bytes())
        checksum = content.pop(_CHECKSUM)
    except FileNotFoundError as error:
        raise DataDamaged(f"{path} is missing") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataDamaged(f"{path} is damaged: it is not the JSON that was written") from error
    if checksum != _digest(content):
        raise DataDamaged(f"{path} is damaged: its checksum does not fit")
    if content.pop("format", None) != kind:
        raise DataDamaged(f"{path} is not a {kind}")
    if content["version"] > version:
        raise PreconditionFailed(
            f"{path} has format {content['version']}, this Penult reads up to {version}: use a newer one",
            reason="FORMAT_TOO_NEW",
        )
    return dict(content)


def now(later: timedelta = timedelta()) -> str:
    """The time, or a later one, ISO 8601 in UTC."""
    return (datetime.now(UTC) + later).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
