"""`penult` commands as processes: a server that is watched, and any other command run to its end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penult_client import Client, UnavailableError
from penult_service.prepared import is_prepared

PENULT = (sys.executable, "-m", "penult_service")
# A real model is prepared, on a machine that others use too.
LONGEST = 600.0


@dataclass(frozen=True)
class Served:
    """A server process: where it listens, and the file with what it has written."""

    process: subprocess.Popen[bytes]
    address: str
    log_file: Path

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_file.read_text(encoding="utf-8")

    def client(self) -> Client:
        """A client of its own, as patient as a busy machine needs."""
        return Client(self.address, timeout=LONGEST)


def penult(
    *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*PENULT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
        env={**os.environ, **(environment or {})},
    )


@contextmanager
def serving_process(
    folder: Path, *arguments: object, environment: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """`penult serve` with these arguments, once all its models are ready or failed; it is ended at the end.

    Without analysis workers, unless an argument (--analysis-workers) or the environment says otherwise.

    Args:
        folder: For the address file and the log; a new one for each server.
    """
    address, log = folder / "address", folder / "log"
    command = [*PENULT, "serve", *map(str, arguments), "--port", "0", "--address-file", str(address)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env={**os.environ, "PENULT_ANALYSIS_WORKERS": "0", **(environment or {})},
        )
    try:
        _wait_for(address, process, log)
        served = Served(process, address.read_text(encoding="utf-8").strip(), log)
        with served.client() as client:
            _wait_until_settled(client, process, log)
        yield served
    finally:
        _end(process)


def prepared_in(cache: Path) -> dict[str, int]:
    """The prepared models in a cache directory, with the time of their last change."""
    return {place.name: place.stat().st_mtime_ns for place in cache.iterdir() if is_prepared(place)}


def is_running(pid: int) -> bool:
    """Whether the process is there, and not only its exit code that nobody has asked for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    try:
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asked first: what is killed cannot write its coverage."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_settled(client: Client, process: subprocess.Popen[bytes], log: Path) -> None:
    try:
        while any(model.state == "loading" for model in client.models()):
            time.sleep(0.1)
    except UnavailableError:
        process.wait(30)
        raise AssertionError(log.read_text(encoding="utf-8")) from None


def _wait_for(address: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + LONGEST
    while not address.exists():
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < until, "the server does not listen"
        time.sleep(0.05)
