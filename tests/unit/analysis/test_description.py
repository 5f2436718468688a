"""Exemplars against all distances, the hierarchy against SciPy, numbers of clusters and stability."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import CLUSTER_METRICS, Cluster
from penult_service.analysis.clusters import choosing, description
from penult_service.analysis.clusters.clustering import cluster
from penult_service.analysis.clusters.description import centres_of, exemplars, from_largest, merges
from penult_service.analysis.rows import unit_rows
from penult_service.analysis.workers import warming
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics import adjusted_rand_score, silhouette_score

CACHE = Path(__file__).parents[3] / ".pytest_cache" / "numba"
NAMES = {"cosine": "cosine", "euclidean": "euclidean", "manhattan": "cityblock"}


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Numba's kernels are compiled once, and kept."""
    warming.use_numba_cache(CACHE)
    warming.cache_umap()


def groups(
    sizes: list[int], noise: float = 0.5, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Rows of 8 numbers around a centre for each size, and whose they are."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.int32)
    centres = 3 * random.standard_normal((len(sizes), 8))
    return (centres[labels] + noise * random.standard_normal((len(labels), 8))).astype(np.float32), labels


@pytest.mark.parametrize("metric", CLUSTER_METRICS)
def test_exemplars_are_nearest_at_the_border_and_farthest(metric: str) -> None:
    rows, labels = groups([30, 20, 12, 3], noise=2.0)
    labels[::9] = -1
    if metric == "cosine":
        rows = unit_rows(rows)
    centres = np.stack([rows[labels == number].mean(axis=0, dtype=np.float64) for number in range(4)])
    np.testing.assert_allclose(
        centres_of(rows[labels >= 0], labels[labels >= 0], 4), centres, rtol=1e-12, atol=1e-12
    )
    far = cdist(rows, centres, NAMES[metric])
    found = exemplars(rows, labels, centres, metric)
    for number in range(4):
        members = np.flatnonzero(labels == number)
        own, other = far[members, number], np.delete(far[members], number, axis=1).min(axis=1)
        for rows_found, keys in ((found.nearest, own), (found.border, other), (found.odd, -own)):
            expected = members[np.argsort(keys, kind="stable")][:5]
            assert rows_found[number].tolist() == [*expected, *[-1] * (5 - len(expected))]
    named = found.of(np.arange(100, 100 + len(rows)))
    assert named.nearest[0, 0] == found.nearest[0, 0] + 100
    assert (named.nearest[3] == -1).tolist() == (found.nearest[3] == -1).tolist()


@pytest.mark.parametrize("metric", CLUSTER_METRICS)
def test_the_hierarchy_is_scipys(metric: str) -> None:
    centres = np.random.default_rng(1).standard_normal((9, 8))
    expected = linkage(pdist(centres, NAMES[metric]), "average")
    np.testing.assert_allclose(merges(centres, metric), expected, atol=1e-12)


def test_a_hierarchy_of_one_or_of_very_many_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "MOST_IN_HIERARCHY", 3)
    assert [merges(np.eye(4)[:count], "cosine").shape for count in (0, 1, 2, 3, 4)] == [
        (0, 4), (0, 4), (1, 4), (2, 4), (0, 4),
    ]  # fmt: skip
    opposite = merges(np.array([[0.0, 0.0], [1.0, 0.0]]), "cosine")
    assert opposite[0, 2] == 1.0


def test_one_cluster_has_no_border() -> None:
    rows, labels = groups([6])
    found = exemplars(rows, labels, rows.mean(axis=0, dtype=np.float64)[None], "euclidean")
    assert (found.border == -1).all()
    assert (found.odd >= 0).all()


def test_numbers_go_from_the_largest_and_noise_stays() -> None:
    assert from_largest(np.array([7, 7, 3, -1, 3, 3, 9, 9])).tolist() == [1, 1, 0, -1, 0, 0, 2, 2]


@pytest.mark.parametrize("method", ["kmeans", "agglomerative", "gaussian_mixture"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_number_of_clusters_is_found(method: str, metric: str) -> None:
    rows, labels = groups([25] * 13, noise=0.2, seed=4)
    result = cluster(Cluster(method, metric=metric, reduction="none", auto=True), rows, labels)
    assert result.used["n_clusters"] == len(result.sizes) == 13
    assert result.agreement["adjusted_rand"] == pytest.approx(1)
    tried = dict(result.curve)
    assert list(tried) == sorted(tried)
    assert set(range(2, 11)) | {12, 13, 14} <= set(tried)
    assert max(tried) == 36
    assert tried[13] == max(tried.values())
    # The distinct rows that were tried are all rows here.
    assert tried[13] == pytest.approx(silhouette_score(rows, labels, metric=metric), abs=1e-5)


def test_of_many_rows_numbers_are_tried_on_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "MOST_ROWS", 90)
    rows, labels = groups([60, 60, 60], noise=0.2, seed=5)
    result = cluster(Cluster("kmeans", auto=True), rows, labels)
    assert (result.used["n_clusters"], result.used["auto_rows"]) == (3, 90)
    assert result.agreement["adjusted_rand"] == pytest.approx(1)


def test_too_few_rows_to_choose_by() -> None:
    rows = np.eye(5, dtype=np.float32)
    for count in (1, 2):
        result = cluster(Cluster(auto=True), rows[:count])
        assert len(result.sizes) == 1
        assert result.adjustments[0].parameter == "auto"
        assert result.curve == ()
        assert result.advice
    for count in (3, 4, 5):
        assert 2 <= len(cluster(Cluster(auto=True), rows[:count]).sizes) < count


@pytest.mark.parametrize("method", ["kmeans", "hdbscan"])
def test_stability_is_of_the_whole_procedure_on_bootstrap_samples(method: str) -> None:
    rows = groups([40, 40, 40], noise=1.5, seed=6)[0]
    rows = np.concatenate([rows, rows[:10]])
    call = Cluster(method, 3 if method == "kmeans" else None, reduction="none", bootstraps=6, seed=9)
    result = cluster(call, rows)
    indices = []
    for number in range(6):
        drawn = np.random.default_rng([9, number]).integers(0, len(rows), len(rows))
        again = cluster(replace(call, bootstraps=0), rows[np.sort(drawn)]).labels
        own = result.labels[np.sort(drawn)]
        _, first = np.unique(rows[np.sort(drawn)], axis=0, return_index=True)
        indices.append(adjusted_rand_score(own[first], again[first]))
    assert result.stability is not None
    assert result.stability.samples == 6
    assert result.stability.adjusted_rand == pytest.approx(np.mean(indices), abs=0.02)
    assert result.stability.low <= result.stability.adjusted_rand <= result.stability.high
    assert cluster(call, rows).stability == result.stability


def test_plain_groups_are_stable_and_one_group_says_nothing() -> None:
    rows, _ = groups([40, 30], noise=0.1)
    stable = cluster(Cluster("kmeans", 2, bootstraps=3), rows).stability
    assert stable is not None
    assert (stable.adjusted_rand, stable.low, stable.high) == (1.0, 1.0, 1.0)
    assert cluster(Cluster("kmeans", 1, bootstraps=3), rows).stability is None
    assert cluster(Cluster("kmeans", 2), rows).stability is None
