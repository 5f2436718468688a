"""The processes that analyse, seen from the server's event loop: who may run, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from penult_service.analysis.calls import Array, Call
from penult_service.analysis.progress import Listener, Progress
from penult_service.analysis.results import Result
from penult_service.analysis.speeds import Speeds, read
from penult_service.analysis.workers.crew import Crew
from penult_service.analysis.workers.files import Growing, Place, RunFiles
from penult_service.analysis.workers.process import Gone
from penult_service.errors import (
    DeadlineExceeded,
    PenultError,
    PreconditionFailed,
    ResourceExhausted,
    Unavailable,
)

_RETRY_SECONDS = 2.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PoolState:
    """How many processes do what, and how many calls wait for one."""

    starting: int
    idle: int
    busy: int
    waiting: int


class PoolObserver(Protocol):
    """Is told what the pool does, in its event loop."""

    def pool_changed(self, state: PoolState) -> None:
        """Something is different."""
        ...

    def run_ended(self, name: str, outcome: str, seconds: float) -> None:
        """A call is over, waiting included: `outcome` is OK, the reason of its error, or CANCELLED."""
        ...


class WorkerPool:
    """Runs analyses in processes of its own, so that none of them can hurt the server.

    `workers` + 1 processes, `workers` runs at a time, first come first served, beside those that are `apart`. A run
    that is cancelled, late, too large or crashed costs its process, never its neighbours: the spare steps in at once,
    and its successor starts and warms in the background. Made and used in one event loop.

    Args:
        workers: Runs at a time; 0: none, every call is refused (ANALYSIS_OFF).
        memory_limit: Bytes that a process may take; None: no limit.
        scratch: Where arrays lie while they are worked on; None: the system's temporary directory.
        numba_cache: Where compiled code is kept (`warming.use_numba_cache`); None: nowhere.
        max_waiting: Calls that may wait for a process.
        changed: Called in the loop when `ready` has changed.
        observer: Is told what happens.
    """

    def __init__(
        self,
        *,
        workers: int,
        memory_limit: int | None,
        scratch: Path | None,
        numba_cache: Path | None,
        max_waiting: int,
        changed: Callable[[], None],
        observer: PoolObserver | None = None,
    ) -> None:
        self._workers, self._memory_limit, self._numba_cache = workers, memory_limit, numba_cache
        self._base, self._max_waiting = scratch, max_waiting
        self._on_change, self._observer = changed, observer
        self._files: RunFiles | None = None
        self._crew: Crew | None = None
        self._refusal = PreconditionFailed(
            "this server has no analysis workers; start it with --analysis-workers 1 or more",
            reason="ANALYSIS_OFF",
        )
        self._turns = asyncio.Semaphore(workers)
        self._waiting = 0
        self._closed = self._was_ready = False
        self._kept_speeds: Speeds | None = None

    @property
    def memory_limit(self) -> int | None:
        """Bytes that a process may take; None: no limit."""
        return self._memory_limit

    @property
    def idle_bytes(self) -> int:
        """What of the limit a process takes when it is idle; 0: not known yet."""
        return 0 if self._crew is None else self._crew.idle_bytes

    @property
    def speeds(self) -> Speeds | None:
        """Those of this machine: as a process told them, or kept from an earlier start; None: not known yet."""
        told = None if self._crew is None else self._crew.speeds
        return told or self._kept_speeds

    @property
    def ready(self) -> bool:
        """Whether a warm process lives."""
        return self._crew is not None and self._crew.warm > 0

    def start(self) -> None:
        """Begin to start the processes, in the background, one after the other."""
        if not self._workers:
            return
        try:
            self._files = RunFiles(self._base)
        except OSError as error:
            _log.error("no analysis: there is no place for its files, not even a temporary one: %s", error)
            self._refusal = PreconditionFailed(
                "this server has no place for the files of an analysis; give it one with --data or TMPDIR",
                reason="SCRATCH_NOT_WRITABLE",
            )
            return
        self._kept_speeds = read(self._numba_cache)
        self._crew = Crew(
            self._workers + 1,
            memory_limit=self._memory_limit,
            numba_cache=self._numba_cache,
            fallback=self._files.path / "numba",
            changed=self._changed,
        )
        self._crew.start()

    async def close(self) -> None:
        """End every process, and what still runs or waits with it (Unavailable, DRAINING)."""
        self._closed = True
        if self._crew is not None:
            await self._crew.close(_draining())
        if self._files is not None:
            await self._files.close()

    async def run(
        self,
        call: Call,
        arrays: Mapping[str, Array],
        *,
        deadline: float | None,
        progress: Listener | None = None,
        apart: bool = False,
    ) -> Result:
        """The result of a call. Cancelling the task ends the work at once.

        `apart` is for what takes long: the run has a process of its own, started for it and ended with it, under the
        same limits. So it takes no turn from other calls and waits for none, and is not refused because nothing is
        warm or too many wait. How many of them there are is the caller's to limit.

        Args:
            call: Checked before (`checks.check`).
            arrays: As in `run.run`; one that lies in a file is mapped there by the worker, nothing is copied.
            deadline: On the clock of `time.monotonic`; None: none.
            progress: Is called in the event loop: how far the run is, at most about ten times a second and at each
                change of stage. The first stage of one apart is `starting`, until its process is warm.
            apart: Whether it has a process of its own.

        Raises:
            PreconditionFailed: no processes (ANALYSIS_OFF), no packages (ANALYSIS_NOT_INSTALLED), processes that
                do not start (ANALYSIS_FAILED), more memory than the limit (WORKER_OUT_OF_MEMORY), no room for the
                arrays' files (SCRATCH_NOT_WRITABLE).
            Unavailable: not warm yet (ANALYSIS_WARMING), or the server ends (DRAINING).
            ResourceExhausted: as many calls wait as may (ANALYSIS_QUEUE_FULL).
            DeadlineExceeded: the deadline passed.
            Internal: the process died (WORKER_DIED), or the analysis has a fault (ANALYSIS_FAULT).
            PenultError: what the analysis itself raised.
        """
        started, outcome = time.monotonic(), "CANCELLED"
        try:
            crew, files = self._admit(apart)
            delay = None if deadline is None else max(0.0, deadline - started)
            turn = nullcontext() if apart else self._turn()
            async with asyncio.timeout(delay), turn, files.written(arrays) as place:
                run = self._run_apart if apart else self._run_in_crew
                told = await run(call, place, crew, progress)
                result = await files.result(told, place)
            outcome = "OK"
        except TimeoutError:
            outcome = "DEADLINE_EXCEEDED"
            raise DeadlineExceeded("the deadline passed before the analysis was done") from None
        except PenultError as error:
            outcome = error.reason
            if self._closed and outcome == "WORKER_DIED":
                raise _draining() from None
            raise
        finally:
            if self._observer is not None:
                self._observer.run_ended(call.name, outcome, time.monotonic() - started)
        return result

    @asynccontextmanager
    async def spooled(self, arrays: Mapping[str, Array]) -> AsyncIterator[Mapping[str, Array]]:
        """The same arrays without their rows in memory, for a run that will wait for long.

        Those of float32 that lie in memory are written to files now, which are removed after the block; those that
        lie in files already, and labels, are as they were.

        Raises:
            PreconditionFailed, Unavailable: as of a `run` that is `apart`, before it begins.
        """
        _, files = self._admit(apart=True)
        waiting = files.spooled(arrays)
        del arrays
        async with waiting as found:
            yield found

    @asynccontextmanager
    async def growing(self) -> AsyncIterator[Growing]:
        """Arrays for a run whose rows come in blocks, as `ArrayFile`s that are removed after the block.

        Raises:
            PreconditionFailed, Unavailable: as of `spooled`.
        """
        _, files = self._admit(apart=True)
        async with files.growing() as found:
            yield found

    def check_admits(self, *, apart: bool = False) -> None:
        """That `run` would begin now or wait, so that nothing is embedded for a call that will be refused.

        Raises:
            PreconditionFailed, Unavailable, ResourceExhausted: as `run` does before it begins.
        """
        self._admit(apart)

    def _admit(self, apart: bool) -> tuple[Crew, RunFiles]:
        if self._closed:
            raise _draining()
        if self._crew is None or self._files is None:
            raise copy(self._refusal)
        if apart:
            self._crew.refuse_for_good()
            return self._crew, self._files
        self._crew.check()
        if self._turns.locked() and self._waiting >= self._max_waiting:
            raise ResourceExhausted(
                f"{self._workers} analyses run and {self._waiting} wait, which is all that this server takes; try"
                " again later",
                reason="ANALYSIS_QUEUE_FULL",
                retry_after=_RETRY_SECONDS,
                metadata={"limit": str(self._max_waiting)},
            )
        return self._crew, self._files

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of `workers` at a time, in the order of coming."""
        self._waiting += 1
        self._tell()
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
            self._tell()
        try:
            yield
        finally:
            self._turns.release()

    async def _run_in_crew(
        self, call: Call, place: Place, crew: Crew, progress: Listener | None
    ) -> dict[str, Any]:
        while True:
            place.process = process = await crew.take()
            try:
                return await process.run(call, place.path, progress)
            except Gone:
                continue  # it had died before this came
            except asyncio.CancelledError:
                process.kill()  # what it computes is nobody's any more
                raise
            finally:
                crew.give_back(process)

    async def _run_apart(
        self, call: Call, place: Place, crew: Crew, progress: Listener | None
    ) -> dict[str, Any]:
        if progress is not None:
            progress(Progress("starting"))
        async with crew.extra() as process:
            place.process = process
            try:
                return await process.run(call, place.path, progress)
            except Gone:
                raise process.how_it_ended() from None

    def _changed(self) -> None:
        self._tell()
        if self.ready != self._was_ready:
            self._was_ready = self.ready
            self._on_change()

    def _tell(self) -> None:
        if self._observer is not None and self._crew is not None:
            crew = self._crew
            self._observer.pool_changed(
                PoolState(crew.size - crew.warm, crew.idle, crew.warm - crew.idle, self._waiting)
            )


def _draining() -> Unavailable:
    return Unavailable("the server is shutting down; ask another one, or later", reason="DRAINING")
