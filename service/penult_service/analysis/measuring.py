"""Speeds of this machine, measured: a little of each kind of work, a second or less in all.

A machine that is busy does not spoil it: it is the processor time of a thread that counts, and of several short runs
the best. Where all processors share a kind of work they are measured together: two that share a core are slower then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import scipy.sparse
from threadpoolctl import threadpool_limits

from penult_service.analysis.maps.layout import laid_out
from penult_service.analysis.progress import silently
from penult_service.analysis.search import byte_kernel
from penult_service.analysis.search.byte_keys import byte_keys
from penult_service.analysis.search.rough import Threads
from penult_service.analysis.speeds import Speeds, processors, read, within_reason, write

# Seconds of each run below on the reference machine.
_PRODUCTS, _WIDE, _BYTES = 7.1e-3, 3.0e-3, 1.15e-3
_LAYOUT, _LOOPS, _MEMORY = 9.3e-3, 4.8e-3, 2.2e-4
_RUNS = 8
_PATIENCE = 1.0  # seconds that threads wait for each other
_WIDTH, _ROWS, _COLUMNS = 384, 512, 2048

_log = logging.getLogger(__name__)


def known_or_measured(directory: Path) -> Speeds | None:
    """The speeds of this machine: those that are kept in the directory, else measured and kept. None: no way."""
    found = read(directory)
    if found is not None:
        return found
    try:
        found = measured()
    except Exception:  # noqa: BLE001 - whatever it is: an estimate is not worth a worker
        _log.exception("the speeds of this machine could not be measured; those of the reference are assumed")
        return None
    write(directory, found)
    _log.info("speeds beside the reference machine: %s", found)
    return found


def measured() -> Speeds:
    """The speeds, measured now. Everything that runs here is compiled, when a worker is warm."""
    count = processors()
    random = np.random.default_rng(0)
    rows = random.standard_normal((_COLUMNS, _WIDTH), dtype=np.float32)
    some, wide = rows[:_ROWS].copy(), rows[:_ROWS].astype(np.float64)
    found: dict[str, float | None] = {"bytes": None}
    with threadpool_limits(1), silently():
        found["products"] = _together(lambda: some @ rows.T, count) / _PRODUCTS
        found["wide"] = _best(lambda: wide @ wide.T) / _WIDE
        if byte_kernel.LANES:
            with Threads() as threads:
                keys = byte_keys(some, rows, "cosine", threads)
            limits = np.full(_ROWS, -np.inf, dtype=np.float32)
            found["bytes"] = (
                _together(lambda: keys.marked(slice(0, _ROWS), slice(0, _COLUMNS), limits), count) / _BYTES
            )
        found["layout"] = _best(_layout(random)) / _LAYOUT
        found["loops"] = _best(_loops(random)) / _LOOPS
        copied = np.empty_like(rows, shape=(4, *rows.shape))
        found["memory"] = _best(lambda: np.copyto(copied, rows)) / _MEMORY
    return within_reason(found, count)


def _best(work: Callable[[], object]) -> float:
    """The least processor time of this thread in several runs."""
    return min(_timed(work) for _ in range(_RUNS))


def _timed(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


def _together(work: Callable[[], object], count: int) -> float:
    """The same when so many threads do it at once: the mean of what is best for each."""
    start = threading.Barrier(count, timeout=_PATIENCE)

    def one(_: int) -> float:
        with suppress(threading.BrokenBarrierError):  # so busy that they do not come together: then alone
            start.wait()
        return _best(work)

    with ThreadPoolExecutor(count) as pool:
        return float(np.mean(list(pool.map(one, range(count)))))


def _layout(random: np.random.Generator) -> Callable[[], object]:
    """Some epochs of a layout of rows with 15 neighbours, so few rows that one thread does it."""
    size, near, epochs = 1_000, 15, 20
    others = random.integers(0, size, (size, near))
    rows = np.repeat(np.arange(size), near)
    strengths = scipy.sparse.csr_matrix((np.ones(size * near), (rows, others.reshape(-1))), (size, size))
    strengths = (strengths + strengths.T).minimum(1.0)
    start = random.uniform(0, 10, (size, 2)).astype(np.float32)
    return lambda: laid_out(start, strengths, epochs, 1.6, 0.9, 0)


def _loops(random: np.random.Generator) -> Callable[[], object]:
    from scipy.cluster.hierarchy import linkage

    size = 400
    distances, keys = random.uniform(1, 2, size * (size - 1) // 2), random.uniform(0, 1, 50_000)

    def work() -> None:
        linkage(distances, "average")
        np.argsort(keys, kind="stable")

    return work
