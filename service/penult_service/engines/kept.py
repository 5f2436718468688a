"""What is kept of engines between two starts, in a directory of this user alone.

HOME/ir-<key>/              what OpenVINO reads of a prepared model
HOME/tuned-<key>.json       what was chosen, and all that was measured
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from penult_service.decoding import decoded
from penult_service.engines import machine
from penult_service.engines.index import IR_FORM
from penult_service.prepared import MANIFEST_NAME
from penult_service.tuned import Tuned
from penult_service.vectors import digest_of_parts

_log = logging.getLogger(__name__)

_FORMAT = "1"  # of an IR, beside `IR_FORM`
_MEASURED = "2"  # of a choice: what it holds, and how it is measured
_PACKAGES = ("tensorflow", "openvino")


@dataclass(frozen=True)
class Kept:
    """What `tuned-<key>.json` holds: Tuned or why there is none, a sentence."""

    tuned: Tuned
    refused: str = ""
    reason: str = ""


def places(home: Path, directory: Path, wish: Sequence[str]) -> tuple[Path, Path]:
    """Where the choice for a prepared model and a wish is kept, and its IR: by all that they depend on."""
    model = _ir_key(directory)
    choice = digest_of_parts([_MEASURED, model, machine.processor(), str(machine.cores()), *wish])[:32]
    return home / f"tuned-{choice}.json", home / f"ir-{model}"


def _ir_key(directory: Path) -> str:
    """Of an IR: the prepared model, and what reads it."""
    manifest = (directory / MANIFEST_NAME).read_text(encoding="utf-8")
    return digest_of_parts([_FORMAT, IR_FORM, manifest, *map(_version, _PACKAGES)])[:32]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def recalled(path: Path) -> Kept | None:
    """What was kept; None: nothing, or nothing that can be read, which is then made again."""
    try:
        found: Kept = decoded(Kept, json.loads(path.read_text(encoding="utf-8")), "tuned")
    except (OSError, ValueError, RecursionError):
        return None
    return found


def keep(path: Path, found: Kept) -> None:
    """Writes it beside and renames it. Where it cannot be kept, it is measured again the next time."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as draft:
            draft.write(json.dumps(asdict(found), indent=1, ensure_ascii=False) + "\n")
            draft.flush()
            os.fsync(draft.fileno())
        Path(draft.name).replace(path)
    except OSError as error:
        _log.warning("%s cannot be written (%s): it is measured again the next time", path, error.strerror)
        with suppress(OSError, UnboundLocalError):
            Path(draft.name).unlink()
