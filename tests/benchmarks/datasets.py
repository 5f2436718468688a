"""Upload and read of 100,000 x 384 through a socket, beside a plain copy of as many bytes through a socket to a file.

    .venv/bin/python tests/benchmarks/datasets.py [--rows 100000] [--dimension 384] [--rounds 5] [--data DIR]

The server is a process of its own with --data; the copy is read from memory, received by a process of its own, written
and synced. Rows have ids and texts. Prints MB/s of vectors, and the memory of the server.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import psutil
from penult_client import Client
from support.processes import serving_process

_BLOCK = 1 << 20
_RECEIVER = """
import os, socket, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    line, _ = server.accept()
    with open(sys.argv[1], "wb") as file:
        while data := line.recv(1 << 20):
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    line.sendall(b"!")
"""


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, help="a directory on the disk to use (a new one below it)")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="penult-bench-", dir=arguments.data))
    try:
        measure(directory, arguments.rows, arguments.dimension, arguments.rounds)
    finally:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        shutil.rmtree(directory)
    return 0


def measure(directory: Path, rows: int, dimension: int, rounds: int) -> None:
    """Round by round: copy, upload, read."""
    vectors = np.random.default_rng(0).normal(size=(rows, dimension)).astype(np.float32)
    texts = [f"the text of row {i}, of usual length" for i in range(rows)]
    size = vectors.nbytes / 1e6
    rates: dict[str, list[float]] = {
        "copy": [],
        "upload": [],
        "vectors only": [],
        "read": [],
        "read vectors": [],
    }
    place = directory / "server"
    place.mkdir()
    with (
        serving_process(place, "fake:reviews", "--data", directory / "data") as served,
        Client(served.address, timeout=600) as client,
    ):
        memory = Memory(served.process.pid)
        for number in range(rounds):
            works: dict[str, Callable[[], float]] = {
                "copy": lambda: copy(vectors, directory / "copy"),
                "upload": lambda: timed(lambda: client.upload("whole", vectors, texts, overwrite=True)),
                "vectors only": lambda: timed(lambda: client.upload("bare", vectors, overwrite=True)),
                "read": lambda: timed(lambda: client.read("whole")),
                "read vectors": lambda: timed(lambda: client.read("whole", ["vector"])),
            }
            for name, work in works.items():
                with memory.phase(name):
                    rates[name].append(size / work())
            assert number or np.array_equal(client.read("whole", ["vector"]).vectors, vectors)
        memory.end()
    for name, found in rates.items():
        ratios = [rate / of for rate, of in zip(found, rates["copy"], strict=True)]
        print(
            f"{name:<13}{statistics.median(found):6.0f} MB/s ({min(found):.0f} to {max(found):.0f}), "
            f"{statistics.median(ratios):.2f} of the copy; "
            f"server: {memory.most.get(name, 0):.0f} MiB of its own more than before at most"
        )
    print(f"server before all: {memory.before:.0f} MiB of its own")


class Memory:
    """Watches what the server has for itself (mapped files are not its own)."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.before = self._now()
        self.most: dict[str, float] = {}
        self._name = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def phase(self, name: str) -> Memory:
        """What follows is counted under this name."""
        self._name = name
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._name = ""

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            name, now = self._name, self._now()
            if name:
                self.most[name] = max(self.most.get(name, 0), now - self.before)

    def _now(self) -> float:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def copy(vectors: np.ndarray, target: Path) -> float:
    """The bytes through a socket to a process that writes and syncs them; seconds, without its start."""
    with subprocess.Popen(
        [sys.executable, "-c", _RECEIVER, str(target)], stdout=subprocess.PIPE, text=True
    ) as receiver:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        started = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port)) as line:
            data = vectors.reshape(-1).view(np.uint8).data
            for start in range(0, len(data), _BLOCK):
                line.sendall(data[start : start + _BLOCK])
            line.shutdown(socket.SHUT_WR)
            assert line.recv(1) == b"!"
        return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
