"""What scores are usual: percentiles against counting."""

from __future__ import annotations

import numpy as np
import pytest
from penult.v1 import analysis_service_pb2 as analysis
from penult_client import Background, InternalError, Neighbors, Similarity
from penult_client._core import analysis_results
from support.wire_numbers import packed

LEVELS = np.linspace(0, 1, 1001)


def background(scores: np.ndarray, metric: str = "cosine") -> Background:
    """As the server makes it of the scores of pairs."""
    return Background(
        quantiles=np.quantile(scores.astype(np.float64), LEVELS),
        pairs=len(scores),
        mean=float(scores.mean()),
        std=float(scores.std()),
        rows=100,
        metric=metric,
    )


PAIRS = np.random.default_rng(0).normal(0.9, 0.02, 20_000).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean", "manhattan"])
def test_the_share_of_pairs_that_are_less_alike(metric: str) -> None:
    asked = np.array([[0.5, 0.85, 0.9], [0.93, 0.97, 1.5]], np.float32)
    made = background(PAIRS, metric).percentiles(asked)
    assert (made.dtype, made.shape) == (np.float32, (2, 3))
    less = PAIRS[:, None] < asked.ravel() if metric in ("cosine", "dot") else PAIRS[:, None] > asked.ravel()
    np.testing.assert_allclose(made.ravel(), 100 * less.mean(axis=0), atol=0.06)
    assert made[0, 0] == (0 if metric in ("cosine", "dot") else 100)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_score_that_many_pairs_have(metric: str) -> None:
    """A third is 0.1, half is float32(0.7), the rest is 1: none of those that are equal counts."""
    scores = np.repeat(np.float32([0.1, 0.7, 1.0]), [4000, 6000, 2000])
    made = background(scores, metric).percentiles(np.float32([0.0, 0.1, 0.7, 1.0, 2.0]))
    smaller, larger = [0, 0, 100 / 3, 1000 / 12, 100], [100, 200 / 3, 100 / 6, 0, 0]
    expected = smaller if metric == "cosine" else larger
    np.testing.assert_allclose(made, expected, atol=0.1)


def test_scores_that_are_none() -> None:
    asked = np.float32([-np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(background(PAIRS).percentiles(asked), [0, 100, np.nan])
    np.testing.assert_array_equal(background(PAIRS, "euclidean").percentiles(asked), [100, 0, np.nan])
    assert background(PAIRS).percentiles(0.9).shape == ()
    assert background(np.zeros(50, np.float32)).percentiles([0.0, 1.0]).tolist() == [0, 100]
    assert background(PAIRS).percentiles([]).shape == (0,)


def told(**more: object) -> analysis.ScoreBackground:
    quantiles = np.quantile(PAIRS.astype(np.float64), LEVELS)
    return analysis.ScoreBackground(quantiles=quantiles, pairs=20_000, mean=0.9, std=0.02, rows=50, **more)


def test_it_comes_with_scores() -> None:
    reply = analysis.ComputeSimilarityResponse(
        scores=packed([[0.9, 1.0]]), metric=analysis.METRIC_COSINE, background=told()
    )
    made = analysis_results.similarity(reply)
    assert made.background is not None
    assert (made.background.pairs, made.background.mean, made.background.rows) == (20_000, 0.9, 50)
    np.testing.assert_array_equal(made.percentiles, made.background.percentiles(made.scores))
    assert made.percentiles is made.percentiles
    assert "background=Background(quantiles=float64[1001]" in repr(made)
    indices = analysis_results.arrays.to_tensor(np.int32([[1, -1]]))
    found = analysis_results.neighbors(
        analysis.SearchNeighborsResponse(
            indices=indices, scores=packed([[0.95, -np.inf]]), metric=1, background=told(), recall=0.75
        )
    )
    assert isinstance(found, Neighbors)
    assert found.percentiles is not None
    assert found.percentiles[0, 1] == 0
    assert found.recall == 0.75


def test_without_one_there_are_no_percentiles() -> None:
    made = analysis_results.similarity(analysis.ComputeSimilarityResponse(scores=packed([[0.9]])))
    assert isinstance(made, Similarity)
    assert made.background is None
    assert made.percentiles is None
    empty = analysis.ComputeSimilarityResponse(scores=packed([[0.9]]), background=analysis.ScoreBackground())
    with pytest.raises(InternalError, match="without quantiles"):
        analysis_results.similarity(empty)
