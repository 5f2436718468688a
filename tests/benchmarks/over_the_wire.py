"""The first map of a freshly started, ready server beside umap-learn; neighbours over the wire beside faiss in process.

    python tests/benchmarks/over_the_wire.py [--rows 500 5000 20000] [--width 384] [--rounds 3] [--data DIR]

A new server for every map, asked once it says that analysis is ready; umap-learn is warm, in this process, with the
same seed. They take turns; a ratio is of one round, and the median of the rounds is told with the least and the most.
Ours includes the way there and back and the quality measures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import grpc
import numpy as np
from numpy.typing import NDArray
from penult_client import Client
from projection import drawn, umap_places
from servers import ANALYSIS, server_process, serving, wait

K = 10


def main() -> None:
    """Prints everything."""
    asked = _arguments()
    data = asked.data or Path(tempfile.mkdtemp(prefix="penult-wire-"))
    warnings.filterwarnings("ignore", module="umap")
    with _ready(data):
        pass  # whatever compiles has compiled
    for count in asked.rows:
        _maps(drawn(count, asked.width, None), data, asked.rounds)
    _neighbours(drawn(max(asked.rows), asked.width, None), data, asked.rounds)


def _maps(rows: NDArray[np.float32], data: Path, rounds: int) -> None:
    from penult_service.analysis.quality import of_map

    umap_places(rows)
    ratios, trust = [], []
    for _ in range(rounds):
        with _ready(data) as client:
            ours, result = _timed(lambda client=client: client.project(rows))
        theirs, places = _timed(lambda: umap_places(rows))
        ratios.append((ours / theirs, ours, theirs))
        trust = [result.quality.trustworthiness, of_map(rows, places, "cosine").trustworthiness]
    _told(f"first map of {len(rows)} rows", "umap-learn", ratios)
    print(f"    trustworthiness {trust[0]:.4f}, umap-learn's {trust[1]:.4f}")


def _neighbours(rows: NDArray[np.float32], data: Path, rounds: int) -> None:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = faiss.knn(unit, unit, K, metric=faiss.METRIC_INNER_PRODUCT)[1]
    ratios = []
    with _ready(data) as client:
        for _ in range(rounds):
            ours, result = _timed(lambda: client.neighbors(rows, k=K))
            theirs, _ = _timed(lambda: faiss.knn(unit, unit, K, metric=faiss.METRIC_INNER_PRODUCT))
            ratios.append((ours / theirs, ours, theirs))
    _told(f"{K} neighbours of {len(rows)} rows", "faiss.knn", ratios)
    print(f"    the same neighbour in {np.mean(found == result.indices):.4%} of the places")


def _told(what: str, whose: str, ratios: list[tuple[float, float, float]]) -> None:
    each, ours, theirs = zip(*ratios, strict=True)
    print(
        f"{what}: {statistics.median(ours):.2f} s, {whose} {statistics.median(theirs):.2f} s, ratio"
        f" {statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f}); load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


@contextmanager
def _ready(data: Path) -> Iterator[Client]:
    """A client of a new server whose workers are warm, the spare too."""
    with (
        tempfile.TemporaryDirectory() as place,
        server_process("fake:demo", data, Path(place)) as (server, address, _),
        grpc.insecure_channel(address) as channel,
    ):
        wait(lambda: serving(channel, ANALYSIS))
        wait(lambda: len(server.children()) >= 2)
        time.sleep(6)
        with Client(address, timeout=600) as client:
            yield client


def _timed(make: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    made = make()
    return time.perf_counter() - started, made


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[500, 5_000, 20_000])
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="where compiled code is kept; by default a new directory")
    return parser.parse_args()


if __name__ == "__main__":
    main()
