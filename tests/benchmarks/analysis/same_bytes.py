"""The same seed gives the same bytes at any number of threads and after a restart; our maps beside umap-learn's.

Digests come from fresh processes: python same_bytes.py ROWS THREADS prints them as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from bench_data import load, table, texts_of
from numpy.typing import NDArray
from search import real_rows

sys.modules.setdefault("tensorflow", None)  # type: ignore[arg-type]  # it is wanted for what is not used here

SEEDS = (1, 2, 3, 4)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
STARTS = (
    ("all processors", 0),
    ("the same after a restart", 0),
    ("1 thread on 1 processor", 1),
    ("4 threads", 4),
)
Rows = NDArray[np.float32]


def run(quick: bool) -> str:
    """Markdown: whose digests are equal; seconds and trustworthiness over four seeds."""
    return _equality(600 if quick else 3_080) + "\n\n" + "\n\n".join(_beside_umap_learn(quick))


def _equality(count: int) -> str:
    started = [(name, _digests(count, threads)) for name, threads in STARTS]
    first = started[0][1]
    rows = [
        [
            name,
            *("equal" if digests[name] == digest else "**different**" for _, digests in started[1:]),
            digest[:8],
        ]
        for name, digest in first.items()
    ]
    head = ["result", *(name for name, _ in started[1:]), "sha256"]
    return f"{count} rows of banking77_test, beside a first run on all processors\n\n" + table(head, rows)


def _digests(count: int, threads: int) -> dict[str, str]:
    line = [sys.executable, "-W", "ignore", __file__, str(count), str(threads)]
    given = os.environ | dict.fromkeys(THREADS, str(threads)) if threads else dict(os.environ)
    found: dict[str, str] = json.loads(
        subprocess.run(line, env=given, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1]
    )
    return found


def _results(rows: Rows, labels: NDArray[np.int32]) -> Iterator[tuple[str, list[Any]]]:
    """What each analysis gives, by name."""
    from penult_service.analysis.calls import CLUSTER_METHODS, Cluster, Duplicates, Project, Transform
    from penult_service.analysis.run import run as analyse

    arrays = {"source": rows, "labels": labels}
    new, old = {"source": rows[:200]}, {"source": rows[200:]}
    made: Any = analyse(Project(keep=True), old)
    stored = {name: getattr(made, name) for name in ("fitted_rows", "fitted_first", "coordinates")}
    placed: Any = analyse(Transform(far_distance=made.far_distance), {**new, **stored})
    yield "transform", [placed.coordinates, placed.distances, placed.far_rows]
    maps = {
        "map umap": Project(), "map umap 3-D": Project(n_components=3), "map umap supervised": Project(supervised=True),
        "map umap density": Project(density=True), "map pca": Project("pca"), "map tsne": Project("tsne"),
    }  # fmt: skip
    anchor = None
    for name, call in maps.items():
        found: Any = analyse(call, arrays)
        anchor = found.coordinates if name == "map umap" else anchor
        yield name, [found.coordinates, found.row_neighbors_kept, repr(found.trustworthiness).encode()]
    found = analyse(Project(seed=7), {**arrays, "anchor": anchor})
    yield "map umap aligned", [found.coordinates]
    for method in CLUSTER_METHODS:
        found = analyse(Cluster(method), arrays)
        yield f"clusters {method}", [found.labels, repr(found.silhouette).encode()]
    found = analyse(Cluster(n_clusters=77), arrays)
    yield "clusters kmeans on umap", [found.labels]
    found = analyse(Duplicates(0.9), arrays)
    yield "duplicates", [found.pairs, found.scores, found.groups]


def _beside_umap_learn(quick: bool) -> Iterator[str]:
    sets = {"banking77_train, first": texts_of("banking77_train").vectors[: 600 if quick else 5_000]}
    if not quick:
        sets |= {"sst2_train": texts_of("sst2_train").vectors, "all five sets, mixed": real_rows(20_000)}
    for name, rows in sets.items():
        yield f"### {name}: {len(rows)} rows, {len(SEEDS)} seeds, in turns\n\n" + _race(rows)


def _race(rows: Rows) -> str:
    """Seconds (least, median) and trustworthiness (mean, least to most) of the ways to a map of these rows."""
    from penult_service.analysis.fitting import fitting
    from penult_service.analysis.maps.umap_fit import fit
    from penult_service.analysis.quality import of_map
    from penult_service.analysis.search import rough
    from penult_service.analysis.search.neighbours import graph

    distinct = fitting(rows, "cosine").rows
    near = graph(distinct, 15, "cosine")

    def ours(seed: int) -> Rows:
        return fit(distinct, graph(distinct, 15, "cosine"), 2, min_dist=0.1, seed=seed)

    ways: dict[str, Callable[[int], Rows]] = {
        "umap-learn, seeded": lambda seed: _umap_learn(distinct, seed),
        "umap-learn, seeded, given our graph": lambda seed: _umap_learn(distinct, seed, near),
        "ours, 1 thread": lambda seed: _on(1, rough, lambda: ours(seed)),
        f"ours, {rough.cores()} threads": ours,
        "layout alone: umap-learn's": lambda seed: _their_layout(distinct, near, seed),
        "layout alone: ours, 1 thread": lambda seed: _on(1, rough, lambda: _our_layout(distinct, near, seed)),
        f"layout alone: ours, {rough.cores()} threads": lambda seed: _our_layout(distinct, near, seed),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    trust: dict[str, list[float]] = {name: [] for name in ways}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for way in ways.values():
            way(0)  # compiles
        for seed in SEEDS:
            for name, way in ways.items():
                started = time.perf_counter()
                places = way(seed)
                seconds[name].append(time.perf_counter() - started)
                trust[name].append(of_map(distinct, places, "cosine").trustworthiness or 0.0)
    told = [
        [name, f"{min(times):.2f}", f"{statistics.median(times):.2f}", f"{statistics.mean(trust[name]):.4f}",
         f"{min(trust[name]):.4f} to {max(trust[name]):.4f}"]
        for name, times in seconds.items()
    ]  # fmt: skip
    return table(["way", "seconds, least", "median", "trustworthiness", "over seeds"], told) + f"\n\n{load()}"


def _on(threads: int, rough: Any, work: Callable[[], Rows]) -> Rows:
    """Work with so many threads of ours."""
    cores = rough.cores
    rough.cores = lambda: threads
    try:
        return work()
    finally:
        rough.cores = cores


def _umap_learn(rows: Rows, seed: int, near: Any = None) -> Rows:
    import umap

    given = {} if near is None else {"precomputed_knn": (*near, None)}
    found: Rows = umap.UMAP(metric="cosine", random_state=seed, **given).fit_transform(rows)
    return found


def _begun(rows: Rows, near: Any, seed: int) -> Any:
    """The graph and the start of a map, the same for either layout; made once."""
    from penult_service.analysis.maps import umap_fit

    kept = _BEGUN.get((len(rows), seed))
    if kept is None:
        strengths, _ = umap_fit._fuzzy(rows, near, None, distances=False)
        kept = umap_fit._begin(rows, strengths, 2, 0.1, seed, umap_fit.epochs(len(rows)), None)
        _BEGUN[len(rows), seed] = kept
    return kept


_BEGUN: dict[tuple[int, int], Any] = {}


def _our_layout(rows: Rows, near: Any, seed: int) -> Rows:
    from penult_service.analysis.maps import umap_fit
    from penult_service.analysis.maps.layout import laid_out

    begun = _begun(rows, near, seed)
    box = umap_fit._boxed(begun.start, each=True)
    return laid_out(box, begun.strengths, umap_fit.epochs(len(rows)), *begun.curve, seed)


def _their_layout(rows: Rows, near: Any, seed: int) -> Rows:
    from penult_service.analysis.maps import umap_fit
    from umap.umap_ import simplicial_set_embedding

    begun = _begun(rows, near, seed)
    places, _ = simplicial_set_embedding(
        rows, begun.strengths.copy(), 2, 1.0, *begun.curve, 1.0, 5, umap_fit.epochs(len(rows)), begun.start,
        np.random.RandomState(seed), "euclidean", {}, False, {}, False,
    )  # fmt: skip
    return np.asarray(places, dtype=np.float32)


def main() -> None:
    """Prints the digests of one process."""
    count, threads = (int(word) for word in sys.argv[1:])
    if threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from penult_service.analysis.search import rough

    if threads:
        rough.cores = lambda: threads
    texts = texts_of("banking77_test")
    labels = np.unique(texts.labels[:count], return_inverse=True)[1].astype(np.int32)
    digests = {}
    for name, parts in _results(texts.vectors[:count], labels):
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
        digests[name] = digest.hexdigest()
    print(json.dumps(digests))


if __name__ == "__main__":
    main()
