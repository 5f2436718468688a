"""Embedding sets on disk: survival of kills, speed against a plain file copy, small appends, opening, memory.

    .venv/bin/python tests/benchmarks/storage.py kills|bulk|small|million [--data DIR] [--kills 200]

Each part runs in a process of its own, prints the load beside its figures, and exits 1 when rows were lost.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from penult_service.storage import EmbeddingSet, Storage
from support.storage_kills import kill_once

DIMENSION = 384
# About 4 MiB of vectors: what a message of a stream may hold.
MESSAGE_ROWS = 2700
ROUNDS = 5


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["kills", "bulk", "small", "million"])
    parser.add_argument(
        "--data", type=Path, help="a directory on the disk to measure (a new one below it is used)"
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="penult-bench-", dir=arguments.data))
    try:
        if arguments.part == "kills":
            return kills(directory, arguments.kills, arguments.seed)
        {"bulk": bulk, "small": small, "million": million}[arguments.part](directory)
    finally:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        shutil.rmtree(directory)
    return 0


def kills(directory: Path, count: int, seed: int) -> int:
    """One directory that lives through all kills; a fresh one every 20 keeps the comparison quick."""
    choose, found = random.Random(seed), []
    for number in range(count):
        data, before = directory / f"{number // 20}", found[-1].rows if number % 20 else 0
        found.append(kill_once(data, choose, before))
    lost, torn, doubled = (sum(getattr(f, name) for f in found) for name in ("lost", "torn", "doubled"))
    print(
        f"{count} kills of a writing process: acknowledged rows lost {lost}, torn {torn}, doubled {doubled}; "
        f"{sum(f.unheard for f in found)} times an append was whole on disk and not heard of, "
        f"{sum(f.rows for f in found[19::20]):,} rows written"
    )
    return 1 if lost or torn or doubled else 0


def bulk(directory: Path) -> None:
    """100,000 x 384 with ids and texts, round by round beside a copy of as many bytes with fsync."""
    vectors = np.random.default_rng(0).normal(size=(100_000, DIMENSION)).astype(np.float32)
    ids, texts = (
        [f"row-{i}" for i in range(100_000)],
        [f"the text of row {i}, of usual length" for i in range(100_000)],
    )
    size = vectors.nbytes / 1e6
    source = directory / "source"
    source.write_bytes(vectors.tobytes())
    rates: dict[str, list[float]] = {"copy": [], "append": [], "read": [], "map": []}
    for number in range(ROUNDS):
        with Storage(directory / f"data{number}") as storage:
            rates["copy"].append(size / timed(lambda: _copy(source, directory / "copy")))
            opened = storage.sets.create("a")
            rates["append"].append(
                size / timed(lambda o=opened: _append(o, ids, vectors, texts, MESSAGE_ROWS))
            )
            rates["read"].append(size / timed(lambda o=opened: _read(o)))
            rates["map"].append(size / timed(lambda o=opened: _sum(o)))
        shutil.rmtree(directory / f"data{number}")
    for name, told in [
        ("copy", "plain copy of the vectors' bytes, fsync at the end"),
        ("append", f"append in messages of {MESSAGE_ROWS} rows, each synced, with ids and texts"),
        ("read", "read all columns as batches, bytes copied out"),
        ("map", "map the vectors and add them up"),
    ]:
        print(
            f"{statistics.median(rates[name]):7.0f} MB/s ({min(rates[name]):.0f} to {max(rates[name]):.0f})  {told}"
        )
    ratios = [a / c for a, c in zip(rates["append"], rates["copy"], strict=True)]
    print(
        f"append / copy, round by round: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def small(directory: Path) -> None:
    """100,000 appends of one row each."""
    rows = 100_000
    vectors = np.random.default_rng(0).normal(size=(1000, DIMENSION)).astype(np.float32)
    before, slowest = memory(), 0.0
    with Storage(directory / "data") as storage:
        opened = storage.sets.create("a")
        start = time.perf_counter()
        for i in range(rows):
            began = time.perf_counter()
            opened.append([f"row-{i}"], vectors[i % 1000 : i % 1000 + 1], [f"text {i}"])
            slowest = max(slowest, time.perf_counter() - began)
        seconds = time.perf_counter() - start
        files = [path for path in (directory / "data").rglob("*") if path.is_file()]
        print(
            f"{rows / seconds:,.0f} appends of one row a second ({seconds:.0f} s); the slowest took {slowest:.2f} s; "
            f"{len(files)} files; {memory() - before:.0f} MiB more resident at most"
        )
    probe = directory / "probe"
    probe.write_bytes(bytes(2**21))
    with probe.open("r+b") as file:
        seconds = timed(lambda: [_synced(file.fileno(), i * 2000) for i in range(1000)])
    print(f"{1000 / seconds:,.0f} times a second 2,000 bytes are written and synced, and nothing else")
    with Storage(directory / "data") as storage:
        print(f"opened again in {timed(lambda: storage.sets.get('a')) * 1000:.0f} ms")


def million(directory: Path) -> None:
    """Open time and memory with 10^6 rows."""
    rows = 1_000_000
    with Storage(directory) as storage:
        opened = storage.sets.create("a")
        for start in range(0, rows, 20_000):
            vectors = np.random.default_rng(start).normal(size=(20_000, DIMENSION)).astype(np.float32)
            names = [f"row-{i}" for i in range(start, start + 20_000)]
            opened.append(names, vectors, [f"the text of {name}, of usual length" for name in names])
        print(f"{memory():.0f} MiB resident at most while {rows:,} rows of {DIMENSION} were appended")
        tail = [f"tail-{i}" for i in range(2000)]
        for i, name in enumerate(tail):
            opened.append([name], vectors[i : i + 1], [name])
        storage.sets.forget()
    start_size = resident()
    with Storage(directory) as storage:
        print(f"opened, 2,000 frames in the log: {timed(lambda: storage.sets.get('a')) * 1000:.0f} ms")
        opened = storage.sets.get("a")
        assert opened.info.rows == rows + len(tail)
        with opened.snapshot() as snapshot:
            assert sum(batch.num_rows for batch in snapshot.read(["id"])) == rows + len(tail)
            print(f"first use of the vectors (their checksum): {timed(snapshot.vectors) * 1000:.0f} ms")
            print(f"a snapshot and its vectors after that: {timed(snapshot.vectors) * 1000:.2f} ms")
            print(f"digest of the ids: {timed(snapshot.id_digest):.2f} s")
            first = timed(lambda: opened.append(["first"], vectors[:1]))
            print(f"first append (the index of the ids): {first * 1000:.0f} ms")
            print(f"the next: {timed(lambda: opened.append(['second'], vectors[:1])) * 1000:.1f} ms")
            print(
                f"{anonymous():.0f} MiB of memory of its own; "
                f"{resident() - start_size:.0f} MiB more resident with mapped files"
            )
        print(f"closed in {timed(storage.close):.2f} s")


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def memory() -> float:
    """MiB, the most that was resident so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident() -> float:
    """MiB now."""
    return _status("VmRSS")


def anonymous() -> float:
    """MiB now, without mapped files."""
    return _status("RssAnon")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing, 2**20)
        writing.flush()
        os.fsync(writing.fileno())


def _append(opened: EmbeddingSet, ids: list[str], vectors: np.ndarray, texts: list[str], size: int) -> None:
    for start in range(0, len(ids), size):
        part = slice(start, start + size)
        opened.append(ids[part], vectors[part], texts[part])


def _read(opened: EmbeddingSet) -> None:
    with opened.snapshot() as snapshot:
        for batch in snapshot.read(batch_rows=MESSAGE_ROWS):
            assert (
                len(batch.column("vector").flatten().to_numpy().tobytes()) == batch.num_rows * DIMENSION * 4
            )
            assert batch.column("text").nbytes
            assert batch.column("id").nbytes


def _sum(opened: EmbeddingSet) -> None:
    with opened.snapshot() as snapshot:
        assert np.isfinite(snapshot.vectors().sum())


def _synced(descriptor: int, place: int) -> None:
    os.pwrite(descriptor, bytes(2000), place)
    os.fdatasync(descriptor)


if __name__ == "__main__":
    sys.exit(main())
