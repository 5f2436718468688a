from __future__ import annotations

import tomllib
from pathlib import Path

import check_constraints
import pytest

ROOT = Path(__file__).resolve().parents[3]
PROJECT = {
    "project": {
        "name": "penult",
        "dependencies": ["numpy>=2"],
        "optional-dependencies": {"cli": ["Typing_Extensions<5"], "all": ["penult[cli]"]},
    }
}
GOOD = "numpy==2.1 ; python_full_version < '3.12'\nnumpy==2.2 ; python_full_version >= '3.12'\ntyping-extensions==4.1\n"


def test_own_constraints_fit() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert check_constraints.problems((ROOT / "constraints.txt").read_text(), pyproject) == []


def test_one_pin_for_every_python() -> None:
    assert check_constraints.problems(GOOD, PROJECT) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("==2.2", "==1.9"), "Python 3.12: the pin numpy==1.9 is not in >=2"),
        (("typing-extensions==4.1\n", ""), "Python 3.11: Typing_Extensions has no pin"),
        (("4.1", "4.1\ntyping-extensions==4.2"), "typing-extensions is pinned to 4.1 and to 4.2"),
        (("typing-extensions==", "typing-extensions>="), "must be name==version"),
        (("typing-extensions==", "typing-extensions[x]=="), "without extras"),
        (("numpy==2.1 ;", "--index-url x\nnumpy==2.1 ;"), "line 1: '--index-url x' is not a pin"),
        (
            (" ; python_full_version < '3.12'", " ; python_full_version < '3.10'"),
            "Python 3.11: numpy has no pin",
        ),
    ],
)
def test_says_what_is_wrong(change: tuple[str, str], problem: str) -> None:
    found = check_constraints.problems(GOOD.replace(*change), PROJECT)
    assert any(problem in line for line in found), found
