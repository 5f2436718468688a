"""Outliers against brute force in float64, and against scikit-learn and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from penult_service.analysis import outliers
from penult_service.analysis.calls import DUPLICATE_METRICS, GRAPH_NEIGHBORS, Outliers
from penult_service.analysis.results import OutliersResult
from penult_service.analysis.run import run
from penult_service.analysis.search import rough
from scipy.spatial.distance import cdist
from scipy.stats import skew
from sklearn.neighbors import NearestNeighbors

Matrix = np.ndarray


def measure(call: Outliers, rows: Matrix, **arrays: Matrix) -> OutliersResult:
    found = run(call, {"source": rows, **arrays})
    assert isinstance(found, OutliersResult)
    return found


def brute(rows: Matrix, k: int, metric: str) -> tuple[Matrix, Matrix]:
    """Scores, and how often each row is a neighbour, ties by number; of rows that are not all zero."""
    rows = rows.astype(np.float64)
    far = cdist(rows, rows, "cityblock" if metric == "manhattan" else metric)
    far = far.astype(np.float32).astype(np.float64)
    np.fill_diagonal(far, np.inf)
    order = np.argsort(far, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(far, order, 1).mean(axis=1), np.bincount(order.ravel(), minlength=len(rows))


@pytest.mark.parametrize("metric", DUPLICATE_METRICS)
@pytest.mark.parametrize("k", [1, 6, 40])
def test_scores_and_occurrences_are_those_of_brute_force(metric: str, k: int) -> None:
    # Whole numbers under distances: ties are ties in any arithmetic.
    rows = np.random.default_rng(1).integers(-9, 9, (150, 4)).astype(np.float32) + np.float32(0.5)
    rows[20:40], rows[99] = rows[3], 1000
    if metric == "cosine":
        rows = np.random.default_rng(1).standard_normal((150, 9)).astype(np.float32)
        rows[20:40] = rows[3]
    found = measure(Outliers(k, metric), rows)
    scores, occurrences = brute(rows, k, metric)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5, atol=1e-7)
    assert (found.occurrences == occurrences).all()
    assert found.order.tolist() == sorted(range(150), key=lambda i: (-found.scores[i], i))
    assert found.antihubs == np.count_nonzero(occurrences == 0)
    assert found.hubness == pytest.approx(skew(occurrences), rel=1e-10)
    assert (found.k, found.adjustments, found.near_rows.size) == (k, (), 0)


def test_scores_are_those_of_scikit_learn() -> None:
    rows = np.random.default_rng(2).standard_normal((700, 16)).astype(np.float32)
    far, near = NearestNeighbors(n_neighbors=10).fit(rows).kneighbors()
    found = measure(Outliers(10, "euclidean"), rows)
    np.testing.assert_allclose(found.scores, far.mean(axis=1), rtol=1e-5)
    assert (found.occurrences == np.bincount(near.ravel(), minlength=700)).all()


def test_zero_rows_under_cosine_are_nobodys_neighbours() -> None:
    rows = np.random.default_rng(3).standard_normal((40, 5)).astype(np.float32)
    rows[[0, 17]] = 0
    found = measure(Outliers(4), rows)
    others = np.delete(np.arange(40), [0, 17])
    scores, occurrences = brute(rows[others], 4, "cosine")
    np.testing.assert_allclose(found.scores[others], scores, rtol=1e-5)
    assert found.scores[[0, 17]].tolist() == [1, 1]
    assert found.zero_rows.tolist() == [0, 17]
    assert found.occurrences[[0, 17]].tolist() == [0, 0]
    assert (found.occurrences[others] == occurrences).all()
    assert found.antihubs == np.count_nonzero(occurrences == 0)
    assert found.hubness == pytest.approx(skew(occurrences))


def test_lengths_do_not_count_under_cosine() -> None:
    rows = np.random.default_rng(4).standard_normal((30, 5)).astype(np.float32)
    longer = rows * (2.0 ** np.arange(30) / 4).astype(np.float32)[:, None]
    assert measure(Outliers(3), rows).scores.tobytes() == measure(Outliers(3), longer).scores.tobytes()


def test_more_neighbours_than_others_are_fewer_and_told() -> None:
    rows = np.eye(4, dtype=np.float32)
    rows[3] = 0
    found = measure(Outliers(10, "euclidean"), rows)
    (told,) = found.adjustments
    assert (found.k, told.parameter, told.asked, told.used) == (3, "k", "10", "3")
    assert (found.occurrences == 3).all()
    assert found.hubness is None
    assert measure(Outliers(10), rows).k == 2


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_where_hardly_any_row_has_a_direction(kept: int) -> None:
    rows = np.zeros((3, 2), np.float32)
    rows[:kept] = np.eye(2, dtype=np.float32)[:kept]
    found = measure(Outliers(1), rows)
    assert found.scores.tolist() == [1, 1, 1]
    assert found.k == min(1, max(0, kept - 1))
    assert found.order.tolist() == [0, 1, 2]
    assert found.antihubs == (1 if kept == 1 else 0)


def test_equal_rows_score_nothing() -> None:
    found = measure(Outliers(5, "manhattan"), np.ones((9, 3), np.float32))
    assert not found.scores.any()
    assert found.occurrences.sum() == 45


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_distances_are_in_the_rows_own_size(size: float) -> None:
    rows = np.random.default_rng(5).standard_normal((40, 5)).astype(np.float32)
    scaled = measure(Outliers(3, "euclidean"), (rows * np.float32(size)).astype(np.float32))
    np.testing.assert_allclose(
        scaled.scores / size, measure(Outliers(3, "euclidean"), rows).scores, rtol=1e-5
    )
    huge = np.diag([3e38, -3e38, 3e38, 1]).astype(np.float32)
    assert np.isfinite(measure(Outliers(1, "manhattan"), huge).scores).all()


def test_the_graph_is_kept_and_taken_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(6).standard_normal((300, 8)).astype(np.float32)
    rows[50:60] = rows[1]
    alone = measure(Outliers(7), rows)
    monkeypatch.setattr(outliers, "blocks", lambda count, _: [slice(0, 100), slice(100, count)])
    monkeypatch.setattr(rough, "cores", lambda: 1)
    keeping = measure(Outliers(7, keep_graph=True), rows)
    assert keeping.near_rows.shape == keeping.near_distances.shape == (290, GRAPH_NEIGHBORS)
    graph = {"near_rows": keeping.near_rows, "near_distances": keeping.near_distances}
    taking = measure(Outliers(7, keep_graph=True), rows, **graph)
    assert taking.near_rows.size == 0
    for other in (keeping, taking):
        assert other.scores.tobytes() == alone.scores.tobytes()
        assert other.occurrences.tobytes() == alone.occurrences.tobytes()


def test_at_most_a_thousand_rows_are_told_in_order() -> None:
    rows = np.random.default_rng(7).standard_normal((1200, 3)).astype(np.float32)
    found = measure(Outliers(2, "euclidean"), rows)
    assert found.order.dtype == np.int32
    assert found.order.tolist() == np.argsort(-found.scores, kind="stable")[:1000].tolist()
