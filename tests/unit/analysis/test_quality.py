"""Trustworthiness and purity against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from penult_service.analysis import quality
from penult_service.analysis.search.neighbours import graph
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr
from sklearn.manifold import trustworthiness as oracle
from sklearn.neighbors import NearestNeighbors

METRICS = ("cosine", "euclidean", "manhattan")


def data(n: int, d: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows in clumps, a map that keeps half of it, labels with noise."""
    rng = np.random.default_rng(n)
    labels = rng.integers(-1, 4, n)
    rows = rng.standard_normal((n, d)) + 2 * rng.standard_normal((5, d))[labels]
    return rows.astype(np.float32), (rows[:, :2] + rng.standard_normal((n, 2))).astype(np.float32), labels


def trustworthiness(rows: np.ndarray, places: np.ndarray, metric: str) -> tuple[float | None, int]:
    """Of a map, and of how many rows it was measured."""
    found = quality.of_map(rows, places, metric)
    return found.trustworthiness, found.rows


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [4, 5, 16, 30, 31, 32, 900])
def test_trustworthiness_is_that_of_scikit_learn(metric: str, n: int) -> None:
    rows, places, _ = data(n)
    k = quality.neighbors_of(n)
    expected = oracle(rows.astype(np.float64), places, n_neighbors=k, metric=metric)
    found, measured = trustworthiness(rows, places, metric)
    assert measured == n
    assert found == pytest.approx(expected, abs=1e-12)


def test_trustworthiness_of_few_rows_is_undefined() -> None:
    assert [quality.neighbors_of(n) for n in (0, 1, 3, 4, 5, 31, 32)] == [0, 0, 0, 1, 2, 15, 15]
    rows, places, _ = data(3)
    assert trustworthiness(rows, places, "cosine") == (None, 0)


def test_trustworthiness_of_a_sample_is_near_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, places, _ = data(2000)
    everything, _ = trustworthiness(rows, places, "cosine")
    monkeypatch.setattr(quality, "_PAIRS", 2000 * 600)
    part, measured = trustworthiness(rows, places, "cosine")
    assert measured == 600
    assert part == pytest.approx(everything, abs=0.02)
    assert part == trustworthiness(rows, places, "cosine")[0]


@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_are_equally_far_have_one_rank(metric: str) -> None:
    equal = np.ones((40, 6), dtype=np.float32)
    assert trustworthiness(equal, data(40)[1], metric)[0] == 1
    rows, _, _ = data(300)
    rows[100:250] = rows[5]
    assert trustworthiness(rows, rows, "euclidean")[0] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [4, 5, 31, 700])
def test_a_map_is_measured_on_either_side(metric: str, n: int) -> None:
    rows, places, _ = data(n)
    k = quality.neighbors_of(n)
    for near in (None, graph(rows, min(n, 16), metric)[0]):
        found = quality.of_map(rows, places, metric, near)
        assert (found.rows, found.neighbors) == (n, k)
        wide, unit = (
            rows.astype(np.float64),
            rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True),
        )
        assert found.trustworthiness == pytest.approx(
            oracle(wide, places, n_neighbors=k, metric=metric), abs=1e-12
        )
        if metric != "manhattan":  # scikit-learn's neighbours of the second side are euclidean
            among = unit if metric == "cosine" else wide
            assert found.continuity == pytest.approx(oracle(places, among, n_neighbors=k), abs=1e-12)
        sides = [
            NearestNeighbors(n_neighbors=k, metric=by).fit(side).kneighbors(return_distance=False)
            for side, by in ((wide, metric), (places, "euclidean"))
        ]
        shared = [len({*a} & {*b}) / k for a, b in zip(*(side.tolist() for side in sides), strict=True)]
        np.testing.assert_allclose(found.row_neighbors_kept, shared, atol=1e-6)
        assert found.neighbors_kept == pytest.approx(np.mean(shared), abs=1e-6)
        if n * (n - 1) // 2 <= 20_000:
            apart = [pdist(wide, {"manhattan": "cityblock"}.get(metric, metric)), pdist(places)]
            assert found.distance_correlation == pytest.approx(spearmanr(*apart).statistic, abs=1e-9)
    assert found.row_neighbors_kept.dtype == np.float32


def test_continuity_of_manhattan_by_hand() -> None:
    rows, places, _ = data(60)
    k, apart = 15, [squareform(pdist(rows, "cityblock")), squareform(pdist(places))]
    ranks = apart[1].argsort(axis=1).argsort(axis=1)
    near = apart[0].argsort(axis=1)[:, 1 : k + 1]
    excess = np.maximum(np.take_along_axis(ranks, near, axis=1) - k, 0).sum()
    expected = 1 - 2 * excess / (60 * k * (2 * 60 - 3 * k - 1))
    assert quality.of_map(rows, places, "manhattan").continuity == pytest.approx(expected, abs=1e-12)


def test_what_few_rows_leave_undefined() -> None:
    for n in (0, 1, 2, 3):
        rows, places, _ = data(n)
        found = quality.of_map(rows, places, "euclidean")
        assert (found.trustworthiness, found.continuity, found.neighbors_kept) == (None, None, None)
        assert np.isnan(found.row_neighbors_kept).all()
        assert len(found.row_neighbors_kept) == n
        assert (found.distance_correlation is None) == (n < 3)
    places[:] = 1
    assert quality.of_map(rows, places, "euclidean").distance_correlation is None


def test_many_rows_are_measured_by_some(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, places, _ = data(2000)
    whole = quality.of_map(rows, places, "cosine", graph(rows, 16, "cosine")[0])
    monkeypatch.setattr(quality, "_PAIRS", 2000 * 600)
    near = graph(rows, 40, "cosine")[0]
    part, alone = quality.of_map(rows, places, "cosine", near), quality.of_map(rows, places, "cosine")
    assert part.rows == alone.rows == 600
    for name in ("trustworthiness", "continuity", "neighbors_kept", "distance_correlation"):
        assert getattr(part, name) == getattr(alone, name)
        assert getattr(part, name) == pytest.approx(getattr(whole, name), abs=0.02)
    assert (part.row_neighbors_kept == whole.row_neighbors_kept).all()
    known = ~np.isnan(alone.row_neighbors_kept)
    assert known.sum() == 600
    assert (alone.row_neighbors_kept[known] == whole.row_neighbors_kept[known]).all()
    apart = [pdist(side, by) for side, by in ((rows, "cosine"), (places, "euclidean"))]
    assert whole.distance_correlation == pytest.approx(spearmanr(*apart).statistic, abs=0.02)


def test_a_place_among_many_equal_ones_has_neighbours() -> None:
    _, places, _ = data(200)
    places[50:150] = places[3]
    found = quality.nearest_places(places, np.arange(200), 15)
    assert (found != np.arange(200)[:, None]).all()
    assert all(len(set(row)) == 15 for row in found.tolist())
    assert (places[found[60]] == places[3]).all()
