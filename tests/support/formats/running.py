"""Building and opening the corpus from a test, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from support.formats.opening import Outcome
from support.pretrained import ROOT

__all__ = ["Outcome", "built", "opened"]


def built(directory: Path, *which: str) -> Path:
    """The directory, with the cases that `which` names to `support.formats.building`."""
    done = _run("building", directory, *which)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    return directory


def opened(directory: Path, *options: str) -> dict[str, Outcome]:
    """What became of every case below the directory, by name."""
    done = _run("opening", directory, *options)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    outcomes = [Outcome(**json.loads(line)) for line in done.stdout.splitlines()]
    assert outcomes, done.stderr[-2000:]
    return {outcome.name: outcome for outcome in outcomes}


def _run(module: str, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-m", f"support.formats.{module}", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
