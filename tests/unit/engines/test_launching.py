"""The child process of engines seen from outside: its answer, its errors, and what it leaves when it dies."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pytest
from penult_service.engines import launching
from penult_service.errors import InvalidInput, ModelRefused


def playing(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """The child is this program."""
    beginning = "import json, os, sys\njob = json.loads(sys.stdin.readline())\n"
    monkeypatch.setattr(launching, "_COMMAND", (sys.executable, "-c", beginning + program))


def ask(seconds: float = 60.0, **job: Any) -> dict[str, Any]:
    return launching.ask(job, threads=3, seconds=seconds)


def test_the_answer_and_what_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    playing(
        monkeypatch,
        'print(\'{"progress": ["half", 0.5]}\', flush=True)\n'
        "print(json.dumps({'done': {**job, 'threads': os.environ['TF_NUM_INTRAOP_THREADS']}}))",
    )
    said: list[tuple[str, float]] = []
    found = launching.ask(
        {"what": "tune"}, threads=3, seconds=60, progress=lambda stage, share: said.append((stage, share))
    )
    assert found == {"what": "tune", "threads": "3"}
    assert said == [("half", 0.5)]


def test_its_error_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    error = "{'kind': 'InvalidInput', 'message': 'broken', 'reason': 'DAMAGED', 'field': '', 'metadata': {}}"
    playing(monkeypatch, f"print(json.dumps({{'error': {error}}}))")
    with pytest.raises(InvalidInput, match="broken"):
        ask()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("sys.exit('no memory left')", "exit code 1; its last words: no memory left"),
        ("print('{\"done\": {', flush=True)\nos._exit(0)", "exit code 0"),
    ],
)
def test_how_it_ended(monkeypatch: pytest.MonkeyPatch, program: str, said: str) -> None:
    playing(monkeypatch, program)
    with pytest.raises(ModelRefused, match=said) as raised:
        ask()
    assert raised.value.reason == "ENGINE_CRASHED"


def test_it_is_ended_when_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    playing(monkeypatch, "import time\ntime.sleep(600)")
    began = time.monotonic()
    with pytest.raises(ModelRefused, match=r"longer than 0.5 s"):
        ask(seconds=0.5)
    assert time.monotonic() - began < 60


def test_it_does_not_outlive_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    playing(
        monkeypatch,
        "print(json.dumps({'done': {'pid': os.getpid()}}), flush=True)\nimport time\ntime.sleep(600)",
    )
    pid = ask()["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)


def test_the_real_child_says_what_it_cannot_do(tmp_path: Any) -> None:
    with pytest.raises(InvalidInput, match="is not a prepared model"):
        ask(
            what="tune",
            directory=str(tmp_path),
            ir=None,
            made=False,
            settings=[],
            precision="float32",
            texts=[],
            time=False,
        )
