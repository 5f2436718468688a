"""The packing plan: every row once, within the budget, similar lengths together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from penult_service.batching import Limits, plan

LENGTHS = st.lists(st.integers(1, 600), max_size=200)
BUDGETS = st.integers(1, 3000)
ROWS = st.integers(1, 64)


@given(lengths=LENGTHS, budget=BUDGETS, rows=ROWS)
def test_every_row_is_in_exactly_one_batch(lengths: list[int], budget: int, rows: int) -> None:
    batches = plan(lengths, Limits(budget, rows))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(batches)


@given(lengths=LENGTHS, budget=BUDGETS, rows=ROWS)
def test_batches_keep_to_the_budget_unless_a_row_alone_exceeds_it(
    lengths: list[int], budget: int, rows: int
) -> None:
    for batch in plan(lengths, Limits(budget, rows)):
        assert len(batch) <= rows
        assert max(lengths[i] for i in batch) * len(batch) <= budget or len(batch) == 1


@given(lengths=LENGTHS, budget=BUDGETS, rows=ROWS)
def test_batches_are_in_order_of_length(lengths: list[int], budget: int, rows: int) -> None:
    packed = [lengths[i] for batch in plan(lengths, Limits(budget, rows)) for i in batch]
    assert packed == sorted(lengths, reverse=True)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=7),
    limits=st.builds(Limits, st.integers(1, 120), st.integers(1, 5), st.integers(0, 90)),
)
def test_no_other_way_to_pack_is_cheaper(lengths: list[int], limits: Limits) -> None:
    def cost(batches: list[list[int]]) -> int:
        return sum(max(lengths[i] for i in batch) * len(batch) + limits.overhead for batch in batches)

    def allowed(batch: list[int]) -> bool:
        padded = max(lengths[i] for i in batch) * len(batch)
        return len(batch) == 1 or (len(batch) <= limits.max_rows and padded <= limits.token_budget)

    def ways(rows: list[int]) -> Iterator[list[list[int]]]:
        """Every way to part the rows into batches, whatever their lengths."""
        if not rows:
            yield []
            return
        for others in ways(rows[1:]):
            yield [[rows[0]], *others]
            for k, batch in enumerate(others):
                yield [*others[:k], [rows[0], *batch], *others[k + 1 :]]

    cheapest = min(cost(way) for way in ways(list(range(len(lengths)))) if all(map(allowed, way)))
    assert cost(plan(lengths, limits)) == cheapest


@given(lengths=LENGTHS, seed=st.integers(0, 2**32 - 1))
def test_shapes_do_not_depend_on_the_order_of_the_rows(lengths: list[int], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(lengths).tolist()

    def shapes(of: list[int]) -> list[list[int]]:
        return [[of[i] for i in batch] for batch in plan(of, Limits(512, 16))]

    assert shapes(lengths) == shapes(shuffled)


def test_equal_lengths_keep_their_order() -> None:
    assert plan([7] * 5, Limits(14, 9)) == [[0, 1], [2, 3], [4]]
    (batch,) = plan([7, 8] * 100, Limits(1600, 200, overhead=100))
    assert batch == [*range(1, 200, 2), *range(0, 200, 2)]


def test_a_row_longer_than_the_budget_stands_alone() -> None:
    assert plan([3, 900, 2], Limits(100, 8)) == [[1], [0, 2]]


def test_little_padding_is_left_of_what_padding_in_order_costs() -> None:
    lengths = np.random.default_rng(0).integers(4, 128, 512).tolist()

    def padded(batches: list[list[int]]) -> int:
        return sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)

    in_order = [list(range(i, i + 32)) for i in range(0, 512, 32)]
    assert padded(plan(lengths, Limits(2048, 32))) < 1.06 * sum(lengths)
    assert padded(in_order) > 1.7 * sum(lengths)


def test_a_long_row_does_not_pad_short_ones_when_that_costs_more_than_a_batch() -> None:
    assert plan([5, 100, 5, 5], Limits(overhead=284)) == [[1], [0, 2, 3]]
    assert plan([5, 100, 5, 5], Limits(overhead=285)) == [[1, 0, 2, 3]]


def test_nothing_to_plan() -> None:
    assert plan([], Limits(10, 2)) == []
