"""The whole corpus of formats and shapes, and what TensorFlow of years ago wrote."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.formats.registry import CASES
from support.formats.running import Outcome, built, opened
from support.pretrained import ROOT

pytestmark = [pytest.mark.full, pytest.mark.tensorflow]

ROWS = tuple(dict.fromkeys(case.row for case in CASES.values()))


@pytest.mark.parametrize("row", ROWS)
def test_every_shape_becomes_what_it_should(row: str, tmp_path: Path) -> None:
    names = [name for name, case in CASES.items() if case.row == row]
    outcomes = opened(built(tmp_path, f"{row}: "))
    assert sorted(outcomes) == sorted(names)
    assert _wrong(outcomes) == []


def test_the_child_that_prepares_reads_them_too(tmp_path: Path) -> None:
    outcomes = opened(built(tmp_path, "--quick"), "--child")
    assert len(outcomes) == sum(case.quick for case in CASES.values())
    assert _wrong(outcomes) == []


@pytest.mark.parametrize("version", ["2.12", "2.15"])
def test_what_older_tensorflow_wrote(version: str, tmp_path: Path) -> None:
    command = [ROOT / "scripts" / "old_tensorflow", tmp_path, version]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot be installed" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = opened(tmp_path)
    assert len(outcomes) > 80
    assert all(name.startswith(f"TensorFlow {version}") for name in outcomes)
    assert _wrong(outcomes) == []


def _wrong(outcomes: dict[str, Outcome]) -> list[str]:
    return [f"{name}: {found.wrong} ({found.said})" for name, found in outcomes.items() if found.wrong]
