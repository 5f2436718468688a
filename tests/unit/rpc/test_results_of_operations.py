"""The results of operations: in parts, and what stays of one that is cancelled while it is stored."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from penult_service.analysis.results import SimilarityResult
from penult_service.config import Limits
from penult_service.rpc.analysis.analyses import CLUSTER
from penult_service.rpc.analysis.keeping import Keeper
from penult_service.rpc.analysis.result_parts import Readable
from penult_service.rpc.analysis.sources import Side, VectorSide
from penult_service.rpc.stored import Stored
from penult_service.storage import ResultInfo, RowsOf, StoredResult

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
        keeping = asyncio.create_task(keeper.keep_own("x", {}, SimilarityResult(SCORES), None, {}, SIDE))
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
