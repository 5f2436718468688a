"""Preparing from outside: the cache, the child process, and the ends that it can come to."""

from __future__ import annotations

import math
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from penult_service.errors import InvalidInput, ModelRefused, NotFound, PenultError
from penult_service.prepared import load_manifest
from penult_service.preparing import launch
from support import seed_model as seeds
from support.processes import is_running

pytestmark = pytest.mark.tensorflow

ENDS_WITHIN = 10.0
"""Seconds in which a process that should end has ended, on a busy machine."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Files that nobody reads: the child of these tests is a stand-in."""
    place = tmp_path / "model"
    place.mkdir()
    (place / "saved_model.pb").write_bytes(b"a graph")
    return place


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "data" / "prepared"


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: Any) -> dict[str, Any]:
        raise AssertionError("a child was started")

    monkeypatch.setattr(launch, "_in_child", started)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, prepared_seed_model: Path) -> list[dict[str, Any]]:
    """The jobs that were given to a child; its work is done at once, by copying the prepared model."""
    given: list[dict[str, Any]] = []

    def work(job: dict[str, Any], *_: Any) -> dict[str, Any]:
        given.append(job)
        shutil.copytree(prepared_seed_model, job["target"])
        return {}

    monkeypatch.setattr(launch, "_in_child", work)
    return given


class StandIn:
    """The real child process, with other work: the body of `_run(job, progress)`."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.script, self.pid_file = place / "stand_in.py", place / "pid"
        monkeypatch.setattr(launch, "_COMMAND", (sys.executable, str(self.script)))

    def does(self, body: str) -> None:
        lines = [
            "import os, signal, sys, time",
            "from pathlib import Path",
            "from penult_service.errors import ModelRefused",
            "from penult_service.files import new_directory",
            "from penult_service.preparing import child",
            "def run(job, progress):",
            f"    Path({str(self.pid_file)!r}).write_text(str(os.getpid()))",
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


def refusal(source: Path, cache: Path, **options: Any) -> PenultError:
    """The error of preparing; it names the model."""
    with pytest.raises(PenultError) as caught:
        launch.prepare(source, cache=cache, **options)
    assert str(source) in caught.value.message
    return caught.value


# Where the model is, and where the result goes


def test_nothing_there(tmp_path: Path, cache: Path) -> None:
    error = refusal(tmp_path / "nowhere", cache)
    assert isinstance(error, NotFound)
    assert error.reason == "NO_SUCH_PATH"
    assert "name the directory of a saved model" in error.message


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_file_of_another_format(tmp_path: Path, cache: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    error = refusal(tmp_path / name, cache)
    assert isinstance(error, ModelRefused)
    assert error.reason == "UNSUPPORTED_FORMAT"
    assert "model.save(" in error.message
    assert not cache.exists()


def test_the_result_lies_in_a_cache_of_the_user_alone(model: Path, cache: Path, jobs: list[Any]) -> None:
    place = launch.prepare(model, cache=cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert list(cache.iterdir()) == [place]
    assert load_manifest(place).proof.proven
    assert [job["source"] for job in jobs] == [str(model)]


@pytest.mark.usefixtures("no_child")
def test_the_same_files_are_prepared_once(
    seed_model: Path, prepared_seed_model: Path, tmp_path: Path
) -> None:
    assert launch.prepare(seed_model, cache=seeds.cache_directory()) == prepared_seed_model
    elsewhere = shutil.copytree(seed_model, tmp_path / "elsewhere")
    assert launch.prepare(Path(elsewhere), cache=seeds.cache_directory()) == prepared_seed_model


def test_another_layer_is_prepared_on_its_own(model: Path, cache: Path, jobs: list[Any]) -> None:
    default, named = launch.prepare(model, cache=cache), launch.prepare(model, cache=cache, layer="dense")
    assert default != named
    assert [job["layer"] for job in jobs] == [None, "dense"]


def test_a_damaged_cache_entry_is_made_again(model: Path, cache: Path, jobs: list[Any]) -> None:
    place = launch.prepare(model, cache=cache)
    weights = next((place / "variables").glob("*.data-*"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert launch.prepare(model, cache=cache) == place
    assert weights.read_bytes() == whole
    (place / "penult.json").unlink()
    assert launch.prepare(model, cache=cache) == place
    assert len(jobs) == 3
    assert list(cache.iterdir()) == [place]


def test_a_cache_that_cannot_be_written(model: Path, cache: Path, jobs: list[Any]) -> None:
    cache.parent.mkdir()
    cache.write_text("a file")
    with pytest.raises(InvalidInput) as caught:
        launch.prepare(model, cache=cache)
    assert caught.value.reason == "CACHE_NOT_WRITABLE"
    assert "--data DIR" in caught.value.message
    assert not jobs


def test_another_process_was_faster(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, prepared_seed_model: Path
) -> None:
    key = launch.cache_key(model, None)

    def work(job: dict[str, Any], *_: Any) -> dict[str, Any]:
        for target in (Path(job["target"]), cache / key):
            shutil.copytree(prepared_seed_model, target)
        return {}

    monkeypatch.setattr(launch, "_in_child", work)
    assert launch.prepare(model, cache=cache) == cache / key
    assert list(cache.iterdir()) == [cache / key]


def test_an_output_of_ones_own(model: Path, cache: Path, tmp_path: Path, jobs: list[Any]) -> None:
    output = tmp_path / "out" / "prepared"
    assert launch.prepare(model, output=output, cache=cache) == output
    assert load_manifest(output).proof.proven
    assert [path.name for path in output.parent.iterdir()] == ["prepared"]
    assert not cache.exists()
    assert len(jobs) == 1


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_an_output_that_is_there_is_left_alone(model: Path, cache: Path, tmp_path: Path, kind: str) -> None:
    output = tmp_path / "out"
    kept = output if kind == "file" else output / "notes"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(InvalidInput) as caught:
        launch.prepare(model, output=output, cache=cache)
    assert caught.value.reason == "OUTPUT_EXISTS"
    assert "name a new directory" in caught.value.message
    assert kept.read_text() == "mine"


def test_an_output_that_was_filled_meanwhile(
    model: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"

    def work(job: dict[str, Any], *_: Any) -> dict[str, Any]:
        Path(job["target"]).mkdir()
        output.mkdir()
        (output / "notes").write_text("mine")
        return {}

    monkeypatch.setattr(launch, "_in_child", work)
    with pytest.raises(InvalidInput) as caught:
        launch.prepare(model, output=output, cache=cache)
    assert caught.value.reason == "OUTPUT_NOT_WRITABLE"
    assert "--output DIR" in caught.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]
    assert (output / "notes").read_text() == "mine"


# A model that is prepared already


@pytest.mark.usefixtures("no_child")
def test_a_prepared_model_is_taken_as_it_is(prepared_seed_model: Path, cache: Path) -> None:
    seam = load_manifest(prepared_seed_model).seam
    assert launch.prepare(prepared_seed_model, cache=cache) == prepared_seed_model
    assert launch.prepare(prepared_seed_model, cache=cache, layer=seam) == prepared_seed_model
    assert not cache.exists()


@pytest.mark.usefixtures("no_child")
def test_a_prepared_model_is_copied_to_an_output(
    prepared_seed_model: Path, cache: Path, tmp_path: Path
) -> None:
    output = launch.prepare(prepared_seed_model, output=tmp_path / "out", cache=cache)
    assert output == tmp_path / "out"
    assert load_manifest(output) == load_manifest(prepared_seed_model)


@pytest.mark.usefixtures("no_child")
def test_a_prepared_model_has_the_layers_that_it_has(prepared_seed_model: Path, cache: Path) -> None:
    error = refusal(prepared_seed_model, cache, layer="dense")
    assert error.reason == "LAYER_NOT_PREPARED"
    assert "prepare the original model with --layer" in error.message


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("change", ["altered", "missing"])
def test_a_prepared_model_that_was_changed(
    prepared_seed_model: Path, cache: Path, tmp_path: Path, change: str
) -> None:
    place = Path(shutil.copytree(prepared_seed_model, tmp_path / "prepared"))
    graph = place / "saved_model.pb"
    if change == "altered":
        graph.write_bytes(graph.read_bytes() + b"\0")
    else:
        graph.unlink()
    error = refusal(place, cache)
    assert isinstance(error, InvalidInput)
    assert error.reason == "DAMAGED"
    assert f"saved_model.pb is {change}" in error.message
    assert "prepare the model again" in error.message


# The child


def test_progress_is_told_in_order(prepared_seed_model: Path) -> None:
    assert prepared_seed_model.parent == seeds.cache_directory()
    stages, shares = [stage for stage, _ in seeds.STEPS], [share for _, share in seeds.STEPS]
    assert stages[0] == "reading the model"
    assert stages[-1] == "done"
    assert len(set(stages)) == len(stages)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_what_libraries_print_is_not_taken_for_the_answer(
    model: Path, cache: Path, stand_in: StandIn, prepared_seed_model: Path
) -> None:
    stand_in.does(f"""
print("hello from a library")
os.write(1, b'{{"error": "forged"}}\\n')
progress("copying", 0.5)
import shutil
shutil.copytree({str(prepared_seed_model)!r}, job["target"])
return {{}}
""")
    steps: list[tuple[str, float]] = []
    place = launch.prepare(model, cache=cache, progress=lambda *step: steps.append(step))
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
    "hangs": ("time.sleep(600)", "PREPARE_TIMEOUT", "PENULT_PREPARE_TIMEOUT"),
    "talks for ever": (
        "while True: progress('still at it', 0.5)",
        "PREPARE_TIMEOUT",
        "took longer than 3 s and was ended",
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
def test_a_child_that(model: Path, cache: Path, stand_in: StandIn, body: str, reason: str, says: str) -> None:
    stand_in.does(BEGUN + body)
    timeout = 3.0 if reason == "PREPARE_TIMEOUT" else 60.0
    error = refusal(model, cache, timeout=timeout, memory_limit=200 << 20)
    assert isinstance(error, ModelRefused)
    assert error.reason == reason
    assert says in error.message
    if reason == "OF_ITS_OWN":
        assert (error.field, error.metadata) == ("f", {"a": "b"})
    assert not is_running(stand_in.pid)
    assert list(cache.iterdir()) == []


def test_a_child_that_ends_before_it_is_asked(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_COMMAND", (sys.executable, "-c", "raise SystemExit('no such module')"))
    error = refusal(model, cache)
    assert error.reason == "PREPARE_CRASHED"
    assert "no such module" in error.message


def test_the_child_ends_with_the_process_that_asked(
    model: Path, cache: Path, stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.does("time.sleep(600)")
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom penult_service.preparing import launch\n"
        f"launch._COMMAND = (sys.executable, {str(stand_in.script)!r})\n"
        f"launch.prepare(Path({str(model)!r}), cache=Path({str(cache)!r}))\n"
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
