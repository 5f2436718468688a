from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from support.installs import ROOT, run

CONTRACT = """
[importlinter]
root_package = house
include_external_packages = True
contract_types =
    room: scripts.room_contract.RoomContract

[importlinter:contract:kitchen]
name = kitchen
type = room
room = house.kitchen
may_import =
    house.cellar
    numpy
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small package with its own contract, beside a copy of ours."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "room_contract.py", tmp_path / "scripts")
    (tmp_path / ".importlinter").write_text(CONTRACT)
    for name in ("house", "house/kitchen", "house/cellar"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "house/bath.py").touch()
    (tmp_path / "house/cellar/wine.py").write_text("import house.bath\n")
    return tmp_path


def _lint(house: Path, kitchen: str) -> tuple[int, str]:
    (house / "house/kitchen/stove.py").write_text(kitchen)
    tool = Path(sys.executable).with_name("lint-imports")
    result = run(tool, "--no-cache", "--no-logo", cwd=house)
    return result.returncode, " ".join(result.stdout.split())


@pytest.mark.parametrize(
    "kitchen",
    [
        "import json, numpy\nimport house.cellar.wine\n",  # wine imports the bath: indirect, not our business
        "import house.kitchen\nfrom house import __doc__\n",
    ],
)
def test_room_may_import_what_is_named(house: Path, kitchen: str) -> None:
    code, output = _lint(house, kitchen)
    assert code == 0, output


@pytest.mark.parametrize("module", ["house.bath", "requests", "tensorflow"])
def test_room_may_not_import_anything_else(house: Path, module: str) -> None:
    code, output = _lint(house, f"import json\n\n\ndef cook():\n    import {module}\n")
    assert code == 1
    assert f"house.kitchen.stove:5: house.kitchen may not import {module}" in output


def test_a_room_that_is_gone_is_an_error(house: Path) -> None:
    shutil.rmtree(house / "house/kitchen")
    (house / "house/kitchen").mkdir()
    (house / ".importlinter").write_text(CONTRACT.replace("house.kitchen", "house.attic"))
    code, output = _lint(house, "")
    assert code == 1
    assert "there is no module house.attic" in output
