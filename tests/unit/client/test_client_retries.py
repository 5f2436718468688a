"""What follows a failure: the waits, the ends, the smaller parts."""

from __future__ import annotations

import math

import pytest
from penult_client import (
    DeadlineError,
    InternalError,
    InvalidInputError,
    PenultError,
    ResourceExhaustedError,
    UnavailableError,
)
from penult_client._core.addresses import MOST_BACKOFF_MS
from penult_client._core.retries import BLIND_RETRIES, FIRST_DELAY, PartQueue
from penult_client._core.splitting import Part
from penult_client._core.timing import NO_DEADLINE, Deadline


def highest(_low: float, high: float) -> float:
    return high


def lowest(low: float, _high: float) -> float:
    return low


def queue(*parts: Part, timeout: float = 30.0, deadline: Deadline = NO_DEADLINE, jitter=highest) -> PartQueue:
    return PartQueue(parts or [Part(0, 10)], timeout=timeout, deadline=deadline, jitter=jitter)


def test_without_advice_the_wait_doubles_and_ends():
    work = queue()
    delays = []
    for _ in range(BLIND_RETRIES):
        part, _ = work.take(0.0)
        delays.append(work.failed(part, UnavailableError("no"), 0.0))
    assert delays == [FIRST_DELAY * 2**i for i in range(BLIND_RETRIES)]
    part, _ = work.take(0.0)
    with pytest.raises(UnavailableError):
        work.failed(part, UnavailableError("no"), 0.0)


def test_retries_outlast_the_channels_pause_between_two_attempts_to_connect():
    shortest = sum(FIRST_DELAY * 2**i / 2 for i in range(BLIND_RETRIES))
    assert shortest > 1.2 * MOST_BACKOFF_MS / 1000  # gRPC lengthens its pause by up to a fifth


def test_jitter_shortens_blind_waits_and_lengthens_advised_ones():
    work = queue(jitter=lowest)
    part, _ = work.take(0.0)
    assert work.failed(part, UnavailableError("no"), 0.0) == FIRST_DELAY / 2
    part, _ = work.take(0.0)
    assert work.failed(part, UnavailableError("no", retry_after=2.0), 0.0) == 2.0
    part, _ = work.take(0.0)
    assert queue().failed(part, UnavailableError("no", retry_after=2.0), 0.0) == 2.5


def test_advice_is_followed_as_long_as_there_is_time():
    work = queue(timeout=30.0, jitter=lowest)
    now = 0.0
    for _ in range(29):
        part, seconds = work.take(now)
        assert seconds == 30.0 - now
        now += work.failed(part, ResourceExhaustedError("full", retry_after=1.0), now)
    part, _ = work.take(now)
    with pytest.raises(ResourceExhaustedError):
        work.failed(part, ResourceExhaustedError("full", retry_after=1.0), now)


def test_a_deadline_outlasts_the_timeout_of_one_rpc():
    work = queue(timeout=30.0, deadline=Deadline(100.0, 100.0), jitter=lowest)
    part, seconds = work.take(10.0)
    assert seconds == 30.0
    assert work.failed(part, ResourceExhaustedError("full", retry_after=60.0), 30.0) == 60.0
    part, seconds = work.take(90.0)
    assert seconds == 10.0
    with pytest.raises(ResourceExhaustedError):
        work.failed(part, ResourceExhaustedError("full", retry_after=10.0), 90.0)


@pytest.mark.parametrize(
    "error",
    [
        ResourceExhaustedError("the message is too large"),
        InvalidInputError("no", retry_after=1.0),
        InternalError("a bug"),
        DeadlineError("late"),
        UnavailableError("do not come back", retry_after=math.inf),
        InvalidInputError("no", reason="RESPONSE_TOO_LARGE", metadata={"most_rows": "0"}),
    ],
)
def test_what_is_not_sent_again(error: PenultError):
    work = queue()
    part, _ = work.take(0.0)
    with pytest.raises(type(error)) as caught:
        work.failed(part, error, 0.0)
    assert caught.value is error


def test_the_index_is_the_callers():
    work = queue(Part(0, 2048), Part(2048, 4096))
    work.take(0.0)
    part, _ = work.take(0.0)
    error = InvalidInputError("texts[17] is too long", field="texts[17]")
    with pytest.raises(InvalidInputError, match=r"^texts\[2065\] is too long$") as caught:
        work.failed(part, error, 0.0)
    assert (caught.value.field, caught.value.index) == ("texts[2065]", 2065)


def test_a_reply_too_large_makes_all_that_waits_smaller():
    work = queue(Part(0, 10), Part(10, 20))
    part, _ = work.take(0.0)
    error = InvalidInputError("too large", reason="RESPONSE_TOO_LARGE", metadata={"most_rows": "4"})
    assert work.failed(part, error, 0.0) == 0.0
    assert [(p.start, p.stop) for p in work.waiting] == [
        (0, 4),
        (4, 8),
        (8, 10),
        (10, 14),
        (14, 18),
        (18, 20),
    ]
    assert work.total == 20


def test_too_many_tokens_for_the_queue_halves_the_part():
    work = queue(Part(0, 5))
    part, _ = work.take(0.0)
    work.failed(part, InvalidInputError("too many tokens", reason="REQUEST_TOO_LARGE"), 0.0)
    assert [len(p) for p in work.waiting] == [2, 2, 1]
    alone = queue(Part(0, 1))
    part, _ = alone.take(0.0)
    with pytest.raises(InvalidInputError):
        alone.failed(part, InvalidInputError("too many tokens", reason="REQUEST_TOO_LARGE"), 0.0)


def test_no_time_left_says_how_much_was_done():
    work = queue(Part(0, 10), Part(10, 20), deadline=Deadline(5.0, 5.0))
    part, _ = work.take(0.0)
    work.succeeded(part, "reply")
    with pytest.raises(DeadlineError, match="deadline of 5 s passed with 10 of 20 rows done") as caught:
        work.take(5.0)
    assert isinstance(caught.value, TimeoutError)


def test_replies_come_in_the_order_of_the_rows():
    work = queue(Part(0, 1), Part(1, 2), Part(2, 3))
    parts = [work.take(0.0)[0] for _ in range(3)]
    for part in reversed(parts):
        work.succeeded(part, part.start)
    assert [reply for _, reply in work.in_order()] == [0, 1, 2]
    assert work.rows_done == 3


def test_where_no_time_is_left_for_another_attempt_the_last_refusal_is_told():
    refused = ResourceExhaustedError("full", retry_after=0.5)
    late = queue(deadline=Deadline(1.0, 1.0), jitter=lowest)
    part, _ = late.take(0.0)
    late.failed(part, refused, 0.1)
    with pytest.raises(ResourceExhaustedError):  # it slept too long
        late.take(1.01)
    brief = queue(deadline=Deadline(1.0, 1.0), jitter=lowest)
    part, _ = brief.take(0.0)
    brief.failed(part, refused, 0.1)
    part, seconds = brief.take(0.99)
    assert seconds < FIRST_DELAY
    with pytest.raises(ResourceExhaustedError):
        brief.failed(part, DeadlineError("no answer"), 1.0)
    # An attempt that had time, and did not end in it.
    long = queue(deadline=Deadline(1.0, 1.0), jitter=lowest)
    part, _ = long.take(0.0)
    long.failed(part, refused, 0.1)
    part, _ = long.take(0.6)
    with pytest.raises(DeadlineError):
        long.failed(part, DeadlineError("no answer"), 1.0)


def refusal(seconds: float = 8.0) -> ResourceExhaustedError:
    return ResourceExhaustedError("too much work", reason="OVERLOADED", retry_after=seconds)


def test_parts_refused_together_wait_once():
    work = queue(Part(0, 1), Part(1, 2), jitter=lowest)
    first, second = work.take(0.0)[0], work.take(0.1)[0]
    assert work.failed(first, refusal(), 0.2, 0.0) == 8.0
    assert work.failed(second, refusal(), 7.6, 7.6) == pytest.approx(0.5)  # since 0.1
    assert work.failed(work.take(8.1)[0], refusal(), 20.0, 8.1) == 8.0  # told after a while


def test_a_part_that_was_refused_while_others_got_through_has_its_time_anew():
    work = queue(Part(0, 1), Part(1, 2), timeout=30.0, jitter=lowest)
    first, second = work.take(0.0)[0], work.take(0.0)[0]
    work.succeeded(first, "reply")
    assert work.failed(second, refusal(), 25.0, 25.0) == 0.0
    assert work.take(25.0) == (second, 30.0)
    # Nobody else got through since: its time goes on.
    assert work.failed(second, refusal(), 26.0, 25.0) == 8.0
    assert work.take(34.0) == (second, 21.0)
    with pytest.raises(ResourceExhaustedError):
        work.failed(second, refusal(21.1), 34.0, 34.0)


def test_the_deadline_of_a_call_is_not_moved_by_refusals():
    work = queue(Part(0, 1), Part(1, 2), deadline=Deadline(10.0, 10.0), jitter=lowest)
    first, second = work.take(0.0)[0], work.take(0.0)[0]
    work.succeeded(first, "reply")
    assert work.failed(second, refusal(), 8.0, 8.0) == 0.0
    assert work.take(8.0) == (second, 2.0)
