"""What the server keeps, and the threads that wait for the disk: the event loop never does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pathlib import Path
from typing import ParamSpec, TypeVar

from penult_service.errors import PenultError, PreconditionFailed, Unavailable
from penult_service.storage import OperationRecord, Snapshot, Storage

THREADS = 4
_IN_USE = "DATA_IN_USE"
_RETRY_SECONDS = 2.0

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class Stored:
    """The storage of one server. A server whose directory another one has, or that cannot be written, serves its models
    all the same, and refuses what needs storage; it takes the directory when the other one has ended.

    Args:
        data: The directory; None: a temporary one, which goes with the server.
        changed: Called in the loop when `ready` has changed.
    """

    def __init__(self, data: Path | None, changed: Callable[[], None] = lambda: None) -> None:
        self._data, self._on_change = data, changed
        self._waiting: asyncio.Task[None] | None = None
        self._storage: Storage | None = None
        self._refusal: PenultError = Unavailable("the server has just started; try again", reason="STARTING")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="penult-storage")

    @property
    def ready(self) -> bool:
        """Whether there is storage."""
        return self._storage is not None

    @property
    def storage(self) -> Storage:
        """The storage; its methods block: call them by `run`.

        Raises:
            PreconditionFailed: another server has the directory (DATA_IN_USE, with its `process`), or it cannot be
                written (NOT_WRITABLE).
        """
        if self._storage is None:
            raise copy(self._refusal)
        return self._storage

    async def open(self) -> None:
        """Open the directory. What prevents it is in the log, and the answer to every call that needs storage."""
        try:
            self._storage = await self.run(Storage, self._data)
        except PenultError as error:
            self._refusal = _serving_without(error)
            _log.warning("no sets here, models are served: %s (%s)", error.message, error.reason)
            if error.reason == _IN_USE:
                self._waiting = asyncio.create_task(self._wait_for_it())
            return
        if self._data is None:
            _log.info("no --data: what is stored here goes with this server (%s)", self._storage.path)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that waits for the disk. What has begun is finished, whoever stops waiting."""
        return await self.begin(lambda: function(*args, **kwargs))

    def begin(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """The same, without waiting. An error that nobody waits for is nobody's."""
        future = asyncio.get_running_loop().run_in_executor(self._threads, function)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    async def snapshot(self, name: str) -> Snapshot:
        """The rows of a set as they are now.

        Raises:
            NotFound, DataDamaged, InvalidInput: as `SetStore.get`; PreconditionFailed: as `storage`.
        """
        sets = self.storage.sets
        return await self.run(lambda: sets.get(name).snapshot())

    async def close(self) -> None:
        """Finish what writes, and let the directory go."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.wait([self._waiting])
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        if self._storage is not None:
            await asyncio.to_thread(self._storage.close)

    async def _wait_for_it(self) -> None:
        """Until the other server has ended: it may have been a short one."""
        while self._storage is None:
            await asyncio.sleep(_RETRY_SECONDS)
            # Shielded: what is opened is closed.
            opening = self.begin(lambda: Storage(self._data))
            try:
                self._storage = await asyncio.shield(opening)
            except asyncio.CancelledError:
                opening.add_done_callback(_let_go)
                raise
            except PenultError as error:
                self._refusal = _serving_without(error)
        _log.info("the other server has ended: the sets are here now")
        self._on_change()


class StoredOperations:
    """`operations.Records` of that storage."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def all(self) -> tuple[OperationRecord, ...]:
        """Every record. Raises PreconditionFailed, as `Stored.storage`."""
        return self._stored.storage.operations.all()

    async def put(self, record: OperationRecord) -> None:
        """Keep one; durable when it returns."""
        await self._stored.run(self._stored.storage.operations.put, record)

    async def delete(self, name: str) -> None:
        """Forget one, with its own result."""
        await self._stored.run(self._stored.storage.operations.delete, name)


def _let_go(opening: asyncio.Future[Storage]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _serving_without(error: PenultError) -> PenultError:
    if error.reason != _IN_USE:
        return error
    holder = error.metadata.get("process", "unknown")
    return PreconditionFailed(
        f"the --data directory of this server is with another server (process {holder}): ask that one for sets, stored"
        " results and operations; this one answers the other calls",
        reason=_IN_USE,
        metadata=error.metadata,
    )
