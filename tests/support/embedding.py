"""A model as a server holds and runs it, without the server: loaded by its process, run by its embedder."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from penult_service import process
from penult_service.batching import Scheduler
from penult_service.config import serve_config
from penult_service.embedder import Embedder, LoadedModel
from penult_service.repository.sources import Source


def loaded(path: Path, data: Path) -> LoadedModel:
    """Prepared in a child process, into the cache below `data`, and loaded."""
    return process.loader(serve_config(paths=(str(path),), data=data))(Source("model", 1, path))


def with_embedder(work: Callable[[Embedder], Awaitable[Any]]) -> Any:
    """What `work` returns, called with an embedder."""

    async def run() -> Any:
        scheduler = Scheduler()
        embedder = Embedder(scheduler)
        try:
            return await work(embedder)
        finally:
            embedder.close()
            scheduler.close(10.0)

    return asyncio.run(run())
