"""What waits, without threads: bounds, lanes, turns, and what nobody waits for any more."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penult_service.batching import Lane, Limits
from penult_service.batching import backlog as backlog_module
from penult_service.batching.backlog import Backlog, lane_for
from penult_service.batching.request import Request
from penult_service.errors import InvalidInput, ResourceExhausted


def run_a(payloads: Any) -> Any:
    return payloads


def run_b(payloads: Any) -> Any:
    return payloads


LIMITS = Limits(token_budget=64, max_rows=4, overhead=1000)


def backlog(bound: int = 1000, **settings: int) -> Backlog:
    return Backlog(max_waiting_tokens=bound, **settings)


def request(
    lengths: list[int],
    *,
    queue: str = "m",
    run: Any = run_a,
    lane: Lane = Lane.BULK,
    deadline: float | None = None,
    limits: Limits = LIMITS,
    caller: str | None = None,
) -> Request:
    return Request(queue, run, list(range(len(lengths))), lengths, lane, 0.0, deadline, limits, caller)


def taken(waiting: Backlog) -> list[list[tuple[Request, int]]]:
    batches = []
    while (batch := waiting.take()) is not None:
        batches.append(list(batch.rows))
    return batches


def test_requests_of_the_same_run_share_batches() -> None:
    waiting, a, b = backlog(), request([5, 9]), request([9, 5])
    waiting.add(a, None)
    waiting.add(b, None)
    assert taken(waiting) == [[(a, 1), (b, 0), (a, 0), (b, 1)]]


def test_other_queues_and_other_runs_share_none() -> None:
    waiting = backlog()
    for each in (request([5]), request([5], queue="n"), request([5], run=run_b)):
        waiting.add(each, None)
    assert [len(rows) for rows in taken(waiting)] == [1, 1, 1]


def test_the_batch_of_the_row_that_waited_longest_goes_first() -> None:
    waiting, first, second = backlog(), request([2] * 4), request([60, 50])
    waiting.add(first, None)
    waiting.add(second, None)
    assert [rows[0][0] for rows in taken(waiting)] == [first, second, second]


def test_new_work_is_planned_together_with_what_still_waits() -> None:
    waiting, old, new = backlog(), request([9] * 6), request([9] * 2)
    waiting.add(old, None)
    waiting.take()
    waiting.add(new, None)
    assert taken(waiting) == [[(old, 4), (old, 5), (new, 0), (new, 1)]]


def test_planning_again_keeps_the_order_of_arrival() -> None:
    waiting, old, new, newest = backlog(), request([9] * 6), request([9] * 4), request([9])
    waiting.add(old, None)
    waiting.add(new, None)
    waiting.take()
    waiting.add(newest, None)
    assert taken(waiting) == [[(old, 4), (old, 5), (new, 0), (new, 1)], [(new, 2), (new, 3), (newest, 0)]]


def test_queues_take_turns() -> None:
    waiting = backlog()
    waiting.add(request([16] * 12), None)
    waiting.add(request([16] * 8, queue="n"), None)
    order = [batch.queue for batch in iter(waiting.take, None)]
    assert order == ["m", "n", "m", "n", "m"]


def test_interactive_goes_first_but_not_for_ever() -> None:
    waiting = backlog(interactive_in_a_row=2)
    waiting.add(request([16] * 8), None)
    for _ in range(5):
        waiting.add(request([64], lane=Lane.INTERACTIVE), None)
    lanes = [batch.rows[0][0].lane.value[0] for batch in iter(waiting.take, None)]
    assert "".join(lanes) == "iibiibi"


def test_what_fits_a_batch_is_interactive() -> None:
    assert lane_for([16] * 4, LIMITS) is Lane.INTERACTIVE
    assert lane_for([1] * 5, LIMITS) is Lane.BULK
    assert lane_for([61, 1, 1, 1], LIMITS) is Lane.INTERACTIVE
    assert lane_for([62, 1, 1, 1], LIMITS) is Lane.BULK
    assert lane_for([500], LIMITS) is Lane.INTERACTIVE


def test_a_full_queue_refuses_and_says_when_there_will_be_room() -> None:
    waiting = backlog(bound=100)
    waiting.add(request([10] * 8), None)
    with pytest.raises(ResourceExhausted) as refused:
        waiting.add(request([30]), tokens_per_second=20.0)
    assert refused.value.reason == "QUEUE_FULL"
    assert refused.value.retry_after == pytest.approx(10 / 20)
    assert waiting.waiting("m") == 80
    waiting.add(request([20]), None)
    waiting.add(request([100], queue="n"), None)


def test_the_wait_for_room_counts_the_turns_of_other_queues() -> None:
    waiting = backlog(bound=100)
    waiting.add(request([100]), None)
    waiting.add(request([100], queue="n"), None)
    with pytest.raises(ResourceExhausted) as refused:
        waiting.add(request([40]), tokens_per_second=20.0)
    assert refused.value.retry_after == pytest.approx(2 * 40 / 20)


def test_what_no_queue_can_hold_is_refused_for_good() -> None:
    with pytest.raises(InvalidInput, match=r"101 tokens.* holds 100") as refused:
        backlog(bound=100).add(request([100, 1]), None)
    assert refused.value.reason == "REQUEST_TOO_LARGE"


def test_cancelled_expired_and_failed_requests_are_taken_out() -> None:
    waiting = backlog()
    stays, cancelled, expired = request([9] * 6, deadline=11.0), request([9] * 6), request([9], deadline=10.0)
    for each in (stays, cancelled, expired):
        waiting.add(each, None)
    waiting.take()
    cancelled.future.cancel()
    assert waiting.drop_gone(now=10.0) == [cancelled, expired]
    assert waiting.waiting("m") == 18
    assert taken(waiting) == [[(stays, 4), (stays, 5)]]


def test_everything_can_be_taken_out() -> None:
    waiting, a, b = backlog(), request([9] * 3), request([9], queue="n", lane=Lane.INTERACTIVE)
    waiting.add(a, None)
    waiting.add(b, None)
    assert set(waiting.drop_all()) == {a, b}
    assert not waiting
    assert waiting.waiting("m") == waiting.waiting("n") == 0
    assert waiting.take() is None


def test_a_request_larger_than_the_planning_window_is_served_whole() -> None:
    waiting, big = backlog(bound=10**6), request([1 + i % 7 for i in range(5000)])
    waiting.add(big, None)
    rows = [row for batch in taken(waiting) for row in batch]
    assert sorted(i for _, i in rows) == list(range(5000))
    assert waiting.waiting("m") == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.lists(st.integers(1, 80), min_size=1, max_size=12),
            st.sampled_from("mn"),
            st.sampled_from([run_a, run_b]),
            st.sampled_from(Lane),
        ),
        st.tuples(st.just("take")),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_whatever_happens_every_row_runs_once_and_the_count_is_right(steps: list[Any]) -> None:
    waiting = backlog(bound=10**6)
    requests: list[Request] = []
    ran: Counter[tuple[Request, int]] = Counter()

    def take() -> None:
        dropped = waiting.drop_gone(0.0)
        assert all(each.future.cancelled() for each in dropped)
        batch = waiting.take()
        if batch is not None:
            ran.update(batch.rows)
            assert {(r.queue, r.run, r.lane) for r, _ in batch.rows} == {
                (batch.queue, batch.run, batch.rows[0][0].lane)
            }
            assert not any(r.future.cancelled() for r, _ in batch.rows)

    for step in steps:
        if step[0] == "add":
            requests.append(request(step[1], queue=step[2], run=step[3], lane=step[4]))
            waiting.add(requests[-1], None)
        elif step[0] == "take":
            take()
        elif step[1] < len(requests):
            requests[step[1]].future.cancel()
        here = [r for r in requests if not r.future.cancelled()]
        left = sum(n for r in here for i, n in enumerate(r.lengths) if not ran[r, i])
        assert waiting.waiting("m") + waiting.waiting("n") >= left
    while waiting:
        take()
    assert waiting.waiting("m") == waiting.waiting("n") == 0
    assert max(ran.values(), default=1) == 1
    assert all(ran[r, i] for r in requests if not r.future.cancelled() for i in range(len(r.lengths)))


def test_what_is_answered_is_not_kept_until_its_deadline() -> None:
    waiting = backlog()
    kept: list[weakref.ref[Request]] = []
    for _ in range(5000):
        one = request([9], deadline=1e9)
        kept.append(weakref.ref(one))
        waiting.add(one, None)
        assert waiting.take() is not None
        waiting.drop_gone(0.0)
    del one
    assert not any(each() for each in kept)
    assert len(waiting._leaving._deadlines) <= 1025


def test_of_many_that_wait_only_those_who_left_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = backlog(bound=10**6)
    many = [request([9], deadline=float(i)) for i in range(1000)]
    for each in many:
        waiting.add(each, None)
    many[500].future.cancel()
    looked: list[object] = []
    monkeypatch.setattr(backlog_module, "_waits", lambda one: not looked.append(one))
    assert waiting.drop_gone(2.0) == [many[500], *many[:3]]
    assert len(looked) == 4
