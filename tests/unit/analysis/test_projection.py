"""Maps: against scikit-learn and umap-learn, at the edges, and the same bytes at any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import PROJECT_METHODS, Project
from penult_service.analysis.maps import projection
from penult_service.analysis.results import ProjectResult
from penult_service.analysis.workers import warming
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

CACHE = Path(__file__).parents[3] / ".pytest_cache" / "numba"
DIGEST = """
import hashlib, os, sys
sys.modules["tensorflow"] = None
from pathlib import Path
from penult_service.analysis.workers import warming
warming.use_numba_cache(Path(sys.argv[1])); warming.cache_umap()
import numpy as np
from penult_service.analysis.search import rough
from penult_service.analysis.calls import Cluster, Project
from penult_service.analysis.clusters.clustering import cluster
from penult_service.analysis.maps.projection import project
rough.cores = lambda: int(sys.argv[3])
rows, many = (np.load(Path(sys.argv[2]) / f"{name}.npy") for name in ("rows", "many"))
labels, anchor = (np.arange(len(rows)) % 5).astype(np.int32), rows[:, :2].copy()
digest = hashlib.sha256()
for method in ("umap", "pca", "tsne"):
    digest.update(project(Project(method), rows).coordinates.tobytes())
for more in ({"supervised": True}, {"density": True, "seed": 7}):
    digest.update(project(Project(**more), rows, labels, {"anchor": anchor}).coordinates.tobytes())
made = project(Project(n_neighbors=5), many)
digest.update(made.coordinates.tobytes())
digest.update(made.row_neighbors_kept.tobytes())
digest.update(repr((made.trustworthiness, made.continuity, made.distance_correlation)).encode())
for method in ("kmeans", "agglomerative", "gaussian_mixture", "hdbscan"):
    digest.update(cluster(Cluster(method), rows).labels.tobytes())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Numba's kernels are compiled once for all tests, and kept where the next process finds them."""
    warming.use_numba_cache(CACHE)
    warming.cache_umap()


@pytest.fixture(scope="module")
def groups() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """300 rows around 6 centres, and whose they are."""
    return around_centres(300, 6)


def around_centres(
    count: int, centres: int, width: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Rows and the centre of each."""
    random = np.random.default_rng(7)
    labels = (np.arange(count) % centres).astype(np.int32)
    rows = random.standard_normal((centres, width))[labels] + 0.4 * random.standard_normal((count, width))
    return rows.astype(np.float32), labels


def check(result: ProjectResult, rows: int, components: int = 2) -> None:
    """What holds of every map."""
    assert result.coordinates.shape == (rows, components)
    assert result.coordinates.dtype == np.float32
    assert np.isfinite(result.coordinates).all()


def test_umap_is_as_trustworthy_as_umap_learns(groups: tuple[NDArray[np.float32], NDArray[np.int32]]) -> None:
    import umap

    rows, labels = groups
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = umap.UMAP(metric="cosine", random_state=42).fit_transform(rows)
    result = projection.project(Project(), rows, labels)
    check(result, 300)
    oracle = trustworthiness(rows, theirs, n_neighbors=15, metric="cosine")
    ours = trustworthiness(rows, result.coordinates, n_neighbors=15, metric="cosine")
    assert ours > oracle - 0.01
    assert result.trustworthiness == pytest.approx(ours, abs=1e-6)
    assert result.label_purity is not None
    assert result.label_purity > 0.95
    assert result.used["n_neighbors"] == 15
    assert result.used["method"] == "umap"


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("components", [2, 3])
def test_pca_is_scikit_learns(
    groups: tuple[NDArray[np.float32], NDArray[np.int32]], metric: str, components: int
) -> None:
    rows = np.concatenate([groups[0], groups[0][:40]])
    result = projection.project(Project("pca", components, metric), rows)
    given = rows.astype(np.float64)
    if metric == "cosine":
        given = given / np.linalg.norm(given, axis=1, keepdims=True)
    oracle = PCA(components, svd_solver="covariance_eigh").fit(given)
    np.testing.assert_allclose(result.coordinates, oracle.transform(given), atol=1e-5)
    np.testing.assert_allclose(result.explained_variance, oracle.explained_variance_ratio_, atol=1e-7)


def test_pca_beyond_the_rank_is_zero() -> None:
    line = np.outer(np.arange(9), np.ones(4)).astype(np.float32)
    result = projection.project(Project("pca", 3, "euclidean"), line)
    assert np.ptp(result.coordinates[:, 0]) == pytest.approx(16)
    assert not result.coordinates[:, 1:].any()
    np.testing.assert_allclose(result.explained_variance, [1, 0, 0])


@pytest.mark.parametrize("method", PROJECT_METHODS)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_few_rows_have_places(method: str, metric: str) -> None:
    rows, labels = around_centres(16, 2)
    for count in (1, 2, 3, 4, 5, 14, 16):
        for components in (2, 3):
            result = projection.project(Project(method, components, metric), rows[:count], labels[:count])
            check(result, count, components)
            told = {adjustment.parameter for adjustment in result.adjustments}
            few = method != "pca" and count <= components + 1
            assert ("method" in told) == few
            assert result.used["method"] == ("pca" if few else method)
            if method == "umap" and not few:
                assert result.used["n_neighbors"] == min(15, count - 1)
                assert ("n_neighbors" in told) == (count <= 15)
            if method == "tsne" and not few:
                assert "perplexity" in told


@pytest.mark.parametrize("method", PROJECT_METHODS)
def test_equal_rows_have_equal_places(method: str) -> None:
    rows, _ = around_centres(100, 4)
    rows = np.concatenate([rows, np.repeat(rows[3:4], 60, axis=0)])
    result = projection.project(Project(method), rows)
    assert (result.coordinates[100:] == result.coordinates[3]).all()
    assert len(np.unique(result.coordinates, axis=0)) == 100
    equal = projection.project(Project(method), np.ones((20, 3), dtype=np.float32))
    check(equal, 20)
    assert len(np.unique(equal.coordinates, axis=0)) == 1


@pytest.mark.parametrize("method", PROJECT_METHODS)
def test_zero_rows_lie_beside_the_map_under_cosine(method: str) -> None:
    rows, _ = around_centres(40, 2)
    rows[[5, 17]] = 0
    result = projection.project(Project(method), rows)
    check(result, 40)
    assert result.zero_rows.tolist() == [5, 17]
    assert (result.coordinates[5] == result.coordinates[17]).all()
    others = np.delete(result.coordinates, [5, 17], axis=0)
    place = result.coordinates[5]
    assert ((place < others.min(axis=0)) | (place > others.max(axis=0))).any()
    check(projection.project(Project(method), np.zeros((3, 4), dtype=np.float32)), 3)


def test_a_graph_in_parts_has_a_map_that_keeps_them_apart() -> None:
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(12), 20).astype(np.int32)
    rows = (100 * random.standard_normal((12, 32))[labels] + random.standard_normal((240, 32))).astype(
        np.float32
    )
    for metric in ("cosine", "euclidean", "manhattan"):
        result = projection.project(Project(metric=metric, n_neighbors=5), rows, labels)
        check(result, 240)
        assert result.label_purity is not None
        assert result.label_purity > 0.97
        again = projection.project(Project(metric=metric, n_neighbors=5), rows, labels)
        assert (again.coordinates == result.coordinates).all()


@pytest.mark.parametrize("scale", [1e-38, 1e30])
def test_rows_of_extreme_size_have_places(scale: float) -> None:
    rows, labels = around_centres(60, 3)
    result = projection.project(Project(metric="euclidean"), rows * np.float32(scale), labels)
    check(result, 60)
    assert result.label_purity is not None
    assert result.label_purity > 0.9


def test_the_same_bytes_at_any_number_of_threads_and_in_any_process(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", around_centres(400, 5)[0])
    np.save(tmp_path / "many.npy", around_centres(2_200, 9, 8)[0])  # enough for threads to share the layout
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    digests = set()
    for threads in ("1", "4"):
        environment = os.environ | dict.fromkeys(names, threads)
        line = [sys.executable, "-W", "ignore", "-c", DIGEST, str(CACHE), str(tmp_path), threads]
        digests.add(subprocess.run(line, env=environment, capture_output=True, check=True).stdout)
    assert len(digests) == 1
