"""A side in its own process: started, told what to do, ended with all that it started."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from sides import Side

SCRIPTS = Path(__file__).with_name("workers")


class SideFailed(Exception):
    """A side could not do it: which, what, and the end of its log."""


class Running:
    """A side that is open. `about` is what it says of itself, `start_seconds` from its start to its first answer."""

    def __init__(self, side: Side, place: Path) -> None:
        self.side, self._place = side, place
        self._log = place / "log"
        began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(side.python), str(SCRIPTS / "worker.py"), side.module, json.dumps(side.options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        try:
            said = self._answer()
        except BaseException:
            self.close()
            raise
        self.start_seconds = time.monotonic() - began
        self.about: dict[str, Any] = said["about"]

    def tell(self, what: str, texts: Sequence[str] | None = None, **more: Any) -> dict[str, Any]:
        """A command and its answer. SideFailed: it could not."""
        command = {"do": what, **more}
        if texts is not None:
            file = self._place / "texts.json"
            file.write_text(json.dumps(list(texts)), encoding="utf-8")
            command["texts"] = str(file)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended; the answer says so
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings, float32 [n, d]."""
        out = self._place / "vectors.npy"
        self.tell("embed", texts, out=str(out))
        return np.asarray(np.load(out), dtype=np.float32)

    @property
    def processes(self) -> list[psutil.Process]:
        """Its own, and all that it started."""
        own = psutil.Process(self._process.pid)
        return [own, *own.children(recursive=True)]

    def memory(self) -> int:
        """Resident bytes of all of them."""
        total = 0
        for process in self.processes:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def processor_seconds(self) -> float:
        """That all of them have used so far: what a busy machine changes less than the time that passes."""
        total = 0.0
        for process in self.processes:
            try:
                used = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += used.user + used.system
        return total

    def close(self) -> None:
        """End it."""
        try:
            started = self.processes
        except psutil.NoSuchProcess:
            started = []
        assert self._process.stdin is not None
        with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
            self._process.stdin.close()
            self._process.wait(30)
        for process in started:
            if process.is_running():
                process.kill()
        self._process.wait(30)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        said = json.loads(line) if line else {"error": f"it ended with exit code {self._process.wait()}"}
        if "error" in said:
            lines = self._log.read_text(errors="replace").splitlines()[-15:]
            raise SideFailed(f"{self.side.id}: {said['error']}\n" + "\n".join(f"    {one}" for one in lines))
        return dict(said)


@contextmanager
def running(side: Side) -> Iterator[Running]:
    """A side, ended at the end. SideFailed: it does not start."""
    with tempfile.TemporaryDirectory(prefix="penult-bench-") as place:
        opened: Running | None = None
        try:
            opened = Running(side, Path(place))
            yield opened
        finally:
            if opened is not None:
                opened.close()
