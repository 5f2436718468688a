"""Silhouettes, separation and agreement of clusters against scikit-learn."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from penult_service.analysis import quality
from penult_service.analysis.clusters import cluster_quality
from sklearn import metrics

METRICS = ("cosine", "euclidean", "manhattan")


def data(n: int, d: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Rows in clumps, and labels with noise."""
    rng = np.random.default_rng(n)
    labels = rng.integers(-1, 4, n)
    rows = rng.standard_normal((n, d)) + 2 * rng.standard_normal((5, d))[labels]
    return rows.astype(np.float32), labels


@pytest.mark.parametrize("metric", METRICS)
def test_silhouettes_are_those_of_scikit_learn(metric: str) -> None:
    rows, labels = data(600)
    inside = labels >= 0
    labels[np.flatnonzero(inside)[0]] = 4  # a cluster of one row
    expected = metrics.silhouette_samples(rows[inside].astype(np.float64), labels[inside], metric=metric)
    found = cluster_quality.silhouettes(rows, labels, metric)
    assert found.rows == inside.sum()
    assert found.mean == pytest.approx(expected.mean(), abs=1e-7)
    of_each = [expected[labels[inside] == number].mean() for number in range(5)]
    np.testing.assert_allclose(found.of_each, of_each, atol=1e-6)


def test_silhouettes_of_a_sample_compare_it_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = data(1200)
    labels = np.arange(1200) * 5 // 1200
    monkeypatch.setattr(quality, "_PAIRS", 1200 * 500)
    found = cluster_quality.silhouettes(rows, labels, "euclidean")
    chosen = np.arange(500) * 1200 // 500
    assert found.rows == 500
    expected = metrics.silhouette_samples(rows.astype(np.float64), labels, metric="euclidean")[chosen]
    assert found.mean == pytest.approx(expected.mean(), abs=1e-6)
    of_each = [expected[labels[chosen] == number].mean() for number in range(5)]
    np.testing.assert_allclose(found.of_each, of_each, atol=1e-6)


@pytest.mark.parametrize("labels", [[-1, -1, -1, -1], [0, 0, 0, -1], [0, 1, 2, 3], []])
def test_silhouette_and_separation_are_undefined(labels: list[int]) -> None:
    rows, codes = np.eye(4, dtype=np.float32)[: len(labels)], np.array(labels, dtype=np.int32)
    for metric in METRICS:
        found = cluster_quality.silhouettes(rows, codes, metric)
        assert (found.mean, found.rows) == (None, 0)
        assert np.isnan(found.of_each).all()
        assert len(found.of_each) == len(set(labels) - {-1})
    assert cluster_quality.separation(rows, codes) == cluster_quality.Separation()


@pytest.mark.parametrize("metric", METRICS)
def test_quality_of_equal_rows_is_no_nan(metric: str) -> None:
    rows, labels = np.ones((6, 3), dtype=np.float32), np.array([0, 0, 0, 1, 1, 1])
    assert cluster_quality.silhouettes(rows, labels, metric).mean == pytest.approx(0, abs=1e-6)
    assert cluster_quality.separation(rows, labels) == cluster_quality.Separation()


def test_quality_of_very_many_clusters_takes_no_more_memory() -> None:
    rng = np.random.default_rng(0)
    rows, labels = rng.standard_normal((3000, 8)).astype(np.float32), np.arange(3000) // 2
    labels[-3] = labels[-4]  # of one and of three
    tracemalloc.start()
    try:
        found = cluster_quality.silhouettes(rows, labels, "cosine")
        apart = cluster_quality.separation(rows, labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * (1 << 24)  # all rows with all clusters: 36 MB, several times
    expected = metrics.silhouette_score(rows.astype(np.float64), labels, metric="cosine")
    assert found.mean == pytest.approx(expected, abs=1e-6)
    assert apart.davies_bouldin == pytest.approx(
        metrics.davies_bouldin_score(rows.astype(np.float64), labels)
    )


@pytest.mark.parametrize("n", [30, 700])
def test_separation_is_that_of_scikit_learn(n: int) -> None:
    rows, labels = data(n)
    labels[np.flatnonzero(labels >= 0)[0]] = 4
    rows[labels == 3] = rows[labels == 3][0]  # a cluster of equal rows
    inside, wide = labels >= 0, rows.astype(np.float64)
    found = cluster_quality.separation(rows, labels)
    assert found.davies_bouldin == pytest.approx(metrics.davies_bouldin_score(wide[inside], labels[inside]))
    expected = metrics.calinski_harabasz_score(wide[inside], labels[inside])
    assert found.calinski_harabasz == pytest.approx(expected)


def test_agreement_is_that_of_scikit_learn_and_purity_by_hand() -> None:
    clusters, labels = np.array([0, 0, 0, 1, 1, -1, -1]), np.array([5, 5, 6, 6, 6, 5, 7])
    found = cluster_quality.agreement(clusters, labels)
    assert found["v_measure"] == pytest.approx(metrics.v_measure_score(labels, clusters))
    assert found["adjusted_rand"] == pytest.approx(metrics.adjusted_rand_score(labels, clusters))
    assert found["purity"] == pytest.approx((2 + 2 + 1) / 7)
    expected = metrics.normalized_mutual_info_score(labels, clusters)
    assert found["normalized_mutual_information"] == pytest.approx(expected)


def test_rows_of_unknown_label_do_not_count() -> None:
    clusters, labels = np.array([0, 0, 1, 1, -1, 2]), np.array([0, 0, 1, -1, 1, -1])
    found = cluster_quality.agreement(clusters, labels)
    assert found == cluster_quality.agreement(clusters[[0, 1, 2, 4]], labels[[0, 1, 2, 4]])
    assert cluster_quality.agreement(clusters, np.full(6, -1)) == {}


def test_very_many_labels_and_clusters_are_no_matrix() -> None:
    clusters, labels = np.arange(6000) // 3, np.arange(6000) // 2
    tracemalloc.start()
    try:
        found = cluster_quality.agreement(clusters, labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 24  # as a matrix: 48 MB
    assert found["purity"] == pytest.approx(2 / 3)
