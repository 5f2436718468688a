"""The packing plan: every row once, within the budget, similar lengths together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from penult_service.batching import plan

LENGTHS = st.lists(st.integers(1, 600), max_size=200)
BUDGETS = st.integers(1, 3000)
ROWS = st.integers(1, 64)


@given(lengths=LENGTHS, budget=BUDGETS, rows=ROWS)
def test_every_row_is_in_exactly_one_batch(lengths: list[int], budget: int, rows: int) -> None:
    batches = plan(lengths, token_budget=budget, max_rows=rows)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(batches)


@given(lengths=LENGTHS, budget=BUDGETS, rows=ROWS)
def test_batches_keep_to_the_budget_unless_a_row_alone_exceeds_it(
    lengths: list[int], budget: int, rows: int
) -> None:
    for batch in plan(lengths, token_budget=budget, max_rows=rows):
        assert len(batch) <= rows
        assert max(lengths[i] for i in batch) * len(batch) <= budget or len(batch) == 1


@given(lengths=LENGTHS, budget=BUDGETS, rows=ROWS)
def test_batches_are_full_and_in_order_of_length(lengths: list[int], budget: int, rows: int) -> None:
    batches = plan(lengths, token_budget=budget, max_rows=rows)
    packed = [lengths[i] for batch in batches for i in batch]
    assert packed == sorted(lengths, reverse=True)
    for batch in batches[:-1]:  # one row more would be too much
        assert len(batch) == rows or lengths[batch[0]] * (len(batch) + 1) > budget


@given(lengths=LENGTHS, seed=st.integers(0, 2**32 - 1))
def test_shapes_do_not_depend_on_the_order_of_the_rows(lengths: list[int], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(lengths).tolist()

    def shapes(of: list[int]) -> list[list[int]]:
        return [[of[i] for i in batch] for batch in plan(of, token_budget=512, max_rows=16)]

    assert shapes(lengths) == shapes(shuffled)


def test_equal_lengths_keep_their_order() -> None:
    assert plan([7] * 5, token_budget=14, max_rows=9) == [[0, 1], [2, 3], [4]]
    (batch,) = plan([7, 8] * 100, token_budget=1600, max_rows=200)
    assert batch == [*range(1, 200, 2), *range(0, 200, 2)]


def test_a_row_longer_than_the_budget_stands_alone() -> None:
    assert plan([3, 900, 2], token_budget=100, max_rows=8) == [[1], [0, 2]]


def test_little_padding_is_left_of_what_padding_in_order_costs() -> None:
    lengths = np.random.default_rng(0).integers(4, 128, 512).tolist()

    def padded(batches: list[list[int]]) -> int:
        return sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)

    in_order = [list(range(i, i + 32)) for i in range(0, 512, 32)]
    assert padded(plan(lengths, token_budget=2048, max_rows=32)) < 1.06 * sum(lengths)
    assert padded(in_order) > 1.7 * sum(lengths)


def test_nothing_to_plan() -> None:
    assert plan([], token_budget=10, max_rows=2) == []
