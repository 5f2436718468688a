"""Versions of a trained model on disk: `<model>/<number>`, each there whole or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penult_service.errors import InvalidInput
from penult_service.files import new_directory

LABELS, TRAINING = "labels.json", "training.json"


def next_version(output: Path) -> int:
    """One more than the highest numbered directory in `output`; 1 when there is none.

    Raises:
        InvalidInput: `output` is a file.
    """
    if not output.exists():
        return 1
    if not output.is_dir():
        what = f"{output} is a file; --output names the model's directory"
        raise InvalidInput(what, reason="OUTPUT_NOT_A_DIRECTORY", field="output")
    return max((int(path.name) for path in output.iterdir() if path.name.isdecimal()), default=0) + 1


def save_version(
    model: Any, output: Path, labels: Sequence[str], record: dict[str, Any], started: float
) -> Path:
    """Saves a tf_keras model, without optimizer slots, as the next version; returns its directory.

    Args:
        labels: Class names in the order of the outputs; (negative, positive) for a single sigmoid.
        record: What `training.json` says; `seconds` since `started` (of `time.monotonic`) is added.
    """
    target = output / str(next_version(output))
    with new_directory(target) as draft:
        model.save(str(draft), save_format="tf", include_optimizer=False)
        record = record | {"seconds": round(time.monotonic() - started, 1)}
        _write_json(draft / LABELS, list(labels))
        _write_json(draft / TRAINING, record)
    return target


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
