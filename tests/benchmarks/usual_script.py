"""20,000 texts from a file to a file: `penult embed` against the script that people write with pandas and Keras.

    pip install --target DIR --no-deps pandas python-dateutil six
    python tests/benchmarks/usual_script.py MODEL --pandas DIR --texts FILE.csv ... [--rows 20000] [--rounds 3]

MODEL is a SavedModel of tf_keras with a dropout in front of its last layer. The files have a column `text`. Both sides
take turns; each run is a process of its own (Penult's with the private server that it starts; the model has been
prepared before). Seconds are from start to end, memory is the most that a process had resident, that of its children
added. pandas is not a package of ours: the script alone reads it from DIR. Load stands beside every figure.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq

USUAL = """
import sys
import pandas as pd
import tensorflow_text
import tf_keras
source, target, path = sys.argv[1:]
model = tf_keras.models.load_model(path)
dropout = [layer for layer in model.layers if isinstance(layer, tf_keras.layers.Dropout)][-1]
features = tf_keras.Model(model.input, dropout.input)
frame = pd.read_csv(source, keep_default_na=False)
frame["embedding"] = list(features.predict(frame["text"].to_numpy(dtype=object), batch_size=32, verbose=0))
frame.to_parquet(target)
"""


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source, data = _source(place / "in.csv", asked.texts, asked.rows), str(place / "data")
        prepared = [
            sys.executable,
            "-m",
            "penult_service",
            "prepare",
            str(asked.model),
            "-o",
            str(place / "prepared"),
        ]
        subprocess.run(prepared, check=True, capture_output=True)
        usual, ours = place / "usual.parquet", place / "ours.parquet"
        commands = {
            "usual script": [sys.executable, "-c", USUAL, str(source), str(usual), str(asked.model)],
            "penult embed": [
                sys.executable, "-m", "penult_service", "embed", str(source), "-o", str(ours),
                "--model", str(place / "prepared"), "--overwrite", "--data", data,
            ],
        }  # fmt: skip
        found: dict[str, list[tuple[float, int]]] = {name: [] for name in commands}
        for _ in range(asked.rounds):
            for name, command in commands.items():
                seconds, peak = _run(command, asked.pandas)
                found[name].append((seconds, peak))
                print(
                    f"{name}: {seconds:6.1f} s, {peak / 2**20:6.0f} MiB; load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
        _compare(usual, ours)
    seconds = {name: statistics.median(each for each, _ in runs) for name, runs in found.items()}
    memory = {name: max(each for _, each in runs) for name, runs in found.items()}
    ratios = [usual[0] / ours[0] for usual, ours in zip(*found.values(), strict=True)]
    for name in found:
        rate = asked.rows / seconds[name]
        print(f"{name}: median {seconds[name]:.1f} s, {rate:.0f} rows/s, {memory[name] / 2**20:.0f} MiB")
    print(f"ratio of seconds, round by round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


def _compare(usual: Path, ours: Path) -> None:
    one, other = (np.stack(pq.read_table(path).column("embedding").to_numpy()) for path in (usual, ours))
    assert one.shape == other.shape
    print(
        f"largest difference of a number: {np.abs(one - other).max():.1e} ({one.shape[0]:,} x {one.shape[1]})"
    )


def _run(command: list[str], pandas: Path) -> tuple[float, int]:
    """Seconds, and bytes at the most."""
    environment = {**os.environ, "PYTHONPATH": str(pandas), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if "penult_service" in command:
        environment.pop("PYTHONPATH")
    began = time.monotonic()
    process = psutil.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for each in (process, *_children(process)):
            peaks[each.pid] = max(peaks.get(each.pid, 0), _high_water(each.pid))
        time.sleep(0.05)
    seconds = time.monotonic() - began
    if process.returncode:
        sys.exit(process.stderr.read().decode())
    return seconds, sum(peaks.values())


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _source(path: Path, files: list[Path], rows: int) -> Path:
    texts: list[str] = []
    for file in files:
        with file.open(newline="", encoding="utf-8") as opened:
            texts += [row["text"] for row in csv.DictReader(opened)]
    if len(texts) < rows:
        sys.exit(f"{len(texts)} texts in {len(files)} files; give more, or fewer --rows")
    with path.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([("id", "text"), *enumerate(texts[:rows])])
    return path


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--pandas", type=Path, required=True)
    parser.add_argument("--texts", type=Path, nargs="+", required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
