"""Masks made of keys: against SplitMix64's own numbers, and for what a mask has to be."""

from __future__ import annotations

import numpy as np
import pytest
from penult_service.masks import dropped, fold, keys_of, normal, uniform
from scipy import stats

# Of a test of chance: so unlikely that these fixed seeds would have failed when they were chosen.
LEAST_P = 1e-4


def keys(rows: int, *, seed: int = 1, sample: int = 0, first: int = 0) -> np.ndarray:
    return keys_of(seed, np.full(rows, sample), np.arange(first, first + rows))[0]


def test_a_step_is_one_of_splitmix64() -> None:
    """Its first five numbers from the seed 1234567, as Rosetta Code lists them."""
    found = fold(np.array([1234567], np.uint64), np.arange(5, dtype=np.uint64))
    assert found.tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def splitmix(key: int, number: int) -> int:
    """The same in Python's own whole numbers."""
    least = (1 << 64) - 1
    mixed = (key + 0x9E3779B97F4A7C15 * (number + 1)) & least
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & least
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & least
    return mixed ^ mixed >> 31


@pytest.mark.parametrize("seed", [0, 42, -1, (1 << 63) - 1, -(1 << 63)])
def test_keys_and_places_are_folded_in_their_order(seed: int) -> None:
    own, shared = keys_of(seed, np.array([3]), np.array([1 << 40]))
    of_sample = splitmix(splitmix(0, seed % (1 << 64)), 3)
    of_row = splitmix(of_sample, 1 << 40)
    assert (int(shared.view(np.uint64)[0]), int(own.view(np.uint64)[0])) == (of_sample, of_row)
    found = uniform(own, 5, (2, 3))
    for place in np.ndindex(2, 3):
        number = splitmix(splitmix(splitmix(of_row, 5), place[0]), place[1])
        assert found[(0, *place)] == (number >> 40) / 2**24
    along = uniform(own, 5, (2, 3), shared=(1,))
    assert along.shape == (1, 1, 3)
    assert along[0, 0, 2] == (splitmix(splitmix(of_row, 5), 2) >> 40) / 2**24


def test_numbers_are_uniform() -> None:
    found = uniform(keys(200), 0, (500,))
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() < 1
    assert stats.kstest(found.ravel(), "uniform").pvalue > LEAST_P
    counts = np.histogram(found, bins=256, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > LEAST_P
    # Along each axis too: each row's, and each feature's.
    for axis in (0, 1):
        z = (found.mean(axis=axis) - 0.5) * np.sqrt(12 * found.shape[axis])
        assert stats.kstest(z, "norm").pvalue > LEAST_P


def test_what_is_made_of_other_numbers_is_independent() -> None:
    """Seeds, samples, rows, dropouts and places that follow each other: no two masks are correlated."""
    base = uniform(keys(400), 0, (400,))
    others = {
        "seed": uniform(keys(400, seed=2), 0, (400,)),
        "sample": uniform(keys(400, sample=1), 0, (400,)),
        "row": uniform(keys(400, first=400), 0, (400,)),
        "dropout": uniform(keys(400), 1, (400,)),
        "next row": np.roll(base, 1, axis=0),
        "next place": np.roll(base, 1, axis=1),
        "transposed": base.T,
    }
    for name, other in others.items():
        for threshold in (0.1, 0.5):
            table = np.histogram2d((base < threshold).ravel(), (other < threshold).ravel(), bins=2)[0]
            assert stats.chi2_contingency(table).pvalue > LEAST_P, name
        r = np.corrcoef(base.ravel(), other.ravel())[0, 1]
        assert abs(r) * np.sqrt(base.size) < 4.0, name


def test_normal_numbers() -> None:
    found = normal(keys(300), 0, (400,))
    assert found.dtype == np.float32
    assert stats.kstest(found.ravel(), "norm").pvalue > LEAST_P
    assert (
        abs(np.corrcoef(found.ravel(), np.roll(found, 1, axis=1).ravel())[0, 1]) * np.sqrt(found.size) < 4.0
    )


def test_keys_do_not_meet() -> None:
    samples, rows = (axis.ravel() for axis in np.meshgrid(np.arange(300), np.arange(300)))
    own, shared = keys_of(7, samples, rows)
    assert len(np.unique(own)) == 90_000
    assert len(np.unique(shared)) == 300
    # Row 1 of sample 0 is not row 0 of sample 1.
    assert keys_of(7, np.array([0]), np.array([1]))[0] != keys_of(7, np.array([1]), np.array([0]))[0]


def test_a_mask_knows_neither_other_rows_nor_the_length() -> None:
    whole = uniform(keys(10), 2, (7, 5))
    np.testing.assert_array_equal(uniform(keys(10)[3:4], 2, (7, 5))[0], whole[3])
    np.testing.assert_array_equal(uniform(keys(10), 2, (4, 5)), whole[:, :4])


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    values = np.random.default_rng(3).standard_normal((500, 400)).astype(np.float32) + 2
    found = dropped(values, keys(500), 0, rate)
    assert found.dtype == np.float32
    zeros = int((found == 0).sum())
    if rate == 0:
        np.testing.assert_array_equal(found, values)
        return
    assert stats.binomtest(zeros, found.size, rate).pvalue > LEAST_P
    kept = found != 0
    np.testing.assert_allclose(found[kept], values[kept] / (1 - rate), rtol=1e-6)
    # Var of x m / (1 - p) is E[x^2] p / (1 - p).
    error = np.sqrt((values**2).mean() * rate / (1 - rate) / values.size)
    assert abs(found.mean() - values.mean()) < 4 * error
