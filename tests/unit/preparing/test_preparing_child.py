"""The child process that prepares: the ends that it can come to, and that it leaves nothing behind."""

from __future__ import annotations

import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from penult_service.errors import ModelRefused, PenultError
from penult_service.prepared import load_manifest
from penult_service.preparing import launch
from penult_service.preparing.confined import watch
from support import seed_model as seeds
from support.processes import is_running

pytestmark = pytest.mark.tensorflow

ENDS_WITHIN = 10.0
"""Seconds in which a process that should end has ended, on a busy machine."""


class StandIn:
    """The real child process, with other work: the body of `_run(job, progress)`."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.script, self.pid_file = place / "stand_in.py", place / "pid"
        monkeypatch.setattr(watch, "_COMMAND", (sys.executable, str(self.script)))

    def does(self, body: str) -> None:
        lines = [
            "import os, signal, sys, time",
            "from pathlib import Path",
            "from penult_service.errors import ModelRefused",
            "from penult_service.files import new_directory",
            "from penult_service.preparing import child",
            f"Path({str(self.pid_file)!r}).write_text(str(os.getpid()))",
            "def run(job, progress):",
            *(f"    {line}" for line in body.strip().splitlines()),
            "child._run = run",
            "child.main()",
        ]
        self.script.write_text("\n".join(lines))

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return StandIn(tmp_path, monkeypatch)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + ENDS_WITHIN
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def refusal(source: Path, cache: Path, **options: float) -> PenultError:
    """The error of preparing; it names the model."""
    with pytest.raises(PenultError) as caught:
        launch.prepare(source, cache=cache, **options)
    assert str(source) in caught.value.message
    return caught.value


def test_progress_is_told_in_order(prepared_seed_model: Path) -> None:
    assert prepared_seed_model.parent == seeds.cache_directory()
    stages, shares = [stage for stage, _ in seeds.STEPS], [share for _, share in seeds.STEPS]
    assert stages[:2] == ["looking at the files", "reading the model"]
    assert stages[-1] == "done"
    assert len(set(stages)) == len(stages)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_what_libraries_print_is_not_taken_for_the_answer(
    unread_model: Path, cache: Path, stand_in: StandIn, prepared_seed_model: Path
) -> None:
    stand_in.does("""
print("hello from a library")
os.write(1, b'{"error": "forged"}\\n')
progress("copying", 0.5)
given, made = Path(job["source"], "given"), Path(job["target"])
for file in [path for path in given.rglob("*") if path.is_file()]:
    (made / file.relative_to(given)).parent.mkdir(parents=True, exist_ok=True)
    (made / file.relative_to(given)).write_bytes(file.read_bytes())
return {}
""")
    shutil.copytree(prepared_seed_model, unread_model / "given")
    steps: list[tuple[str, float]] = []
    place = launch.prepare(unread_model, cache=cache, progress=lambda *step: steps.append(step))
    assert load_manifest(place).proof.proven
    assert steps == [("copying", 0.5)]
    wait_until(lambda: not is_running(stand_in.pid))


BEGUN = "with new_directory(Path(job['target'])) as draft:\n    (draft / 'half').write_bytes(b'x')\n    "

ENDS = {
    "crashes": (
        "os.write(2, b'a\\nfatal: bad memory\\n'); os.kill(os.getpid(), signal.SIGSEGV)",
        "PREPARE_CRASHED",
        "was ended by SIGSEGV; its last words: fatal: bad memory",
    ),
    "leaves": ("os._exit(7)", "PREPARE_CRASHED", "ended with exit code 7"),
    "hangs": (
        "time.sleep(600)",
        "PREPARE_TIMEOUT",
        "took longer than 3 s and was ended; allow more time (PENULT_PRE",
    ),
    "talks for ever": (
        "while True: progress('still at it', 0.5)",
        "PREPARE_CRASHED",
        "something else than an answer",
    ),
    "eats memory": (
        "hoard = bytearray(os.urandom(1)) * (400 << 20); time.sleep(600)",
        "OUT_OF_MEMORY",
        "0.2 GiB",
    ),
    "is told that there is no memory": ("raise MemoryError", "OUT_OF_MEMORY", "MemoryError"),
    "fails": (
        "raise ValueError('no such\\nthing')",
        "CANNOT_PREPARE",
        "could not be prepared: ValueError: no such",
    ),
    "refuses": (
        "raise ModelRefused(f\"{job['source']}: take it away\", reason='OF_ITS_OWN', field='f', metadata={'a': 'b'})",
        "OF_ITS_OWN",
        "take it away",
    ),
}


@pytest.mark.parametrize(("body", "reason", "says"), ENDS.values(), ids=ENDS.keys())
def test_a_child_that(
    unread_model: Path, cache: Path, stand_in: StandIn, body: str, reason: str, says: str
) -> None:
    stand_in.does(BEGUN + body)
    timeout = 3.0 if reason == "PREPARE_TIMEOUT" else 60.0
    error = refusal(unread_model, cache, timeout=timeout, memory_limit=200 << 20)
    assert isinstance(error, ModelRefused)
    assert error.reason == reason
    assert says in error.message
    if reason == "OF_ITS_OWN":
        assert (error.field, error.metadata) == ("f", {"a": "b"})
    assert not is_running(stand_in.pid)
    assert list(cache.iterdir()) == []


def test_a_child_that_ends_before_it_is_asked(
    unread_model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_COMMAND", (sys.executable, "-c", "raise SystemExit('no such module')"))
    error = refusal(unread_model, cache)
    assert error.reason == "PREPARE_CRASHED"
    assert "no such module" in error.message


HOLDS_THE_INTERPRETER = "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')"


@pytest.mark.parametrize("body", ["time.sleep(600)", HOLDS_THE_INTERPRETER], ids=["sleeps", "holds"])
def test_the_child_ends_with_the_process_that_asked(
    unread_model: Path, cache: Path, stand_in: StandIn, tmp_path: Path, body: str
) -> None:
    if body == HOLDS_THE_INTERPRETER and not sys.platform.startswith("linux"):
        pytest.skip("only Linux ends a child whose parent has ended")
    stand_in.does(body)
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom penult_service.preparing import launch\n"
        "from penult_service.preparing.confined import watch\n"
        f"watch._COMMAND = (sys.executable, {str(stand_in.script)!r})\n"
        f"launch.prepare(Path({str(unread_model)!r}), cache=Path({str(cache)!r}))\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    try:
        wait_until(lambda: stand_in.pid_file.exists() and stand_in.pid_file.read_text() != "")
        assert is_running(stand_in.pid)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not is_running(stand_in.pid))


# What active dropout would do


def test_the_measured_effect_of_dropout_is_near_the_theory(prepared_seed_model: Path, cache: Path) -> None:
    steps: list[str] = []
    found = launch.verify(prepared_seed_model, cache=cache, progress=lambda stage, _: steps.append(stage))
    assert found.manifest == load_manifest(prepared_seed_model)
    assert steps == ["measuring what dropout would do"]
    effect = found.effect
    assert effect is not None
    assert (effect.rate, effect.texts, effect.neighbours) == (0.1, 120, 15)
    assert effect.mean_cosine == pytest.approx(math.sqrt(0.9), abs=0.01)
    assert effect.draw_cosine == pytest.approx(0.9, abs=0.01)
    assert effect.expected_cosine == pytest.approx(math.sqrt(0.9))
    assert effect.expected_draw_cosine == pytest.approx(0.9)
    assert 0 < effect.neighbours_changed < effect.neighbours
    assert 0 <= effect.predictions_flipped < 0.5
    assert not cache.exists()
