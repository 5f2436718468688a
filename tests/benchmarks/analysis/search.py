"""The neighbour search beside faiss: all pairs, near-duplicates, new rows in bulk, the approximate search.

Each side runs in a process of its own (its memory is its own), and they take turns: python search.py SIDE ROWS.npy
reads a line and answers with one of JSON. A figure is the median of the rounds.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bench_data import load, table, texts_of
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

SETS = ("banking77_test", "banking77_train", "sst2_train", "sst2_dev", "sms_spam")
K, BULK_K, BULK = 10, 15, 20_000


def run(quick: bool) -> str:
    """Markdown: every search beside its peer."""
    count, rounds = (10_000, 1) if quick else (100_000, 3)
    rows = real_rows(count)
    told = [
        f"{count} x {rows.shape[1]}, {rounds} rounds of each in turn; MiB are the most that its process ever had, "
        f"of which {rows.nbytes >> 20} are the rows. Real: the five sets, beyond their number a row plus 0.4 of the "
        "difference of two others.",
        "### All pairs, the 10 nearest\n\n"
        + _all_pairs({"real": rows, "around centres": _around(count)}, rounds),
        "### Near-duplicates\n\n" + _duplicates(rows, rounds),
        "### New rows in bulk\n\n" + _bulk(rows[: 2 * min(BULK, count // 2)], rounds),
        "### One query\n\n" + _one_query(rows[: min(BULK, count)]),
    ]
    if not quick:
        told.append("### Approximate\n\n" + _approximate(rows))
    return "\n\n".join(told)


def real_rows(count: int) -> Matrix:
    """Unit rows float32 [count, 384] in an order drawn at random, the same every time."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([texts_of(name).vectors for name in SETS])
    rows = rows[rows.any(axis=1)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    more = max(0, count - len(rows))
    one, two, three = (rows[rng.integers(0, len(rows), more)] for _ in range(3))
    rows = np.concatenate([rows, one + np.float32(0.4) * (two - three)])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows[rng.permutation(len(rows))[:count]], dtype=np.float32)


def _around(count: int, width: int = 384) -> Matrix:
    """Unit rows around a hundred centres, a hundredth of them near-copies of one."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((count, width), dtype=np.float32)
    rows += rng.standard_normal((100, width), dtype=np.float32)[rng.integers(0, 100, count)]
    copies = count // 100
    rows[:copies] = rows[0] + 1e-6 * rng.standard_normal((copies, width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _all_pairs(sets: dict[str, Matrix], rounds: int) -> str:
    lines = []
    for name, rows in sets.items():
        with _sides(rows, "ours", "faiss") as (ours, faiss):
            ratios = _turns(rounds, ours, faiss)
            shared = _share(ours.answer, faiss.answer)
        lines.append([name, *_times(ours, faiss, ratios), f"{shared:.5f}"])
    return table(["rows", *_HEAD, "faiss' neighbours among ours"], lines)


def _duplicates(rows: Matrix, rounds: int) -> str:
    from penult_service.analysis.search.neighbours import nearest_others

    some = np.arange(0, len(rows), max(1, len(rows) // 2000), dtype=np.int32)
    keys, _ = nearest_others(rows, some, 1, "cosine")
    threshold = round(float(np.quantile(-keys, 0.95)), 3)
    with _sides(rows, "duplicates", "range", threshold) as (ours, faiss):
        ratios = _turns(rounds, ours, faiss)
        line = [str(threshold), *_times(ours, faiss, ratios), str(ours.found), str(faiss.found)]
    return table(["cosine at least", *_HEAD, "pairs", "faiss' range search"], [line])


def _bulk(rows: Matrix, rounds: int) -> str:
    lines = []
    for k in (BULK_K, 24):
        with _sides(rows, "bulk", "faiss bulk", k) as (ours, faiss):
            ratios = _turns(rounds, ours, faiss)
            count = len(rows) // 2
            speed = [f"{count / statistics.median(side.seconds):.0f}" for side in (ours, faiss)]
            lines.append([f"{count} against {count}, k = {k}", *_times(ours, faiss, ratios), *speed])
    return table(["rows", *_HEAD, "rows/s", "faiss rows/s"], lines)


def _one_query(rows: Matrix) -> str:
    import faiss
    from penult_service.analysis.search.sieve import nearest

    ours, theirs = [], []
    for i in range(30):
        for taken, work in (
            (ours, lambda i=i: nearest(rows[i : i + 1], rows, K, "cosine")),
            (theirs, lambda i=i: faiss.knn(rows[i : i + 1], rows, K, metric=faiss.METRIC_INNER_PRODUCT)),
        ):
            start = time.perf_counter()
            work()
            taken.append(1000 * (time.perf_counter() - start))
    line = [str(len(rows)), *(f"{statistics.median(taken):.1f}" for taken in (ours, theirs))]
    return table(["against rows", "ours, ms", "faiss, ms"], [line])


def _approximate(rows: Matrix) -> str:
    """All pairs, exact and not, at several sizes; faiss' IVF is given as many probes as reach our recall."""
    lines = []
    for count in (50_000, len(rows)):
        with _sides(rows[:count], "ours", "approximate", "ivf") as (exact, ours, ivf):
            _turns(1, exact, ours, ivf)
            lines.append(
                [
                    str(count),
                    *(f"{side.seconds[-1]:.1f}" for side in (exact, ours, ivf)),
                    *(f"{_share(exact.answer, side.answer):.3f}" for side in (ours, ivf)),
                ]
            )
    head = ["rows", "exact, s", "approximate, s", "faiss IVF, s", "recall", "faiss IVF's recall"]
    return table(head, lines)


_HEAD = ["ours, s", "faiss, s", "ratio (from, to)", "processor s", "ours, MiB", "faiss, MiB", "load"]


@dataclass(eq=False)
class _Side:
    """A process that searches when it is told to."""

    process: subprocess.Popen[str]
    answer_file: Path
    seconds: list[float] = field(default_factory=list)
    processor_seconds: float = 0.0
    mebibytes: float = 0.0
    found: int = 0

    def turn(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a side of the benchmark ended with {self.process.wait()}")
        told = json.loads(line)
        self.seconds.append(told["seconds"])
        self.processor_seconds, self.mebibytes = told["processor_seconds"], told["mebibytes"]
        self.found = told["found"]

    @property
    def answer(self) -> NDArray[np.int32]:
        return np.asarray(np.load(self.answer_file))


@contextmanager
def _sides(rows: Matrix, *names: Any) -> Iterator[tuple[_Side, ...]]:
    """A process for each name, warm; a number behind them is for all."""
    number = [str(name) for name in names if not isinstance(name, str)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penult-bench-")))
        np.save(folder / "rows.npy", rows)
        sides = []
        for name in (name for name in names if isinstance(name, str)):
            answer = folder / f"{name}.npy"
            command = [sys.executable, __file__, name, str(folder / "rows.npy"), str(answer), *number]
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            sides.append(_Side(process, answer))
        yield tuple(sides)


def _turns(rounds: int, *sides: _Side) -> list[float]:
    """Seconds of the first side over those of the second, of each round."""
    for _ in range(rounds):
        for side in sides:
            side.turn()
    return [one / two for one, two in zip(sides[0].seconds, sides[1].seconds, strict=True)]


def _times(ours: _Side, theirs: _Side, ratios: list[float]) -> list[str]:
    return [
        *(f"{statistics.median(side.seconds):.2f}" for side in (ours, theirs)),
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})",
        f"{ours.processor_seconds:.1f}, {theirs.processor_seconds:.1f}",
        *(f"{side.mebibytes:.0f}" for side in (ours, theirs)),
        load().split(" on ")[0].removeprefix("load "),
    ]


def _share(ours: NDArray[np.int32], theirs: NDArray[np.int32]) -> float:
    return float(np.mean([np.isin(one, two).mean() for one, two in zip(ours, theirs, strict=True)]))


def _work(name: str, rows: Matrix, number: float) -> tuple[Callable[[Matrix], Any], Matrix]:
    """What a side does with rows, and what it is warmed with."""
    if name in ("ours", "bulk", "duplicates", "approximate"):
        return _our_work(name, number), rows[:2000]
    import faiss

    product = faiss.METRIC_INNER_PRODUCT

    def ranged(rows: Matrix) -> Any:
        index = faiss.IndexFlatIP(rows.shape[1])
        index.add(rows)
        ends, _, _ = index.range_search(rows, number)
        return (int(ends[-1]) - len(rows)) // 2

    def inverted(rows: Matrix) -> Any:
        lists = int(4 * np.sqrt(len(rows)))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(rows.shape[1]), rows.shape[1], lists, product)
        index.cp.min_points_per_centroid = 1  # it warns when it is warmed with few rows
        index.train(rows)
        index.add(rows)
        index.nprobe = 48
        return index.search(rows, K)[1]

    half = len(rows) // 2
    works: dict[str, Callable[[Matrix], Any]] = {
        "faiss": lambda rows: faiss.knn(rows, rows, K, metric=product)[1],
        "faiss bulk": lambda rows: faiss.knn(rows[half:], rows[:half], int(number), metric=product)[1],
        "range": ranged,
        "ivf": inverted,
    }
    return works[name], rows[:2000]


def _our_work(name: str, number: float) -> Callable[[Matrix], Any]:
    from penult_service.analysis.calls import Duplicates
    from penult_service.analysis.pairs.duplicates import find
    from penult_service.analysis.search.approximate import approximate_nearest
    from penult_service.analysis.search.neighbours import _nearest
    from penult_service.analysis.search.sieve import nearest

    works: dict[str, Callable[[Matrix], Any]] = {
        "ours": lambda rows: _nearest(rows, None, K, "cosine", None)[1],
        "bulk": lambda rows: nearest(rows[len(rows) // 2 :], rows[: len(rows) // 2], int(number), "cosine")[
            1
        ],
        "duplicates": lambda rows: find(Duplicates(number), {"source": rows}).total_pairs,
        "approximate": lambda rows: approximate_nearest(rows, None, K, "cosine", smallest=1000)[1],
    }
    return works[name]


def _be_a_side(name: str, rows_file: str, answer_file: str, number: str = "0") -> None:
    rows = np.load(rows_file)
    work, few = _work(name, rows, float(number))
    work(few)
    for _ in sys.stdin:
        start, busy = time.perf_counter(), time.process_time()
        found = work(rows)
        told = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - busy}
        if isinstance(found, np.ndarray):
            np.save(answer_file, found)
        count = found if isinstance(found, int) else 0
        print(json.dumps({**told, "mebibytes": _peak(), "found": count}), flush=True)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    _be_a_side(*sys.argv[1:])
