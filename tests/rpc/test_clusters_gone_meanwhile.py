"""Stored clusters that are others when a change of them gets its turn; which field is told; what waits where."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from penult.v1 import analysis_service_pb2 as pb
from penult_service.analysis.workers.pool import WorkerPool
from penult_service.rpc.analysis.growth import Growth
from penult_service.storage import ResultStore
from support.bad_input import rows as source_of
from support.calling import Outcome, call
from support.serving import SERVING, health, open_channel, wait_until

pytestmark = pytest.mark.usefixtures("keeping")
RANDOM = np.random.default_rng(5)
ROWS = np.concatenate([20 * np.eye(8)[corner] + RANDOM.normal(size=(30, 8)) for corner in range(3)])


@pytest.fixture
def channel(analysing: str) -> Iterator[grpc.Channel]:
    with open_channel(analysing) as opened:
        wait_until(lambda: health(opened, "penult.v1.AnalysisService") == SERVING, 120)
        yield opened


def made(channel: grpc.Channel, name: str, rows: Any = ROWS) -> None:
    request = pb.ClusterRequest(
        source=source_of(*rows.astype(np.float32)),
        name=name,
        overwrite=True,
        method=pb.CLUSTER_METHOD_KMEANS,
        n_clusters=3,
        metric=pb.METRIC_EUCLIDEAN,
    )
    done = call(channel, "Cluster", request)
    assert done.code == "OK", done


def grow(channel: grpc.Channel, name: str, **more: Any) -> Outcome:
    request = pb.GrowClusteringRequest(
        source=source_of(*ROWS[:7].astype(np.float32)), clustering=name, **more
    )
    return call(channel, "GrowClustering", request, timeout=60)


def edit(channel: grpc.Channel, name: str, **change: Any) -> Outcome:
    return call(channel, "EditClustering", pb.EditClusteringRequest(clustering=name, **change))


def test_the_field_that_names_what_is_not_there(channel: grpc.Channel) -> None:
    for outcome in (
        grow(channel, "none"),
        grow(channel, "none", request_id="r"),
        edit(channel, "none", names=pb.NameClusters(names={0: "x"})),
        edit(channel, "none", merge=pb.MergeClusters(labels=[0, 1])),
    ):
        assert (outcome.code, outcome.reason, outcome.field) == (
            "NOT_FOUND",
            "CLUSTERING_NOT_FOUND",
            "clustering",
        )


@pytest.mark.parametrize("request_id", ["", "second"])
@pytest.mark.parametrize("end", ["delete", "overwrite"])
def test_rows_that_wait_do_not_go_into_other_clusters(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch, end: str, request_id: str
) -> None:
    """Whoever asks for growth has seen the clusters that there were then."""
    made(channel, "waited")
    run, grow_in_turn, go = WorkerPool.run, Growth.grow, threading.Event()
    came: list[str] = []

    async def slow(pool: WorkerPool, asked: Any, arrays: Any, **more: Any) -> Any:
        result = await run(pool, asked, arrays, **more)
        if asked.name == "grow":
            await asyncio.to_thread(go.wait, 20)
        return result

    async def counted(growth: Growth, checked: Any, *given: Any) -> Any:
        came.append(checked.asked.request_id)
        return await grow_in_turn(growth, checked, *given)

    monkeypatch.setattr(WorkerPool, "run", slow)
    monkeypatch.setattr(Growth, "grow", counted)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(grow, channel, "waited", request_id="first")
        wait_until(lambda: len(came) == 1)
        second = pool.submit(grow, channel, "waited", request_id=request_id)
        wait_until(lambda: len(came) == 2)
        if end == "delete":
            assert call(channel, "DeleteClustering", pb.DeleteClusteringRequest(name="waited")).code == "OK"
        else:
            made(channel, "waited", ROWS[:60])
        go.set()
        for outcome in (first.result(), second.result()):
            assert (outcome.code, outcome.reason, outcome.field) == (
                "FAILED_PRECONDITION",
                "CLUSTERING_CHANGED",
                "clustering",
            ), outcome
    found = call(channel, "GetClustering", pb.GetClusteringRequest(name="waited"))
    assert found.code == ("NOT_FOUND" if end == "delete" else "OK")
    if end == "overwrite":
        assert [each.event for each in found.reply.result.history] == ["made"]


def test_a_refused_change_tells_the_limit_that_was_given(channel: grpc.Channel) -> None:
    made(channel, "limited")
    for outcome in (
        edit(channel, "limited", names=pb.NameClusters(names={0: "x"}), max_response_bytes=1000),
        edit(channel, "limited", merge=pb.MergeClusters(labels=[0, 1]), max_response_bytes=1000),
        grow(channel, "limited", max_response_bytes=4400),
    ):
        assert outcome.reason == "RESPONSE_TOO_LARGE"
        limit, size = int(outcome.metadata["limit_bytes"]), int(outcome.metadata["response_bytes"])
        assert 1000 <= limit <= 4400
        assert size > limit


def test_nothing_waits_for_the_disk_in_the_event_loop(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(channel, "waiting")
    in_loop: list[str] = []
    for name in ("check_same", "get", "hold", "change"):
        method = getattr(ResultStore, name)

        def told(*given: Any, _name: str = name, _method: Any = method, **more: Any) -> Any:
            if asyncio._get_running_loop() is not None:
                in_loop.append(_name)
            return _method(*given, **more)

        monkeypatch.setattr(ResultStore, name, told)
    assert grow(channel, "waiting", request_id="w").code == "OK"
    assert grow(channel, "waiting", request_id="w").code == "OK"
    assert edit(channel, "waiting", merge=pb.MergeClusters(labels=[0, 1])).code == "OK"
    assert edit(channel, "waiting", names=pb.NameClusters(names={2: "x"})).code == "OK"
    assert not in_loop
