"""What embedding jobs cost, with the fake engine: memory at every size, rows a second, kills that leave the same bytes.

    python tests/benchmarks/embed_jobs.py memory [--rows 10000 100000 1000000] [--inputs csv jsonl parquet]
    python tests/benchmarks/embed_jobs.py kill [--rows 50000] [--shares 0.1 0.3 0.6 0.9]
    python tests/benchmarks/embed_jobs.py reading [--rows 1000000]

Load of the machine stands beside every figure: others may use it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from penult_service.cli.row_columns import Columns
from penult_service.cli.rows import open_inputs
from penult_service.files import sha256_file

PENULT = (sys.executable, "-m", "penult_service")
WORDS = [f"word{i}" for i in range(5000)]


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.what == "reading":
            _reading(Path(folder), arguments.rows[0])
            return
        with _server(Path(folder)) as (address, server):
            if arguments.what == "kill":
                _kill(Path(folder), address, arguments.rows[0], arguments.shares)
            else:
                for kind in arguments.inputs:
                    for rows in arguments.rows:
                        _memory(Path(folder), address, server, rows, kind)


def _memory(folder: Path, address: str, server: int, rows: int, kind: str) -> None:
    """Seconds and peak memory of one job."""
    source = make(folder / f"in-{rows}.{kind}", rows)
    out = folder / "out.parquet"
    start = time.monotonic()
    code, peak = _run("embed", source, "-o", out, "--server", address, "--overwrite")
    seconds = time.monotonic() - start
    assert code == 0
    print(
        f"{kind:8s} {rows:>9,} rows ({source.stat().st_size / 2**20:6.1f} MiB): {seconds:6.1f} s, "
        f"{rows / seconds:8,.0f} rows/s, peak {peak / 2**20:6.1f} MiB "
        f"(server {psutil.Process(server).memory_info().rss / 2**20:.0f} MiB); load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    source.unlink()


def _kill(folder: Path, address: str, rows: int, shares: list[float]) -> None:
    """Kill jobs with SIGKILL when a share is done, resume, and compare with one that was left alone."""
    source = make(folder / "in.csv", rows)
    common = ("--server", address, "--progress", "none")
    whole = folder / "whole.parquet"
    start = time.monotonic()
    assert _run("embed", source, "-o", whole, *common)[0] == 0
    print(f"left alone: {time.monotonic() - start:.1f} s, sha256 {_digest(whole)[:16]}", flush=True)
    for share in shares:
        out = folder / "killed.parquet"
        process = subprocess.Popen([*PENULT, "embed", str(source), "-o", str(out), *common])
        while _done(out) < share * rows:
            assert process.poll() is None, "it was done before it was killed"
            time.sleep(0.001)
        process.kill()
        process.wait()
        done = _done(out)
        start = time.monotonic()
        assert _run("embed", source, "-o", out, *common, "--resume")[0] == 0
        seconds = time.monotonic() - start
        same = out.read_bytes() == whole.read_bytes()
        print(
            f"killed at {share:.0%} ({done:,} of {rows:,} rows kept), resumed in {seconds:.1f} s: "
            f"{'equal' if same else 'DIFFERENT'} bytes; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        assert same
        out.unlink()


def _reading(folder: Path, rows: int) -> None:
    """What it takes to hash an input, to learn its columns, and to read it as the work does."""
    for kind in ("csv", "jsonl", "parquet"):
        source = make(folder / f"in.{kind}", rows)
        times = [time.monotonic()]
        sha256_file(source)
        times.append(time.monotonic())
        opened = open_inputs([source], Columns.text("text"))
        times.append(time.monotonic())
        assert sum(len(chunk.texts) for chunk in opened.chunks(1024)) == rows
        times.append(time.monotonic())
        hashing, learning, reading = (b - a for a, b in pairwise(times))
        print(
            f"{kind:8s} {rows:,} rows, {source.stat().st_size / 2**20:.0f} MiB: hash {hashing:.2f} s, columns and rows "
            f"{learning:.2f} s, all chunks {reading:.2f} s; peak "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


def make(path: Path, rows: int) -> Path:
    """Rows of 3 to 25 words. A parquet file is one row group: the worst case for memory."""
    draw = random.Random(5)
    made = ((f"{n:07d}", " ".join(draw.choices(WORDS, k=draw.randint(3, 25)))) for n in range(rows))
    if path.suffix == ".parquet":
        ids, texts = zip(*made, strict=True)
        pq.write_table(pa.table({"id": ids, "text": texts}), path, row_group_size=rows)
        return path
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".csv":
            csv.writer(file).writerows([("id", "text")])
            csv.writer(file).writerows(made)
        else:
            file.writelines(json.dumps({"id": id_, "text": text}) + "\n" for id_, text in made)
    return path


def _run(*words: object) -> tuple[int, int]:
    """A command's exit code and the most memory that it had resident, in bytes."""
    process = psutil.Popen([*PENULT, *map(str, words)], stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, int(_high_water(process.pid)))
        except (OSError, IndexError):
            break
        time.sleep(0.01)
    return int(process.wait()), peak


def _high_water(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise IndexError("no high water mark")


def _done(out: Path) -> int:
    journal = out.with_name(out.name + ".job") / "shards.jsonl"
    try:
        lines = journal.read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return 0
    return sum(json.loads(line)["rows"] for line in lines if line.endswith("\n"))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, int]]:
    address = folder / "address"
    process = subprocess.Popen(
        [*PENULT, "serve", "fake:demo", "--port", "0", "--address-file", str(address)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not address.exists() or not address.read_text().endswith("\n"):
            assert process.poll() is None, "the server has ended"
            time.sleep(0.1)
        yield address.read_text().strip(), process.pid
    finally:
        process.terminate()
        process.wait(30)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("memory", "kill", "reading"))
    parser.add_argument("--rows", type=int, nargs="+")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3, 0.6, 0.9])
    parser.add_argument("--inputs", nargs="+", default=["csv", "jsonl", "parquet"])
    arguments = parser.parse_args()
    default = {"memory": [10_000, 100_000, 1_000_000], "kill": [50_000], "reading": [1_000_000]}
    arguments.rows = arguments.rows or default[arguments.what]
    return arguments


if __name__ == "__main__":
    main()
