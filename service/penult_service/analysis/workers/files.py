"""The files of runs, seen from the event loop: written, read and removed on threads of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from penult_service.analysis.calls import Array, ArrayFile
from penult_service.analysis.results import Result
from penult_service.analysis.workers import exchange
from penult_service.analysis.workers.process import WorkerProcess

T = TypeVar("T")


@dataclass(eq=False)
class Place:
    """A run's directory, and who works in it: it is removed when that one has ended, where it has been killed."""

    path: Path
    process: WorkerProcess | None = None


class Growing:
    """Arrays whose rows come block by block, in files: who gathers them holds one block.

    Args:
        directory: Where they are.
        on_thread: Runs a function on a thread.
    """

    def __init__(self, directory: Path, on_thread: Callable[..., asyncio.Future[Any]]) -> None:
        self._directory, self._on_thread = directory, on_thread
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._types: dict[str, str] = {}
        self.writing: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.writing.set_result(None)

    async def append(self, name: str, rows: NDArray[Any]) -> None:
        """The next rows [n, ...] of that array, all of one type, one call at a time.

        Raises:
            PreconditionFailed: there is no room (SCRATCH_NOT_WRITABLE).
        """
        self.writing = self._on_thread(exchange.append_rows, self._path(name), rows)
        await asyncio.shield(self.writing)
        before = self._shapes.get(name, (0,))[0]
        self._shapes[name] = (before + len(rows), *rows.shape[1:])
        self._types[name] = rows.dtype.newbyteorder("<").str

    @property
    def arrays(self) -> dict[str, ArrayFile]:
        """All that is there by now."""
        return {
            name: ArrayFile(self._path(name), shape, dtype=self._types[name])
            for name, shape in self._shapes.items()
        }

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.rows"


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

    @asynccontextmanager
    async def growing(self) -> AsyncIterator[Growing]:
        """Arrays that come in blocks, in files that are removed after the block.

        Raises:
            PreconditionFailed: there is no room (SCRATCH_NOT_WRITABLE).
        """
        place = Place(self._scratch.new())
        found = Growing(place.path / "in", self._on_thread)
        try:
            yield found
        finally:
            self._remove_later(place, found.writing)

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
            self._remove_later(place, writing)

    def _remove_later(self, place: Place, writing: asyncio.Future[Any]) -> None:
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
