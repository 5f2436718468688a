"""The files of runs, seen from the event loop: written, read and removed on threads of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from penult_service.analysis.calls import Array
from penult_service.analysis.results import Result
from penult_service.analysis.workers import exchange
from penult_service.analysis.workers.process import WorkerProcess

T = TypeVar("T")


@dataclass(eq=False)
class Place:
    """A run's directory, and who works in it: it is removed when that one has ended, where it has been killed."""

    path: Path
    process: WorkerProcess | None = None


class RunFiles:
    """The directories of runs within one of the pool's. Made and used in one event loop.

    Args:
        base: As of `exchange.Scratch`.

    Raises:
        OSError: there is no place for it.
    """

    def __init__(self, base: Path | None) -> None:
        self._scratch = exchange.Scratch(base)
        # Not on the event loop, nor on threads that others wait for.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="penult-analysis")
        self._tidying: set[asyncio.Task[None]] = set()

    @property
    def path(self) -> Path:
        """The pool's directory."""
        return self._scratch.path

    @asynccontextmanager
    async def written(self, arrays: Mapping[str, Array]) -> AsyncIterator[Place]:
        """A directory with the arrays as a worker reads them, removed after the block.

        Raises:
            PreconditionFailed: there is no room (SCRATCH_NOT_WRITABLE).
        """
        place = Place(self._scratch.new())
        writing = self._on_thread(exchange.write_arrays, place.path / "in", arrays)
        async with self._removed_after(place, writing):
            yield place

    @asynccontextmanager
    async def spooled(self, arrays: Mapping[str, Array]) -> AsyncIterator[Mapping[str, Array]]:
        """The arrays, those of float32 in files that are removed after the block; nothing here keeps them in memory.

        Raises:
            PreconditionFailed: there is no room (SCRATCH_NOT_WRITABLE).
        """
        place = Place(self._scratch.new())
        writing = self._on_thread(exchange.spool_arrays, place.path / "in", arrays)
        del arrays
        async with self._removed_after(place, writing) as files:
            yield files

    async def result(self, told: Mapping[str, Any], place: Place) -> Result:
        """The result that a worker left in the directory."""
        return await self._on_thread(exchange.result_from_json, told, place.path / "out")

    async def close(self) -> None:
        """Remove everything, when nobody writes to it any more."""
        while self._tidying:
            await asyncio.wait(set(self._tidying))
        self._threads.shutdown(wait=True)
        self._scratch.remove()

    def _on_thread(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    @asynccontextmanager
    async def _removed_after(self, place: Place, writing: asyncio.Future[T]) -> AsyncIterator[T]:
        try:
            # Shielded: nothing stops a thread that writes, so the directory is removed when it has done so.
            yield await asyncio.shield(writing)
        finally:
            task = asyncio.get_running_loop().create_task(self._tidy(place, writing))
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    async def _tidy(self, place: Place, writing: asyncio.Future[Any]) -> None:
        """Remove the files of a run when nobody writes to them any more."""
        await asyncio.wait([writing])
        if place.process is not None and place.process.killed:
            await place.process.ended()
        with suppress(RuntimeError):  # closed meanwhile, and all of it removed
            await self._on_thread(exchange.remove, place.path)
