"""The commands of penult that the demo runs, and the server that it asks: processes that end with it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from penult_client import Client, DeadlineError, UnavailableError

ROOT = Path(__file__).resolve().parent.parent
PENULT = Path(sys.executable).with_name("penult")
START_SECONDS, END_SECONDS, ASK_SECONDS = 300.0, 20.0, 2.0


class DemoError(Exception):
    """A part failed; the message says which and what to look at."""


def penult(*words: object, show_command: bool = True, stdout: int | None = None) -> str:
    """Run a command of penult to its end; what it printed, when that is piped.

    Raises:
        DemoError: It failed.
    """
    command = [str(PENULT), *map(str, words)]
    if show_command:
        print(f"$ {short(PENULT)} {' '.join(command[1:])}", flush=True)
    process = subprocess.Popen(command, stdout=stdout, text=True, encoding="utf-8")
    try:
        printed, _ = process.communicate()
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        raise DemoError(f"penult {words[0]} failed (exit code {process.returncode}); see above")
    return printed or ""


class Server:
    """`penult serve` as a process of its own. Ends with this one, unless it is to go on.

    Args:
        models: What to serve: directories by name.
        data: Where the server keeps what it prepares.
        work: A directory for the address file.
        log: The file that its log goes to.
        keep: Whether it goes on when the demo ends.
    """

    def __init__(self, models: dict[str, Path], data: Path, work: Path, log: Path, keep: bool) -> None:
        self._file = work / "address"
        self._file.unlink(missing_ok=True)
        self._log = log
        served = [f"{name}={path}" for name, path in models.items()]
        command = ["serve", *served, "--data", str(data), "--port", str(_port() if keep else 0)]
        command += ["--address-file", str(self._file), *([] if keep else ["--exit-with-stdin"])]
        print(f"$ {short(PENULT)} {' '.join(command)}", flush=True)
        with self._log.open("wb") as file:
            self._process = subprocess.Popen(
                [PENULT, *command],
                stdin=subprocess.DEVNULL if keep else subprocess.PIPE,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for the demo, which ends it in an orderly way
            )
        self.pid = self._process.pid
        self.address = ""

    def wait_until_it_listens(self) -> None:
        """Until there is an address to connect to; DemoError when it ends or takes too long."""
        begun = time.monotonic()
        while not self._file.is_file():
            self._check(begun)
        self.address = self._file.read_text().strip()

    def wait_for_model(self, client: Client, model: str, rows: Any = ("Is anybody there?",)) -> None:
        """Until a model has answered with embeddings of the rows; DemoError when it cannot."""
        begun = time.monotonic()
        while (now := client.model(model)).state != "ready":
            if now.state == "failed":
                raise DemoError(f"{model} is not served: {now.state_message} (more in {self._log})")
            self._check(begun)
        client.embed(rows, model=model)
        print(f"      {model} answers at {self.address}", flush=True)

    def wait_for_analysis(self, client: Client) -> None:
        """Until its workers have answered; PenultError when they cannot, DemoError when it takes too long."""
        rows, begun = np.eye(2, dtype=np.float32), time.monotonic()
        while True:
            try:
                client.neighbors(rows, k=1, exclude_self=True, deadline=ASK_SECONDS)
                break
            except (UnavailableError, DeadlineError):
                self._check(begun)
        print(f"      the analysis workers are warm (waited {time.monotonic() - begun:.1f} s)", flush=True)

    def _check(self, begun: float) -> None:
        """DemoError when the server has ended, or has been waited for too long."""
        if self._process.poll() is not None or time.monotonic() - begun > START_SECONDS:
            lines = self._log.read_text(errors="replace").splitlines()[-1:] or ["no output"]
            raise DemoError(f"the server did not get ready: {lines[0]} (all of it in {self._log})")
        time.sleep(0.1)

    def end(self) -> None:
        """Ask it to end; force it when it does not."""
        _end(self._process)


def _end(process: subprocess.Popen[Any]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _port() -> int:
    """The usual port when it is free, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 50051))
        except OSError:
            return 0
    return 50051


def short(path: Path) -> str:
    """A path as one would type it at the root of the repository."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
