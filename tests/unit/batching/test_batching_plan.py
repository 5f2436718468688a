"""The packing plan: every row once, within the budget, similar lengths together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from penult_service.batching import Limits, plan, stepped

LENGTHS = st.lists(st.integers(1, 600), max_size=200)
BUDGETS = st.integers(1, 3000)
ROWS = st.integers(1, 64)
# Of rows, up to 64; and of lengths, the steps above 16.
STEPS_OF_ROWS = {*range(1, 9), 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64}
STEPS_OF_LENGTHS = [
    *range(1, 17),
    *range(18, 33, 2),
    *range(36, 65, 4),
    *range(72, 129, 8),
    *range(144, 257, 16),
]


@given(lengths=LENGTHS, budget=BUDGETS, rows=ROWS, steps=st.booleans())
def test_every_row_is_in_exactly_one_batch(lengths: list[int], budget: int, rows: int, steps: bool) -> None:
    batches = plan(lengths, Limits(budget, rows, stepped=steps))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(batches)


@given(lengths=LENGTHS, budget=BUDGETS, rows=ROWS, steps=st.booleans())
def test_batches_keep_to_the_budget_unless_a_row_alone_exceeds_it(
    lengths: list[int], budget: int, rows: int, steps: bool
) -> None:
    limits = Limits(budget, rows, stepped=steps)
    for batch in plan(lengths, limits):
        assert len(batch) <= rows
        assert limits.padded(max(lengths[i] for i in batch)) * len(batch) <= budget or len(batch) == 1


@given(lengths=LENGTHS, budget=BUDGETS, rows=ROWS)
def test_with_steps_batches_have_few_shapes(lengths: list[int], budget: int, rows: int) -> None:
    for batch in plan(lengths, Limits(budget, rows, stepped=True)):
        assert len(batch) in STEPS_OF_ROWS or len(batch) == rows


def test_lengths_are_padded_to_the_step_above() -> None:
    for length in range(1, 257):
        assert stepped(length) == min(step for step in STEPS_OF_LENGTHS if step >= length)
    assert Limits(stepped=True).padded(17) == 18
    capped = Limits(stepped=True, longest=50)
    assert [capped.padded(length) for length in (17, 48, 49, 50, 51)] == [18, 48, 50, 50, 51]
    assert Limits().padded(17) == 17


@given(lengths=LENGTHS, budget=BUDGETS, rows=ROWS, steps=st.booleans())
def test_batches_are_in_order_of_length(lengths: list[int], budget: int, rows: int, steps: bool) -> None:
    packed = [lengths[i] for batch in plan(lengths, Limits(budget, rows, stepped=steps)) for i in batch]
    assert packed == sorted(lengths, reverse=True)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=7),
    limits=st.builds(Limits, st.integers(1, 120), st.integers(1, 5), st.integers(0, 90), st.booleans()),
)
def test_no_other_way_to_pack_is_cheaper(lengths: list[int], limits: Limits) -> None:
    def cost(batches: list[list[int]]) -> int:
        return sum(padded_tokens(batch) + limits.overhead for batch in batches)

    def padded_tokens(batch: list[int]) -> int:
        return limits.padded(max(lengths[i] for i in batch)) * len(batch)

    def allowed(batch: list[int]) -> bool:
        padded = padded_tokens(batch)
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


def test_steps_make_few_shapes_and_little_padding() -> None:
    random = np.random.default_rng(0)
    shapes: dict[bool, set[tuple[int, int]]] = {False: set(), True: set()}
    padded, tokens = dict.fromkeys(shapes, 0), 0
    for _ in range(20):
        lengths = (
            np.clip(np.round(20 * np.exp(0.67 * random.standard_normal(1000))), 3, 128).astype(int).tolist()
        )
        tokens += sum(lengths)
        for steps, met in shapes.items():
            limits = Limits(overhead=19, stepped=steps)
            for batch in plan(lengths, limits):
                shape = (len(batch), limits.padded(max(lengths[i] for i in batch)))
                met.add(shape)
                padded[steps] += shape[0] * shape[1]
    assert len(shapes[True]) < 0.6 * len(shapes[False])
    assert padded[True] < 1.04 * tokens


def test_nothing_to_plan() -> None:
    assert plan([], Limits(10, 2)) == []
