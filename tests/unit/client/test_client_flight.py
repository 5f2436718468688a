"""How many requests of a call are under way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from penult_client import Limits
from penult_client._core.flight import Flight

LIMITS = Limits(
    max_request_bytes=1 << 20,
    default_response_bytes=1 << 20,
    max_response_bytes=1 << 20,
    max_texts=1024,
    max_text_bytes=1 << 20,
    max_queued_tokens=1 << 21,
    max_scores=1,
)


def test_more_while_the_server_is_quick() -> None:
    flight = Flight(LIMITS, timeout=24.0)
    seen = [flight.most]
    for seconds in (1.0, 7.9, 8.1, 3.9, 4.1):
        flight.landed(seconds)
        seen.append(flight.most)
    assert seen == [2, 4, 4, 2, 4, 4]
    flight = Flight(LIMITS, timeout=24.0)
    flight.landed(4.1)
    assert flight.most == 2


@pytest.mark.parametrize(
    ("queue", "few", "many"), [(0, 1, 1), (40_000, 1, 1), (65_536, 2, 2), (1 << 17, 2, 4)]
)
def test_no_more_than_the_queue_holds(queue: int, few: int, many: int) -> None:
    flight = Flight(replace(LIMITS, max_queued_tokens=queue), timeout=24.0)
    assert flight.most == few
    flight.landed(0.0)
    assert flight.most == many


def test_one_at_a_time_once_the_server_has_refused_one() -> None:
    flight = Flight(LIMITS, timeout=24.0)
    flight.landed(0.1)
    flight.refused()
    seen = [flight.most]
    flight.landed(0.1)
    assert [*seen, flight.most] == [1, 1]
