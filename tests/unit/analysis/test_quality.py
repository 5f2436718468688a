"""Trustworthiness, silhouette, purity and agreement against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from penult_service.analysis import quality
from penult_service.analysis.neighbours import graph
from sklearn.manifold import trustworthiness as oracle
from sklearn.metrics import (
    adjusted_rand_score,
    silhouette_samples,
    silhouette_score,
    v_measure_score,
)

METRICS = ("cosine", "euclidean", "manhattan")


def data(n: int, d: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows in clumps, a map that keeps half of it, labels with noise."""
    rng = np.random.default_rng(n)
    labels = rng.integers(-1, 4, n)
    rows = rng.standard_normal((n, d)) + 2 * rng.standard_normal((5, d))[labels]
    return rows.astype(np.float32), (rows[:, :2] + rng.standard_normal((n, 2))).astype(np.float32), labels


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [4, 5, 16, 30, 31, 32, 900])
def test_trustworthiness_is_that_of_scikit_learn(metric: str, n: int) -> None:
    rows, places, _ = data(n)
    k = quality.neighbors_of(n)
    expected = oracle(rows.astype(np.float64), places, n_neighbors=k, metric=metric)
    found, measured = quality.trustworthiness(rows, places, metric)
    assert measured == n
    assert found == pytest.approx(expected, abs=1e-12)


def test_trustworthiness_of_few_rows_is_undefined() -> None:
    assert [quality.neighbors_of(n) for n in (0, 1, 3, 4, 5, 31, 32)] == [0, 0, 0, 1, 2, 15, 15]
    rows, places, _ = data(3)
    assert quality.trustworthiness(rows, places, "cosine") == (None, 0)


def test_trustworthiness_of_a_sample_is_near_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, places, _ = data(2000)
    everything, _ = quality.trustworthiness(rows, places, "cosine")
    monkeypatch.setattr(quality, "_PAIRS", 2000 * 600)
    part, measured = quality.trustworthiness(rows, places, "cosine")
    assert measured == 600
    assert part == pytest.approx(everything, abs=0.02)
    assert part == quality.trustworthiness(rows, places, "cosine")[0]


@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_are_equally_far_have_one_rank(metric: str) -> None:
    equal = np.ones((40, 6), dtype=np.float32)
    assert quality.trustworthiness(equal, data(40)[1], metric)[0] == 1
    rows, _, _ = data(300)
    rows[100:250] = rows[5]
    assert quality.trustworthiness(rows, rows, "euclidean")[0] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_silhouette_is_that_of_scikit_learn(metric: str) -> None:
    rows, _, labels = data(600)
    inside = labels >= 0
    labels[np.flatnonzero(inside)[0]] = 77  # a cluster of one row
    expected = silhouette_score(rows[inside].astype(np.float64), labels[inside], metric=metric)
    found, measured = quality.silhouette(rows, labels, metric)
    assert measured == inside.sum()
    assert found == pytest.approx(expected, abs=1e-7)


def test_silhouette_of_a_sample_compares_it_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _, _ = data(1200)
    labels = np.arange(1200) * 5 // 1200
    monkeypatch.setattr(quality, "_PAIRS", 1200 * 500)
    found, measured = quality.silhouette(rows, labels, "euclidean")
    chosen = np.arange(500) * 1200 // 500
    assert measured == 500
    expected = silhouette_samples(rows.astype(np.float64), labels, metric="euclidean")[chosen].mean()
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("labels", [[-1, -1, -1, -1], [0, 0, 0, -1], [0, 1, 2, 3], []])
def test_silhouette_is_undefined(labels: list[int]) -> None:
    rows = np.eye(4, dtype=np.float32)[: len(labels)]
    for metric in METRICS:
        assert quality.silhouette(rows, np.array(labels, dtype=np.int32), metric) == (None, 0)


@pytest.mark.parametrize("metric", METRICS)
def test_silhouette_of_equal_rows_is_no_nan(metric: str) -> None:
    rows = np.ones((6, 3), dtype=np.float32)
    assert quality.silhouette(rows, np.array([0, 0, 0, 1, 1, 1]), metric)[0] == pytest.approx(0, abs=1e-6)


def test_label_purity_by_hand() -> None:
    labels = np.array([0, 0, 1, 1])
    assert quality.label_purity(np.array([[1, 2], [0, 3], [3, 0], [2, 1]]), labels) == 0.5
    assert quality.label_purity(np.empty((1, 0), dtype=np.int32), labels[:1]) is None
    rows, _, codes = data(200)
    neighbours = graph(rows, 6, "cosine")[0][:, 1:]
    by_hand = np.mean([codes[j] == codes[i] for i in range(200) for j in neighbours[i]])
    assert quality.label_purity(neighbours, codes) == pytest.approx(by_hand)


def test_agreement_is_that_of_scikit_learn_and_purity_by_hand() -> None:
    clusters, labels = np.array([0, 0, 0, 1, 1, -1, -1]), np.array([5, 5, 6, 6, 6, 5, 7])
    found = quality.agreement(clusters, labels)
    assert found["v_measure"] == pytest.approx(v_measure_score(labels, clusters))
    assert found["adjusted_rand"] == pytest.approx(adjusted_rand_score(labels, clusters))
    assert found["purity"] == pytest.approx((2 + 2 + 1) / 7)
