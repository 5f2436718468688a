"""Operations on a large set, as a person meets them: progress, cancel, a whole run, a server that is killed.

    python tests/benchmarks/operations.py [--rows 50000] [--columns 384] [--data DIR]

A server of its own with the made-up model; the rows are random clusters, uploaded as a set. With a new --data
everything is compiled first, which counts for none of the figures. Load of the machine stands beside every figure.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import grpc
import numpy as np
import psutil
from penult_client import Client, Dataset, Operation, OperationStatus, PenultError
from servers import ANALYSIS, server_process, serving, wait

SET = Dataset("rows")


class Seen:
    """Prints each stage once, with what was said of it."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.reports = 0
        self._began = time.monotonic()
        self._last: OperationStatus | None = None

    def status(self, status: OperationStatus) -> None:
        """As in `penult_client.OperationReport`."""
        self.reports += 1
        if self._last is None or status.stage != self._last.stage:
            left = "" if status.seconds_left is None else f", about {status.seconds_left:.0f} s left"
            print(f"    {time.monotonic() - self._began:6.1f} s  {status.stage}{left}", flush=True)
            self.stages.append(status.stage)
        self._last = status


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory() as place:
        data = asked.data or Path(place, "data")
        with _server(data, place) as (server, address, _), Client(address, timeout=600) as client:
            _ready(address)
            info = client.upload(
                SET.name, _clusters(asked.rows, asked.columns), overwrite=True, space="made-up"
            )
            print(f"{info.rows:,} x {info.dimension} uploaded; load {_load()}", flush=True)
            _cancelled(client, server)
            _whole(client, server)
            running = client.project(SET, wait=False)
            told = _told_when_killed(running, server)
        with _server(data, place) as (_, address, _), Client(address, timeout=600) as client:
            print(f"  while it waits, the client is told: {told}")
            status = client.operation(running.name).status()
            print(f"  by the server that was started again: {status.state}, {status.error}", flush=True)
            assert status.state == "failed"
            client.delete_dataset(SET)


def _cancelled(client: Client, server: psutil.Process) -> None:
    operation = client.project(SET, wait=False)
    seen = Seen()
    print(f"cancelled in the middle of its layout: {operation.name}")
    while (status := operation.status()).stage != "layout" or not status.done:
        assert status.error is None, status
        seen.status(status)
        time.sleep(0.1)
    seen.status(status)
    before = _workers(server)
    began = time.monotonic()
    operation.cancel()
    answered = time.monotonic() - began
    while len(_workers(server) & before) == len(before):
        time.sleep(0.005)
    gone = time.monotonic() - began
    state = operation.status().state
    print(f"  {state}: answered after {answered:.3f} s, its process gone after {gone:.3f} s; load {_load()}")


def _whole(client: Client, server: psutil.Process) -> None:
    print("the same call as for ten rows, which starts an operation by itself:")
    seen, began = Seen(), time.monotonic()
    made = client.project(SET, progress=seen)
    seconds = time.monotonic() - began
    assert seen.reports, "that was answered at once: give more --rows"
    print(f"  {seconds:.1f} s, {seen.reports} reports of {len(seen.stages)} stages; load {_load()}")
    print(f"  trustworthiness {made.quality.trustworthiness:.4f}, server {_mib(server)} MiB resident")
    newest = client.operations()[0]
    began = time.monotonic()
    again = client.operation(newest.name).wait(progress=False)
    print(f"  read again by stream: {made.coordinates.nbytes:,} bytes in {time.monotonic() - began:.3f} s")
    assert np.array_equal(again.coordinates, made.coordinates)
    large = client.neighbors(SET, k=30, wait=False)
    large.wait(progress=False)
    began = time.monotonic()
    found = large.wait(progress=False)
    size = found.indices.nbytes + found.scores.nbytes
    print(
        f"  30 neighbours of each, read by stream: {size / 2**20:.1f} MiB in {time.monotonic() - began:.3f} s"
    )


def _told_when_killed(running: Operation[object], server: psutil.Process) -> str:
    """Kill the server in the middle; what a caller that waits is told, and after how long."""
    told: list[str] = []

    def work() -> None:
        try:
            running.wait(progress=False)
        except PenultError as error:
            told.append(f"{type(error).__name__}: {error}")

    print(f"server killed in the middle of {running.name}:")
    while running.status().stage in ("waiting", "starting"):
        time.sleep(0.1)
    waiting = threading.Thread(target=work)
    waiting.start()
    time.sleep(1)
    began = time.monotonic()
    server.kill()
    waiting.join()
    return f"after {time.monotonic() - began:.1f} s, {told[0]}"


def _server(data: Path, place: str):  # type: ignore[no-untyped-def]
    Path(place, "address").unlink(missing_ok=True)
    return server_process("fake:demo", data, Path(place), most_seconds=None)


def _ready(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        wait(lambda: serving(channel, ANALYSIS))


def _workers(server: psutil.Process) -> set[int]:
    with suppress(psutil.Error):
        return {child.pid for child in server.children(recursive=True)}
    return set()


def _clusters(rows: int, columns: int) -> np.ndarray:
    random = np.random.default_rng(5)
    centres = random.normal(size=(80, columns))
    return (centres[random.integers(80, size=rows)] + random.normal(size=(rows, columns))).astype(np.float32)


def _mib(process: psutil.Process) -> int:
    return round(process.memory_info().rss / 2**20)


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--columns", type=int, default=384)
    parser.add_argument("--data", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
