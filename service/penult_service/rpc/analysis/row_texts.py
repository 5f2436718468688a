"""The texts of rows as arrays, for a worker that looks for words in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import Array, Call, Cluster
from penult_service.analysis.workers.pool import WorkerPool
from penult_service.rpc.analysis.sources import Side, TextSide
from penult_service.rpc.stored import Stored
from penult_service.storage import Snapshot

BYTES, ENDS = "text_bytes", "text_ends"
_BATCH = 4096


@asynccontextmanager
async def texts_of(
    call: Call, side: Side | None, stored: Stored, pool: WorkerPool
) -> AsyncIterator[dict[str, Array]]:
    """The texts of a side that a call wants: `text_bytes` uint8 [t] and `text_ends` int64 [n]; empty: there are none.

    Those of a set go to a file, block by block, which is there until the block ends.
    """
    if side is None or not isinstance(call, Cluster) or not call.keywords:
        yield {}
    elif isinstance(side.asked, TextSide):
        given = side.asked.given
        yield await asyncio.to_thread(_arrays, given) if isinstance(given, list) else {}
    elif side.snapshot is not None:
        async with _of_set(side.snapshot, stored, pool) as found:
            yield found
    else:
        yield {}


def _arrays(texts: Sequence[str]) -> dict[str, Array]:
    data, ends = _encoded(texts)
    return {BYTES: data, ENDS: np.cumsum(ends, dtype=np.int64)}


def _encoded(texts: Sequence[str | None]) -> tuple[NDArray[np.uint8], list[int]]:
    """UTF-8, and the bytes of each."""
    encoded = [(text or "").encode() for text in texts]
    return np.frombuffer(b"".join(encoded), np.uint8), [len(each) for each in encoded]


def _next(batches: Iterator[Any]) -> tuple[NDArray[np.uint8], list[int]] | None:
    """The texts of the next rows, on a thread of the storage."""
    block = next(batches, None)
    return None if block is None else _encoded(block.column("text").to_pylist())


@asynccontextmanager
async def _of_set(snapshot: Snapshot, stored: Stored, pool: WorkerPool) -> AsyncIterator[dict[str, Array]]:
    lengths: list[NDArray[np.int64]] = []
    async with pool.growing() as files:
        batches = snapshot.read(["text"], batch_rows=_BATCH)
        while True:
            block = await stored.run(lambda: _next(batches))
            if block is None:
                break
            data, sizes = block
            lengths.append(np.asarray(sizes, np.int64))
            if data.size:
                await files.append(BYTES, data)
        if BYTES in files.arrays:
            yield {BYTES: files.arrays[BYTES], ENDS: np.cumsum(np.concatenate(lengths))}
        else:  # no row has a text
            yield {}
