"""Damaged models by the hundred: each is refused in a line, or is a model; and the fuzzer sees what it should.

Thousands: tests/benchmarks/fuzz_models.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from support import mutations

pytestmark = pytest.mark.tensorflow

TESTS = Path(__file__).parents[2]
LONGEST = 600


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own: it forks, which one where TensorFlow runs must not."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )


def test_no_damage_ends_a_process_or_shows_a_traceback(tmp_path: Path) -> None:
    told = tmp_path / "outcomes.json"
    options = ("--mutations", "330", "--heavy", "0.5", "--seed", "20", "--json", str(told))
    done = python("benchmarks/fuzz_models.py", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = json.loads(told.read_text())
    assert len(outcomes) >= 290
    reasons = {outcome["reason"] for outcome in outcomes}
    assert {"DAMAGED", "accepted", "BAD_LABELS"} <= reasons  # the damage is neither always found nor never
    for outcome in outcomes:
        assert outcome["reason"] == "accepted" or outcome["message"], outcome
        assert not outcome["bad"]
    assert {outcome["target"].partition(":")[0] for outcome in outcomes} == {
        *("manifest", "guard", "inspect", "serve", "open", "prepare")
    }


FAULTY = """
import json, os, signal, sys, time
from pathlib import Path
from penult_service.errors import InvalidInput
from support import fuzzing

def crash(model):
    if (model / "f").read_bytes() != b"abc" * 100:
        os.kill(os.getpid(), signal.SIGSEGV)

def silent(model):
    raise InvalidInput("")

def raising(model):
    raise KeyError("no such thing")

def hanging(model):
    time.sleep(600)

fuzzing.HANGS = 1.0
home = Path(sys.argv[1])
(home / "m").mkdir()
(home / "m" / "f").write_bytes(b"abc" * 100)
for reader in (crash, silent, raising, hanging, lambda model: None):
    fuzzing.READERS["serve"] = reader
    target = fuzzing.Target("m", "f", fuzzing.mutations.of_bytes, "serve", 1.0)
    print(json.dumps([[o.number, o.reason, o.bad] for o in fuzzing.run(home, (target,), 2, 1)]))
"""


def test_what_should_not_be_is_seen(tmp_path: Path) -> None:
    done = python("-c", FAULTY, str(tmp_path))
    assert done.returncode == 0, done.stderr
    crash, silent, raising, hanging, fine = (json.loads(line) for line in done.stdout.splitlines())
    assert crash == [[0, "crash: SIGSEGV", True], [1, "crash: SIGSEGV", True]]
    assert silent == [[0, "message that is no line", True], [1, "message that is no line", True]]
    assert raising == [[0, "error: KeyError", True], [1, "error: KeyError", True]]
    assert hanging == [[0, "hang", True], [1, "hang", True]]
    assert fine == [[0, "accepted", False], [1, "accepted", False]]


@pytest.mark.parametrize("damage", [mutations.of_bytes, mutations.of_json])
def test_the_same_seed_gives_the_same_damage(damage: mutations.Mutation) -> None:
    data = json.dumps({"a": [1, 2, {"b": "text"}], "c": None, "d": list(range(50))}).encode()
    made = [damage(data, Random(number)) for number in range(200)]
    assert made == [damage(data, Random(number)) for number in range(200)]
    assert len(set(made)) > 100
