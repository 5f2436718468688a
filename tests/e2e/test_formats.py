"""What people save: a model of each format is built, opened in a process without the author's code, and compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.formats.case import CASE, EXPECTED
from support.formats.registry import CASES
from support.formats.running import Outcome, built, opened

pytestmark = pytest.mark.tensorflow

QUICK = [name for name, case in CASES.items() if case.quick]
PLAIN = "plain tf.saved_model.save: one signature, a tf_keras dropout"
# Arrays of that case, and what is said when they are not what the model gives.
CHANGED = {
    "embedding": "embedding is another",
    "outputs/output": "output is another",
    "ids": "token ids are others",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Built in one process, prepared, loaded and asked in another; one also with expectations that are wrong."""
    directory = built(tmp_path_factory.mktemp("formats"), "--quick")
    for number, array in enumerate(CHANGED):
        _with_another(array, directory / CASES[PLAIN].slug, directory / f"changed-{number}")
    return opened(directory)


@pytest.mark.parametrize("name", QUICK)
def test_a_model_of_each_format_becomes_what_it_should(outcomes: dict[str, Outcome], name: str) -> None:
    assert not outcomes[name].wrong, outcomes[name]


@pytest.mark.parametrize("array", CHANGED)
def test_the_comparison_can_fail(outcomes: dict[str, Outcome], array: str) -> None:
    assert CHANGED[array] in outcomes[f"changed: {array}"].wrong


def test_every_format_has_one() -> None:
    assert {CASES[name].row for name in QUICK} == {case.row for case in CASES.values()}


def _with_another(array: str, place: Path, copy: Path) -> None:
    """A copy of the case that expects one number of this array to be a little more."""
    shutil.copytree(place, copy)
    told = json.loads((copy / CASE).read_text())
    (copy / CASE).write_text(json.dumps(told | {"row": "changed", "shape": array}))
    with np.load(copy / EXPECTED) as file:
        arrays = dict(file)
    arrays[array].flat[-1] += 1 if array == "ids" else 1e-3
    np.savez(copy / EXPECTED, allow_pickle=False, **arrays)
