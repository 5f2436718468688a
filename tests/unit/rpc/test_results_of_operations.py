"""The results of operations: in parts, and what stays of one that is cancelled while it is stored."""

from __future__ import annotations

import asyncio
import threading
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from penult.v1.analysis_service_pb2 import ReadResultRequest
from penult_service.analysis.results import SimilarityResult
from penult_service.config import Limits
from penult_service.errors import AlreadyExists
from penult_service.operations import Operations, Progress
from penult_service.rpc.analysis import result_parts
from penult_service.rpc.analysis.analyses import CLUSTER, PROJECT
from penult_service.rpc.analysis.keeping import Keeper, Keeping
from penult_service.rpc.analysis.kinds import PROJECTIONS
from penult_service.rpc.analysis.long_analyses import LongAnalyses
from penult_service.rpc.analysis.replies import About
from penult_service.rpc.analysis.result_codec import parts
from penult_service.rpc.analysis.result_parts import Readable
from penult_service.rpc.analysis.sources import Side, VectorSide
from penult_service.rpc.errors import internal
from penult_service.rpc.stored import Stored, StoredOperations
from penult_service.storage import ResultInfo, RowsOf, StoredResult
from penult_service.storage.operations import CANCELLED, DONE, FAILED

SCORES = np.eye(3, dtype=np.float32)
SIDE = Side(VectorSide(SCORES, ""), 3, 3, "")


@pytest.mark.parametrize("first", range(6))
def test_a_part_says_of_the_whole_what_an_old_result_does_not(first: int) -> None:
    arrays = {"labels": np.array([0, -1, -1, 1, 0], np.int32), "sizes": np.array([2, 1], np.int32)}
    readable = Readable(CLUSTER, StoredResult(ResultInfo("old", source=RowsOf(5)), arrays))
    part = readable.part(first, 5, whole=True)
    assert part.cluster.noise_share == readable.response().noise_share == 2 / 5


def test_nothing_stays_of_one_that_is_cancelled_while_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go, there = threading.Event(), threading.Event(), threading.Event()

    async def test() -> None:
        stored = Stored(None)
        await stored.open()
        store = stored.storage.operations.results
        put = store.put

        def slow(*args: Any, **more: Any) -> Any:
            begun.set()
            assert go.wait(20)
            info = put(*args, **more)
            there.set()
            return info

        monkeypatch.setattr(store, "put", slow)
        keeper = Keeper(Limits(), stored)
        keeping = asyncio.create_task(
            keeper.keep_own("x", {}, parts(SimilarityResult(SCORES), About(), {}), SIDE)
        )
        await asyncio.to_thread(begun.wait, 20)
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
        go.set()
        assert await asyncio.to_thread(there.wait, 20)
        async with asyncio.timeout(20):
            while (await stored.run(store.list)).results:
                await asyncio.sleep(0.01)
        await stored.close()

    asyncio.run(test())


@pytest.mark.parametrize(("ends", "taken"), list(product(("cancel", "close"), (False, True))))
def test_one_that_ends_while_its_name_is_given_is_done_or_has_no_name(
    monkeypatch: pytest.MonkeyPatch, ends: str, taken: bool
) -> None:
    begun, go = threading.Event(), threading.Event()

    async def test() -> None:
        stored = Stored(None)
        await stored.open()
        store = stored.storage.projections
        put = store.put

        def slow(*args: Any, **more: Any) -> Any:
            begun.set()
            assert go.wait(20)
            if taken:
                raise AlreadyExists("there is one", reason="PROJECTION_EXISTS")
            return put(*args, **more)

        monkeypatch.setattr(store, "put", slow)
        operations = Operations(StoredOperations(stored), at_once=1, most=1, days=1.0, fault=internal)
        nothing: Any = None
        long = LongAnalyses(nothing, operations, Keeper(Limits(), stored), nothing, nothing)
        keeping = Keeping(PROJECTIONS, "map", overwrite=False, request_id="")
        job: Any = SimpleNamespace(
            analysis=PROJECT, keeping=keeping, checked=SimpleNamespace(sides={"source": SIDE}, about=About)
        )

        async def work(name: str, _: Progress) -> tuple[str, str]:
            return await long._stored(name, job, SimilarityResult(SCORES), None)

        name = (await operations.start("project", 3, work)).name
        await asyncio.to_thread(begun.wait, 20)
        ending = asyncio.create_task(operations.cancel(name) if ends == "cancel" else operations.close())
        await asyncio.sleep(0.01)
        go.set()
        await ending
        ended = operations.get(name)
        assert [info.name for info in store.list().results] == ([] if taken else ["map"])
        if taken:
            assert ended.state == (CANCELLED if ends == "cancel" else FAILED)
            assert ended.error.get("reason") == (None if ends == "cancel" else "SERVER_RESTARTED")
        else:
            assert (ended.state, ended.stored) == (DONE, "projections/map")
            assert ended.stored_created == store.get("map").info.created
        await stored.close()

    asyncio.run(asyncio.wait_for(test(), 30))


def test_a_part_with_many_clusters_has_fewer_rows() -> None:
    """The first part says all that is no row, and stays as small as the others."""
    clusters, rows = 3_000, 400_000
    words = [(f"a word {i}", 1.0) for i in range(10)]
    facts = {"keywords": {str(label): words for label in range(clusters)}}
    labels = np.arange(rows, dtype=np.int32) % clusters
    arrays = {"labels": labels, "sizes": np.bincount(labels).astype(np.int32)}
    readable = Readable(CLUSTER, StoredResult(ResultInfo("many", facts=facts, source=RowsOf(rows)), arrays))

    async def read() -> list[Any]:
        request = ReadResultRequest(name="clusterings/many")
        return [part async for part in result_parts.parts(readable, request, Limits())]

    found = asyncio.run(read())
    assert max(part.ByteSize() for part in found) <= 1 << 20
    assert len(found[0].cluster.clusters) == clusters
    assert 1 < found[0].row_count < found[1].row_count
    told = b"".join(part.cluster.labels.data for part in found)
    assert told == labels.tobytes()
