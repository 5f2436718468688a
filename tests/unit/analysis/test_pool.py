"""The pool with real worker processes: what comes back, and what becomes of one that is killed, late or too large.

They do everything but warm up first: a test would wait for that after each one that it has killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from penult_service.analysis.calls import Cluster, Neighbors, Similarity
from penult_service.analysis.results import NeighborsResult, SimilarityResult
from penult_service.analysis.run import run
from penult_service.analysis.speeds import read
from penult_service.errors import (
    DeadlineExceeded,
    Internal,
    PreconditionFailed,
    ResourceExhausted,
    Unavailable,
)
from support.pools import LONG, NUMBA_CACHE, Running, running, some_rows, unwarmed_workers
from support.processes import is_running
from support.serving import wait_until

ROWS = {"queries": some_rows(200)}
CALL = Neighbors(3, exclude_self=True)


@pytest.fixture(scope="module", autouse=True)
def _unwarmed() -> Iterator[None]:
    with unwarmed_workers():
        yield


@pytest.fixture(scope="module")
def module_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("scratch"), warm=2) as made:
        yield made


@pytest.fixture
def pool(module_pool: Running) -> Iterator[Running]:
    """A pool of one worker and its spare, both warm; nothing of a run is left afterwards."""
    module_pool.wait_for(2)
    module_pool.ended.clear()
    yield module_pool
    wait_until(lambda: module_pool.state.busy == 0)
    (own,) = module_pool.scratch.iterdir()
    wait_until(lambda: {place.name for place in own.iterdir()} <= {"lock", "numba"})


def answers(pool: Running) -> bool:
    result = pool.run(CALL, ROWS)
    assert isinstance(result, NeighborsResult)
    return result.indices.shape == (200, 3)


def test_a_result_is_the_one_of_this_process(pool: Running) -> None:
    a, b = some_rows(50), some_rows(20)
    scores = pool.run(Similarity("dot"), {"a": a, "b": b})
    assert isinstance(scores, SimilarityResult)
    np.testing.assert_allclose(scores.scores, a.astype(np.float64) @ b.T, rtol=1e-5, atol=1e-5)
    here, there = run(CALL, ROWS), pool.run(CALL, ROWS)
    assert isinstance(here, NeighborsResult)
    assert isinstance(there, NeighborsResult)
    assert here.indices.tobytes() == there.indices.tobytes()
    assert here.scores.tobytes() == there.scores.tobytes()
    assert pool.ended == [("similarity", "OK"), ("neighbors", "OK")]


def test_workers_step_back_and_know_no_tensorflow(pool: Running) -> None:
    workers = pool.workers()
    assert len(workers) == 2
    for worker in workers:
        assert worker.nice() == 10
        assert not any("tensorflow" in mapped.path for mapped in worker.memory_maps())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_worker_killed_from_outside_is_its_callers_error(pool: Running, number: signal.Signals) -> None:
    future, process = pool.begin_long()
    process.send_signal(number)
    with pytest.raises(Internal, match=f"ended by {number.name}") as caught:
        future.result(10)
    assert (caught.value.reason, caught.value.metadata) == ("WORKER_DIED", {"signal": number.name})
    assert answers(pool)  # by the spare
    pool.wait_for(2)  # its successor
    assert [outcome for _, outcome in pool.ended] == ["WORKER_DIED", "OK"]


def test_an_idle_worker_that_was_killed_is_nobodys_error(pool: Running) -> None:
    first = pool.workers()
    for process in first:
        process.kill()
    assert answers(pool)  # it waits for a successor
    assert {p.pid for p in pool.workers()}.isdisjoint(p.pid for p in first)
    assert pool.changes[-2:] == [False, True]


def test_a_deadline_ends_the_work(pool: Running) -> None:
    started = time.monotonic()
    future, process = pool.begin_long(seconds=2.0)
    with pytest.raises(DeadlineExceeded):
        future.result(20)
    assert time.monotonic() - started < 10
    wait_until(lambda: not is_running(process.pid))
    assert answers(pool)


def test_a_deadline_that_has_passed_begins_nothing(pool: Running) -> None:
    workers = {p.pid for p in pool.workers()}
    with pytest.raises(DeadlineExceeded):
        pool.run(CALL, ROWS, seconds=-1.0)
    assert {p.pid for p in pool.workers()} == workers


def test_cancelling_ends_the_work(pool: Running) -> None:
    future, process = pool.begin_long()
    future.cancel()
    wait_until(lambda: not is_running(process.pid))
    assert answers(pool)
    assert pool.ended[0] == (LONG.name, "CANCELLED")


def test_calls_wait_in_the_order_of_coming_and_not_too_many(pool: Running) -> None:
    long, process = pool.begin_long()
    waiting = [pool.submit(CALL, ROWS) for _ in range(4)]
    wait_until(lambda: pool.state.waiting == 4)
    with pytest.raises(ResourceExhausted, match="1 analyses run and 4 wait") as caught:
        pool.run(CALL, ROWS)
    assert caught.value.reason == "ANALYSIS_QUEUE_FULL"
    assert caught.value.retry_after > 0
    waiting[1].cancel()
    wait_until(lambda: pool.state.waiting == 3)
    order: list[int] = []
    for number, future in enumerate(waiting):
        if number != 1:
            future.add_done_callback(lambda _, number=number: order.append(number))
    process.kill()
    with pytest.raises(Internal):
        long.result(10)
    for number in (0, 2, 3):
        assert isinstance(waiting[number].result(20), NeighborsResult)
    wait_until(lambda: len(order) == 3)
    assert order == [0, 2, 3]
    assert pool.state.waiting == 0


def test_a_waiting_call_has_a_deadline_too(pool: Running) -> None:
    long, _ = pool.begin_long()
    with pytest.raises(DeadlineExceeded):
        pool.run(CALL, ROWS, seconds=0.3)
    assert not long.done()
    long.cancel()


def test_a_fault_of_an_analysis_has_an_id_and_costs_no_worker(
    pool: Running, caplog: pytest.LogCaptureFixture
) -> None:
    workers = {p.pid for p in pool.workers()}
    with pytest.raises(Internal, match="error id") as caught:
        pool.run(Similarity(), {"source": some_rows(2)})  # no `a`: checks would have refused it
    assert caught.value.reason == "ANALYSIS_FAULT"
    assert caught.value.metadata["error_id"] in caplog.text
    assert {p.pid for p in pool.workers()} == workers


def test_more_memory_than_the_limit(tmp_path: Path) -> None:
    with running(tmp_path, memory_limit=1 << 30) as pool:
        # SciPy wants the distances of all pairs: 16,000 * 15,999 / 2 * 8 bytes = 0.95 GiB, beside what it has.
        with pytest.raises(PreconditionFailed, match="1 GiB; send fewer rows") as caught:
            pool.run(Cluster("agglomerative", linkage="average"), {"source": some_rows(16_000, 8)})
        assert caught.value.reason == "WORKER_OUT_OF_MEMORY"
        assert caught.value.metadata == {"limit_bytes": str(1 << 30)}
        assert answers(pool)


def test_a_warm_worker_knows_the_machine(pool: Running) -> None:
    assert pool.pool.speeds is not None
    assert pool.pool.speeds == read(NUMBA_CACHE)
    assert 20 << 20 < pool.pool.idle_bytes < 1 << 30


def test_closing_ends_everything(tmp_path: Path) -> None:
    with running(tmp_path, warm=2) as pool:
        long, _ = pool.begin_long()
        waiting = pool.submit(CALL, ROWS)
        wait_until(lambda: pool.state.waiting == 1)
        workers = pool.workers()
        pool.close()
        for future in (long, waiting):
            with pytest.raises(Unavailable) as caught:
                future.result(10)
            assert caught.value.reason == "DRAINING"
        with pytest.raises(Unavailable):
            pool.run(CALL, ROWS)
        assert not any(is_running(worker.pid) for worker in workers)
        assert list(tmp_path.iterdir()) == []
        assert not pool.pool.ready


def test_before_the_first_is_warm_calls_may_come_again(tmp_path: Path) -> None:
    with running(tmp_path, warm=0) as pool:
        assert not pool.pool.ready
        with pytest.raises(Unavailable) as caught:
            pool.run(CALL, ROWS)
        assert caught.value.reason == "ANALYSIS_WARMING"
        wait_until(lambda: len(pool.workers()) == 1)
        (first,) = pool.workers()
    assert not is_running(first.pid)


def test_without_workers_every_call_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "scratch", workers=0, warm=0) as pool:
        with pytest.raises(PreconditionFailed, match="--analysis-workers") as caught:
            pool.run(CALL, ROWS)
        assert caught.value.reason == "ANALYSIS_OFF"
        assert not pool.pool.ready
    assert not (tmp_path / "scratch").exists()


_PARENT = """
import sys, time
from pathlib import Path
from support.pools import running, unwarmed_workers
with unwarmed_workers(), running(Path(sys.argv[1]), warm=2) as pool:
    _, busy = pool.begin_long()
    print(*(worker.pid for worker in pool.workers()), flush=True)
    time.sleep(100)
"""


def test_workers_end_with_their_parent_however_it_ends(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    parent = psutil.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2
    assert all(is_running(pid) for pid in workers)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not any(is_running(pid) for pid in workers), seconds=5)
    # What it has left, the next one sweeps.
    assert list(tmp_path.iterdir())
    with running(tmp_path, warm=0):
        assert len(list(tmp_path.iterdir())) == 1
