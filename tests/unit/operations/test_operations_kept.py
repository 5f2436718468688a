"""Operations in one event loop, with records that a test can break."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from penult_service.errors import (
    Internal,
    InvalidInput,
    NotFound,
    PenultError,
    PreconditionFailed,
    ResourceExhausted,
    Unavailable,
)
from penult_service.operations import Operations, Progress
from penult_service.operations import progress as progress_room
from penult_service.storage import OperationRecord
from penult_service.storage.operations import CANCELLED, DONE, FAILED, RUNNING

Test = Callable[[], Coroutine[Any, Any, None]]


class Records:
    """In memory; `refuses` says which states are not taken."""

    def __init__(self, *records: OperationRecord) -> None:
        self.kept = {record.name: record for record in records}
        self.refuses: set[str] = set()
        self.writing = asyncio.Event()
        self.may_write = asyncio.Event()
        self.may_write.set()

    def all(self) -> tuple[OperationRecord, ...]:
        return tuple(self.kept.values())

    async def put(self, record: OperationRecord) -> None:
        self.writing.set()
        await self.may_write.wait()
        if record.state in self.refuses:
            raise ResourceExhausted("the disk is full", reason="DISK_FULL")
        self.kept[record.name] = record

    async def delete(self, name: str) -> None:
        del self.kept[name]


def fault(error: BaseException, where: str) -> PenultError:
    return Internal(f"{type(error).__name__} in {where.split()[0]}", reason="FAULT")


def made(records: Records, **more: Any) -> Operations:
    settings: dict[str, Any] = {"at_once": 1, "most": 3, "days": 1.0, **more}
    return Operations(records, fault=fault, **settings)


async def for_ever(name: str, progress: Progress) -> tuple[str, str]:
    progress.tell("working", 1, 4)
    await asyncio.Event().wait()
    raise AssertionError(name)


async def at_once(name: str, progress: Progress) -> tuple[str, str]:
    progress.tell("working")
    return f"operations/{name}", "then"


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 20))

    run.__name__ = test.__name__
    return run


@asynchronous
async def test_runs_ends_and_is_forgotten() -> None:
    records = Records()
    operations = made(records)
    started = await operations.start("project", 7, at_once, request_id="r")
    assert (started.state, started.analysis, started.rows) == (RUNNING, "project", 7)
    ended = await operations.wait(started.name, 10)
    assert (ended.state, ended.stored) == (DONE, f"operations/{started.name}")
    assert ended.created <= ended.started <= ended.ended < ended.expires
    assert records.kept[started.name] == ended == operations.get(started.name)
    assert operations.find("r") == ended
    assert operations.find("") is None
    assert operations.progress(started.name) is None
    await operations.delete(started.name)
    assert operations.all() == []
    with pytest.raises(NotFound):
        await operations.delete(started.name)


@pytest.mark.parametrize(
    ("raised", "reason"),
    [(InvalidInput("no", reason="WRONG"), "WRONG"), (ZeroDivisionError("secret"), "FAULT")],
)
def test_what_work_raises_is_kept(raised: Exception, reason: str) -> None:
    async def failing(_: str, __: Progress) -> tuple[str, str]:
        raise raised

    async def test() -> None:
        records = Records()
        operations = made(records)
        name = (await operations.start("project", 1, failing)).name
        ended = await operations.wait(name, 10)
        assert (ended.state, ended.error["reason"]) == (FAILED, reason)
        assert "secret" not in str(ended)
        assert records.kept[name] == ended

    asyncio.run(test())


@asynchronous
async def test_cancelled_at_once_and_twice() -> None:
    records = Records()
    operations = made(records)
    first, second = [await operations.start("project", 1, for_ever) for _ in range(2)]
    records.may_write.clear()
    cancelling = [asyncio.create_task(operations.cancel(first.name)) for _ in range(2)]
    await asyncio.sleep(0.01)
    records.may_write.set()
    await asyncio.gather(*cancelling)
    assert records.kept[first.name].state == CANCELLED
    assert operations.get(second.name).state == RUNNING
    with pytest.raises(PreconditionFailed):
        await operations.delete(second.name)
    await operations.close()
    ended = records.kept[second.name]
    assert (ended.state, ended.error["reason"]) == (FAILED, "SERVER_RESTARTED")
    await operations.cancel(second.name)
    assert operations.get(second.name) == ended
    with pytest.raises(Unavailable):
        await operations.start("project", 1, at_once)


@asynchronous
async def test_caller_that_leaves_while_the_start_is_kept() -> None:
    records = Records()
    records.may_write.clear()
    operations = made(records)
    leaving = asyncio.create_task(operations.start("project", 1, at_once, request_id="r"))
    await records.writing.wait()
    leaving.cancel()
    again = asyncio.create_task(operations.start("project", 1, at_once, request_id="r"))
    await asyncio.sleep(0)
    records.may_write.set()
    name = (await again).name
    assert (await operations.wait(name, 10)).state == DONE
    assert len(records.kept) == 1


@asynchronous
async def test_close_while_a_start_is_kept() -> None:
    records = Records()
    records.may_write.clear()
    operations = made(records)
    starting = asyncio.create_task(operations.start("project", 1, for_ever))
    await records.writing.wait()
    closing = asyncio.create_task(operations.close())
    await asyncio.sleep(0)
    records.may_write.set()
    await closing
    ended = records.kept[(await starting).name]
    assert (ended.state, ended.error["reason"]) == (FAILED, "SERVER_RESTARTED")


@asynchronous
async def test_disk_that_takes_no_end() -> None:
    records = Records()
    operations = made(records)
    records.refuses = {DONE}
    name = (await operations.start("project", 1, at_once)).name
    assert (await operations.wait(name, 10)).state == DONE
    assert records.kept[name].state == RUNNING
    records.refuses = {RUNNING}
    with pytest.raises(ResourceExhausted, match="full"):
        await operations.start("project", 1, at_once)
    await operations.delete(name)
    assert operations.all() == []


@asynchronous
async def test_deleted_while_its_end_is_kept() -> None:
    records = Records()
    operations = made(records)
    go = asyncio.Event()

    async def work(name: str, progress: Progress) -> tuple[str, str]:
        await go.wait()
        return await at_once(name, progress)

    name = (await operations.start("project", 1, work)).name
    waiting = asyncio.create_task(operations.wait(name, None))
    records.writing.clear()
    records.may_write.clear()
    go.set()
    await records.writing.wait()
    assert operations.get(name).state == RUNNING  # as far as anybody can rely on
    with pytest.raises(PreconditionFailed):
        await operations.delete(name)
    records.may_write.set()
    assert (await waiting).state == DONE
    await operations.delete(name)
    assert (records.kept, operations.all()) == ({}, [])


@asynchronous
async def test_end_that_cannot_be_kept_for_an_unexpected_reason() -> None:
    class Broken(Records):
        async def put(self, record: OperationRecord) -> None:
            if record.state != RUNNING:
                raise RuntimeError("no threads")
            await super().put(record)

    operations = made(Broken())
    name = (await operations.start("project", 1, at_once)).name
    assert (await operations.wait(name, None)).state == DONE
    await operations.close()


@asynchronous
async def test_end_that_the_disk_takes_later_is_kept_over_a_restart() -> None:
    records = Records()
    operations = made(records)
    records.refuses = {DONE, CANCELLED}
    done = (await operations.start("project", 1, at_once)).name
    cancelled = (await operations.start("project", 1, for_ever)).name
    await operations.wait(done, 10)
    await operations.cancel(cancelled)
    records.refuses = {CANCELLED}
    await operations.close()
    assert records.kept[done] == operations.get(done)
    assert records.kept[cancelled].state == RUNNING


@asynchronous
async def test_turns_in_the_order_of_coming_and_the_most() -> None:
    operations = made(Records(), at_once=1, most=3)
    order: list[str] = []
    go = asyncio.Event()

    async def work(name: str, progress: Progress) -> tuple[str, str]:
        async with operations.turn(progress):
            order.append(name)
            progress.tell("working")
            await go.wait()
        return await at_once(name, progress)

    names = [(await operations.start("project", 1, work)).name for _ in range(3)]
    await asyncio.sleep(0)
    stages = [progress.stage for name in names if (progress := operations.progress(name))]
    assert stages == ["working", "waiting", "waiting"]
    started = [bool(progress.started) for name in names if (progress := operations.progress(name))]
    assert started == [True, False, False]
    with pytest.raises(ResourceExhausted) as full:
        await operations.start("project", 1, work)
    assert full.value.reason == "OPERATIONS_FULL"
    assert not (await operations.wait(names[0], 0)).ended
    await operations.cancel(names[1])
    go.set()
    for name in names:
        await operations.wait(name, 10)
    assert order == [names[0], names[2]]
    assert [record.name for record in operations.all()] == names[::-1]


@asynchronous
async def test_old_ones_are_forgotten_when_another_starts() -> None:
    old = OperationRecord("old", "project", 1, "2020-01-01", ended="2020", expires="2020-02-01", state=DONE)
    later = replace(old, name="later", expires="9999-01-01")
    running = replace(old, name="running", state=RUNNING)
    # Ended by a restart, which knows of no days.
    restarted = replace(old, name="restarted", state=FAILED, expires="")
    lately = replace(restarted, name="lately", ended="9999-01-01")
    records = Records(old, later, running, restarted, lately)
    await made(records).start("project", 1, for_ever)
    assert {"later", "running", "lately"} < set(records.kept)
    assert not {"old", "restarted"} & set(records.kept)


@asynchronous
async def test_old_one_that_cannot_be_forgotten_refuses_nobody() -> None:
    class Stuck(Records):
        async def delete(self, name: str) -> None:
            raise NotFound(f"there is no operation {name!r}", reason="OPERATION_NOT_FOUND", field="name")

    old = OperationRecord("old", "project", 1, "2020-01-01", ended="2020", expires="2020-02-01", state=DONE)
    operations = made(Stuck(old))
    name = (await operations.start("project", 1, at_once)).name
    assert (await operations.wait(name, 10)).state == DONE


def test_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress_room.time, "monotonic", lambda: now)
    progress = Progress(estimate=20.0)
    assert progress.seconds_left() is None
    progress.tell("neighbours", 0, 10)
    now += 5
    assert progress.seconds_left() == 15.0  # by the estimate
    progress.tell("neighbours", 1, 10)
    assert progress.seconds_left() == 45.0  # by the rate
    progress.tell("layout", 0, 0)
    now += 30
    assert progress.seconds_left() is None  # the estimate is over, and there is no rate
    progress.tell("layout", 9, 10)
    assert progress.seconds_left() == pytest.approx(30 / 9)
