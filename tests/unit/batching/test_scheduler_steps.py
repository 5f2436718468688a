"""Whatever comes in whatever order, every caller is answered once and rightly, and bounds, lanes and turns are kept."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable

import pytest
from support.scheduling import DIES, OK, RAISES, REFUSES, SHORT, World

SHORT_STEPS: dict[str, Callable[[World], None]] = {
    "small": lambda world: world.arrive([7, 3], lasts=5.0),
    "large": lambda world: world.arrive([12, 2, 30, 4, 4, 9, 50]),
    "cancel": lambda world: world.cancel(0),
    "late": lambda world: world.tick(5.0),
    "end": lambda world: world.end(OK),
    "fail": lambda world: world.end(RAISES),
    "die": lambda world: world.end(DIES),
    "drain": lambda world: world.drain(),
}


@pytest.fixture(autouse=True)
def _no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of failures that are meant."""
    caplog.set_level(logging.CRITICAL + 1, "penult_service.batching.scheduler")


@pytest.mark.parametrize("count", [3, pytest.param(4, marks=pytest.mark.full)])
@pytest.mark.parametrize("at_once", [False, True], ids=["run out", "at once"])
def test_every_order_of_a_few_steps(count: int, at_once: bool) -> None:
    batches = 0
    for steps in itertools.product(SHORT_STEPS, repeat=count):
        world = World()
        world.arrive([5, 40, 9, 9, 3, 20])
        try:
            for step in steps:
                SHORT_STEPS[step](world)
            world.finish(at_once=at_once)
        except BaseException as error:
            raise AssertionError(f"after {steps}") from error
        batches += world.batches
    assert batches > len(SHORT_STEPS) ** count


@pytest.mark.parametrize("seed", range(60))
def test_long_stories(seed: int) -> None:
    chance, world = random.Random(seed), World()
    story: list[str] = []

    def arrive() -> None:
        count = chance.choice([1, 1, 2, 4, 5, 12])
        lengths = [chance.choice([1, 3, 7, 7, 12, 30, 55]) for _ in range(count)]
        how = {
            "model": chance.choice("mn"),
            "run": chance.choice([0, 0, 0, 1]),
            "caller": chance.choice(["a", "b", None]),
            "lasts": chance.choice([None, None, 0.0, 1.0, 4.0]),
        }
        story.append(f"arrive {lengths} {how}")
        world.arrive(lengths, **how)

    def other() -> None:
        kind = chance.choices(
            ["cancel", "tick", OK, RAISES, REFUSES, SHORT, DIES], [2, 1, 8, 0.6, 0.3, 0.3, 0.15]
        )[0]
        story.append(kind)
        if kind == "cancel":
            world.cancel(chance.randrange(10))
        elif kind == "tick":
            world.tick(chance.choice([0.5, 2.0, 30.0]))
        else:
            world.end(kind)

    try:
        for _ in range(60):
            chance.choices([arrive, other], [2, 3])[0]()
            if chance.random() < 0.01:
                story.append("drain")
                world.drain()
        world.finish(at_once=chance.random() < 0.3)
    except BaseException as error:
        raise AssertionError("\n".join(story)) from error
