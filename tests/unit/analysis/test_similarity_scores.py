"""Similarities in workers against plain float64."""

from __future__ import annotations

import numpy as np
import pytest
from penult_service import vectors
from penult_service.analysis import similarity
from penult_service.analysis.calls import METRICS, Similarity


def plain(x: np.ndarray, y: np.ndarray, metric: str) -> np.ndarray:
    """Float64 [n, m], row by row."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    if metric == "euclidean":
        return np.stack([np.sqrt(np.square(row - y).sum(axis=1)) for row in x])
    if metric == "manhattan":
        return np.stack([np.abs(row - y).sum(axis=1) for row in x])
    if metric == "cosine":
        x, y = (m / np.where(m.any(axis=1), np.linalg.norm(m, axis=1), 1)[:, None] for m in (x, y))
    return x @ y.T


@pytest.fixture(params=[0.0, 1000.0], ids=["centred", "far"])
def sides(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Two sides with equal, near-equal and zero rows."""
    rng = np.random.default_rng(0)
    a, b = ((request.param + rng.standard_normal((n, 40))).astype(np.float32) for n in (90, 130))
    b[:20] = a[:20]
    b[20:60] = a[3] + 1e-6 * rng.standard_normal((40, 40))
    a[5] = b[7] = 0
    return a, b


@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_those_of_plain_float64(
    metric: str, sides: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in (1 << 21, 1000):
        monkeypatch.setattr(similarity, "_BLOCK", block)
        monkeypatch.setattr(vectors, "_BLOCK", block)
        scores = similarity.compute(Similarity(metric), *sides).scores
        assert scores.dtype == np.float32
        np.testing.assert_allclose(
            scores, plain(*sides, metric), rtol=1e-6, atol=1e-6 if metric == "cosine" else 0
        )
        if metric != "manhattan":
            continue
        np.testing.assert_allclose(vectors.similarity(*sides, metric), scores, rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_pairs_are_the_diagonal(metric: str, sides: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = sides[0], sides[1][: len(sides[0])]
    scores = similarity.compute(Similarity(metric, pairs=True), a, b).scores
    assert scores.shape == (len(a), 1)
    expected = np.diag(plain(a, b, metric))
    np.testing.assert_allclose(scores[:, 0], expected, rtol=1e-6, atol=1e-6 if metric == "cosine" else 0)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_a_row_is_nowhere_from_itself_or_its_copies(
    metric: str, sides: tuple[np.ndarray, np.ndarray]
) -> None:
    rows = np.concatenate([sides[0], sides[0]])
    scores = similarity.compute(Similarity(metric), rows).scores
    assert (np.diag(scores) == 0).all()
    assert (np.diag(scores[:90, 90:]) == 0).all()


@pytest.mark.parametrize("size", [1e-30, 1e30])
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
def test_sizes_that_float32_cannot_square(metric: str, size: float) -> None:
    rows = (np.random.default_rng(1).standard_normal((30, 9)) * size).astype(np.float32)
    expected = plain(rows, rows, metric)
    np.testing.assert_allclose(
        similarity.compute(Similarity(metric), rows).scores,
        expected,
        rtol=1e-6,
        atol=1e-6 if metric == "cosine" else 0,
    )


def test_beyond_float32_is_its_largest_number() -> None:
    rows = np.array([[3e38, 3e38], [-3e38, -3e38]], dtype=np.float32)
    largest = np.finfo(np.float32).max
    for pairs in (False, True):
        call = Similarity("dot", pairs=pairs)
        assert np.abs(similarity.compute(call, rows, rows[::-1]).scores).min() == largest
    for metric in ("euclidean", "manhattan"):
        assert similarity.compute(Similarity(metric), rows).scores.max() == largest


@pytest.mark.parametrize("metric", METRICS)
def test_no_rows(metric: str) -> None:
    rows = np.ones((3, 2), dtype=np.float32)
    assert similarity.compute(Similarity(metric), rows[:0], rows).scores.shape == (0, 3)
    assert similarity.compute(Similarity(metric), rows, rows[:0]).scores.shape == (3, 0)


def test_names_that_are_not_there() -> None:
    one = np.ones((1, 1), dtype=np.float32)
    for pairs in (False, True):
        with pytest.raises(ValueError, match="jaccard"):
            similarity.compute(Similarity("jaccard", pairs=pairs), one)
