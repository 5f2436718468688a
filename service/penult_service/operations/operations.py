"""The operations of one server: those that run, in tasks of the event loop, and those that have ended."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

from penult_service import errors
from penult_service.errors import NotFound, PenultError, PreconditionFailed, ResourceExhausted, Unavailable
from penult_service.operations.progress import WAITING, Progress
from penult_service.storage.manifests import now
from penult_service.storage.operations import (
    CANCELLED,
    DONE,
    FAILED,
    RUNNING,
    OperationRecord,
    restarted,
)

Work = Callable[[str, Progress], Awaitable[tuple[str, str]]]
"""Does the work of the operation of that name, and stores the result: where that is, and when it was made."""

_RETRY_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Records(Protocol):
    """Keeps records; all of them are in memory as well."""

    def all(self) -> tuple[OperationRecord, ...]:
        """Every record."""
        ...

    async def put(self, record: OperationRecord) -> None:
        """Keep one, in the place of the one of its name."""
        ...

    async def delete(self, name: str) -> None:
        """Forget one, with its result."""
        ...


@dataclass(eq=False)
class _Live:
    """One that has not ended, or whose end could not be kept."""

    record: OperationRecord
    progress: Progress
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Operations:
    """Starts operations and knows of all. Made and used in one event loop.

    Args:
        records: Where they are kept.
        at_once: How many may have a turn (`turn`) at a time; the others wait, first come first served.
        most: How many may run or wait.
        days: After how many days those that have ended are forgotten.
        fault: Makes an error for the caller of an exception that nobody expected, and of where it was.
    """

    def __init__(
        self,
        records: Records,
        *,
        at_once: int,
        most: int,
        days: float,
        fault: Callable[[BaseException, str], PenultError],
    ) -> None:
        self._records, self._most, self._kept, self._fault = records, most, timedelta(days=days), fault
        self._turns = asyncio.Semaphore(max(1, at_once))
        self._starting = asyncio.Lock()
        self._live: dict[str, _Live] = {}
        self._closed = False

    async def start(
        self, analysis: str, rows: int, work: Work, *, request_id: str = "", estimate: float = 0.0
    ) -> OperationRecord:
        """Begin some work; kept when this returns. The operation of that `request_id`, when there is one.

        Args:
            analysis, rows, request_id: As in `OperationRecord`.
            work: Called once, or not at all when this raises or finds another.
            estimate: As of `Progress`.

        Raises:
            ResourceExhausted: as many run or wait as may (OPERATIONS_FULL).
            Unavailable: the server ends (DRAINING). Others: as `Records.put`.
        """
        record = OperationRecord(
            f"{analysis}-{secrets.token_hex(6)}", analysis, rows, now(), request_id=request_id
        )
        # Shielded: what is kept as running runs, also when the caller has left.
        return await asyncio.shield(asyncio.create_task(self._start(record, work, estimate)))

    def check_admits(self) -> None:
        """That `start` would take one more.

        Raises:
            ResourceExhausted, Unavailable: as `start`.
        """
        if self._closed:
            raise Unavailable("the server is shutting down; ask another one, or later", reason="DRAINING")
        if sum(not live.ended.is_set() for live in self._live.values()) >= self._most:
            raise ResourceExhausted(
                f"{self._most} operations run or wait, which is all that this server takes; try again later, or cancel"
                " some",
                reason="OPERATIONS_FULL",
                retry_after=_RETRY_SECONDS,
                metadata={"limit": str(self._most)},
            )

    def find(self, request_id: str) -> OperationRecord | None:
        """The operation that was started with this id, which is not empty."""
        found = (record for record in self.all() if request_id and record.request_id == request_id)
        return next(found, None)

    def all(self) -> list[OperationRecord]:
        """Every operation, the newest first."""
        known = {record.name: record for record in self._records.all()}
        known.update((name, live.record) for name, live in self._live.items())
        return sorted(known.values(), key=lambda record: (record.created, record.name), reverse=True)

    def get(self, name: str) -> OperationRecord:
        """One of them.

        Raises:
            NotFound: there is none (OPERATION_NOT_FOUND).
        """
        if name in self._live:
            return self._live[name].record
        found = next((record for record in self._records.all() if record.name == name), None)
        if found is None:
            raise NotFound(f"there is no operation {name!r}", reason="OPERATION_NOT_FOUND", field="name")
        return found

    def progress(self, name: str) -> Progress | None:
        """How far it is; None when it has ended."""
        live = self._live.get(name)
        return None if live is None or live.ended.is_set() else live.progress

    async def wait(self, name: str, seconds: float | None) -> OperationRecord:
        """The operation when it has ended, or after so many seconds (None: however long it takes).

        Raises:
            NotFound: as `get`.
        """
        live = self._live.get(name)
        if live is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(live.ended.wait(), seconds)
        return self.get(name)

    async def cancel(self, name: str) -> None:
        """End it; without effect when it has ended. Returns when its end is kept.

        Raises:
            NotFound: as `get`.
        """
        self.get(name)
        live = self._live.get(name)
        if live is not None and live.task is not None and not live.ended.is_set():
            live.task.cancel()
            await live.ended.wait()

    async def delete(self, name: str) -> None:
        """Forget one that has ended, with a result that has no name of its own.

        Raises:
            NotFound: as `get`. PreconditionFailed: it has not ended (OPERATION_RUNNING).
        """
        if self.get(name).state == RUNNING:
            raise PreconditionFailed(
                f"operation {name!r} has not ended; cancel it first", reason="OPERATION_RUNNING", field="name"
            )
        self._live.pop(name, None)
        await self._records.delete(name)

    @asynccontextmanager
    async def turn(self, progress: Progress) -> AsyncIterator[None]:
        """One of `at_once` at a time, in the order of coming: for the part of the work that takes the machine."""
        if self._turns.locked():
            progress.tell(WAITING)
        async with self._turns:
            yield

    async def close(self) -> None:
        """End all; those have failed (SERVER_RESTARTED)."""
        self._closed = True
        async with self._starting:  # one whose start is being kept runs by then
            running = [
                live for live in self._live.values() if live.task is not None and not live.ended.is_set()
            ]
        for live in running:
            assert live.task is not None
            live.task.cancel()
        await asyncio.gather(*(live.ended.wait() for live in running))
        for live in list(self._live.values()):  # the disk did not take how they ended; by now it may
            with suppress(Exception):  # it is in the log already, and the server ends all the same
                await self._records.put(live.record)
                _log.info("how operation %s ended is kept after all", live.record.name)

    async def _start(self, record: OperationRecord, work: Work, estimate: float) -> OperationRecord:
        async with self._starting:  # two with one id
            there = self.find(record.request_id)
            if there is not None:
                return there
            self.check_admits()
            await self._forget_expired()
            await self._records.put(record)
            live = self._live[record.name] = _Live(record, Progress(estimate))
            live.task = asyncio.create_task(self._run(live, work))
            await asyncio.sleep(0)  # a task that is cancelled before it begins never does
            return record

    async def _run(self, live: _Live, work: Work) -> None:
        """To its end, whatever that is."""
        state, stored = FAILED, ("", "")
        error: PenultError | None = None
        try:
            stored = await work(live.record.name, live.progress)
            state = DONE
        except asyncio.CancelledError:
            error = restarted() if self._closed else None
            state = FAILED if self._closed else CANCELLED
        except Exception as raised:  # noqa: BLE001 - the border: whatever it is, who waits gets an answer
            known = (
                raised
                if isinstance(raised, PenultError)
                else self._fault(raised, f"operation {live.record.name}")
            )
            error = restarted() if self._closed else known
        name = live.record.name
        ended = replace(
            live.record, state=state, stored=stored[0], stored_created=stored[1],
            started=live.progress.started, ended=now(),
            expires=now(self._kept), error=errors.to_json(error) if error else {},
        )  # fmt: skip
        await self._keep_end(live, ended)
        _log.info("operation %s: %s%s", name, state, f" ({error.reason})" if error else "")

    async def _keep_end(self, live: _Live, ended: OperationRecord) -> None:
        """In a task of its own: a second cancel does not stop it. Until then it runs, so nobody deletes it."""
        keeping = asyncio.create_task(self._records.put(ended))
        while not keeping.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([keeping])
        error, live.record = keeping.exception(), ended
        if error is None:
            del self._live[ended.name]
        else:
            _log.error("how operation %s ended is not kept: %s", ended.name, error)
        live.ended.set()

    async def _forget_expired(self) -> None:
        present, oldest = now(), now(-self._kept)
        for record in self._records.all():
            # One that a restart has ended does not say when it expires.
            expired = record.expires < present if record.expires else record.ended < oldest
            if record.state == RUNNING or not expired:
                continue
            try:
                await self._records.delete(record.name)
            except PenultError as error:  # deleted meanwhile, or the disk: nothing to him who starts another
                _log.warning("operation %s is not forgotten: %s", record.name, error.message)
            else:
                _log.info("operation %s is forgotten: it ended on %s", record.name, record.ended)
