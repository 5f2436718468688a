"""Fresh environments for tests of what an extra installs, filled by pip under constraints.txt."""

from __future__ import annotations

import atexit
import functools
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end (3 minutes at most) and returns it with stdout and stderr in one text."""
    settings = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
        "timeout": 180,
        **options,
    }
    return subprocess.run([str(part) for part in command], check=False, **settings)  # type: ignore[call-overload]


@functools.cache
def wheelhouse() -> Path:
    """A directory, readable by all, with wheels of this tree, what `serve` needs, and the build backend.

    Made once a session, by pip, from its index; the test is skipped where no index answers.
    """
    place = Path(tempfile.mkdtemp(prefix="penult-wheels-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    place.chmod(0o755)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    asked = run(*pip, "wheel", "--wheel-dir", place, "hatchling")
    if asked.returncode:
        pytest.skip(f"pip cannot reach its index: {asked.stdout.strip()[-200:]}")
    constraints = ROOT / "constraints.txt"
    made = run(*pip, "wheel", "--wheel-dir", place, "--constraint", constraints, f"{ROOT}[serve]")
    assert made.returncode == 0, made.stdout
    return place


def environment(place: Path, requirement: str) -> Path:
    """Makes a fresh environment with one requirement from the wheelhouse; returns its bin directory."""
    made = run(sys.executable, "-m", "venv", "--without-pip", place)
    assert made.returncode == 0, made.stdout
    pip = [sys.executable, "-m", "pip", "--python", place / "bin" / "python", "--quiet"]
    wheels = wheelhouse()
    options = ["--no-compile", "--no-index", "--find-links", wheels, "--constraint", ROOT / "constraints.txt"]
    installed = run(*pip, "install", *options, requirement)
    assert installed.returncode == 0, installed.stdout
    return place / "bin"


def distributions(bin_directory: Path) -> set[str]:
    """Names of what is installed there."""
    code = "import importlib.metadata as m; print(*sorted(d.name.lower() for d in m.distributions()))"
    return set(run(bin_directory / "python", "-c", code).stdout.split())


@contextmanager
def serving(command: Sequence[str | Path], address_file: Path, log: Path, **options: object) -> Iterator[str]:
    """Runs a server; gives its HOST:PORT once it listens; then SIGTERM: it must exit 0 within 30 s."""
    with log.open("w") as output:
        server = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output, **options)  # type: ignore[call-overload]
    try:
        end = time.monotonic() + 60
        while not address_file.exists() and server.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert address_file.exists(), log.read_text()
        yield address_file.read_text().strip()
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0, log.read_text()
    finally:
        server.kill()
        server.wait()
