"""Trustworthiness and purity against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from penult_service.analysis import quality
from penult_service.analysis.neighbours import graph
from sklearn.manifold import trustworthiness as oracle

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


def test_label_purity_by_hand() -> None:
    labels = np.array([0, 0, 1, 1])
    assert quality.label_purity(np.array([[1, 2], [0, 3], [3, 0], [2, 1]]), labels) == 0.5
    assert quality.label_purity(np.empty((1, 0), dtype=np.int32), labels[:1]) is None
    rows, _, codes = data(200)
    neighbours = graph(rows, 6, "cosine")[0][:, 1:]
    by_hand = np.mean([codes[j] == codes[i] for i in range(200) for j in neighbours[i]])
    assert quality.label_purity(neighbours, codes) == pytest.approx(by_hand)
