"""What makes the first analysis of a process as quick as the second: imports, numba's cache, and a little of each."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from penult_service.analysis.calls import (
    CLUSTER_METHODS,
    DUPLICATE_METRICS,
    METRICS,
    PROJECT_METHODS,
    PROJECT_METRICS,
    Assign,
    Call,
    Cluster,
    CompareDropout,
    Duplicates,
    EditClusters,
    Grow,
    Neighbors,
    Outliers,
    Project,
    Similarity,
    Transform,
)
from penult_service.errors import InvalidInput

# Modules of umap-learn whose kernels a map runs. Its nearest-neighbour descent is not among them: the graph is ours.
_CACHED_MODULES = ("umap.umap_", "umap.layouts", "umap.utils")
# The serial and the parallel layout are compiled from one function and would share a place in the cache: whichever
# came first would be loaded for both. With a seed, and we always have one, it is the serial one.
_UNCACHED = ("_nb_optimize_layout_euclidean_single_epoch_parallel",)
PACKAGES = ("sklearn", "scipy", "numba", "umap", "pynndescent", "threadpoolctl")
"""Imported names of what the extra `analysis` installs."""
_SMALL, _LARGE = 60, 4_200  # rows, below and above the 4,096 where umap-learn and ours take other ways
_WIDTH = 64

_log = logging.getLogger(__name__)


def use_numba_cache(directory: Path | None, fallback: Path | None = None) -> bool:
    """Keep what numba compiles in this directory; whether that is so. Call it before numba is imported.

    Compiled code is run as it lies there, so the directory has to be this user's, and closed to writing by others:
    it is made with mode 0700. Where it cannot be used (None: not wanted) `fallback` serves, by default a new
    temporary directory that is removed when the process ends: numba then compiles at the next start again, which
    takes a minute, and the log says so.
    """
    if directory is not None:
        try:
            _make_private(directory)
        except (OSError, InvalidInput) as error:
            _log.warning(
                "%s cannot keep compiled code, so every start compiles (a minute): %s", directory, error
            )
        else:
            os.environ["NUMBA_CACHE_DIR"] = str(directory)
            return True
    if fallback is None:
        fallback = Path(tempfile.mkdtemp(prefix="penult-numba-"))
        atexit.register(shutil.rmtree, fallback, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = str(fallback)
    return False


def cache_umap() -> None:
    """Import umap-learn, and let numba keep its kernels as it keeps ours."""
    import umap  # noqa: F401
    from numba.core.dispatcher import Dispatcher

    for name in _CACHED_MODULES:
        for value in list(vars(sys.modules[name]).values()):
            if isinstance(value, Dispatcher) and not _is_uncached(name, value):
                value.enable_caching()


def warm() -> None:
    """Run a little of everything, so that all is imported, compiled or loaded: seconds, when it was compiled before.

    An analysis that fails is in the log, and keeps the others from nothing: whoever asks for it gets its fault.

    Raises:
        ImportError: a package is missing.
        MemoryError: there is no room for this.
    """
    from penult_service.analysis.run import run

    for call, arrays in _little_of_everything():
        try:
            run(call, arrays)
        except MemoryError:
            raise
        except Exception as error:
            if isinstance(error, ImportError) and (error.name or "").partition(".")[0] in PACKAGES:
                raise
            _log.exception("%s does not work here: %s", call, type(error).__name__)
    _warm_many_rows()


@contextmanager
def noticing_compilation() -> Iterator[None]:
    """Says in the log when numba compiled something meanwhile: `warm` should have."""
    from numba.core import event

    with event.install_recorder("numba:compile") as recorder:
        yield
    started = [occurrence for _, occurrence in recorder.buffer if occurrence.is_start]
    if started:
        names = sorted({occurrence.data["dispatcher"].py_func.__qualname__ for occurrence in started})
        _log.warning("compiled in a request: %s", ", ".join(names))


def _warm_many_rows() -> None:
    """The approximate search, of so few rows that a call would have the exact one."""
    from penult_service.analysis.search.approximate import approximate_nearest

    rows = np.random.default_rng(0).standard_normal((_SMALL, _WIDTH), dtype=np.float32)
    approximate_nearest(rows, None, 5, "cosine", smallest=0)


def _is_uncached(module: str, dispatcher: Any) -> bool:
    return any(dispatcher is getattr(sys.modules[module], name, None) for name in _UNCACHED)


def _make_private(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise InvalidInput(
            f"it belongs to another user, or others may write to it; chmod 700 {directory}",
            reason="CACHE_NOT_PRIVATE",
        )
    tempfile.TemporaryFile(dir=directory).close()  # whether it is writable cannot be told from its mode


def _little_of_everything() -> Iterator[tuple[Call, dict[str, np.ndarray[Any, Any]]]]:
    """Calls that take every way through the code that compiles or imports, as they come from a server."""
    from penult_service.analysis.search.neighbours import graph

    random = np.random.default_rng(0)
    small = random.standard_normal((_SMALL, _WIDTH), dtype=np.float32)
    large = random.standard_normal((_LARGE, _WIDTH), dtype=np.float32)
    labels = (np.arange(_SMALL) % 3).astype(np.int32)
    for metric in METRICS:
        yield Similarity(metric), {"a": small, "b": small[:5]}
        yield Similarity(metric, pairs=True), {"a": small, "b": small}
        yield Neighbors(5, metric), {"queries": small, "corpus": small[:50]}
        yield Neighbors(5, metric, exclude_self=True, radius=0.5), {"queries": small}
    for method in CLUSTER_METHODS:
        yield Cluster(method, noise="nearest"), {"source": small, "labels": labels}
    for method in PROJECT_METHODS:
        yield Project(method), {"source": small, "labels": labels}
    yield Project(supervised=True), {"source": small, "labels": labels}
    yield Project(density=True), {"source": small, "anchor": np.ascontiguousarray(small[:, :2])}
    stored = {"fitted_rows": small[5:], "fitted_first": np.arange(_SMALL - 5, dtype=np.int32)}
    places = {**stored, "coordinates": np.ascontiguousarray(small[5:, :2])}
    for metric in PROJECT_METRICS:
        yield Project(metric=metric, n_components=3), {"source": small}
        yield Transform(metric=metric), {"source": small, **places}
        yield Assign(metric=metric), {"source": small, **stored, "stored_labels": labels[5:]}
    texts: dict[str, np.ndarray[Any, Any]] = {
        "text_bytes": np.full(_SMALL, 97, np.uint8),
        "text_ends": np.arange(1, _SMALL + 1),
    }
    yield Cluster(auto=True, bootstraps=1, keep=True, keep_graph=True), {"source": small, **texts}
    yield Grow(), {"source": large[:_SMALL], **stored, "stored_labels": labels[5:]}
    yield EditClusters(split=0), {**stored, "stored_labels": labels[5:]}
    loadings = {"mean": np.zeros(_WIDTH), "loadings": np.eye(_WIDTH, 2)}
    yield Transform("pca"), {"source": small, **places, **loadings}
    kept = dict(zip(("near_rows", "near_distances"), graph(small, 20, "euclidean"), strict=True))
    for metric, threshold in zip(DUPLICATE_METRICS, (0.1, 10.0, 70.0), strict=True):
        yield Duplicates(threshold, metric), {"source": small, **kept}  # of the others the graph is not
        yield Outliers(5, metric), {"source": small, **kept}
    yield CompareDropout(map=False), {"source": small, "draws_head": small[:, None]}
    yield Neighbors(15), {"queries": large}
    yield Neighbors(5, "manhattan"), {"queries": large[:600]}  # more than a tile, and no products of bytes
    yield Project(n_neighbors=3), {"source": large}  # few edges: what counts is the way, not the map
