"""What the analysis workers cost and what they survive: start, memory, kills, and embedding beside a map.

    python tests/benchmarks/analysis_workers.py [MODEL] [--data DIR] [--kills 50] [--rows 20000]

MODEL is a saved model, by default the made-up `fake:demo`. With a new --data everything is compiled first (cold);
with the same one again it is not. Run it on an otherwise idle machine; the load is printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import psutil
from penult_client import Client, PenultError
from servers import ANALYSIS, server_process, serving, wait

TEXT = "a film that is both funny and sad"
ROUNDS = 400  # embeddings that are timed, each way


def main() -> None:
    """Prints everything."""
    asked = _arguments()
    data = asked.data or Path(tempfile.mkdtemp(prefix="penult-workers-"))
    with (
        tempfile.TemporaryDirectory() as place,
        server_process(asked.model, data, Path(place)) as (server, address, started),
    ):
        with grpc.insecure_channel(address) as channel:
            wait(lambda: serving(channel, ""))
            print(f"start to embedding: {time.monotonic() - started:.1f} s")
            wait(lambda: serving(channel, ANALYSIS))
            print(f"start to analysis:  {time.monotonic() - started:.1f} s ({data})")
        wait(lambda: len(_workers(server)) == 2)
        _settle(server)
        print(f"start to the spare: {time.monotonic() - started:.1f} s")
        with Client(address, timeout=600) as client:
            _memory(server, "when all are warm")
            _latency(client, asked.rows)
            _memory(server, f"after a map of {asked.rows} rows")
            for patient in (True, False):
                _kills(client, server, asked.kills, patient)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def _latency(client: Client, rows: int) -> None:
    """One short text at a time, idle and while a map is made."""
    source = np.random.default_rng(0).standard_normal((rows, 384), dtype=np.float32)
    client.embed([TEXT])
    idle = [_timed(lambda: client.embed([TEXT])) for _ in range(ROUNDS)]
    _percentiles("one embedding, idle", idle)
    with ThreadPoolExecutor(1) as thread:
        started = time.monotonic()
        running = thread.submit(client.project, source)
        busy = []
        while not running.done():
            busy.append(_timed(lambda: client.embed([TEXT])))
        running.result()
        _percentiles(f"one embedding beside a map of {rows} rows ({time.monotonic() - started:.1f} s)", busy)


def _kills(client: Client, server: psutil.Process, kills: int, patient: bool) -> None:
    """Kill the busy worker, and see when the next call is answered. Embedding goes on all the while."""
    long = np.random.default_rng(1).standard_normal((12_000, 16), dtype=np.float32)
    small = long[:200]
    seconds, embedded, failed, ended = [], 0, 0, threading.Event()

    def embed() -> None:
        nonlocal embedded, failed
        while not ended.is_set():
            try:
                client.embed([TEXT])
                embedded += 1
            except PenultError:
                failed += 1

    with ThreadPoolExecutor(2) as threads:
        embedding = threads.submit(embed)
        try:
            for _ in range(kills):
                if patient:
                    _settle(server)
                running = threads.submit(client.project, long, method="tsne")
                victims: list[psutil.Process] = []
                while not victims and not running.done():
                    time.sleep(0.02)
                    victims = [worker for worker in _workers(server) if _is_busy(worker)]
                if not victims:
                    sys.exit(f"nothing to kill: {running.exception() or 'the map was made too quickly'}")
                victims[0].kill()
                killed = time.monotonic()
                client.neighbors(small, k=5)
                seconds.append(time.monotonic() - killed)
                assert isinstance(running.exception(), PenultError)
        finally:
            ended.set()
        embedding.result()
    how = "the spare being warm each time" if patient else "one after the other"
    print(
        f"{kills} kills, {how}: next answer after {statistics.median(seconds):.3f} s (median),"
        f" {max(seconds):.3f} s (most); meanwhile {embedded} embeddings, {failed} failed"
    )


def _settle(server: psutil.Process) -> None:
    """Wait until both workers are there and idle."""
    quiet = 0
    while quiet < 3:
        before = {worker.pid: _user(worker) for worker in _workers(server)}
        time.sleep(0.2)
        after = {worker.pid: _user(worker) for worker in _workers(server)}
        quiet = quiet + 1 if len(after) == 2 and before == after else 0


def _memory(server: psutil.Process, when: str) -> None:
    workers = ", ".join(f"{w.memory_info().rss / 2**20:.0f}" for w in _workers(server))
    print(f"resident MiB {when}: server {server.memory_info().rss / 2**20:.0f}, workers {workers}")


def _percentiles(what: str, seconds: list[float]) -> None:
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    print(
        f"{what}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, most {max(seconds) * 1000:.2f} ms, {len(seconds)} calls"
    )


def _workers(server: psutil.Process) -> list[psutil.Process]:
    found = []
    for child in server.children():
        try:
            if "penult_service.analysis.workers.worker" in child.cmdline():
                found.append(child)
        except psutil.Error:
            continue
    return found


def _is_busy(worker: psutil.Process) -> bool:
    """Whether it has the arrays of a call mapped."""
    try:
        return "/in/source.npy" in Path(f"/proc/{worker.pid}/maps").read_text()
    except OSError:
        return False


def _user(process: psutil.Process) -> float:
    try:
        return float(process.cpu_times().user)
    except psutil.Error:
        return -1.0


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="fake:demo")
    parser.add_argument("--data", type=Path, help="where compiled code is kept; by default a new directory")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rows", type=int, default=20_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
