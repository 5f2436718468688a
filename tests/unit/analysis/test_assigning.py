"""Stored clusters of new rows: by the definition, by themselves, and at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import Assign
from penult_service.analysis.clusters.assigning import assign, assigned
from penult_service.analysis.fitting import fitting, for_later
from penult_service.analysis.nearby import nearby
from penult_service.analysis.results import AssignResult
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

METRICS = ("cosine", "euclidean", "manhattan")
CENTRES = 4 * np.random.default_rng(7).standard_normal((4, 5))


def drawn(rows: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Rows [rows, 5] around four centres, and which; one in ten is noise (-1)."""
    random = np.random.default_rng(seed)
    around = random.integers(0, 4, rows)
    found = np.asarray(CENTRES[around] + random.standard_normal((rows, 5)), np.float32)
    return found, np.where(random.random(rows) < 0.1, -1, around).astype(np.int32)


def stored(
    rows: NDArray[np.float32], labels: NDArray[np.int32], metric: str
) -> tuple[dict[str, NDArray[Any]], float | None]:
    """A clustering of rows, and its far distance."""
    kept = for_later(fitting(rows, metric), rows, metric)
    far = kept.pop("far_distance")
    return {**kept, "stored_labels": labels}, far


def run(
    arrays: dict[str, NDArray[Any]], source: NDArray[np.float32], metric: str, far: float | None
) -> AssignResult:
    return assign(Assign("hdbscan", metric, far), {**arrays, "source": source})


@pytest.mark.parametrize("metric", METRICS)
def test_the_label_with_most_weight_is_taken(metric: str) -> None:
    rows, labels = drawn(250, 1)
    arrays, far = stored(rows, labels, metric)
    new, truth = drawn(150, 2)
    found = run(arrays, new, metric, far)
    near = nearby(new, arrays["fitted_rows"], 15, metric)
    weights, of = near.weights(), labels[arrays["fitted_first"]][near.rows]
    for i in range(len(new)):
        votes = {label: weights[i][of[i] == label].sum() for label in np.unique(of[i])}
        best = min(votes, key=lambda label: (-votes[label], label))
        if i in found.far_rows:
            assert (found.labels[i], found.shares[i]) == (-1, 0)
        else:
            assert found.labels[i] == best
            assert found.shares[i] == pytest.approx(votes[best] / weights[i].sum(), rel=1e-6)
    clear = (found.labels >= 0) & (truth >= 0)
    assert np.mean(found.labels[clear] == truth[clear]) > 0.9
    name = {"manhattan": "cityblock"}.get(metric, metric)
    np.testing.assert_allclose(found.distances, cdist(new, rows, name).min(axis=1), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_has_one_label_in_any_company(metric: str) -> None:
    rows, labels = drawn(300, 3)
    arrays, far = stored(rows, labels, metric)
    new = np.concatenate([drawn(400, 4)[0], rows[:50], np.zeros((1, 5), np.float32)])
    whole = run(arrays, new, metric, far)
    order = np.random.default_rng(0).permutation(len(new))
    twice = run(arrays, np.concatenate([new[order], new]), metric, far)
    alone = [run(arrays, new[at : at + 1], metric, far) for at in range(0, len(new), 9)]
    for name in ("labels", "distances", "shares"):
        of_all = getattr(whole, name)
        assert (getattr(twice, name) == np.concatenate([of_all[order], of_all])).all()
        assert (np.concatenate([getattr(one, name) for one in alone]) == of_all[::9]).all()


@pytest.mark.parametrize("size", [1.0, 1e25, 1e-25])
@pytest.mark.parametrize("metric", METRICS)
def test_fitted_rows_have_their_own_labels(metric: str, size: float) -> None:
    rows, _ = drawn(120, 5)
    rows *= np.float32(size)
    rows[40:45], rows[50] = rows[:5], 0
    fitted = fitting(rows, metric)
    labels = np.full(120, -1, np.int32)
    # At random, so that no vote would give them; equal rows are in one cluster.
    labels[fitted.kept] = np.random.default_rng(0).integers(-1, 3, len(fitted.rows))[fitted.inverse]
    arrays, far = stored(rows, labels, metric)
    found = run(arrays, rows, metric, far)
    assert (found.labels == labels).all()
    assert not found.far_rows.size
    if metric == "cosine":
        assert found.zero_rows.tolist() == [50]
        assert (found.labels[50], found.shares[50], found.distances[50]) == (-1, 0, 1)
    else:
        assert (found.shares == 1).all()


def test_far_rows_are_in_no_cluster() -> None:
    rows, labels = drawn(200, 6)
    arrays, far = stored(rows, labels, "euclidean")
    new = np.concatenate([drawn(20, 7)[0], np.full((2, 5), 50, np.float32)])
    found = run(arrays, new, "euclidean", far)
    assert set(found.far_rows) >= {20, 21}
    assert (found.labels[found.far_rows] == -1).all()
    assert found.far_distance == far
    without = run(arrays, new, "euclidean", None)
    assert not without.far_rows.size


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_centres_decide_as_k_means_does(metric: str) -> None:
    rows, _ = drawn(300, 8)
    fitted = fitting(rows, metric)
    model = KMeans(4, n_init=1, random_state=0).fit(fitted.rows)
    names = np.array([7, 2, 0, 5], np.int32)
    arrays, far = stored(rows, names[model.labels_], metric)
    more = {"centres": model.cluster_centers_, "centre_labels": names}
    new, _ = drawn(200, 9)
    found = assign(Assign("kmeans", metric, far), {**arrays, **more, "source": new})
    lines = fitting(new, metric).rows
    wanted = names[model.predict(lines)]
    wanted[found.far_rows] = -1
    assert (found.labels == wanted).all()
    assert found.used["assigned_by"] == "centres"
    assert ((found.shares >= 0) & (found.shares <= 1 + 1e-6)).all()
    assert (found.shares[found.labels >= 0] > 0.5).mean() > 0.9
    again = assign(Assign("kmeans", metric, far), {**arrays, **more, "source": new[::-1]})
    assert (again.labels[::-1] == found.labels).all()
    own = assign(Assign("kmeans", metric, far), {**arrays, **more, "source": rows})
    assert (own.labels == names[model.labels_]).all()


def test_equally_near_centres_go_by_label() -> None:
    rows = np.array([[-1, 0], [1, 0], [-1.5, 0], [1.5, 0]], np.float32)
    centres = np.array([[1, 0], [-1, 0]], np.float32)
    found = assigned(
        np.array([[0, 3]], np.float32), rows, np.array([3, 8, 3, 8], np.int32), "euclidean", None,
        (centres, np.array([8, 3], np.int32)),
    )  # fmt: skip
    assert found.labels.tolist() == [3]


def test_equal_weights_go_by_label() -> None:
    rows = np.array([[-1, 0], [1, 0]], np.float32)
    found = assigned(np.zeros((1, 2), np.float32), rows, np.array([6, 4], np.int32), "euclidean")
    assert (found.labels.tolist(), found.shares.tolist()) == ([4], [0.5])


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("metric", METRICS)
def test_few_fitted_rows(metric: str, count: int) -> None:
    rows, _ = drawn(count, 10)
    arrays, far = stored(rows, np.arange(count, dtype=np.int32), metric)
    found = run(arrays, np.concatenate([rows, drawn(5, 11)[0]]), metric, far)
    assert found.labels[:count].tolist() == list(range(count))
    assert found.used["n_neighbors"] == count
    only = run(arrays, np.zeros((2, 5), np.float32), "cosine", far)
    assert only.labels.tolist() == [-1, -1]


def test_without_clusters_nothing_is_assigned() -> None:
    rows, _ = drawn(30, 12)
    arrays, far = stored(rows, np.full(30, -1, np.int32), "cosine")
    assert (run(arrays, drawn(20, 13)[0], "cosine", far).labels == -1).all()
