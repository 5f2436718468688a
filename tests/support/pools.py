"""Analysis workers for tests: a pool on an event loop of its own, used from ordinary test functions."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import Array, Call, Project
from penult_service.analysis.progress import Progress
from penult_service.analysis.results import Result
from penult_service.analysis.workers import process
from penult_service.analysis.workers.pool import PoolState, WorkerPool
from penult_service.config import ServeConfig
from support.serving import wait_until

T = TypeVar("T")

# What the user's own servers use: compiled once, the tests take seconds instead of a minute.
NUMBA_CACHE = ServeConfig(paths=("none",)).numba_cache
GIB = 1 << 30
WARM_SECONDS = 300.0  # when everything has to be compiled
LONG = Project("tsne")
_UNWARMED = """
from penult_service.analysis.workers import warming, worker
warming.cache_umap = warming.warm = lambda: None
worker.main()
"""


def data_that_is_warm(path: Path) -> Path:
    """A data directory for a server with workers: everything is compiled."""
    path.mkdir(mode=0o700, exist_ok=True)
    (path / "numba").symlink_to(NUMBA_CACHE)
    return path


@contextmanager
def unwarmed_workers() -> Iterator[None]:
    """Workers that are ready at once, and import what they need when it is needed: for tests of what kills them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "_COMMAND", (sys.executable, "-P", "-c", _UNWARMED))
        yield


def some_rows(n: int, d: int = 16) -> NDArray[np.float32]:
    """Rows that are the same every time."""
    return np.random.default_rng(7).standard_normal((n, d), dtype=np.float32)


def many_rows() -> dict[str, NDArray[Any]]:
    """Arrays that keep `LONG` busy for longer than any test waits."""
    return {"source": some_rows(12_000, 8)}


def in_order(told: Sequence[Progress]) -> list[str]:
    """The stages that were told, after a look whether each came once, never fell and, with a total, ended at it."""
    stages = [(stage, list(group)) for stage, group in groupby(told, key=lambda one: one.stage)]
    names = [stage for stage, _ in stages]
    assert len(set(names)) == len(names), names
    for stage, reports in stages:
        for before, after in pairwise(reports):
            assert before.done <= after.done, stage
            assert before.total == after.total, stage
        last = reports[-1]
        assert not last.total or last.done == last.total, stage
    return names


class Running:
    """A pool that runs. Every method may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: WorkerPool, scratch: Path) -> None:
        self.pool, self.scratch = pool, scratch
        self._loop = loop
        self.changes: list[bool] = []
        self.states: list[PoolState] = []
        self.ended: list[tuple[str, str]] = []

    def pool_changed(self, state: PoolState) -> None:
        """As in `PoolObserver`."""
        self.states.append(state)

    def run_ended(self, name: str, outcome: str, _: float) -> None:
        """As in `PoolObserver`."""
        self.ended.append((name, outcome))

    def submit(
        self, call: Call, arrays: Mapping[str, Array], seconds: float | None = 60.0, **options: Any
    ) -> Future[Result]:
        """Run a call; `seconds` until its deadline. Options are those of `WorkerPool.run`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        return self.on_loop(self.pool.run(call, arrays, deadline=deadline, **options))

    def on_loop(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run it on the pool's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(
        self, call: Call, arrays: Mapping[str, Array], seconds: float | None = 60.0, **options: Any
    ) -> Result:
        """The result of a call, or its error; otherwise as `submit`."""
        return self.submit(call, arrays, seconds, **options).result(90)

    def begin_long(self, seconds: float | None = 60.0) -> tuple[Future[Result], psutil.Process]:
        """A run that takes long, and the process that works on it."""
        future = self.submit(LONG, many_rows(), seconds)
        wait_until(lambda: future.done() or self.state.busy == 1)
        worker = psutil.Process(self.busy_pid())
        begun = worker.cpu_times().user
        wait_until(lambda: future.done() or worker.cpu_times().user > begun + 0.3)
        return future, worker

    def busy_pid(self) -> int:
        """The process that works."""
        crew = self.pool._crew
        assert crew is not None
        (busy,) = crew._warm.difference(crew._idle)
        return busy.pid

    @property
    def state(self) -> PoolState:
        """What the pool told last."""
        return self.states[-1]

    def extra_pids(self) -> set[int]:
        """The processes of runs that are `apart`, starting or at work, once the crew is warm."""
        crew = self.pool._crew
        assert crew is not None
        return {process.pid for process in crew._alive - crew._warm}

    def files(self) -> Iterator[Path]:
        """The directories of its runs."""
        for own in self.scratch.glob("penult-analysis-*"):
            yield from (path for path in own.iterdir() if path.is_dir() and path.name != "numba")

    def workers(self) -> list[psutil.Process]:
        """Its processes."""
        crew = self.pool._crew
        assert crew is not None
        return [psutil.Process(process.pid) for process in list(crew._alive)]

    def wait_for(self, warm: int) -> None:
        """Wait until so many are warm."""
        wait_until(
            lambda: bool(self.states) and self.state.idle + self.state.busy >= warm, seconds=WARM_SECONDS
        )

    def close(self) -> None:
        """End it."""
        self.on_loop(self.pool.close()).result(30)


def workers_of(parent: int) -> list[psutil.Process]:
    """The analysis workers among the children of a process."""
    found = []
    for child in psutil.Process(parent).children():
        try:
            if any("worker" in argument for argument in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


@contextmanager
def running(
    scratch: Path,
    *,
    workers: int = 1,
    warm: int = 1,
    max_waiting: int = 4,
    memory_limit: int | None = 6 * GIB,
) -> Iterator[Running]:
    """A pool; `warm` of its processes are ready. It is closed at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> Running:
        pool = WorkerPool(
            workers=workers,
            memory_limit=memory_limit,
            scratch=scratch,
            numba_cache=NUMBA_CACHE,
            max_waiting=max_waiting,
            changed=lambda: made.changes.append(made.pool.ready),
        )
        made = Running(loop, pool, scratch)
        pool._observer = made
        pool.start()
        return made

    try:
        made = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        if warm:
            made.wait_for(warm)
        try:
            yield made
        finally:
            made.close()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
