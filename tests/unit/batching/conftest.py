from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from penult_service.batching import Scheduler
from support.held_model import WAIT, HeldModel


@pytest.fixture
def model() -> Iterator[HeldModel]:
    made = HeldModel()
    yield made
    made.let_go()


@pytest.fixture
def make(model: HeldModel) -> Iterator[Callable[..., Scheduler]]:
    made: list[Scheduler] = []

    def scheduler(**settings: Any) -> Scheduler:
        made.append(Scheduler(**{"executors": 2} | settings))
        return made[-1]

    yield scheduler
    model.let_go()
    for each in made:
        each.close(WAIT)
