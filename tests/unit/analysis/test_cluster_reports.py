"""What a clustering says beside its labels: the default, noise that moved, advice, labels, what is kept; same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import Cluster
from penult_service.analysis.fitting import fitting
from penult_service.analysis.results import ClusterResult
from penult_service.analysis.run import run
from penult_service.analysis.search.graphs import graph_of
from penult_service.analysis.workers import warming
from sklearn import metrics

CACHE = Path(__file__).parents[3] / ".pytest_cache" / "numba"
DIGEST = """
import hashlib, sys
sys.modules["tensorflow"] = None
from dataclasses import fields
from pathlib import Path
from penult_service.analysis.workers import warming
warming.use_numba_cache(Path(sys.argv[1])); warming.cache_umap()
import numpy as np
from penult_service.analysis.calls import Cluster, Grow
from penult_service.analysis.run import run
rows, new = np.load(sys.argv[2]), np.load(sys.argv[3])
digest = hashlib.sha256()
def told(result):
    for field in fields(result):
        value = getattr(result, field.name)
        digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
for call in (Cluster(bootstraps=1, keep=True, keep_graph=True), Cluster("agglomerative", auto=True)):
    result = run(call, {"source": rows, "labels": np.arange(len(rows), dtype=np.int32) % 7})
    told(result)
kept = run(Cluster(keep=True), {"source": rows})
stored = {"fitted_rows": kept.fitted_rows, "fitted_first": kept.fitted_first, "stored_labels": kept.labels,
          "fitted_inverse": kept.fitted_inverse}
told(run(Grow(far_distance=kept.far_distance, next_label=len(kept.sizes)), {"source": new, **stored}))
print(digest.hexdigest())
"""


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Numba's kernels are compiled once, and kept."""
    warming.use_numba_cache(CACHE)
    warming.cache_umap()


def groups(
    sizes: list[int], noise: float = 0.3, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Rows of 16 numbers around a centre for each size, and whose they are."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.int32)
    centres = 3 * random.standard_normal((len(sizes), 16))
    return (centres[labels] + noise * random.standard_normal((len(labels), 16))).astype(np.float32), labels


def clusters(call: Cluster, source: NDArray[np.float32], **arrays: NDArray[Any]) -> ClusterResult:
    """The result of a call."""
    result = run(call, {"source": source, **arrays})
    assert isinstance(result, ClusterResult)
    return result


def test_without_a_method_it_is_hdbscan_or_with_a_number_kmeans_on_a_umap() -> None:
    rows, labels = groups([50, 40, 30])
    for call, method in (
        (Cluster(), "hdbscan"),
        (Cluster(n_clusters=3), "kmeans"),
        (Cluster(auto=True), "kmeans"),
    ):
        result = clusters(call, rows, labels=labels)
        assert (result.used["method"], result.used["reduction"]) == (method, "umap")
        assert result.used["reduced_dimensions"] == 5
        assert result.agreement["adjusted_rand"] == pytest.approx(1)
        assert (result.label_counts == np.eye(3) * [50, 40, 30]).all()
    assert clusters(Cluster(n_clusters=3, metric="manhattan"), rows).sizes.tolist() == [50, 40, 30]


def test_quality_is_of_the_space_where_clusters_were_found() -> None:
    rows, _ = groups([50, 40, 30], noise=1.5)
    result = clusters(Cluster("kmeans", 3, "euclidean", "pca", 2, keep=True), rows)
    assert result.reduced.shape == (120, 2)
    expected = metrics.davies_bouldin_score(result.reduced, result.labels)
    assert result.davies_bouldin == pytest.approx(expected, rel=1e-5)
    expected = metrics.calinski_harabasz_score(result.reduced, result.labels)
    assert result.calinski_harabasz == pytest.approx(expected, rel=1e-5)
    samples = metrics.silhouette_samples(rows, result.labels)
    for number in range(3):
        assert result.silhouettes[number] == pytest.approx(samples[result.labels == number].mean(), abs=1e-5)


def test_noise_that_moved_is_named() -> None:
    rows, _ = groups([50, 40, 30], noise=1.0)
    rows[::12] += np.float32(4) * np.random.default_rng(3).standard_normal(rows[::12].shape, dtype=np.float32)
    rows[7] = 0
    call = Cluster("hdbscan", reduction="none", min_cluster_size=10, min_samples=3)
    stays = clusters(call, rows)
    assert not len(stays.moved)
    moved = clusters(
        Cluster("hdbscan", None, "cosine", "none", noise="nearest", min_cluster_size=10, min_samples=3), rows
    )
    assert moved.moved.tolist() == [row for row in np.flatnonzero(stays.labels < 0) if row != 7]
    assert moved.labels[7] == -1
    assert set(np.flatnonzero(moved.labels < 0)) == {7}


@pytest.mark.parametrize("noise", ["keep", "nearest"])
def test_when_all_is_noise_it_says_what_would_not_be(noise: str) -> None:
    rows, _ = groups([12, 12, 12], noise=0.05)
    call = Cluster("hdbscan", reduction="none", min_cluster_size=30, noise=noise)
    result = clusters(call, rows)
    assert result.noise_share == 1
    assert (result.davies_bouldin, result.silhouette, result.merges.shape) == (None, None, (0, 4))
    (advice,) = result.advice
    assert advice.parameter == "min_cluster_size"
    assert advice.why == (
        "all 36 rows are noise: with min_cluster_size 30 and min_samples 5 no groups of rows lie denser than the rest;"
        " with min_cluster_size 7 there are 3 clusters and 0% noise"
    )
    again = clusters(Cluster("hdbscan", reduction="none", min_cluster_size=7), rows)
    assert again.sizes.tolist() == [12, 12, 12]
    assert again.advice == ()


def test_rows_without_groups_are_told_to_be_divided() -> None:
    rows = np.linspace(0, 1, 12, dtype=np.float32)[:, None] ** 1.5
    (advice,) = clusters(
        Cluster("hdbscan", None, "euclidean", "none", min_cluster_size=10, min_samples=9), rows
    ).advice
    assert advice.parameter in ("min_cluster_size", "min_samples", "method")
    (advice,) = clusters(Cluster("hdbscan", None, "euclidean", "none"), np.eye(3, dtype=np.float32)).advice
    assert advice.parameter == "method"
    assert "kmeans or agglomerative" in advice.why


@pytest.mark.parametrize(
    ("call", "rows", "parameter", "why"),
    [
        (Cluster(), np.ones((4, 2)), "source", "all 4 rows are equal"),
        (Cluster("kmeans"), np.ones((1, 2)), "source", "there is one row"),
        (Cluster(), np.zeros((3, 2)), "metric", "all 3 rows are zero"),
        (Cluster(n_clusters=1), np.eye(4), "n_clusters", "n_clusters is 1"),
        (Cluster(auto=True), np.eye(2), "n_clusters", "there are 2 distinct rows"),
    ],
)
def test_one_cluster_has_a_reason(call: Cluster, rows: NDArray[Any], parameter: str, why: str) -> None:
    result = clusters(call, rows.astype(np.float32))
    assert len(result.sizes) <= 1
    assert [(one.parameter, one.why.startswith(why)) for one in result.advice] == [(parameter, True)]


def test_labels_that_are_not_known_do_not_count() -> None:
    rows, labels = groups([20, 15], noise=0.1)
    labels[:5] = -1
    result = clusters(Cluster("kmeans", 2), rows, labels=labels)
    assert result.label_counts.sum() == 30
    assert result.agreement["purity"] == 1
    nothing = clusters(Cluster("kmeans", 2), rows, labels=np.full(35, -1, np.int32))
    assert nothing.agreement == {}
    assert nothing.label_counts.shape == (2, 0)


def test_texts_give_keywords_and_without_there_are_none() -> None:
    rows, labels = groups([20, 15], noise=0.1)
    texts = [("lost card" if label else "exchange rate").encode() for label in labels]
    told = {
        "text_bytes": np.frombuffer(b"".join(texts), np.uint8),
        "text_ends": np.cumsum([len(text) for text in texts], dtype=np.int64),
    }
    found = clusters(Cluster("kmeans", 2), rows, **told).keywords
    assert [{word for word, _ in of} for of in found] == [
        {"exchange", "rate", "exchange rate"}, {"lost", "card", "lost card"},
    ]  # fmt: skip
    assert clusters(Cluster("kmeans", 2, keywords=0), rows, **told).keywords == ()
    assert clusters(Cluster("kmeans", 2), rows).keywords == ()


def test_what_is_kept_is_what_was_fitted() -> None:
    rows, _ = groups([30, 20, 10])
    rows = np.concatenate([rows, rows[3:6] * 2, np.zeros((1, 16), np.float32)])
    result = clusters(Cluster(keep=True, keep_graph=True), rows)
    fitted = fitting(rows, "cosine")
    assert (result.fitted_rows == fitted.rows).all()
    assert result.fitted_first.tolist() == list(range(60))
    assert result.fitted_inverse.tolist() == [*range(60), 3, 4, 5, -1]
    assert result.far_distance == pytest.approx(
        np.quantile(graph_of(fitted, 2, "cosine", {}).distances[:, 1], 0.99)
    )
    assert result.reduced.shape == (60, 5)
    assert result.near_rows.shape == (60, 32)
    graph = {"near_rows": result.near_rows, "near_distances": result.near_distances}
    again = clusters(Cluster(keep=True, keep_graph=True), rows, **graph)
    assert (again.reduced == result.reduced).all()
    assert not again.near_rows.size
    plain = clusters(Cluster(), rows)
    assert not any(
        getattr(plain, name).size for name in ("fitted_rows", "fitted_inverse", "reduced", "near_rows")
    )
    assert (plain.labels == result.labels).all()


def test_without_a_reduction_a_graph_that_is_there_says_what_is_far() -> None:
    rows, _ = groups([30, 20])
    made = clusters(Cluster("kmeans", 2, keep=True, keep_graph=True), rows)
    assert made.near_rows.shape == (50, 32)
    graph = {"near_rows": made.near_rows, "near_distances": made.near_distances}
    again = clusters(Cluster("kmeans", 2, keep=True), rows, **graph)
    assert (
        again.far_distance
        == made.far_distance
        == clusters(Cluster("kmeans", 2, keep=True), rows).far_distance
    )
    assert clusters(Cluster("kmeans", 2, keep_graph=True), rows).near_rows.size == 0


@pytest.mark.parametrize("scale", [1.0, 1e30])
def test_kmeans_on_the_rows_keeps_its_centres(scale: float) -> None:
    rows = groups([30, 20, 10])[0] * np.float32(scale)
    rows = np.concatenate([rows, rows[:7]])
    result = clusters(Cluster("kmeans", 3, "euclidean", keep=True), rows)
    assert not result.reduced.size
    for number in range(3):
        mean = rows[result.labels == number].mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(result.centres[number], mean, rtol=1e-5, atol=1e-6 * scale)


def test_the_same_bytes_at_any_number_of_threads_and_in_any_process(tmp_path: Path) -> None:
    rows = groups([60, 50, 40, 30, 20], noise=1.2)[0]
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "new.npy", groups([20, 20, 20, 20, 20, 40], noise=1.2)[0])
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "PENULT_THREADS")
    digests = set()
    for threads in ("1", "4"):
        environment = os.environ | dict.fromkeys(names, threads)
        files = [str(tmp_path / "rows.npy"), str(tmp_path / "new.npy")]
        line = [sys.executable, "-W", "ignore", "-c", DIGEST, str(CACHE), *files]
        digests.add(subprocess.run(line, env=environment, capture_output=True, check=True).stdout)
    assert len(digests) == 1
