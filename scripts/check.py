"""Runs every step of scripts/check, says name, seconds and result of each, and exits 1 when any failed.

python scripts/check.py          all steps
python scripts/check.py mypy     the steps with that in their name
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Step:
    """One command; it has passed when it exits 0."""

    name: str
    command: list[str]


def _tool(name: str, *arguments: str) -> list[str]:
    return [str(BIN / name), *arguments]


def _script(name: str, *arguments: str) -> list[str]:
    return [sys.executable, f"scripts/{name}", *arguments]


STEPS = [
    Step("format (ruff)", _tool("ruff", "format", "--check", ".")),
    Step("lint (ruff)", _tool("ruff", "check", ".")),
    Step("types (mypy)", _tool("mypy")),
    Step("rooms (import-linter)", _tool("lint-imports", "--no-cache", "--no-logo")),
    Step("contract (buf lint)", _tool("buf", "lint")),
    Step("drift: generated contract", ["scripts/protos", "--check"]),
    Step("drift: synchronous client", _script("unasync.py", "--check")),
    Step("drift: constraints", _script("check_constraints.py")),
    Step("licences", _script("licences.py")),
]


def run(step: Step) -> bool:
    """Runs one step from the root; prints its line, and its output when it failed."""
    start = time.monotonic()
    result = subprocess.run(
        step.command,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    passed = result.returncode == 0
    print(f"{'ok' if passed else 'FAILED':<7}{step.name:<28}{time.monotonic() - start:6.1f} s", flush=True)
    if not passed:
        print("    " + result.stdout.rstrip().replace("\n", "\n    "), flush=True)
    return passed


def main(names: list[str]) -> int:
    """Runs the steps asked for and sums up."""
    steps = [step for step in STEPS if not names or any(name in step.name for name in names)]
    if not steps:
        print(f"error: no step is called {' or '.join(names)}; there are: {', '.join(s.name for s in STEPS)}")
        return 2
    start = time.monotonic()
    failed = [step.name for step in steps if not run(step)]
    seconds = time.monotonic() - start
    summary = f"{len(failed)} failed: {', '.join(failed)}" if failed else "all ok"
    print(f"check: {len(steps)} steps in {seconds:.1f} s, {summary}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
