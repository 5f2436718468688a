"""Callers of one model share it alike, by tokens, whatever each has sent; and little is padded for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from penult_service.batching import Lane, Limits
from penult_service.batching.backlog import Backlog
from penult_service.batching.request import Batch, Request

LIMITS = Limits(token_budget=1024, max_rows=32)
# A caller may be ahead of another by what is planned at a time, and by the batch that was settled before.
WINDOW = 17 * LIMITS.token_budget


def request(caller: str, lengths: Sequence[int]) -> Request:
    return Request("m", len, range(len(lengths)), lengths, Lane.BULK, 0.0, None, LIMITS, caller)


def lengths(count: int, seed: int = 0, longest: int = 60) -> list[int]:
    return np.random.default_rng(seed).integers(3, longest, count).tolist()


def backlog(*requests: Request) -> Backlog:
    waiting = Backlog(max_waiting_tokens=10**9)
    for each in requests:
        waiting.add(each, None)
    return waiting


def served(batch: Batch) -> Counter[str]:
    return Counter({one.caller: tokens for one, (_, tokens) in batch.shares.items()})


def take(waiting: Backlog) -> Batch:
    waiting.ahead() if waiting.wants_preparing() else None  # as while another batch runs
    batch = waiting.take()
    assert batch is not None
    return batch


def test_a_few_hundred_texts_do_not_wait_for_twenty_thousand() -> None:
    many, few = request("many", lengths(20_000)), request("few", lengths(200, seed=1))
    waiting = backlog(many)
    for _ in range(10):
        take(waiting)
    tokens = few.waiting_tokens
    waiting.add(few, None)
    between = 0
    while few.waiting_rows:
        between += take(waiting).tokens
    assert between <= 2 * tokens + WINDOW
    assert many.waiting_rows > 18_000


@pytest.mark.parametrize("longest", [[60, 60, 60], [20, 60, 120]], ids=["alike", "of other lengths"])
def test_who_waits_gets_the_same_tokens(longest: list[int]) -> None:
    callers = "abc"
    waiting = backlog(*(request(c, lengths(4000, i, longest[i])) for i, c in enumerate(callers)))
    got: Counter[str] = Counter()
    for _ in range(60):
        got += served(take(waiting))
        assert max(got[c] for c in callers) - min(got[c] for c in callers) <= WINDOW
    assert min(got.values()) > 0.9 * max(got.values())


def test_who_comes_late_is_not_given_what_the_others_had_before() -> None:
    waiting = backlog(request("early", lengths(20_000)))
    for _ in range(100):
        take(waiting)
    waiting.add(request("late", lengths(20_000, seed=1)), None)
    got: Counter[str] = Counter()
    for _ in range(100):
        got += served(take(waiting))
    assert abs(got["early"] - got["late"]) <= WINDOW


def test_who_stays_gets_its_share_beside_ever_new_callers() -> None:
    waiting, names = backlog(), map(str, range(10**9))

    def waits(asked: Request | None, caller: str, rows: int) -> Request:
        if asked is not None and asked.waiting_rows:
            return asked
        anew = request(caller, [20] * rows)
        waiting.add(anew, None)
        return anew

    stays: list[Request | None] = [None] * 3
    comers: list[Request | None] = [None] * 63
    rows: Counter[bool] = Counter()
    for _ in range(400):
        stays = [waits(one, "stays", 10) for one in stays]
        comers = [waits(one, next(names), 1) for one in comers]  # each on a connection of its own
        rows.update(one.caller == "stays" for one, _ in take(waiting).rows)
    assert 0.7 / 64 < rows[True] / rows.total() < 1.4 / 64


def test_many_requests_are_no_larger_share_than_one() -> None:
    waiting = backlog(request("one", lengths(4000)), *(request("many", lengths(400, i)) for i in range(10)))
    got: Counter[str] = Counter()
    for _ in range(60):
        got += served(take(waiting))
    assert abs(got["one"] - got["many"]) <= WINDOW


def test_the_requests_of_a_caller_are_served_as_they_came() -> None:
    first, second = request("a", lengths(3000)), request("a", lengths(3000, seed=1))
    waiting = backlog(first, second)
    while first.waiting_rows > 2048 - 1:  # rows that are planned together
        take(waiting)
        assert second.waiting_rows == 3000


def test_the_batches_of_the_only_caller_come_by_length_request_by_request() -> None:
    first, second = request("a", lengths(600)), request("a", lengths(600, seed=1, longest=200))
    waiting = backlog(first, second)
    longest = []
    while first.waiting_rows:
        batch = take(waiting)
        assert first in batch.requests
        longest.append(batch.longest)
    assert longest == sorted(longest, reverse=True)
    assert second.waiting_rows  # the batches that are longer than any row of the first


def test_a_caller_who_left_is_forgotten() -> None:
    leaving, staying = request("leaving", lengths(4000)), request("staying", lengths(4000, seed=1))
    waiting = backlog(leaving, staying)
    take(waiting)
    leaving.future.cancel()
    assert waiting.drop_gone(0.0) == [leaving]
    while staying.waiting_rows:
        assert set(served(take(waiting))) == {"staying"}
    assert waiting.waiting("m") == 0


@pytest.mark.parametrize("callers", [1, 4])
def test_little_is_padded(callers: int) -> None:
    waiting = backlog(*(request(str(i), lengths(2000, i)) for i in range(callers)))
    tokens = padded = 0
    while waiting:
        batch = take(waiting)
        tokens, padded = tokens + batch.tokens, padded + batch.padded_tokens
    assert tokens > 0.95 * padded
