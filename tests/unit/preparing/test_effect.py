"""What active dropout would do: against theory, and against neighbours that scikit-learn finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penult_service.preparing.proof.effect import (
    NEIGHBOURS,
    cosines,
    dropped,
    measure,
    nearest,
    predicted_classes,
)
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

pytestmark = pytest.mark.tensorflow


def rows(count: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def by_sign(embedding: np.ndarray) -> np.ndarray:
    return (embedding[:, 0] > 0).astype(np.intp)


# Inverted dropout


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_dropped_is_zero_at_that_rate_and_scaled_elsewhere(rate: float) -> None:
    x = rows(300, 400)
    found = dropped(x, rate, np.random.default_rng(1))
    kept = found != 0
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[kept], (x / (1 - rate))[kept], rtol=1e-6)
    sigma = np.sqrt(rate * (1 - rate) / x.size)
    assert abs((1 - kept.mean()) - rate) < 5 * sigma
    assert len(np.unique(kept, axis=0)) == len(x)


def test_dropped_keeps_the_mean() -> None:
    x = np.ones((1, 7), np.float32)
    generator = np.random.default_rng(2)
    mean = np.mean([dropped(x, 0.4, generator) for _ in range(20_000)], axis=0)
    np.testing.assert_allclose(mean, x, atol=5 * np.sqrt(0.4 / 0.6 / 20_000))


def test_rate_0_drops_nothing() -> None:
    x = rows(5, 6)
    np.testing.assert_array_equal(dropped(x, 0.0, np.random.default_rng(0)), x)


# Cosines and neighbours


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_cosines_are_the_diagonal_of_all_cosines(seed: int, count: int, width: int) -> None:
    a, b = rows(count, width, seed), rows(count, width, seed + 1)
    np.testing.assert_allclose(cosines(a, b), np.diag(cosine_similarity(a, b)), atol=1e-6)


def test_the_cosine_of_a_zero_row_is_0() -> None:
    a = np.array([[0, 0], [3, 4]], np.float32)
    np.testing.assert_allclose(cosines(a, np.array([[1, 1], [6, 8]], np.float32)), [0.0, 1.0])


@pytest.mark.parametrize(("count", "k"), [(40, 15), (2, 1), (1100, 5)])
def test_nearest_are_those_of_scikit_learn(count: int, k: int) -> None:
    x = rows(count, 16)
    finder = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(x)
    np.testing.assert_array_equal(nearest(x, k), finder.kneighbors(return_distance=False))


def test_nearest_of_equal_rows_is_the_first_other_one_never_itself() -> None:
    x = np.ones((4, 3), np.float32)
    assert nearest(x, 2).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_a_zero_row_has_neighbours_too() -> None:
    x = np.array([[0, 0], [1, 0], [1, 0.1]], np.float32)
    assert nearest(x, 1).tolist() == [[1], [2], [1]]


# All of it


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_measure_agrees_with_theory(rate: float) -> None:
    """In many dimensions: sqrt(1 - p) between clean and dropped, 1 - p between two draws."""
    effect = measure(rows(60, 2000), rate, by_sign)
    assert effect.rate == rate
    assert effect.texts == 60
    assert effect.expected_cosine == pytest.approx(np.sqrt(1 - rate))
    assert effect.expected_draw_cosine == pytest.approx(1 - rate)
    assert effect.mean_cosine == pytest.approx(effect.expected_cosine, abs=0.003)
    assert effect.draw_cosine == pytest.approx(effect.expected_draw_cosine, abs=0.003)


def test_measure_counts_as_a_plain_loop_does() -> None:
    x, rate = rows(30, 24), 0.3
    effect = measure(x, rate, by_sign)
    generator = np.random.default_rng(42)
    clean = nearest(x, NEIGHBOURS)
    changed, kept, flipped = [], [], []
    for _ in range(10):
        one = dropped(x, rate, generator)
        dropped(x, rate, generator)
        found = nearest(one, NEIGHBOURS)
        for row in range(len(x)):
            changed.append(len(set(clean[row]) - set(found[row])))
            kept.append(clean[row][0] == found[row][0])
            flipped.append(by_sign(x)[row] != by_sign(one)[row])
    assert effect.neighbours == NEIGHBOURS
    assert effect.neighbours_changed == pytest.approx(np.mean(changed))
    assert effect.nearest_kept == pytest.approx(np.mean(kept))
    assert effect.predictions_flipped == pytest.approx(np.mean(flipped))
    assert 0 < effect.neighbours_changed < NEIGHBOURS
    assert 0 < effect.predictions_flipped < 1


def test_nothing_changes_at_rate_0() -> None:
    effect = measure(rows(20, 8), 0.0, by_sign)
    assert effect.mean_cosine == pytest.approx(1.0)
    assert effect.draw_cosine == pytest.approx(1.0)
    assert effect.neighbours_changed == effect.predictions_flipped == 0.0
    assert effect.nearest_kept == 1.0


def test_few_texts_have_fewer_neighbours() -> None:
    effect = measure(rows(4, 8), 0.2, by_sign)
    assert effect.neighbours == 3
    assert effect.neighbours_changed == 0.0


def test_the_same_embeddings_give_the_same_effect() -> None:
    assert measure(rows(12, 8), 0.2, by_sign) == measure(rows(12, 8), 0.2, by_sign)


@pytest.mark.parametrize(
    ("output", "classes"),
    [
        ([[0.2], [0.5], [0.51]], [0, 0, 1]),
        ([0.9, 0.1], [1, 0]),
        ([[0.1, 0.7, 0.2], [0.5, 0.4, 0.1]], [1, 0]),
        ([[[0.0], [9.0]], [[3.0], [1.0]]], [1, 0]),
    ],
)
def test_the_predicted_class(output: list[object], classes: list[int]) -> None:
    found = predicted_classes([np.array(output, np.float32), np.zeros((len(output), 5), np.float32)])
    assert found.tolist() == classes
