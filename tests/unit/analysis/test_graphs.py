"""The neighbour graph, made or taken: the same either way, and never that of other rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from penult_service.analysis.calls import GRAPH_NEIGHBORS, PROJECT_METRICS
from penult_service.analysis.fitting import Fitting, fitting
from penult_service.analysis.search.graphs import Graph, graph_of

Arrays = dict[str, np.ndarray]


@pytest.fixture
def rows() -> np.ndarray:
    matrix = np.random.default_rng(0).standard_normal((90, 7)).astype(np.float32)
    matrix[20:25], matrix[30] = matrix[3], 0
    return matrix


def kept(fitted: Fitting, metric: str, k: int = GRAPH_NEIGHBORS) -> Arrays:
    return graph_of(fitted, k, metric, {}).kept(True)


@pytest.mark.parametrize("metric", PROJECT_METRICS)
def test_a_graph_that_is_taken_is_the_one_that_would_be_made(metric: str, rows: np.ndarray) -> None:
    fitted = fitting(rows, metric)
    made = graph_of(fitted, 6, metric, {})
    assert made.made
    assert made.columns == 6
    taken = graph_of(fitted, 6, metric, kept(fitted, metric))
    assert not taken.made
    assert taken.columns == GRAPH_NEIGHBORS
    for one, other in zip(made.first(6), taken.first(6), strict=True):
        assert one.tobytes() == other.tobytes()
        assert other.flags.owndata
        assert other.flags.writeable
        assert other.flags.c_contiguous


def test_a_graph_is_kept_with_more_columns_than_were_asked_for(rows: np.ndarray) -> None:
    fitted = fitting(rows, "cosine")
    to_keep = graph_of(fitted, 6, "cosine", {}, keep=True)
    assert to_keep.kept(True)["near_rows"].shape == (len(fitted.rows), GRAPH_NEIGHBORS)
    assert to_keep.kept(False) == {}
    assert graph_of(fitted, 6, "cosine", kept(fitted, "cosine"), keep=True).kept(True) == {}
    assert graph_of(fitted, 1000, "cosine", {}, keep=True).columns == len(fitted.rows)


def spoilt(arrays: Arrays) -> dict[str, Arrays]:
    indices, distances = arrays["near_rows"], arrays["near_distances"]
    shifted = indices.copy()
    shifted[:, 0] = np.roll(shifted[:, 0], 1)
    beyond = indices.copy()
    beyond[0, 1] = len(indices)
    below = indices.copy()
    below[0, 1] = -1

    def both(near: np.ndarray, far: np.ndarray = distances) -> Arrays:
        return {"near_rows": near, "near_distances": far}

    return {
        "narrow": both(indices[:, :5], distances[:, :5]),
        "of fewer rows": both(indices[:-1], distances[:-1]),
        "of two shapes": both(indices, distances[:, :7]),
        "without distances": {"near_rows": indices},
        "shifted": both(shifted),
        "beyond": both(beyond),
        "below": both(below),
        "of other numbers": both(indices.astype(np.int64)),
        "of other distances": both(indices, (distances * 1.01).astype(np.float32)),
        "not finite": both(indices, np.full_like(distances, np.nan)),
    }


def test_a_graph_that_is_not_of_these_rows_is_made_again(rows: np.ndarray) -> None:
    fitted = fitting(rows, "cosine")
    right = graph_of(fitted, 6, "cosine", {})
    cases: dict[str, Arrays] = spoilt(kept(fitted, "cosine"))
    cases["of another metric"] = kept(fitted, "euclidean")
    cases["of other rows"] = kept(fitting(rows[::-1].copy(), "cosine"), "cosine")
    for name, arrays in cases.items():
        found: Graph = graph_of(fitted, 6, "cosine", arrays)
        assert found.made, name
        assert found.indices.tobytes() == right.indices.tobytes(), name


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_rows_have_a_graph(count: int) -> None:
    fitted = fitting(np.eye(3, dtype=np.float32)[:count], "euclidean")
    found: Any = graph_of(fitted, 5, "euclidean", {}, keep=True)
    assert found.indices.shape == (count, count)
    assert not graph_of(fitted, 5, "euclidean", found.kept(True)).made
