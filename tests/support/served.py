"""`penult serve` as a process with a log and metrics to look at."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.serving import wait_until

PENULT = [sys.executable, "-m", "penult_service"]


@contextmanager
def served(folder: Path, *arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process and its address; without analysis workers, unless the environment says otherwise."""
    file = folder / "address"
    process = subprocess.Popen(
        [*PENULT, "serve", "--port", "0", "--address-file", str(file), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / "log").open("w"),
        text=True,
        env={**os.environ, "PENULT_ANALYSIS_WORKERS": "0", **environment},
    )
    try:
        wait_until(lambda: file.exists() or process.poll() is not None)
        yield process, file.read_text(encoding="utf-8").strip()
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def log_of(folder: Path) -> str:
    """What it has written so far."""
    return (folder / "log").read_text(encoding="utf-8")


def figures_at(url: str) -> dict[str, float]:
    """Its metrics."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}
