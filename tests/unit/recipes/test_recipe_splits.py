"""Splits, batches and the learning rate, as properties."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from penult_service.errors import InvalidInput
from penult_service.recipes import splits

FRACTIONS = st.floats(0.05, 0.5)
SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 40), min_size=2, max_size=5), FRACTIONS, SEEDS)
def test_each_class_gives_its_share(sizes: list[int], fraction: float, seed: int) -> None:
    labels = [str(name) for name, size in enumerate(sizes) for _ in range(size)]
    train, held_out = splits.hold_out(labels, None, fraction, seed)
    assert sorted([*train, *held_out]) == list(range(len(labels)))
    counts = Counter(labels[index] for index in held_out)
    for name, size in enumerate(sizes):
        assert counts[str(name)] == max(round(size * fraction), 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ab")), min_size=60, max_size=200),
    FRACTIONS,
    SEEDS,
)
def test_no_group_stands_on_both_sides(rows: list[tuple[int, str]], fraction: float, seed: int) -> None:
    groups, labels = [str(group) for group, _ in rows], [label for _, label in rows]
    assume(all(len({group for group, name in rows if name == label}) >= 10 for label in set(labels)))
    train, held_out = splits.hold_out(labels, groups, fraction, seed)
    assert sorted([*train, *held_out]) == list(range(len(rows)))
    assert not {groups[index] for index in train} & {groups[index] for index in held_out}
    assert {labels[index] for index in train} == set(labels)


def test_a_class_of_one_group_is_all_trained_on() -> None:
    labels, groups = [*"aaaabbbbcc"], [*"1234567899"]
    train, held_out = splits.hold_out(labels, groups, 0.3, seed=0)
    assert {labels[index] for index in train} == set("abc")
    assert {labels[index] for index in held_out} == set("ab")


def test_groups_come_near_to_the_share_of_every_class() -> None:
    rng = np.random.default_rng(3)
    groups = [str(group) for group in rng.integers(0, 100, size=2000)]
    labels = [("a", "b", "b", "b")[index] for index in rng.integers(0, 4, size=2000)]
    _, held_out = splits.hold_out(labels, groups, 0.2, seed=1)
    for name in "ab":
        share = sum(labels[index] == name for index in held_out) / labels.count(name)
        assert share == pytest.approx(0.2, abs=0.03)


def test_a_seed_is_a_split() -> None:
    labels = ["a", "b"] * 100
    first, again, other = (splits.hold_out(labels, None, 0.1, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("labels", "groups", "fraction", "reason"),
    [
        (["a", "b"], None, 0.1, "NOTHING_HELD_OUT"),
        (["a", "b"] * 4, ["1"] * 4 + ["2"] * 4, 0.05, "NOTHING_HELD_OUT"),
        (["a", "b"], None, 1.0, "VALID_FRACTION"),
    ],
)
def test_what_cannot_be_split(
    labels: list[str], groups: list[str] | None, fraction: float, reason: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        splits.hold_out(labels, groups, fraction, seed=0)
    assert caught.value.reason == reason


LENGTHS = st.lists(st.integers(1, 128), min_size=1, max_size=400).map(np.array)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 9), SEEDS, st.integers(0, 3))
def test_every_row_is_trained_on_once_an_epoch(lengths: np.ndarray, size: int, seed: int, epoch: int) -> None:
    plan = splits.plan_batches(lengths, size, seed, epoch)
    assert sorted(np.concatenate(plan)) == list(range(len(lengths)))
    assert len(plan) == -(-len(lengths) // size)
    assert max(len(batch) for batch in plan) <= size


def test_batches_waste_little_and_differ_between_epochs() -> None:
    lengths = np.random.default_rng(0).integers(4, 128, size=3200)
    first, again, second = (splits.plan_batches(lengths, 32, 7, epoch) for epoch in (0, 0, 1))
    padded = sum(lengths[batch].max() * len(batch) for batch in first)
    assert padded < 1.05 * lengths.sum()
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]
    assert {frozenset(batch.tolist()) for batch in first}.isdisjoint(frozenset(b.tolist()) for b in second)
    starts = [lengths[batch].max() for batch in first]
    assert starts != sorted(starts)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 500), st.floats(0, 0.9))
def test_learning_rate_rises_then_falls(steps: int, warmup: float) -> None:
    rates = [splits.learning_rate_at(step, steps, 2.0, warmup) for step in range(steps)]
    top = int(np.argmax(rates))
    assert rates[top] == pytest.approx(2.0)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates) > 0
    assert top <= round(steps * warmup)
