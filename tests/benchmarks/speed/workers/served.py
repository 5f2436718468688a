"""A peer's server: started unless one is there, asked in chunks for many texts, and ended by who started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import side
from numpy.typing import NDArray

START_SECONDS = 180.0


class ServerSide(side.Side):
    """What the sides of all servers have in common; `send` and `ask` are their own.

    `chunk` texts are in a request, and so many requests are `flying`.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.chunk, self.flying = 256, 2
        self._process: subprocess.Popen[bytes] | None = None
        self._per_loop: tuple[asyncio.AbstractEventLoop, Any] | None = None

    def send(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One request: float32 [n, d]."""
        raise NotImplementedError

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `side.Side`: sorted, in chunks, several at a time."""
        return chunked(self.send, texts, self.chunk, self.flying)

    def one(self, text: str) -> NDArray[np.float32]:
        """As in `side.Side`."""
        return self.send([text])[0]

    def settings(self) -> list[dict[str, Any]]:
        """Texts a request, and requests at a time."""
        return [{"chunk": chunk, "flying": flying} for chunk in (128, 512) for flying in (1, 4)]

    def start(
        self, command: Sequence[str], threads: int, folder: Path | None = None, **variables: str
    ) -> None:
        """Start the server at `address`, and wait until it answers."""
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, str(threads)), **variables}
        self._process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=sys.stderr, start_new_session=True
        )
        try:
            self._wait(self._process)
        except BaseException:  # nobody else ends it
            self.close()
            raise

    def _wait(self, server: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START_SECONDS
        while True:
            if server.poll() is not None:
                raise RuntimeError(f"the server ended with exit code {server.returncode}")
            try:
                self.send(["ready?"])
                return
            except Exception as error:  # of any client library: it is not up yet
                if time.monotonic() > give_up:
                    raise RuntimeError(f"the server was not ready after {START_SECONDS:.0f} s") from error
                time.sleep(0.05)

    def in_loop(self, make: Callable[[], Any]) -> Any:
        """A client of the event loop that runs: made once for each."""
        loop = asyncio.get_running_loop()
        if self._per_loop is None or self._per_loop[0] is not loop:
            self._per_loop = (loop, make())
        return self._per_loop[1]

    def close(self) -> None:
        """End the server, kindly first."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def chunked(
    send: Callable[[list[str]], NDArray[np.float32]], texts: Sequence[str], chunk: int, flying: int
) -> NDArray[np.float32]:
    """Sorted by length, sent in chunks, so many at a time; in the order of the texts."""
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    parts = [order[start : start + chunk] for start in range(0, len(order), chunk)]
    with ThreadPoolExecutor(flying) as pool:
        replies = list(pool.map(lambda part: send([texts[i] for i in part]), parts))
    vectors = np.empty((len(texts), replies[0].shape[1]), np.float32)
    for part, reply in zip(parts, replies, strict=True):
        vectors[part] = reply
    return vectors
