"""Supervised, density-preserving and aligned maps, and what is kept of a map: umap-learn and SciPy are the oracles."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import PROJECT_METHODS, Project, Transform
from penult_service.analysis.maps import umap_fit
from penult_service.analysis.maps.projection import project
from penult_service.analysis.maps.umap_fit import Target
from penult_service.analysis.run import run
from penult_service.analysis.search.neighbours import graph
from penult_service.analysis.workers import warming
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes

CACHE = Path(__file__).parents[3] / ".pytest_cache" / "numba"
Rows = NDArray[np.float32]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Numba's kernels are compiled once for all tests, and kept where the next process finds them."""
    warming.use_numba_cache(CACHE)
    warming.cache_umap()


@pytest.fixture(scope="module")
def rows() -> Rows:
    """160 rows without groups."""
    return np.random.default_rng(3).standard_normal((160, 8)).astype(np.float32)


LABELS = (np.arange(160) % 4).astype(np.int32)


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9, 1.0])
def test_labels_count_as_umap_learn_lets_them(rows: Rows, weight: float) -> None:
    import umap

    labels = np.where(np.arange(160) % 5 == 0, -1, LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = umap.UMAP(n_neighbors=15, target_weight=weight, random_state=1, n_epochs=11).fit(
            rows, labels
        )
    near = graph(rows, 15, "euclidean")
    ours, _ = umap_fit._fuzzy(rows, near, Target(labels, weight), distances=False)
    ours = umap_fit._pruned(ours, 11)  # as theirs is, after its epochs
    np.testing.assert_allclose(ours.toarray(), theirs.graph_.toarray(), atol=1e-5)


def test_labels_pull_rows_together(rows: Rows) -> None:
    plain = project(Project(metric="euclidean"), rows, LABELS)
    pulled = project(Project(metric="euclidean", supervised=True), rows, LABELS)
    assert plain.label_purity is not None
    assert pulled.label_purity is not None
    assert pulled.label_purity > plain.label_purity + 0.3
    assert pulled.label_purity_source == plain.label_purity_source
    assert pulled.used["supervised"] is True
    assert pulled.used["target_weight"] == 0.5
    assert (plain.used["layout"], pulled.used["layout"]) == ("penult", "penult")
    assert "thread" in plain.used["same_bytes"]
    unknown = project(Project(metric="euclidean", supervised=True), rows, np.full(160, -1, np.int32))
    assert unknown.label_purity is None
    assert np.isfinite(unknown.coordinates).all()
    apart = project(Project(metric="euclidean", supervised=True, target_weight=1.0), rows, LABELS)
    assert np.isfinite(apart.coordinates).all()


def test_equal_rows_have_the_label_that_most_of_them_have(rows: Rows) -> None:
    twice = np.concatenate([rows, rows[:3], rows[:3]])
    labels = np.concatenate([LABELS, [3, 2, -1], [3, 3, -1]]).astype(np.int32)
    most = LABELS.copy()
    most[0] = (
        3  # the second has three labels once each: the first of them; the third one label and none known
    )
    call = Project(metric="euclidean", supervised=True)
    found = project(call, twice, labels)
    assert (found.coordinates[:160] == project(call, rows, most).coordinates).all()
    assert (found.coordinates[160:163] == found.coordinates[:3]).all()
    (told,) = found.adjustments
    assert told.parameter == "labels"
    assert told.why.startswith("3 rows")


def test_dense_rows_lie_densely() -> None:
    random = np.random.default_rng(5)
    scales = np.repeat([0.05, 1.0], 100)[:, None]
    rows = (scales * random.standard_normal((200, 6)) + np.repeat([[0.0], [6.0]], 100, axis=0)).astype(
        np.float32
    )

    def ratio(result: Any) -> float:
        return float(
            np.log(np.ptp(result.coordinates[100:], axis=0) / np.ptp(result.coordinates[:100], axis=0)).mean()
        )

    plain, dense = (project(Project(metric="euclidean", density=density), rows) for density in (False, True))
    assert ratio(dense) > ratio(plain) + 0.5
    assert (plain.used["density"], dense.used["density"]) == (False, True)
    assert dense.used["layout"] == "umap-learn"
    assert dense.used["n_epochs"] == 700
    again = project(Project(metric="euclidean", density=True), rows)
    assert (again.coordinates == dense.coordinates).all()


def test_rows_that_are_equally_dense_have_a_plain_map_and_are_told() -> None:
    result = project(Project(metric="euclidean", density=True), np.eye(12, dtype=np.float32))
    assert np.isfinite(result.coordinates).all()
    assert result.used["density"] is False
    assert "density" in {told.parameter for told in result.adjustments}


@pytest.mark.parametrize("density", [False, True])
def test_a_map_lies_as_its_anchor_does(rows: Rows, density: bool) -> None:
    given = np.concatenate([rows, rows[:5], np.zeros((2, 8), np.float32)])
    first = project(Project(), given)
    turned = first.coordinates @ np.float32([[0, -2], [-2, 0]]) + np.float32([100, -7])
    moved = (given + 0.05 * np.abs(given).mean() * np.sin(np.arange(8))).astype(np.float32) * given.any(
        axis=1
    )[:, None]
    result = project(Project(seed=1, density=density), moved, arrays={"anchor": turned})
    apart = result.coordinates[:165].astype(np.float64)
    _, _, disparity = procrustes(turned[:165].astype(np.float64), apart)
    assert result.alignment_disparity == pytest.approx(disparity, abs=1e-6)
    assert disparity < 0.4
    # Nothing is left to turn, scale or move.
    centred = [side - side.mean(axis=0) for side in (apart, turned[:165].astype(np.float64))]
    left, _ = orthogonal_procrustes(*centred)
    np.testing.assert_allclose(left, np.eye(2), atol=1e-4)
    np.testing.assert_allclose(apart.mean(axis=0), turned[:165].mean(axis=0), atol=1e-3)
    assert (result.coordinates[160:165] == result.coordinates[:5]).all()
    assert (result.coordinates[165] == result.coordinates[166]).all()
    alone = project(Project(seed=1, density=density), moved)
    assert alone.alignment_disparity is None
    _, _, without = procrustes(turned[:165], alone.coordinates[:165])
    assert disparity < without


def test_an_anchor_of_one_point_is_no_anchor(rows: Rows) -> None:
    plain = project(Project(), rows)
    result = project(Project(), rows, arrays={"anchor": np.full((160, 2), 3.7, np.float32)})
    assert result.alignment_disparity is None
    assert (result.coordinates == plain.coordinates).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("equal", [False, True])
def test_few_rows_have_maps_of_every_kind(rows: Rows, count: int, equal: bool) -> None:
    few = np.repeat(rows[:1], count, axis=0) if equal else rows[:count]
    anchor = np.random.default_rng(2).standard_normal((count, 2)).astype(np.float32)
    for supervised, density in ((True, False), (True, True), (False, True)):
        call = Project(supervised=supervised, density=density, keep=True, keep_graph=True)
        result = project(call, few, LABELS[:count], {"anchor": anchor})
        assert np.isfinite(result.coordinates).all()
        assert result.coordinates.shape == (count, 2)
        assert result.row_neighbors_kept.shape == (count,)
        assert len(result.fitted_rows) == (1 if equal else count)
    zeros = project(
        Project(density=True, keep=True), np.zeros((count, 3), np.float32), arrays={"anchor": anchor}
    )
    assert not zeros.coordinates.any()
    assert np.isnan(zeros.row_neighbors_kept).all()
    assert zeros.fitted_rows.shape == (0, 3)


@pytest.mark.parametrize("method", PROJECT_METHODS)
def test_a_graph_that_is_kept_makes_the_same_map(rows: Rows, method: str) -> None:
    given = np.concatenate([rows, rows[:4]])
    call = Project(method, metric="euclidean", perplexity=5.0 if method == "tsne" else None, keep_graph=True)
    made = project(call, given, LABELS[np.arange(164) % 160])
    assert made.near_rows.shape == made.near_distances.shape == (160, 32)
    kept = {"near_rows": made.near_rows, "near_distances": made.near_distances}
    again = project(call, given, LABELS[np.arange(164) % 160], kept)
    assert again.near_rows.size == 0
    assert (again.coordinates == made.coordinates).all()
    assert (again.row_neighbors_kept == made.row_neighbors_kept).all()
    for name in ("trustworthiness", "continuity", "neighbors_kept", "label_purity", "label_purity_source"):
        assert getattr(again, name) == getattr(made, name)


@pytest.mark.parametrize("method", PROJECT_METHODS)
@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
def test_what_is_kept_places_the_rows_where_they_are(rows: Rows, method: str, scale: float) -> None:
    given = np.concatenate([rows, rows[:4]]) * np.float32(scale)
    result = project(Project(method, metric="euclidean", keep=True), given)
    assert result.fitted_first.tolist() == list(range(160))
    assert (result.fitted_rows == given[:160]).all()
    apart = np.linalg.norm(given[:160, None].astype(np.float64) - given[None, :160], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert result.far_distance == pytest.approx(np.quantile(apart.min(axis=1), 0.99), rel=1e-5)
    arrays = {name: getattr(result, name) for name in ("fitted_rows", "fitted_first", "coordinates")}
    if method == "pca":
        arrays |= {"mean": result.mean, "loadings": result.loadings}
    assert (result.loadings.size > 0) == (method == "pca")
    call = Transform(method, "euclidean", far_distance=result.far_distance)
    placed = run(call, {"source": given, **arrays})
    assert (placed.coordinates == result.coordinates).all()  # type: ignore[union-attr]
    assert project(Project(method, metric="euclidean"), given).fitted_rows.size == 0


def test_pca_of_many_rows_measures_some_of_them(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    from penult_service.analysis import quality
    from penult_service.analysis.maps import projection

    monkeypatch.setattr(projection, "_GRAPH_ROWS", 100)
    monkeypatch.setattr(quality, "_PAIRS", 160 * 40)
    monkeypatch.setattr(quality, "_LEAST", 40)
    result = project(Project("pca", keep_graph=True), rows)
    assert result.quality_rows == 40
    assert np.isnan(result.row_neighbors_kept).sum() == 120
    assert result.near_rows.size == 0
    indices, distances = graph(
        result_rows := rows / np.linalg.norm(rows, axis=1, keepdims=True), 16, "cosine"
    )
    kept = {"near_rows": indices, "near_distances": distances}
    known = project(Project("pca"), result_rows, arrays=kept)
    assert not np.isnan(known.row_neighbors_kept).any()
    assert known.neighbors_kept == pytest.approx(result.neighbors_kept)
