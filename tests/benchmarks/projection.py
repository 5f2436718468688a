"""Maps by this project beside umap-learn's own: seconds, trustworthiness, the same bytes.

    python tests/benchmarks/projection.py [--rows 500 5000 20000] [--width 384] [--rounds 3] [--vectors FILE.npy]

Both are warm, in one process, with one seed, one after the other in turns; a figure is the median of the rounds.
umap-learn's time is of the map alone, ours of the whole call with its quality. Without --vectors rows are drawn around
centres. `--digest` prints only a hash of one map, to be compared between processes and numbers of threads.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.modules["tensorflow"] = None  # type: ignore[assignment]
CACHE = Path.home() / ".cache" / "penult" / "numba"


def main() -> None:
    """Prints everything."""
    asked = _arguments()
    from penult_service.analysis.workers import warming

    warming.use_numba_cache(CACHE)
    warming.cache_umap()
    warnings.filterwarnings("ignore", module="umap")
    for count in asked.rows:
        rows = drawn(count, asked.width, asked.vectors)
        if asked.digest:
            print(count, hashlib.sha256(_ours(rows).coordinates.tobytes()).hexdigest()[:16])
        else:
            _compare(rows, asked.rounds)


def _compare(rows: NDArray[np.float32], rounds: int) -> None:
    from penult_service.analysis.quality import of_map

    _ours(rows), umap_places(rows)
    pairs = [(_timed(_ours, rows), _timed(umap_places, rows)) for _ in range(rounds)]
    (_, result), (_, places) = pairs[-1]
    ours, theirs = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
    print(
        f"{len(rows)} rows: ours {ours:.2f} s, umap-learn {theirs:.2f} s, ratio {ours / theirs:.2f};"
        f" trustworthiness {result.trustworthiness:.4f} and {of_map(rows, places, 'cosine').trustworthiness:.4f};"
        f" load {os.getloadavg()[0]:.1f}"
    )


def _ours(rows: NDArray[np.float32]) -> Any:
    from penult_service.analysis.calls import Project
    from penult_service.analysis.maps.projection import project

    return project(Project(), rows)


def umap_places(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """umap-learn's own map."""
    import umap

    places: NDArray[np.float32] = umap.UMAP(metric="cosine", random_state=42).fit_transform(rows)
    return places


def _timed(make: Callable[[NDArray[np.float32]], Any], rows: NDArray[np.float32]) -> tuple[float, Any]:
    started = time.perf_counter()
    made = make(rows)
    return time.perf_counter() - started, made


def drawn(count: int, width: int, vectors: Path | None) -> NDArray[np.float32]:
    """Rows of a file, else around centres."""
    if vectors is not None:
        return np.asarray(np.load(vectors)[:count], dtype=np.float32)
    random = np.random.default_rng(0)
    centres = random.standard_normal((100, 20))
    inner = centres[random.integers(0, 100, count)] + 0.5 * random.standard_normal((count, 20))
    rows = inner @ random.standard_normal((20, width)) + 0.3 * random.standard_normal((count, width))
    return rows.astype(np.float32)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[500, 5_000, 20_000])
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--digest", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
