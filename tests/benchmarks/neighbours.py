"""Neighbours, similarity and trustworthiness: seconds beside faiss' own, exactness against brute force.

    python tests/benchmarks/neighbours.py [--rows 20000] [--width 384] [--rounds 3] [--vectors FILE.npy]

Both sides are warm and take turns in one process; a figure is the median of the rounds, with the load of the machine.
Without --vectors rows are drawn around centres, a tenth of them near-copies of one.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from penult_service.analysis import quality, similarity
from penult_service.analysis.calls import METRICS, Neighbors
from penult_service.analysis.search import neighbours, rough

Matrix = NDArray[np.float32]


def main() -> None:
    """Prints everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vectors", type=Path)
    asked = parser.parse_args()
    rows = (
        _rows(asked.rows, asked.width) if asked.vectors is None else np.load(asked.vectors).astype(np.float32)
    )
    print(f"{len(rows)} rows of {rows.shape[1]}, {rough.cores()} cores")
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    _exact(rows)
    _times(
        asked.rounds,
        {
            "neighbours, k = 10, cosine": lambda: neighbours.search(Neighbors(10), rows),
            "faiss.knn, k = 10, inner product": lambda: faiss.knn(
                unit, unit, 10, metric=faiss.METRIC_INNER_PRODUCT
            ),
            "graph, k = 15, cosine": lambda: neighbours.graph(rows, 15, "cosine"),
            "graph, k = 15, euclidean": lambda: neighbours.graph(rows, 15, "euclidean"),
            "graph, k = 15, manhattan": lambda: neighbours.graph(rows, 15, "manhattan"),
            "one query": lambda: neighbours.search(Neighbors(10), rows[:1], rows),
            "faiss.knn, one query": lambda: faiss.knn(unit[:1], unit, 10, metric=faiss.METRIC_INNER_PRODUCT),
            "quality of a map, cosine": lambda: quality.of_map(rows, rows[:, :2], "cosine"),
            "quality of a map, euclidean": lambda: quality.of_map(rows, rows[:, :2], "euclidean"),
            **{
                f"similarity of 2000 x 2000, {metric}": _similarity(rows[:2000], metric) for metric in METRICS
            },
        },
    )


def _similarity(rows: Matrix, metric: str) -> Callable[[], object]:
    return lambda: similarity.matrix(rows, rows, metric)


def _rows(count: int, width: int) -> Matrix:
    rng = np.random.default_rng(0)
    rows = (
        rng.standard_normal((count, width)) + rng.standard_normal((100, width))[rng.integers(0, 100, count)]
    )
    rows[: count // 10] = rows[0] + 1e-6 * rng.standard_normal((count // 10, width))
    return rows.astype(np.float32)


def _exact(rows: Matrix) -> None:
    """Prints the share of 10 neighbours found by brute force in float64, for evenly drawn queries, and a digest."""
    chosen = np.arange(0, len(rows), max(1, len(rows) // 200))
    wide = rows.astype(np.float64)
    for metric in METRICS:
        found = neighbours.search(Neighbors(10, metric), rows)
        digest = hashlib.sha256(found.indices.tobytes() + found.scores.tobytes()).hexdigest()[:16]
        kept, off = [], 0.0
        for i in chosen:
            keys = _keys(wide[i], wide, metric)
            best = np.argsort(keys, kind="stable")[:10]
            # What float64's rounding does not tell apart is as good.
            last = keys[best[-1]] + 1e-15 * np.abs(keys).max()
            kept.append(float(np.mean(keys[found.indices[i]] <= last)))
            off = max(
                off, float(np.abs(np.sort(keys[found.indices[i]]) - keys[best]).max()) / np.abs(keys).max()
            )
        print(
            f"{metric:10s} recall {np.mean(kept):.5f}, scores off by at most {off:.1e} of the largest; {digest}"
        )


def _keys(row: NDArray[Any], rows: NDArray[Any], metric: str) -> NDArray[np.float64]:
    if metric == "euclidean":
        return np.asarray(np.square(rows - row).sum(axis=1))
    if metric == "manhattan":
        return np.asarray(np.abs(rows - row).sum(axis=1))
    products = rows @ row
    return -products if metric == "dot" else -products / np.linalg.norm(rows, axis=1) / np.linalg.norm(row)


def _times(rounds: int, works: dict[str, Callable[[], object]]) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    for name, taken in seconds.items():
        print(f"{name:34s} {statistics.median(taken):8.4f} s ({min(taken):.4f} to {max(taken):.4f})")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
