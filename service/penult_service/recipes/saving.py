"""Versions of a trained model on disk: `<model>/<number>`, each there whole or not at all."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from penult_service.errors import InvalidInput
from penult_service.files import new_directory

LABELS, TRAINING = "labels.json", "training.json"


def check_output(output: Path) -> None:
    """Finds out before the training, not after it, that nothing can be saved there.

    Raises:
        InvalidInput: `output`, or what it would be made in, is a file or cannot be written to.
    """
    there = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not there.is_dir():
        what = f"{there} is a file; --output names the model's directory"
        raise InvalidInput(what, reason="OUTPUT_NOT_A_DIRECTORY", field="output")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InvalidInput(f"{there} cannot be written to", reason="OUTPUT_NOT_WRITABLE", field="output")


def places(output: Path, names: Sequence[str]) -> dict[str, Path]:
    """Where models of these names go: `output`, or of several `output-<name>` each; all can be written to.

    Raises:
        InvalidInput: As `check_output`; or nothing can be added to the name of `output`.
    """
    if len(names) > 1 and output.name in ("", ".."):
        what = (
            f"--output {output}: several models are saved in DIR/MODEL-{names[0]} and so on; give it a name"
        )
        raise InvalidInput(what, reason="OUTPUT_WITHOUT_NAME", field="output")
    found = {one: output if len(names) == 1 else output.with_name(f"{output.name}-{one}") for one in names}
    for place in found.values():
        check_output(place)
    return found


def next_version(output: Path) -> int:
    """One more than the highest numbered directory in `output`; 1 when there is none."""
    if not output.exists():
        return 1
    return max((int(path.name) for path in output.iterdir() if path.name.isdecimal()), default=0) + 1


def save_version(
    model: Any,
    output: Path,
    labels: Sequence[str],
    record: dict[str, Any],
    started: float,
    files: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Saves a tf_keras model, without optimizer slots, as the next version; returns its directory.

    Args:
        labels: Class names in the order of the outputs; (negative, positive) for a single sigmoid; without any there
            is no `labels.json`.
        record: What `training.json` says; `seconds` since `started` (of `time.monotonic`) is added.
        files: Name -> text of what else lies in it, such as `penult.toml`.
    """
    target = output / str(next_version(output))
    with new_directory(target) as draft:
        model.save(str(draft), save_format="tf", include_optimizer=False)
        record = record | {"seconds": round(time.monotonic() - started, 1)}
        if labels:
            _write_json(draft / LABELS, list(labels))
        _write_json(draft / TRAINING, record)
        for name, text in files.items():
            (draft / name).write_text(text, encoding="utf-8")
    return target


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
