"""Clusters that grow and that are changed by hand: old labels stay, new groups get new ones; figures by SciPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import Assign, Cluster, EditClusters, Grow
from penult_service.analysis.clusters.growing import _is_new
from penult_service.analysis.results import AssignResult, ClusterResult, GrowResult
from penult_service.analysis.run import run
from penult_service.analysis.workers import warming
from penult_service.errors import InvalidInput
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics import adjusted_rand_score

CACHE = Path(__file__).parents[3] / ".pytest_cache" / "numba"
NAMES = {"cosine": "cosine", "euclidean": "euclidean", "manhattan": "cityblock"}
CENTRES = 3 * np.random.default_rng(8).standard_normal((6, 12))
Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Numba's kernels are compiled once, and kept."""
    warming.use_numba_cache(CACHE)
    warming.cache_umap()


def some(topics: list[int], seed: int, noise: float = 0.4) -> NDArray[np.float32]:
    """A row around the centre of each topic."""
    random = np.random.default_rng(seed)
    return (CENTRES[topics] + noise * random.standard_normal((len(topics), 12))).astype(np.float32)


def stored(call: Cluster, rows: NDArray[np.float32]) -> tuple[ClusterResult, Arrays]:
    """A clustering, and what is stored of it."""
    made = run(call, {"source": rows})
    assert isinstance(made, ClusterResult)
    arrays: Arrays = {
        "fitted_rows": made.fitted_rows,
        "fitted_first": made.fitted_first,
        "fitted_inverse": made.fitted_inverse,
        "stored_labels": made.labels,
    }
    if made.centres.size:
        arrays |= {"centres": made.centres, "centre_labels": np.arange(len(made.sizes), dtype=np.int32)}
    return made, arrays


def changed(call: Grow | EditClusters, arrays: Arrays) -> GrowResult:
    """The result of a change."""
    result = run(call, arrays)
    assert isinstance(result, GrowResult)
    return result


def check(result: GrowResult, rows: NDArray[np.float32], before: NDArray[np.int32], metric: str) -> None:
    """What holds after every change: `rows` are all of them now, `before` the labels that the first had."""
    labels = result.labels
    assert len(labels) == len(rows)
    assert result.cluster_labels.tolist() == sorted(set(labels.tolist()) - {-1})
    assert result.sizes.tolist() == [np.count_nonzero(labels == label) for label in result.cluster_labels]
    lines = rows.astype(np.float64)
    if metric == "cosine":
        lines = lines / np.maximum(np.linalg.norm(lines, axis=1, keepdims=True), 1e-30)
    centres = np.stack([lines[labels == label].mean(axis=0) for label in result.cluster_labels])
    far = cdist(lines, centres, NAMES[metric])
    for number, label in enumerate(result.cluster_labels):
        members = np.flatnonzero(labels == label)
        nearest = result.nearest[number][result.nearest[number] >= 0]
        assert len(nearest) == min(5, len(members))
        assert (labels[nearest] == label).all()
        np.testing.assert_allclose(
            far[nearest, number], np.sort(far[members, number])[: len(nearest)], atol=1e-6
        )
        odd = result.odd[number][result.odd[number] >= 0]
        np.testing.assert_allclose(far[odd, number], -np.sort(-far[members, number])[: len(odd)], atol=1e-6)
        if label in before:
            was = lines[: len(before)][before == label].mean(axis=0)
            moved = cdist(was[None], centres[number][None], NAMES[metric])[0, 0]
            assert result.drift[number] == pytest.approx(moved, abs=1e-6)
        else:
            assert result.drift[number] == 0
    if len(centres) > 1:
        expected = linkage(pdist(centres, NAMES[metric]), "average")
        np.testing.assert_allclose(result.merges, expected, atol=1e-6)
    distinct = result.fitted_inverse >= 0
    assert (result.labels[result.fitted_first[result.fitted_inverse[distinct]]] == labels[distinct]).all()


@pytest.mark.parametrize("method", ["hdbscan", "kmeans"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_rows_of_a_new_topic_become_a_new_cluster(method: str, metric: str) -> None:
    topics = [0, 1, 2] * 40
    rows = np.concatenate([some(topics, 1), some([0], 2)])
    made, arrays = stored(Cluster(method, None if method == "hdbscan" else 3, metric, keep=True), rows)
    assert len(made.sizes) == 3
    coming = [0, 1, 2] * 10 + [3] * 25 + [4] * 15
    new = np.concatenate([some(coming, 3), rows[:2], some([3], 3)[:1]])
    new[-1] = new[30]  # a copy within
    assert made.far_distance is not None
    call = Grow(method, metric, 1.5 * made.far_distance, 8, 5, next_label=7)
    result = changed(call, {**arrays, "source": new})
    check(result, np.concatenate([rows, new]), made.labels, metric)
    assert (result.labels[:121] == made.labels).all()
    assert result.new_labels.tolist() == [7, 8]
    assert result.labels[121 + 30 : 121 + 70].tolist() == [7] * 25 + [8] * 15
    assert result.labels[-1] == 7
    assert (result.labels[121 : 121 + 30] == made.labels[:30]).all()
    assert (result.labels[-3:-1] == made.labels[:2]).all()
    assert not len(result.gone_labels)
    assert result.unassigned == 0
    # Rows that are taken in are as the first ones: they have their label, and another of the topic has it too.
    grown = {
        "fitted_rows": result.fitted_rows, "fitted_first": result.fitted_first, "stored_labels": result.labels,
    }  # fmt: skip
    if made.centres.size:
        assert result.centres.shape == (5, 12)
        grown |= {"centres": result.centres, "centre_labels": result.cluster_labels}
    asked = np.concatenate([new, some([3, 4, 0], 9)])
    found = run(Assign(method, metric, result.far_distance), {**grown, "source": asked})
    assert isinstance(found, AssignResult)
    assert (found.labels[:73] == result.labels[121:]).all()
    assert found.labels[73:].tolist() == [7, 8, made.labels[0]]


def test_rows_that_belong_make_no_cluster_and_few_rows_neither() -> None:
    rows = some([0, 1, 2] * 40, 1)
    made, arrays = stored(Cluster(keep=True), rows)
    call = Grow(far_distance=made.far_distance, next_label=3)
    for new in (some([0, 1, 2] * 30, 4), some([3] * 4, 5), rows[:1], np.zeros((2, 12), np.float32)):
        result = changed(call, {**arrays, "source": new})
        check(result, np.concatenate([rows, new]), made.labels, "cosine")
        assert not len(result.new_labels)
        assert result.cluster_labels.tolist() == [0, 1, 2]
    assert result.labels[-2:].tolist() == [-1, -1]
    assert result.unassigned == 2
    assert result.fitted_inverse[-2:].tolist() == [-1, -1]
    assert len(result.fitted_rows) == 120
    assert result.far_distance == made.far_distance


def test_growth_goes_on_and_labels_are_never_used_again() -> None:
    rows = some([0, 1] * 30, 1)
    made, arrays = stored(Cluster("kmeans", 2, keep=True), rows)
    labels, everything, following = made.labels, rows, 2
    for topic in (2, 3):
        new = some([topic] * 30 + [0] * 10, 20 + topic)
        result = changed(
            Grow("kmeans", next_label=following, far_distance=made.far_distance), {**arrays, "source": new}
        )
        everything = np.concatenate([everything, new])
        check(result, everything, labels, "cosine")
        assert (result.labels[: len(labels)] == labels).all()
        assert result.new_labels.tolist() == [following]
        labels, following = result.labels, following + 1
        arrays = {
            "fitted_rows": result.fitted_rows, "fitted_first": result.fitted_first, "stored_labels": labels,
            "fitted_inverse": result.fitted_inverse, "centres": result.centres, "centre_labels": result.cluster_labels,
        }  # fmt: skip
    assert adjusted_rand_score(labels, [0, 1] * 30 + [2] * 30 + [0] * 10 + [3] * 30 + [0] * 10) == 1


def test_one_new_topic_beside_a_few_old_rows() -> None:
    rows = some([0] * 4, 1)
    made, arrays = stored(Cluster("kmeans", 1, keep=True), rows)
    new = some([1] * 30, 2)
    result = changed(Grow("kmeans", far_distance=made.far_distance, next_label=1), {**arrays, "source": new})
    check(result, np.concatenate([rows, new]), made.labels, "cosine")
    assert result.labels[:4].tolist() == [0] * 4
    assert result.new_labels.tolist() == [1]
    assert np.count_nonzero(result.labels[4:] == 1) >= 10
    assert set(result.labels[4:]) <= {1, -1}


@pytest.mark.parametrize(
    ("old", "new", "share", "lost", "expected"),
    [
        (0, 7, 0.5, 0.0, True),  # 1 in 128 by chance
        (0, 6, 0.5, 0.0, False),  # 1 in 64
        (0, 6, 0.5, 0.6, True),
        (3, 17, 0.5, 0.0, True),
        (3, 10, 0.5, 1.0, False),  # more than a fifth
        (0, 50, 0.02, 0.0, False),  # none of 50 is old where one would be
        (1, 400, 0.02, 0.0, True),
        (4, 400, 0.02, 0.0, False),
    ],
)
def test_what_is_a_new_group(old: int, new: int, share: float, lost: float, expected: bool) -> None:
    assert _is_new(old, new, share, lost) is expected


def test_a_clustering_without_rows_does_not_grow() -> None:
    _, arrays = stored(Cluster(keep=True), np.zeros((3, 12), np.float32))
    with pytest.raises(InvalidInput, match="cluster all rows anew") as caught:
        run(Grow(), {**arrays, "source": some([0], 1)})
    assert (caught.value.reason, caught.value.field) == ("TOO_FEW_ROWS", "clustering")


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
def test_merged_clusters_have_the_label_of_the_largest(metric: str) -> None:
    rows = some([0] * 10 + [1] * 20 + [2] * 20 + [3] * 15, 1)
    rows = np.concatenate([rows, rows[:3]])
    made, arrays = stored(Cluster("agglomerative", 4, metric, keep=True), rows)
    result = changed(EditClusters(metric, merge=(3, 1, 0)), arrays)
    check(result, rows, made.labels, metric)
    assert result.cluster_labels.tolist() == [0, 2]
    assert result.gone_labels.tolist() == [1, 3]
    assert result.sizes.tolist() == [53, 15]
    assert ((result.labels == 2) == (made.labels == 2)).all()
    assert not len(result.new_labels)


@pytest.mark.parametrize("space", ["rows", "reduced", "of other rows"])
def test_a_split_cluster_keeps_its_label_for_the_largest_part(space: str) -> None:
    rows = some([0] * 25 + [1] * 20 + [2] * 15, 1)
    rows = np.concatenate([rows, rows[26:29], np.zeros((1, 12), np.float32)])
    made, arrays = stored(
        Cluster("kmeans", 2, "cosine", "umap" if space == "reduced" else None, keep=True), rows
    )
    if space == "reduced":
        arrays["reduced"] = made.reduced
    if space == "of other rows":
        arrays["reduced"] = np.zeros((5, 2), np.float32)
    joint = EditClusters(merge=(0, 1))
    one = changed(joint, arrays)
    arrays["stored_labels"] = one.labels
    result = changed(EditClusters(split=int(one.cluster_labels[0]), n_clusters=3, next_label=9), arrays)
    check(result, rows, one.labels, "cosine")
    assert result.cluster_labels.tolist() == [int(one.cluster_labels[0]), 9, 10]
    assert result.new_labels.tolist() == [9, 10]
    assert result.sizes.tolist() == [25, 23, 15]
    assert result.labels[-1] == -1
    assert adjusted_rand_score(result.labels[:63], [0] * 25 + [1] * 20 + [2] * 15 + [1] * 3) == 1
    assert result.centres.shape == ((3, 12) if "centres" in arrays else (0, 0))


def test_a_split_into_more_parts_than_rows_is_lowered_and_told() -> None:
    rows = np.repeat(np.eye(5, dtype=np.float32), [4, 3, 2, 1, 1], axis=0)
    _, arrays = stored(Cluster("kmeans", 1, keep=True), rows)
    result = changed(EditClusters(split=0, n_clusters=9, next_label=1), arrays)
    assert result.labels.tolist() == [0] * 4 + [1] * 3 + [2] * 2 + [3, 4]
    (told,) = result.adjustments
    assert (told.parameter, told.asked, told.used) == ("n_clusters", "9", "5")
    del arrays["fitted_inverse"]  # as an older release stored it
    assert set(changed(EditClusters(split=0, n_clusters=5, next_label=1), arrays).labels) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("call", "reason", "field", "message"),
    [
        (
            EditClusters(merge=(0, 5)),
            "UNKNOWN_LABEL",
            "merge.labels",
            "no cluster has the label 5; there are 0, 1, 2",
        ),
        (EditClusters(merge=(0, -1)), "UNKNOWN_LABEL", "merge.labels", "label -1"),
        (EditClusters(split=-1), "UNKNOWN_LABEL", "split.label", "label -1"),
        (EditClusters(split=3), "UNKNOWN_LABEL", "split.label", "label 3"),
        (EditClusters(split=2), "TOO_FEW_ROWS", "split.label", "all rows of cluster 2 are equal"),
    ],
)
def test_what_is_not_there_is_named(call: EditClusters, reason: str, field: str, message: str) -> None:
    rows = np.concatenate([some([0] * 9 + [1] * 7, 1), np.repeat(some([2], 2), 4, axis=0)])
    _, arrays = stored(Cluster("kmeans", 3, keep=True), rows)
    with pytest.raises(InvalidInput, match=message) as caught:
        run(call, arrays)
    assert (caught.value.reason, caught.value.field) == (reason, field)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_new_rows_so_large_that_old_ones_are_one_beside_them(metric: str) -> None:
    rows = np.float32(1e-9) * some([0, 1] * 20, 1)
    made, arrays = stored(Cluster("hdbscan", metric=metric, reduction="none", keep=True), rows)
    assert len(made.sizes) == 2
    new = np.concatenate([np.float32(1e37) * some([2] * 12, 2), rows[:1]])
    call = Grow("hdbscan", metric, made.far_distance, 5, 5, next_label=2)
    result = changed(call, {**arrays, "source": new})
    assert result.labels[:40].tolist() == made.labels.tolist()
    assert result.labels[-1] == made.labels[0]
    assert result.fitted_rows.shape == (52, 12)
    assert result.drift[:2].tolist() == [0, 0]
    grown = {
        "fitted_rows": result.fitted_rows, "fitted_first": result.fitted_first,
        "fitted_inverse": result.fitted_inverse, "stored_labels": result.labels,
    }  # fmt: skip
    one = changed(EditClusters(metric, merge=(0, 1)), grown)
    grown["stored_labels"] = one.labels
    parts = changed(EditClusters(metric, split=int(one.cluster_labels[0]), next_label=9), grown)
    assert adjusted_rand_score(parts.labels[:40], made.labels) == 1
