"""What scores are usual, against all pairs; rows without their mean, against float64; here and in a worker alike."""

from __future__ import annotations

import numpy as np
import pytest
from penult_service.analysis import background as usual
from penult_service.analysis.background import background, centred, mean_of, share_within
from penult_service.analysis.calls import LARGER_IS_CLOSER, METRICS, Neighbors, Similarity
from penult_service.analysis.run import run
from penult_service.rpc.analysis import small_similarity
from scipy.spatial.distance import pdist

Matrix = np.ndarray


def blobs(count: int, width: int = 12, seed: int = 0) -> Matrix:
    """Rows sorted by class, far from the origin."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((10, width)) + 1
    rows = centres[np.arange(count) * 10 // count] + 0.3 * rng.standard_normal((count, width))
    return rows.astype(np.float32)


def all_pairs(rows: Matrix, metric: str) -> Matrix:
    rows = rows.astype(np.float64)
    if metric == "dot":
        return (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    found = pdist(rows, {"manhattan": "cityblock"}.get(metric, metric))
    return 1 - found if metric == "cosine" else found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("count", [30, 31, 120, 199])
def test_of_few_rows_all_pairs_count(metric: str, count: int) -> None:
    rows = blobs(count)
    found = background([rows, rows[::-1], rows[:3]], metric)  # equal rows are one
    assert found is not None
    expected = all_pairs(rows, metric)
    assert (found.rows, found.pairs) == (count, len(expected))
    np.testing.assert_allclose(found.quantiles, np.quantile(expected, np.linspace(0, 1, 1001)), rtol=1e-10)
    np.testing.assert_allclose([found.mean, found.std], [expected.mean(), expected.std()], rtol=1e-10)


@pytest.mark.parametrize("metric", METRICS)
def test_of_many_rows_some_pairs_say_the_same(metric: str) -> None:
    rows = blobs(1500)
    found = background([rows[:400], rows[400:]], metric)
    assert found is not None
    assert found.rows == 1500
    assert 20_000 <= found.pairs < 21_500
    expected = all_pairs(rows, metric)
    shares = np.searchsorted(np.sort(expected), found.quantiles[50:951:50]) / len(expected)
    np.testing.assert_allclose(shares, np.linspace(0.05, 0.95, 19), atol=0.02)
    assert found.quantiles == background([rows], metric).quantiles  # type: ignore[union-attr]


def test_many_rows_are_drawn_from_every_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual, "_ROWS", 300)
    one, other = blobs(900), blobs(600, seed=1)
    found = background([one, other], "euclidean")
    assert found is not None
    assert found.rows == 300
    expected = all_pairs(np.concatenate([one, other]), "euclidean")
    assert abs(found.mean - expected.mean()) < 0.1 * expected.std()
    drawn = usual._drawn([one, other], 300)
    assert 150 < sum((one == row).all(axis=1).any() for row in drawn) < 210


def test_every_row_is_in_as_many_pairs() -> None:
    for count in (30, 31, 150, 201, 400, 4000):
        shifts = usual._shifts(count)
        pairs = {frozenset((i, (i + s) % count)) for s in shifts.tolist() for i in range(count)}
        assert all(len(pair) == 2 for pair in pairs)
        assert len(pairs) == min(count * (count - 1) // 2, count * len(shifts))
        assert len(pairs) >= min(count * (count - 1) // 2, 20_000)


def test_columns_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = blobs(200, 50)
    for metric in METRICS:
        whole = background([rows], metric)
        with monkeypatch.context() as patched:
            patched.setattr(usual, "_COLUMNS_BYTES", 8 * 200 * 7)
            parts = background([rows], metric)
        np.testing.assert_allclose(parts.quantiles, whole.quantiles, rtol=1e-12)  # type: ignore[union-attr]


def test_fewer_than_30_distinct_rows_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = blobs(29)
    assert background([rows], "cosine") is None
    assert background([np.repeat(rows, 50, axis=0)], "cosine") is None
    assert background([rows[:1]], "cosine") is None
    # Few are distinct among those drawn, more among all.
    monkeypatch.setattr(usual, "_ROWS", 40)
    many = np.concatenate([np.repeat(rows[:1], 500, axis=0), blobs(35, seed=3)])
    found = background([many], "cosine")
    assert found is not None
    assert found.rows == 36


@pytest.mark.parametrize("size", [1e-18, 1e18])
def test_sizes_do_not_matter(size: float) -> None:
    rows = blobs(40)
    for metric in ("cosine", "euclidean"):
        found = background([(rows * np.float32(size)).astype(np.float32)], metric)
        expected = all_pairs(rows, metric) * (1 if metric == "cosine" else size)
        np.testing.assert_allclose(found.mean, expected.mean(), rtol=1e-5)  # type: ignore[union-attr]


@pytest.mark.parametrize("metric", METRICS)
def test_the_share_of_the_pairs_within_a_threshold(metric: str) -> None:
    rows = blobs(150)
    found, expected = background([rows], metric), all_pairs(rows, metric)
    assert found is not None
    for threshold in np.quantile(expected, [0.1, 0.5, 0.9]):
        within = expected >= threshold if metric in LARGER_IS_CLOSER else expected <= threshold
        assert abs(share_within(found, threshold, metric) - within.mean()) < 0.002
    assert share_within(found, expected.max() + 1, metric) == (0 if metric in LARGER_IS_CLOSER else 1)


def plain_cosine(a: Matrix, b: Matrix) -> Matrix:
    return (a / np.linalg.norm(a, axis=1)[:, None]) @ (b / np.linalg.norm(b, axis=1)[:, None]).T


def test_centred_scores_are_those_of_float64() -> None:
    a, b, other = blobs(40), blobs(50, seed=1), blobs(60, seed=2)
    for usual_rows, arrays in (
        ([a], {"a": a}),
        ([a, b], {"a": a, "b": b}),
        ([other], {"a": a, "b": b, "background": other}),
    ):
        mean = np.concatenate(usual_rows).astype(np.float64).mean(axis=0)
        found = run(Similarity(center=True), arrays)
        expected = plain_cosine(a - mean, arrays.get("b", a) - mean)
        np.testing.assert_allclose(found.scores, expected, atol=1e-6)  # type: ignore[union-attr]
        pairs = all_pairs(np.concatenate(usual_rows) - mean, "cosine")
        np.testing.assert_allclose(found.background.mean, pairs.mean(), atol=1e-6)  # type: ignore[union-attr]


def test_centred_neighbours_are_those_of_float64() -> None:
    queries, corpus = blobs(20, seed=4), blobs(300)
    for arrays, side in (({"queries": queries, "corpus": corpus}, corpus), ({"queries": queries}, queries)):
        found = run(Neighbors(k=4, center=True), arrays)
        mean = side.astype(np.float64).mean(axis=0)
        expected = -np.sort(-plain_cosine(queries - mean, side - mean), axis=1)[:, :4]
        np.testing.assert_allclose(found.scores, expected, atol=1e-6)  # type: ignore[union-attr]
    few = run(Neighbors(k=4), {"queries": queries})
    assert few.background is None  # type: ignore[union-attr]
    known = run(Neighbors(k=4), {"queries": queries, "corpus": corpus}).background  # type: ignore[union-attr]
    assert known == background([corpus], "cosine")


def test_a_row_that_is_the_mean_has_no_direction() -> None:
    row = np.random.default_rng(0).standard_normal((1, 9)).astype(np.float32)
    for count in (1, 3, 1001):
        rows = np.repeat(row, count, axis=0)
        assert not centred(rows, mean_of([rows])).any()
    assert not run(Similarity(center=True), {"a": np.repeat(row, 3, axis=0)}).scores.any()  # type: ignore[union-attr]
    near = np.concatenate([np.repeat(row, 9, axis=0), np.nextafter(row, np.float32(9))])
    assert centred(near, mean_of([near])).any(axis=1).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("pairs", [False, True])
def test_the_server_and_a_worker_say_the_same(metric: str, pairs: bool) -> None:
    a, b, other = blobs(40), blobs(40, seed=1), blobs(60, seed=2)
    for arrays in ({"a": a, "b": b}, {"a": a, "b": b, "background": other}):
        for center in (False, True) if metric == "cosine" else (False,):
            call = Similarity(metric, pairs=pairs, center=center)
            here, there = small_similarity.compute(call, arrays), run(call, arrays)
            np.testing.assert_allclose(here.scores, there.scores, rtol=1e-6)  # type: ignore[union-attr]
            assert here.background == there.background  # type: ignore[union-attr]
            assert here.background is not None
