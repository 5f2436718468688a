"""What a side of the benchmark can do."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Smaller and larger ones were never the best.
BATCH_SIZES = (8, 16, 32, 64)


class Side:
    """A way to embed texts, by mean pooling, at most `max_length` tokens a text.

    `told` is what the last `embed` has to say besides its seconds.
    """

    told: dict[str, Any] = {}  # noqa: RUF012  (replaced, never changed)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """All of them, in its best way: float32 [n, d]."""
        raise NotImplementedError

    def one(self, text: str) -> NDArray[np.float32]:
        """One text, in the quickest way: float32 [d]."""
        return self.embed([text])[0]

    async def ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One request of a server: float32 [n, d]. Sides without a server have none."""
        raise NotImplementedError

    def settings(self) -> list[dict[str, Any]]:
        """Among which `worker.settings` chooses."""
        return []

    def use(self, setting: dict[str, Any]) -> None:
        """From now on."""
        vars(self).update(setting)

    def about(self) -> dict[str, Any]:
        """Versions, and what it says of itself."""
        return {}

    def close(self) -> None:
        """End what was started."""


class ServerProcess:
    """A peer's server: started, waited for, ended with all that it started."""

    def __init__(
        self, command: Sequence[str], threads: int, folder: Path | None = None, **variables: str
    ) -> None:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, str(threads)), **variables}
        self._process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=sys.stderr, start_new_session=True
        )

    def wait(self, ready: Callable[[], object], seconds: float = 180.0) -> None:
        """Until `ready` raises nothing."""
        give_up = time.monotonic() + seconds
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with exit code {self._process.returncode}")
            try:
                ready()
                return
            except Exception as error:
                if time.monotonic() > give_up:
                    raise RuntimeError(f"the server was not ready after {seconds:.0f} s") from error
                time.sleep(0.05)

    def close(self) -> None:
        """End it, kindly first."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def by_length(texts: Sequence[str]) -> list[int]:
    """Their numbers, the longest first."""
    return sorted(range(len(texts)), key=lambda i: -len(texts[i]))
