"""What is shared is looked up in the masks: made by hand with every way of sharing, and too few of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penult_service.explaining import sharing
from penult_service.explaining.sharing import Masks, axes_of, draws_needed, figures_of, in_words, sentence

AXES = ("sample", "step", "feature")
# Axes that share -> what is said.
WORDS = {
    (): "single features, a new draw for each sample and step",
    ("sample",): "the same features in every sample, a new draw for each step",
    ("step",): "the same features at every step, a new draw for each sample",
    ("feature",): "whole steps (all features together), a new draw for each sample",
    ("sample", "step"): "the same features in every sample and at every step",
    ("sample", "feature"): "the same whole steps (all features together) in every sample",
    ("step", "feature"): "whole samples (all steps and features together)",
    ("sample", "step", "feature"): "all or nothing: one draw decides for every number",
}


def made(
    lengths: Sequence[int],
    shared: Sequence[str],
    rate: float = 0.5,
    draws: int | None = None,
    axes: tuple[str, ...] = AXES,
    seed: int = 0,
) -> Masks:
    """Masks of independent draws but for the axes that share one."""
    count = draws_needed(lengths, rate) if draws is None else draws
    drawn = [1 if name in shared else length for name, length in zip(axes, lengths, strict=True)]
    kept = np.random.default_rng(seed).random((count, *drawn)) >= rate
    values = np.broadcast_to(kept, (count, *lengths)) / (1.0 - rate)
    return Masks(values.astype(np.float32), axes, rate)


def shared_of(masks: Masks) -> tuple[str, ...]:
    return tuple(axis.name for axis in axes_of(masks) if axis.shared)


@pytest.mark.parametrize("shared", WORDS)
def test_the_words_say_which_axes_share(shared: tuple[str, ...]) -> None:
    masks = made((4, 6, 10), shared)
    assert shared_of(masks) == shared
    assert sentence(masks, axes_of(masks)) == WORDS[shared]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(2, 7), min_size=3, max_size=3),
    shared=st.sets(st.sampled_from(AXES)),
    rate=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_was_made_is_found(lengths: list[int], shared: set[str], rate: float, seed: int) -> None:
    masks = made(lengths, sorted(shared), rate, seed=seed)
    assert set(shared_of(masks)) == shared
    assert all(axis.shared is not None for axis in axes_of(masks))
    for axis in axes_of(masks):
        assert (axis.distinct == 1) == bool(axis.shared)


@pytest.mark.parametrize("number", range(5))
def test_gates_are_an_axis_as_the_others(number: int) -> None:
    axes = ("gate", "sample", "step", "unit")
    for shared in combinations(axes[:3], min(number, 3)):
        masks = made((4, 2, 3, 8), shared, axes=axes, seed=number)
        assert shared_of(masks) == shared
        words = in_words(axes_of(masks))
        assert ("for all four gates" in words) == ("gate" in shared)
        assert ("at every step" in words) == ("step" in shared)


def test_few_draws_tell_no_sharing_but_tell_its_absence() -> None:
    apart, together = made((2, 1, 3), (), draws=4), made((2, 1, 3), ("sample",), draws=4)
    assert axes_of(apart)[0].shared is False
    assert axes_of(together)[0].shared is None
    assert axes_of(together)[0].chance == pytest.approx(0.5**4)
    assert "cannot be told" in sentence(together, axes_of(together))


def test_an_axis_of_one_place_is_left_out() -> None:
    masks = made((1, 6, 10), ("step",))
    assert axes_of(masks)[0].shared is None
    assert sentence(masks, axes_of(masks)) == "the same features at every step"


def test_the_chance_is_that_of_looking_shared() -> None:
    # Of 20,000 single draws at 3 places, the share that is all equal.
    kept = np.random.default_rng(1).random((20_000, 3)) >= 0.3
    equal = np.mean((kept == kept[:, :1]).all(axis=1))
    masks = Masks(kept[:1].astype(np.float32), ("sample",), 0.3)
    assert axes_of(masks)[0].chance == pytest.approx(equal, abs=4 * np.sqrt(equal / 20_000))


@pytest.mark.parametrize(("rate", "length"), [(0.5, 2), (0.1, 2), (0.02, 3), (0.9, 5)])
def test_enough_draws_are_made(rate: float, length: int) -> None:
    count = draws_needed((length, 1), rate)
    assert count == sharing.MOST_DRAWS or (rate**length + (1 - rate) ** length) ** count < sharing.CHANCE
    assert sharing.FEWEST_DRAWS <= count <= sharing.MOST_DRAWS


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_nothing_and_everything(rate: float) -> None:
    masks = Masks(np.full((3, 4, 5), 1.0 - rate, np.float32), ("sample", "feature"), rate)
    assert sentence(masks, axes_of(masks)) == ("everything is dropped" if rate else "nothing is dropped")
    assert figures_of(masks).kept == (None if rate else 1.0)


def test_figures_are_those_of_numpy() -> None:
    masks = made((4, 6, 10), ("step",), rate=0.3, seed=3)
    found = figures_of(masks)
    values = masks.values.astype(np.float64)
    assert found.draws == len(values)
    assert found.zeros == pytest.approx((values == 0).mean())
    assert found.kept == pytest.approx(1 / 0.7)
    assert found.mean == pytest.approx(values.mean())
    assert found.mean_error is not None
    assert found.mean_error == pytest.approx(values.mean(axis=(1, 2, 3)).std(ddof=1) / np.sqrt(len(values)))
    assert abs(found.mean - 1.0) < 5 * found.mean_error
    assert found.distinct_draws == len({draw.tobytes() for draw in masks.values})


def test_one_draw_has_no_error_of_its_mean() -> None:
    found = figures_of(Masks(np.full((1, 2, 3), 2.0, np.float32), ("sample", "feature"), 0.5))
    assert (found.draws, found.mean, found.mean_error) == (1, 2.0, None)
