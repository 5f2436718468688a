"""Similarities in the server's own process, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from penult_service.analysis.calls import Similarity
from penult_service.rpc.analysis.small_similarity import compute, is_small
from sklearn.metrics.pairwise import pairwise_distances

RANDOM = np.random.default_rng(5)
A = RANDOM.standard_normal((1500, 7), dtype=np.float32)
B = RANDOM.standard_normal((1500, 7), dtype=np.float32)
METRICS = ("cosine", "dot", "euclidean", "manhattan")


def oracle(metric: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    x, y = a.astype(np.float64), b.astype(np.float64)
    if metric == "dot":
        return x @ y.T
    distances = pairwise_distances(x, y, metric=metric)
    return 1 - distances if metric == "cosine" else distances


@pytest.mark.parametrize("metric", METRICS)
def test_pairs_are_the_diagonal(metric: str) -> None:
    scores = compute(Similarity(metric, pairs=True), {"a": A, "b": B}).scores
    assert (scores.shape, scores.dtype) == ((1500, 1), np.float32)
    assert np.allclose(scores[:, 0], np.diag(oracle(metric, A, B)), rtol=0, atol=2e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_a_matrix(metric: str) -> None:
    scores = compute(Similarity(metric), {"a": A[:20], "b": B[:9]}).scores
    assert np.allclose(scores, oracle(metric, A[:20], B[:9]), rtol=0, atol=2e-6)
    itself = compute(Similarity(metric), {"a": A[:20]}).scores
    assert np.allclose(itself, oracle(metric, A[:20], A[:20]), rtol=0, atol=2e-6)


def test_pairs_with_zero_rows() -> None:
    zero = np.zeros((2, 3), np.float32)
    rows = np.array([[0, 0, 0], [1, 2, 3]], np.float32)
    assert compute(Similarity(pairs=True), {"a": zero, "b": rows}).scores.tolist() == [[0.0], [0.0]]
    tiny = np.full((1, 3), 1e-30, np.float32)
    assert compute(Similarity(pairs=True), {"a": tiny, "b": tiny}).scores[0, 0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("call", "shapes", "small"),
    [
        (Similarity(), {"a": (700, 384)}, True),
        (Similarity(), {"a": (1000, 384)}, False),
        (Similarity(), {"a": (700, 384), "b": (1000, 384)}, False),
        (Similarity("euclidean"), {"a": (250, 384)}, True),
        (Similarity("manhattan"), {"a": (300, 384)}, False),
        (Similarity(), {"a": (4000, 1)}, False),
        (Similarity("euclidean", pairs=True), {"a": (50_000, 384), "b": (50_000, 384)}, True),
    ],
    ids=str,
)
def test_where_the_line_is(call: Similarity, shapes: dict, small: bool) -> None:
    assert is_small(call, shapes) is small
