"""Estimates beside what was used: each analysis in a fresh process that is warm, as a worker is.

Processors that are shared with others say little by the clock, so the seconds are those of an idle machine: the
processor time of the main thread, and that of the others divided by the processors. Memory is the most that the process
had, beside what it had before: `python estimates.py CASE ROWS.npy` measures one case and prints JSON.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_data import KEPT, table
from numpy.typing import NDArray
from penult_service.analysis.calls import (
    Assign,
    Call,
    Cluster,
    Duplicates,
    Grow,
    Neighbors,
    Outliers,
    Project,
    Similarity,
    Transform,
)
from penult_service.analysis.fitting import fitting

Arrays = Mapping[str, NDArray[Any]]

MEMORY, TIME = 1.5, 3.0
"""How far from what was used an estimate may be, as a factor."""
_TINY = 2_100  # rows of the run before the one that counts: enough for the ways of many


@dataclass(frozen=True)
class Case:
    """A call with so many rows, and so many that were fitted before."""

    call: Call
    rows: int
    fitted: int = 0
    quick: bool = False


CASES = {
    "map": Case(Project(), 1_000, quick=True),
    "map, kept": Case(Project(keep=True, keep_graph=True), 5_000),
    "map, large": Case(Project(), 20_000),
    "map, 3-D, density": Case(Project(n_components=3, density=True), 3_000),
    "t-SNE": Case(Project("tsne"), 1_500),
    "PCA": Case(Project("pca"), 20_000),
    "clusters": Case(Cluster(), 5_000),
    "clusters, large": Case(Cluster(), 20_000),
    "k-means": Case(Cluster("kmeans", 77), 10_000),
    "k-means, auto": Case(Cluster(auto=True), 5_000),
    "k-means, bootstraps": Case(Cluster("kmeans", 20, bootstraps=5), 3_000, quick=True),
    "Ward": Case(Cluster("agglomerative", 20), 8_000),
    "mixture": Case(Cluster("gaussian_mixture", 20), 10_000),
    "neighbours": Case(Neighbors(10), 20_000, quick=True),
    "neighbours, large": Case(Neighbors(10), 100_000),
    "neighbours, manhattan": Case(Neighbors(10, "manhattan"), 8_000),
    "duplicates": Case(Duplicates(), 20_000, quick=True),
    "duplicates, large": Case(Duplicates(), 100_000),
    "outliers": Case(Outliers(), 20_000),
    "transform": Case(Transform(), 20_000, fitted=10_000),
    "assign": Case(Assign(), 5_000, fitted=10_000, quick=True),
    "grow": Case(Grow(), 2_000, fitted=5_000),
    "similarity": Case(Similarity(), 8_000),
}


def run(quick: bool) -> str:
    """Markdown: seconds and bytes of each case, estimated and used."""
    from search import real_rows

    cases = {name: case for name, case in CASES.items() if case.quick or not quick}
    lines, worst = [], {"seconds": 1.0, "memory": 1.0}
    with tempfile.TemporaryDirectory(prefix="penult-estimates-") as folder:
        rows = Path(folder) / "rows.npy"
        np.save(rows, real_rows(max(case.rows + case.fitted for case in cases.values())))
        for name, case in cases.items():
            told = measured(name, rows)
            seconds = told["estimate"]["seconds"] / told["seconds"]
            memory = told["estimate"]["bytes"] / told["bytes"]
            worst["seconds"] = max(worst["seconds"], seconds, 1 / seconds)
            worst["memory"] = max(worst["memory"], memory, 1 / memory)
            lines.append(
                [
                    name,
                    f"{case.rows:,}" + (f" on {case.fitted:,}" if case.fitted else ""),
                    f"{told['estimate']['seconds']:.2f}",
                    f"{told['seconds']:.2f}",
                    f"{seconds:.2f}",
                    f"{told['estimate']['bytes'] / 2**20:.0f}",
                    f"{told['bytes'] / 2**20:.0f}",
                    f"{memory:.2f}",
                    f"{told['clock']:.1f}",
                    f"{told['load']:.1f}",
                ]
            )
    head = ["analysis", "rows", "s, estimated", "s, used", "ratio", "MiB, estimated", "MiB, used", "ratio"]
    return "\n\n".join(
        [
            "Of 384 numbers a row. Seconds used are the processor time of the main thread and a share of that of the"
            f" others ({os.cpu_count()} processors); speeds of this machine, measured before:"
            f" {json.dumps(told['speeds'])}.",
            table([*head, "s by the clock", "load"], lines),
            f"The worst: time {worst['seconds']:.2f} (at most {TIME:g}), memory {worst['memory']:.2f} (at most"
            f" {MEMORY:g}).",
        ]
    )


def measured(name: str, rows: Path) -> dict[str, Any]:
    """What a case took in a process of its own, and the estimate there."""
    command = [sys.executable, str(Path(__file__)), name, str(rows)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def arrays_of(call: Call, rows: NDArray[Any], fitted: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What a call takes; of stored maps and clusters any places and labels will do."""
    name = {"similarity": "a", "neighbors": "queries"}.get(call.name, "source")
    given = {name: rows}
    if len(fitted):
        fitted = fitting(fitted, "cosine").rows
        numbers = np.arange(len(fitted), dtype=np.int32)
        given |= {
            "fitted_rows": np.ascontiguousarray(fitted),
            "fitted_first": numbers,
            "fitted_inverse": numbers,
            "coordinates": np.ascontiguousarray(fitted[:, :2]),
            "stored_labels": numbers % 20,
        }
        wanted = {
            "transform": ("fitted_rows", "fitted_first", "coordinates"),
            "assign": ("fitted_rows", "fitted_first", "stored_labels"),
            "grow": ("fitted_rows", "fitted_first", "fitted_inverse", "stored_labels"),
        }[call.name]
        given = {name: array for name, array in given.items() if name in (*wanted, "source")}
    return given


def _measure(name: str, path: Path) -> dict[str, Any]:
    """In a process of its own."""
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    from penult_service.analysis import costs
    from penult_service.analysis.measuring import measured as measured_speeds
    from penult_service.analysis.progress import Progress, telling
    from penult_service.analysis.run import run as run_call
    from penult_service.analysis.workers import warming

    case = CASES[name]
    warming.use_numba_cache(KEPT / "numba")
    warming.cache_umap()
    all_rows = np.load(path, mmap_mode="r")
    tiny = np.array(all_rows[: 2 * _TINY])
    run_call(case.call, arrays_of(case.call, tiny[:_TINY], tiny[_TINY:] if case.fitted else tiny[:0]))
    speeds = measured_speeds()
    with tempfile.TemporaryDirectory() as folder:
        arrays = _in_files(
            arrays_of(case.call, all_rows[: case.rows], all_rows[case.rows :][: case.fitted]), folder
        )
        shapes = {each: array.shape for each, array in arrays.items()}
        before = _settled()
        stages: list[list[Any]] = []

        def hear(progress: Progress) -> None:
            if not stages or stages[-1][0] != progress.stage:
                stages.append([progress.stage, time.thread_time(), time.process_time()])

        clock, own, every = time.perf_counter(), time.thread_time(), time.process_time()
        with telling(hear):
            result = run_call(case.call, arrays)
        clock, own, every = time.perf_counter() - clock, time.thread_time() - own, time.process_time() - every
        most = _status("VmHWM") - before
        del result
    stages.append(["", time.thread_time(), time.process_time()])
    processors = len(os.sched_getaffinity(0))
    return {
        "seconds": own + (every - own) / processors,
        "bytes": most,
        "clock": clock,
        "load": os.getloadavg()[0],
        "estimate": asdict(costs.cost(case.call, shapes, speeds)),
        "stages": {
            a[0]: [round(b[1] - a[1], 3), round(b[2] - a[2] - (b[1] - a[1]), 3)]
            for a, b in itertools.pairwise(stages)
        },
        "speeds": asdict(speeds),
    }


def _in_files(arrays: Arrays, folder: str) -> dict[str, NDArray[Any]]:
    found = {}
    for name, array in arrays.items():
        path = Path(folder) / f"{name}.npy"
        np.save(path, array)
        found[name] = np.load(path, mmap_mode="c").view(np.ndarray)
    return found


def _settled() -> int:
    """Bytes resident when what is free has been given back; from now on the most is counted anew."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], Path(sys.argv[2]))))
