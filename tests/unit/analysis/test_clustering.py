"""Clusters: against scikit-learn, at the edges, with zero rows and equal rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import CLUSTER_METHODS, LINKAGES, REDUCTIONS, Cluster
from penult_service.analysis.clusters.clustering import cluster
from penult_service.analysis.results import ClusterResult
from penult_service.analysis.workers import warming
from sklearn.cluster import HDBSCAN, AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score, silhouette_score

CACHE = Path(__file__).parents[3] / ".pytest_cache" / "numba"


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Numba's kernels are compiled once, and kept."""
    warming.use_numba_cache(CACHE)
    warming.cache_umap()


def around_centres(sizes: list[int], noise: float = 0.3) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Rows of 16 numbers around a centre for each size, mixed, and whose they are."""
    random = np.random.default_rng(3)
    labels = random.permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.int32)
    centres = 2 * random.standard_normal((len(sizes), 16))
    return (centres[labels] + noise * random.standard_normal((len(labels), 16))).astype(np.float32), labels


def check(result: ClusterResult, rows: int) -> None:
    """What holds of every clustering."""
    assert result.labels.shape == (rows,)
    assert result.labels.dtype == np.int32
    assert result.sizes.tolist() == np.bincount(result.labels[result.labels >= 0]).tolist()
    assert (result.sizes > 0).all()
    assert (np.diff(result.sizes) <= 0).all()
    assert result.nearest.shape[0] == len(result.sizes)
    for number, near in enumerate(result.nearest):
        near = near[near >= 0]
        assert len(near) == min(5, result.sizes[number])
        assert (result.labels[near] == number).all()
    assert result.noise_share == pytest.approx(np.mean(result.labels < 0))
    assert set(result.labels[result.zero_rows]) <= {-1}


@pytest.mark.parametrize("method", CLUSTER_METHODS)
@pytest.mark.parametrize("reduction", [None, *REDUCTIONS])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_every_method_finds_plain_groups(method: str, reduction: str | None, metric: str) -> None:
    rows, labels = around_centres([60, 50, 40])
    count = None if method == "hdbscan" else 3
    call = Cluster(method, count, metric, reduction, noise="nearest" if method == "hdbscan" else "keep")
    result = cluster(call, rows, labels)
    check(result, 150)
    assert result.sizes.tolist() == [60, 50, 40]
    assert result.agreement["adjusted_rand"] == pytest.approx(1)
    expected = silhouette_score(rows, result.labels, metric=metric)
    assert result.silhouette == pytest.approx(expected, abs=1e-5)
    assert (cluster(call, rows, labels).labels == result.labels).all()


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
def test_agglomerative_is_scikit_learns(linkage: str, metric: str) -> None:
    if linkage == "ward" and metric == "manhattan":
        pytest.skip("Ward's is about squared distances")
    rows, _ = around_centres([40, 40, 40], noise=2.0)
    given, words = rows.astype(np.float64), {"linkage": linkage, "metric": metric}
    if linkage == "ward":
        words["metric"] = "euclidean"
        if metric == "cosine":
            given = given / np.linalg.norm(given, axis=1, keepdims=True)
    oracle = AgglomerativeClustering(7, **words).fit_predict(given)
    result = cluster(Cluster("agglomerative", 7, metric, linkage=linkage), rows)
    check(result, 120)
    assert adjusted_rand_score(oracle, result.labels) == pytest.approx(1)


def test_hdbscan_is_scikit_learns_and_noise_can_be_put_to_the_nearest() -> None:
    rows, _ = around_centres([50, 40, 30], noise=1.0)
    rows[::12] += np.float32(4) * np.random.default_rng(3).standard_normal(rows[::12].shape, dtype=np.float32)
    oracle = HDBSCAN(min_cluster_size=10, min_samples=3, copy=True).fit_predict(rows.astype(np.float64))
    call = Cluster("hdbscan", metric="euclidean", reduction="none", min_cluster_size=10, min_samples=3)
    result = cluster(call, rows)
    check(result, 120)
    assert 0 < result.noise_share < 1
    assert adjusted_rand_score(oracle, result.labels) == pytest.approx(1)
    moved = cluster(
        Cluster("hdbscan", None, "euclidean", "none", min_cluster_size=10, min_samples=3, noise="nearest"),
        rows,
    )
    assert moved.noise_share == 0
    assert moved.used["noise"] == "nearest"
    noise = result.labels < 0
    assert adjusted_rand_score(result.labels[~noise], moved.labels[~noise]) == pytest.approx(1)
    centres = np.stack([rows[result.labels == number].mean(axis=0) for number in range(len(result.sizes))])
    nearest = np.linalg.norm(rows[noise][:, None] - centres, axis=2).argmin(axis=1)
    assert adjusted_rand_score(nearest, moved.labels[noise]) == pytest.approx(1)


@pytest.mark.parametrize("method", CLUSTER_METHODS)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_few_rows_and_equal_rows(method: str, metric: str) -> None:
    rows, labels = around_centres([8, 8])
    for count in (1, 2, 3, 4, 5, 6, 14, 16):
        result = cluster(Cluster(method, metric=metric), rows[:count], labels[:count])
        check(result, count)
        told = {adjustment.parameter for adjustment in result.adjustments}
        if method != "hdbscan":
            assert len(result.sizes) == min(8, count)
            assert ("n_clusters" in told) == (count < 8)
    equal = cluster(Cluster(method, metric=metric), np.ones((20, 3), dtype=np.float32))
    check(equal, 20)
    assert len(np.unique(equal.labels)) == 1
    assert equal.silhouette is None
    if method != "hdbscan":
        assert equal.adjustments[0].why == "there is 1 distinct row"


@pytest.mark.parametrize("method", CLUSTER_METHODS)
def test_copies_are_in_one_cluster_and_zero_rows_in_none(method: str) -> None:
    rows, _ = around_centres([60, 50], noise=0.8)
    rows = np.concatenate([rows, np.repeat(rows[:1], 90, axis=0), np.zeros((2, 16), dtype=np.float32)])
    result = cluster(Cluster(method, None if method == "hdbscan" else 5), rows)
    check(result, 202)
    assert result.zero_rows.tolist() == [200, 201]
    assert len(set(result.labels[110:200]) | {result.labels[0]}) == 1
    zeros = cluster(Cluster(method), np.zeros((4, 3), dtype=np.float32))
    assert zeros.labels.tolist() == [-1] * 4
    assert not len(zeros.sizes)


def test_equal_sizes_are_numbered_by_their_first_row() -> None:
    rows, labels = around_centres([10, 10, 10])
    result = cluster(Cluster(n_clusters=3), rows, labels)
    order = [int(np.flatnonzero(result.labels == number)[0]) for number in range(3)]
    assert order == sorted(order)
