"""A scheduler and an embedder for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from penult_service.batching import Scheduler
from penult_service.embedder import Embedder


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    made = Scheduler(token_budget=256, max_rows=8)
    yield made
    made.close(10.0)


@pytest.fixture
def embedder(scheduler: Scheduler) -> Iterator[Embedder]:
    made = Embedder(scheduler)
    yield made
    made.close()
