"""The worker processes of a pool: started one after the other, replaced when they die, handed out warm."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from copy import copy
from pathlib import Path

from penult_service.analysis.speeds import Speeds
from penult_service.analysis.workers.process import WorkerProcess
from penult_service.errors import PenultError, PreconditionFailed, Unavailable

_WARM_SECONDS = 900.0  # a slow machine that compiles everything
_FAILURES = 3  # starts in a row that fail before callers are told so
_BACKOFF, _LONGEST_BACKOFF = 0.5, 30.0  # seconds
NOT_INSTALLED = "ANALYSIS_NOT_INSTALLED"

_log = logging.getLogger(__name__)


class Crew:
    """Keeps so many processes alive. Made and used in one event loop.

    Only one gets warm at a time: the next then finds in numba's cache what this one compiled, and the machine has
    its other processors for serving.

    Args:
        size: How many processes.
        memory_limit, numba_cache, fallback: As in `WorkerProcess`.
        changed: Called when one is warm, taken, given back or dead.
    """

    def __init__(
        self,
        size: int,
        *,
        memory_limit: int | None,
        numba_cache: Path | None,
        fallback: Path,
        changed: Callable[[], None],
    ) -> None:
        self.size = size
        self._memory_limit, self._numba_cache, self._fallback = memory_limit, numba_cache, fallback
        self._changed = changed
        self._one_at_a_time = asyncio.Lock()
        self._alive: set[WorkerProcess] = set()
        self._warm: set[WorkerProcess] = set()
        self._idle: list[WorkerProcess] = []  # the last one that worked is the first to work again
        self._takers: deque[asyncio.Future[WorkerProcess]] = deque()
        self._failures = 0
        self._has_been_warm = self._closed = False
        self._trouble: PenultError | None = None
        self._keeping: list[asyncio.Task[None]] = []
        self._speeds: Speeds | None = None
        self._idle_bytes = 0

    @property
    def idle_bytes(self) -> int:
        """What an idle process takes, the largest that there was; 0: none has been warm."""
        return self._idle_bytes

    @property
    def speeds(self) -> Speeds | None:
        """Those of this machine, once a process has told them."""
        return self._speeds

    @property
    def warm(self) -> int:
        """How many are warm, idle or busy."""
        return len(self._warm)

    @property
    def idle(self) -> int:
        """How many wait for work."""
        return len(self._idle)

    def start(self) -> None:
        """Begin to start them."""
        self._keeping = [asyncio.create_task(self._keep()) for _ in range(self.size)]

    def check(self) -> None:
        """Refuse work that would not be begun soon.

        Raises:
            Unavailable: none has been warm yet (ANALYSIS_WARMING).
            PreconditionFailed: they do not start (ANALYSIS_NOT_INSTALLED, ANALYSIS_FAILED).
        """
        if self._warm:
            return
        if self._trouble is not None:
            raise copy(self._trouble)  # an exception that is raised again keeps what it was raised through
        if not self._has_been_warm:
            raise Unavailable(
                "the analysis workers are getting ready, which takes seconds, or a minute or two after an"
                " installation; try again",
                reason="ANALYSIS_WARMING",
            )

    async def take(self) -> WorkerProcess:
        """A warm process, which is the caller's until `give_back`; waits for one.

        Raises:
            PenultError: they do not start any more, or the crew is closed.
        """
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                self._changed()
                return process
        if self._trouble is not None and not self._warm:
            raise copy(self._trouble)
        taker: asyncio.Future[WorkerProcess] = asyncio.get_running_loop().create_future()
        self._takers.append(taker)
        try:
            return await taker
        except asyncio.CancelledError:
            if taker.done() and not taker.cancelled() and taker.exception() is None:
                self._offer(taker.result())
            raise

    def give_back(self, process: WorkerProcess) -> None:
        """It is idle, or it has died or will: then its successor is under way."""
        if process in self._warm and process.alive:
            self._offer(process)
        self._changed()

    @asynccontextmanager
    async def extra(self) -> AsyncIterator[WorkerProcess]:
        """A process of the caller's own beside the crew's, warm; it is ended afterwards, at once.

        It gets warm in its turn, as the others do: what is compiled it then finds in numba's cache.

        Raises:
            PreconditionFailed: it does not start (ANALYSIS_NOT_INSTALLED, ANALYSIS_FAILED).
            PenultError: the crew is closed: what `close` was given.
        """
        async with self._one_at_a_time:
            self.refuse_for_good()
            try:
                process = await self._warmed()
            except (PenultError, OSError, TimeoutError) as error:
                self.refuse_for_good()
                raise _trouble(error) from error
        try:
            yield process
        finally:
            await self._ended_at_once(process)

    def refuse_for_good(self) -> None:
        """Refuse work that would never be begun.

        Raises:
            PreconditionFailed: packages are missing (ANALYSIS_NOT_INSTALLED).
            PenultError: the crew is closed: what `close` was given.
        """
        if self._trouble is not None and (self._closed or self._trouble.reason == NOT_INSTALLED):
            raise copy(self._trouble)

    async def close(self, error: PenultError) -> None:
        """End all; whoever waits for one gets `error`."""
        self._closed = True
        for task in self._keeping:
            task.cancel()
        self._fail(error)
        idle = [process for process in self._idle if process.alive]
        self._idle.clear()
        self._warm.clear()
        for process in self._alive.difference(idle):
            process.kill()
        await asyncio.gather(*(process.close() for process in idle), return_exceptions=True)
        await asyncio.gather(*(process.ended() for process in list(self._alive)), return_exceptions=True)
        await asyncio.gather(*self._keeping, return_exceptions=True)

    async def _keep(self) -> None:
        """One place of the crew: a process, and its successors."""
        while self._trouble is None or self._trouble.reason != NOT_INSTALLED:
            async with self._one_at_a_time:
                process = await self._started()
            if process is not None:
                await process.ended()
                self._alive.discard(process)
                self._warm.discard(process)
                with suppress(ValueError):
                    self._idle.remove(process)
                self._changed()

    async def _started(self) -> WorkerProcess | None:
        """A warm process that has been offered; None, after a while, when there is none."""
        if self._trouble is not None and self._trouble.reason == NOT_INSTALLED:
            return None
        try:
            process = await self._warmed()
        except (PenultError, OSError, TimeoutError) as error:
            self._failed(error)
            await asyncio.sleep(min(_BACKOFF * 2 ** (self._failures - 1), _LONGEST_BACKOFF))
            return None
        self._failures, self._trouble, self._has_been_warm = 0, None, True
        self._warm.add(process)
        self._offer(process)
        self._changed()
        return process

    async def _warmed(self) -> WorkerProcess:
        process = WorkerProcess(
            memory_limit=self._memory_limit, numba_cache=self._numba_cache, fallback=self._fallback
        )
        self._alive.add(process)
        self._changed()
        try:
            async with asyncio.timeout(_WARM_SECONDS):
                seconds = await process.warm()
        except BaseException:
            await self._ended_at_once(process)
            raise
        self._speeds = process.speeds or self._speeds
        self._idle_bytes = max(self._idle_bytes, process.idle_bytes)
        _log.info("analysis worker %d is ready after %.1f s", process.pid, seconds)
        return process

    async def _ended_at_once(self, process: WorkerProcess) -> None:
        process.kill()
        await process.ended()
        self._alive.discard(process)

    def _failed(self, error: PenultError | OSError) -> None:
        """A start has failed. Callers are told when that is how it will stay."""
        self._failures += 1
        told = _trouble(error)
        level = logging.WARNING if told.reason == NOT_INSTALLED else logging.ERROR
        _log.log(level, "an analysis worker did not start: %s", told.message)
        if told.reason == NOT_INSTALLED or self._failures >= _FAILURES:
            self._fail(told)
            self._changed()

    def _fail(self, error: PenultError) -> None:
        self._trouble = error
        if not self._warm or self._closed:
            while self._takers:
                taker = self._takers.popleft()
                if not taker.done():
                    taker.set_exception(copy(error))

    def _offer(self, process: WorkerProcess) -> None:
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(process)
                return
        self._idle.append(process)


def _trouble(error: PenultError | OSError) -> PenultError:
    """Why there are no workers, for callers."""
    if isinstance(error, PreconditionFailed) and error.reason in (NOT_INSTALLED, "ANALYSIS_FAILED"):
        return error
    if isinstance(error, PreconditionFailed):
        why = "an idle one needs more than its --analysis-memory"
    elif isinstance(error, TimeoutError):
        why = f"one is not ready after {_WARM_SECONDS:g} s"
    else:
        why = error.reason if isinstance(error, PenultError) else str(error)
    return PreconditionFailed(
        f"the analysis workers of this server do not start: {why}; its log has more", reason="ANALYSIS_FAILED"
    )
