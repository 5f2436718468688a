"""Runs that tell how far they are, that have a process of their own, and that wait without their rows in memory."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import psutil
import pytest
from penult_service.analysis.calls import ArrayFile, Cluster, Neighbors
from penult_service.analysis.progress import Progress
from penult_service.analysis.results import NeighborsResult, Result
from penult_service.analysis.run import run
from penult_service.analysis.workers import process, worker
from penult_service.errors import Internal, PreconditionFailed, Unavailable
from support.pools import GIB, LONG, Running, in_order, many_rows, running, some_rows, unwarmed_workers
from support.processes import is_running
from support.serving import wait_until

ROWS = {"queries": some_rows(200)}
CALL = Neighbors(3, exclude_self=True)


@pytest.fixture(scope="module", autouse=True)
def _unwarmed() -> Iterator[None]:
    with unwarmed_workers():
        yield


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, warm=2) as made:
        yield made


def begin_apart(pool: Running) -> tuple[Future[Result], int]:
    """A long run apart that is at work, and its process."""
    told: list[Progress] = []
    future = pool.submit(LONG, many_rows(), progress=told.append, apart=True)
    wait_until(lambda: future.done() or any(one.stage == "neighbours" for one in told))
    (pid,) = pool.extra_pids()
    return future, pid


def stuck_at_the_start(patch: pytest.MonkeyPatch) -> None:
    """From now on a process never gets warm."""
    patch.setattr(process, "_COMMAND", (sys.executable, "-c", "import time; time.sleep(600)"))


def test_a_long_search_reports_several_times(pool: Running) -> None:
    # Not by products of bytes, which would be over before it can say much.
    call, rows = Neighbors(10, "manhattan"), {"queries": some_rows(20_000)}
    told: list[Progress] = []
    there = pool.run(call, rows, progress=told.append)
    here = run(call, rows)
    assert in_order(told)[:2] == ["rows", "neighbours"]
    assert sum(one.stage == "neighbours" for one in told) > 3
    assert isinstance(here, NeighborsResult)
    assert isinstance(there, NeighborsResult)
    assert here.indices.tobytes() == there.indices.tobytes()
    before = len(told)
    pool.run(Neighbors(10), ROWS)
    assert len(told) == before


def test_reports_are_few_and_the_last_of_a_stage_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [100.0], []
    monkeypatch.setattr(worker.time, "monotonic", lambda: now[0])
    reports = worker._Reports(lambda progress: said.append(progress))
    for done in range(1001):
        reports(Progress("a", done, 1000))
        now[0] += 0.001
    reports(Progress("b"))
    reports.flush()
    assert said[0] == ["a", 0, 1000]
    assert said[-2:] == [["a", 1000, 1000], ["b", 0, 0]]
    assert 10 <= len(said) <= 13
    assert [done for _, done, _ in said[:-1]] == sorted(done for _, done, _ in said[:-1])


def test_a_listener_that_fails_costs_the_run_nothing(pool: Running) -> None:
    def fail(progress: Progress) -> None:
        raise ValueError(progress.stage)

    assert isinstance(pool.run(CALL, ROWS, progress=fail), NeighborsResult)


def test_apart_runs_while_the_only_worker_is_busy(pool: Running) -> None:
    busy, worker_process = pool.begin_long()
    told: list[Progress] = []
    apart = pool.run(CALL, ROWS, progress=told.append, apart=True)
    assert isinstance(apart, NeighborsResult)
    assert not busy.done()
    assert is_running(worker_process.pid)
    assert in_order(told) == ["starting", "rows", "neighbours", "ranking neighbours"]
    assert pool.extra_pids() == set()
    busy.cancel()
    assert isinstance(pool.run(CALL, ROWS), NeighborsResult)


def test_cancelling_a_run_apart_ends_its_process(pool: Running) -> None:
    future, pid = begin_apart(pool)
    assert psutil.Process(pid).nice() == 10
    assert pool.state.busy == 0
    future.cancel()
    wait_until(lambda: not is_running(pid), seconds=30)
    wait_until(lambda: pool.ended == [(LONG.name, "CANCELLED")])
    assert pool.extra_pids() == set()
    assert isinstance(pool.run(CALL, ROWS, apart=True), NeighborsResult)


def test_cancelling_while_it_starts_ends_it_and_lets_the_next_start(
    pool: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stuck_at_the_start(patch)
        told: list[Progress] = []
        starting = pool.submit(CALL, ROWS, progress=told.append, apart=True)
        wait_until(lambda: len(pool.extra_pids()) == 1)
        (pid,) = pool.extra_pids()
        waiting = pool.submit(CALL, ROWS, apart=True)
        wait_until(lambda: len(list(pool.files())) == 2)
        waiting.cancel()
    starting.cancel()
    wait_until(lambda: not is_running(pid), seconds=30)
    assert told == [Progress("starting")]
    assert isinstance(pool.run(CALL, ROWS, apart=True), NeighborsResult)
    wait_until(lambda: not list(pool.files()))


def test_the_death_of_a_process_apart_is_its_own_runs(pool: Running) -> None:
    crew = {worker_process.pid for worker_process in pool.workers()}
    future, pid = begin_apart(pool)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Internal, match="ended by SIGKILL") as caught:
        future.result(30)
    assert caught.value.reason == "WORKER_DIED"
    assert isinstance(pool.run(CALL, ROWS), NeighborsResult)
    assert isinstance(pool.run(CALL, ROWS, apart=True), NeighborsResult)
    assert {worker_process.pid for worker_process in pool.workers()} == crew


def test_a_process_apart_has_the_same_limit(tmp_path: Path) -> None:
    with running(tmp_path, memory_limit=GIB) as pool:
        assert pool.pool.memory_limit == GIB
        with pytest.raises(PreconditionFailed, match="1 GiB; send fewer rows") as caught:
            pool.run(
                Cluster("agglomerative", linkage="average"), {"source": some_rows(16_000, 8)}, apart=True
            )
        assert caught.value.reason == "WORKER_OUT_OF_MEMORY"


def test_closing_ends_runs_apart_at_work_starting_and_waiting_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, warm=2) as pool:
        at_work, pid = begin_apart(pool)
        stuck_at_the_start(monkeypatch)
        starting, waiting = (pool.submit(CALL, ROWS, apart=True) for _ in range(2))
        wait_until(lambda: len(pool.extra_pids()) == 2)
        pids = {pid, *pool.extra_pids()}
        pool.close()
        for future in (at_work, starting, waiting):
            with pytest.raises(Unavailable) as caught:
                future.result(10)
            assert caught.value.reason == "DRAINING"
        with pytest.raises(Unavailable):
            pool.run(CALL, ROWS, apart=True)
        assert not any(is_running(each) for each in pids)
        assert list(tmp_path.iterdir()) == []


def test_neither_warming_nor_a_full_queue_refuses_a_run_apart(tmp_path: Path) -> None:
    with running(tmp_path, warm=0, max_waiting=0) as pool:
        with pytest.raises(Unavailable):
            pool.run(CALL, ROWS)
        assert isinstance(pool.run(CALL, ROWS, apart=True), NeighborsResult)
        pool.wait_for(2)
        busy, _ = pool.begin_long()
        assert isinstance(pool.run(CALL, ROWS, apart=True), NeighborsResult)
        pool.pool.check_admits(apart=True)
        busy.cancel()


def test_what_refuses_for_good_refuses_runs_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path / "none", workers=0, warm=0) as pool:
        with pytest.raises(PreconditionFailed) as caught:
            pool.run(CALL, ROWS, apart=True)
        assert caught.value.reason == "ANALYSIS_OFF"
        with pytest.raises(PreconditionFailed):
            pool.on_loop(_spooled_names(pool)).result(10)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['umap'] = None\n")
    monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-P", "-m", worker.__name__))
    with running(tmp_path / "scratch", warm=0) as pool:
        with pytest.raises(PreconditionFailed, match="no umap") as caught:
            pool.run(CALL, ROWS, apart=True)
        assert caught.value.reason == "ANALYSIS_NOT_INSTALLED"
        wait_until(lambda: not pool.workers())
        with pytest.raises(PreconditionFailed, match="no umap"):
            pool.pool.check_admits(apart=True)


def test_spooled_arrays_are_files_for_the_block_and_not_in_memory(pool: Running, tmp_path: Path) -> None:
    rows, labels = some_rows(500), np.zeros(500, np.int32)
    np.save(tmp_path / "there.npy", rows)
    there = ArrayFile(tmp_path / "there.npy", rows.shape, offset=128)

    async def use() -> tuple[Result, Path, bool]:
        given = {"queries": rows.copy(), "labels": labels, "corpus": there}
        gone = weakref.ref(given["queries"])
        async with pool.pool.spooled(given) as files:
            del given
            spooled = files["queries"]
            assert isinstance(spooled, ArrayFile)
            assert files["labels"] is labels
            assert files["corpus"] is there
            assert spooled.open().tobytes() == rows.tobytes()
            wanted = {name: files[name] for name in ("queries", "corpus")}
            result = await pool.pool.run(CALL, wanted, deadline=None, apart=True)
            return result, spooled.path, gone() is None

    result, path, freed = pool.on_loop(use()).result(60)
    assert freed
    expected = run(CALL, {"queries": rows, "corpus": rows})
    assert isinstance(expected, NeighborsResult)
    assert isinstance(result, NeighborsResult)
    assert result.indices.tobytes() == expected.indices.tobytes()
    wait_until(lambda: not path.exists())
    wait_until(lambda: not list(pool.files()))


def test_a_pool_that_closes_takes_spooled_files_with_it(tmp_path: Path) -> None:
    with running(tmp_path, warm=0) as pool:

        async def wait() -> None:
            async with pool.pool.spooled(ROWS):
                await pool.pool.close()
                assert list(tmp_path.iterdir()) == []

        pool.on_loop(wait()).result(30)
        with pytest.raises(Unavailable):
            pool.on_loop(_spooled_names(pool)).result(10)


def test_without_room_nothing_is_spooled_nor_run(tmp_path: Path) -> None:
    with running(tmp_path) as pool:
        for own in tmp_path.iterdir():
            shutil.rmtree(own)
        with pytest.raises(PreconditionFailed, match="no room") as caught:
            pool.on_loop(_spooled_names(pool)).result(10)
        assert caught.value.reason == "SCRATCH_NOT_WRITABLE"
        for apart in (False, True):
            with pytest.raises(PreconditionFailed, match="no room"):
                pool.run(CALL, ROWS, apart=apart)


async def _spooled_names(pool: Running) -> set[str]:
    async with pool.pool.spooled(ROWS) as files:
        return set(files)
