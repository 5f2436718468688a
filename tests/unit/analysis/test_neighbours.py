"""Neighbours against brute force in float64: sets, order, ties, edges, magnitudes, threads."""

from __future__ import annotations

import numpy as np
import pytest
from penult_service.analysis.calls import METRICS, Neighbors
from penult_service.analysis.search import rough, sieve
from penult_service.analysis.search.neighbours import graph, search
from penult_service.errors import InvalidInput

Matrix = np.ndarray


def keys_of(queries: Matrix, corpus: Matrix, metric: str) -> Matrix:
    """Smaller is closer, float64 [n, m]; under cosine zero rows of the corpus after all others."""
    x, y = queries.astype(np.float64), corpus.astype(np.float64)
    if metric == "euclidean":
        return np.stack([np.sqrt(np.square(row - y).sum(axis=1)) for row in x])
    if metric == "manhattan":
        return np.stack([np.abs(row - y).sum(axis=1) for row in x])
    if metric == "dot":
        return -(x @ y.T)
    lengths = [np.sqrt((side * side).sum(axis=1)) for side in (x, y)]
    keys = (
        -(x / np.where(lengths[0] == 0, 1, lengths[0])[:, None])
        @ (y / np.where(lengths[1] == 0, 1, lengths[1])[:, None]).T
    )
    keys[:, lengths[1] == 0] = np.inf
    return keys


def check(indices: Matrix, keys: Matrix, k: int, own: bool = False) -> None:
    """The neighbours are the k of smallest keys, in order, but for differences that float64 does not show."""
    keys = keys.copy()
    if own:
        np.fill_diagonal(keys, np.nan)
    assert indices.shape == (len(keys), k)
    found = np.take_along_axis(keys, indices.astype(np.int64), axis=1)
    assert not np.isnan(found).any()
    assert all(len(set(row)) == k for row in indices.tolist())
    best = np.sort(keys, axis=1)[:, :k]
    finite = np.isfinite(best)
    assert (np.isfinite(found) == finite).all()
    scale = np.abs(np.where(np.isfinite(keys), keys, 0)).max(axis=1, keepdims=True) + np.zeros_like(best)
    assert (np.abs(found - best)[finite] <= 1e-13 * scale[finite]).all()


def clumps(n: int, d: int, seed: int = 0, noise: float = 1e-6) -> Matrix:
    """Ordinary rows, 120 equal ones, 150 near-equal ones, two zero rows."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, d)).astype(np.float32)
    matrix[100:220] = matrix[7]
    matrix[300:450] = matrix[8] + noise * rng.standard_normal((150, d))
    matrix[[20, 640]] = 0
    return matrix


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("width", [1, 3, 65, 768])
def test_neighbours_are_those_of_brute_force(metric: str, width: int) -> None:
    corpus = clumps(700, width)
    queries = np.concatenate([corpus[::9], np.random.default_rng(1).standard_normal((30, width))]).astype(
        np.float32
    )
    found = search(Neighbors(k=12, metric=metric), queries, corpus)
    keys = keys_of(queries, corpus, metric)
    check(found.indices, keys, 12)
    scores = np.take_along_axis(keys, found.indices.astype(np.int64), axis=1)
    scores = np.where(np.isinf(scores), 0, -scores if metric in ("cosine", "dot") else scores)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-6, atol=1e-7)
    if width > 100:
        return  # the oracle takes long
    itself = search(Neighbors(k=12, metric=metric, exclude_self=True), corpus)
    check(itself.indices, keys_of(corpus, corpus, metric), 12, own=True)


@pytest.mark.parametrize("metric", METRICS)
def test_the_answer_is_the_same_alone_in_company_in_tiles_and_threads(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = clumps(900, 24, noise=1e-7)
    call = Neighbors(k=5, metric=metric)
    whole = search(call, rows)
    other = search(call, rows[:333], rows)
    alone = [search(call, rows[i : i + 1], rows) for i in (0, 7, 20, 310, 332)]
    monkeypatch.setattr(sieve, "_TILE_ROWS", 37)
    monkeypatch.setattr(sieve, "_TILE_COLUMNS", 101)
    answers = [other, search(call, rows)]
    for count in (1, 2, 4):
        monkeypatch.setattr(rough, "cores", lambda count=count: count)
        answers += [search(call, rows), search(call, rows[:333], rows)]
    monkeypatch.setattr(sieve, "_SIEVE_BYTES", 1 << 16)
    answers.append(search(call, rows))
    for answer in answers:
        n = len(answer.indices)
        assert answer.indices.tobytes() == whole.indices[:n].tobytes()
        assert answer.scores.tobytes() == whole.scores[:n].tobytes()
    for i, answer in zip((0, 7, 20, 310, 332), alone, strict=True):
        assert answer.indices.tobytes() == whole.indices[i].tobytes()
        assert answer.scores.tobytes() == whole.scores[i].tobytes()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("size", [1e-20, 1e18])
def test_magnitudes_change_nothing(metric: str, size: float) -> None:
    rows = (clumps(700, 16) * np.float32(size)).astype(np.float32)
    check(search(Neighbors(k=9, metric=metric), rows).indices, keys_of(rows, rows, metric), 9)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_of_very_different_sizes(metric: str) -> None:
    rng = np.random.default_rng(3)
    rows = (rng.standard_normal((600, 8)) * 10.0 ** rng.uniform(-20, 18, (600, 1))).astype(np.float32)
    keys = keys_of(rows, rows, metric)
    found = search(Neighbors(k=4, metric=metric), rows)
    chosen = np.take_along_axis(keys, found.indices.astype(np.int64), axis=1)
    np.testing.assert_allclose(chosen, np.sort(keys, axis=1)[:, :4], rtol=1e-12)


def test_products_of_rows_that_float32_cannot_hold_at_one_scale() -> None:
    rng = np.random.default_rng(2)
    queries, corpus = (
        (rng.standard_normal((n, 7)) * 10.0 ** rng.uniform(-38, 37, (n, 1))).astype(np.float32)
        for n in (300, 900)
    )
    best = np.argsort(keys_of(queries, corpus, "dot"), axis=1, kind="stable")[:, :20]
    assert (search(Neighbors(k=20, metric="dot"), queries, corpus).indices == best).all()


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_near_rows_far_from_the_origin(metric: str) -> None:
    rng = np.random.default_rng(4)
    rows = (1000 + 1e-3 * rng.standard_normal((500, 32))).astype(np.float32)
    check(search(Neighbors(k=6, metric=metric), rows).indices, keys_of(rows, rows, metric), 6)


@pytest.mark.parametrize("metric", METRICS)
def test_equal_scores_come_in_order_of_row_numbers(metric: str) -> None:
    rows = np.random.default_rng(5).standard_normal((1000, 12)).astype(np.float32)
    copies = np.sort(np.random.default_rng(6).permutation(1000)[:400])
    rows[copies] = rows[copies[0]] * np.float32(3)
    found = search(Neighbors(k=30, metric=metric, exclude_self=True), rows)
    if metric != "dot":
        for i in copies:
            assert found.indices[i].tolist() == [j for j in copies if j != i][:30]
    equal = np.ones((50, 3), dtype=np.float32)
    for k in (1, 10, 50):
        expected = np.tile(np.arange(k), (50, 1))
        np.testing.assert_array_equal(search(Neighbors(k=k, metric=metric), equal).indices, expected)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [2, 3, 14, 90])
def test_all_rows_as_neighbours(metric: str, n: int) -> None:
    rows = np.random.default_rng(n).standard_normal((n, 5)).astype(np.float32)
    found = search(Neighbors(k=n + 7, metric=metric), rows)
    check(found.indices, keys_of(rows, rows, metric), n)
    (told,) = found.adjustments
    assert (told.parameter, told.asked, told.used) == ("k", str(n + 7), str(n))
    without = search(Neighbors(k=n, metric=metric, exclude_self=True), rows)
    check(without.indices, keys_of(rows, rows, metric), n - 1, own=True)
    assert without.adjustments[0].used == str(n - 1)


def test_too_few_rows_say_how_many_it_takes() -> None:
    one = np.ones((1, 2), dtype=np.float32)
    with pytest.raises(InvalidInput, match="at least 2"):
        search(Neighbors(k=1, exclude_self=True), one)
    with pytest.raises(InvalidInput, match="at least 1"):
        search(Neighbors(k=1), one, one[:0])
    with pytest.raises(InvalidInput, match="k is 0"):
        search(Neighbors(k=0), one)
    assert search(Neighbors(k=1), one[:0], one).indices.shape == (0, 1)


def test_rows_without_direction_are_named_and_come_last() -> None:
    corpus = np.array([[0, 0], [1, 0], [-1, 0], [0, 0], [0, 1]], dtype=np.float32)
    queries = np.array([[2, 0], [0, 0]], dtype=np.float32)
    found = search(Neighbors(k=5), queries, corpus)
    assert found.indices.tolist() == [[1, 4, 2, 0, 3], [1, 2, 4, 0, 3]]
    assert found.scores.tolist() == [[1, 0, -1, 0, 0], [0, 0, 0, 0, 0]]
    assert (found.zero_queries.tolist(), found.zero_corpus.tolist()) == ([1], [0, 3])
    dot = search(Neighbors(k=5, metric="dot"), queries, corpus)
    assert (dot.zero_queries.size, dot.zero_corpus.size) == (0, 0)


def test_a_radius_keeps_what_the_scores_say_is_within() -> None:
    rows = clumps(700, 6)
    for metric, radius in (("cosine", 0.8), ("dot", 1.0), ("euclidean", 1.5), ("manhattan", 3.0)):
        free = search(Neighbors(k=20, metric=metric), rows)
        kept = search(Neighbors(k=20, metric=metric, radius=radius), rows)
        larger = metric in ("cosine", "dot")
        within = free.scores >= radius if larger else free.scores <= radius
        assert 0 < within.mean() < 1
        np.testing.assert_array_equal(kept.indices, np.where(within, free.indices, -1))
        np.testing.assert_array_equal(
            kept.scores, np.where(within, free.scores, -np.inf if larger else np.inf)
        )


def test_a_radius_that_leaves_rows_without_direction() -> None:
    corpus = np.array([[0, 0], [1, 0], [-1, 0], [0, 0], [0, 1]], dtype=np.float32)
    found = search(Neighbors(k=5, radius=0.0), corpus[1:2], corpus)
    assert found.indices.tolist() == [[1, 4, 0, 3, -1]]
    assert found.scores.tolist() == [[1, 0, 0, 0, -np.inf]]
    few = search(Neighbors(k=3, radius=-0.5), corpus[1:2], corpus)
    assert few.indices.tolist() == [[1, 4, 0]]


def test_scores_beyond_float32_are_its_largest_number() -> None:
    rows = np.full((2, 4), 3e38, dtype=np.float32) * np.array([[1], [-1]], dtype=np.float32)
    largest = np.finfo(np.float32).max
    assert search(Neighbors(k=2, metric="dot"), rows).scores.tolist() == [[largest, -largest]] * 2
    assert search(Neighbors(k=2, metric="euclidean"), rows).scores.tolist() == [[0, largest]] * 2


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
def test_the_graph_has_each_row_first_also_among_copies(metric: str) -> None:
    rows = clumps(700, 16)
    indices, distances = graph(rows, 15, metric)
    assert (indices.dtype, distances.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(indices[:, 0], np.arange(700))
    assert (distances[:, 0] == 0).all()
    check(indices[:, 1:], keys_of(rows, rows, metric), 14, own=True)
    assert (np.diff(distances[:, 1:-2][~np.isin(np.arange(700), (20, 640))], axis=1) >= 0).all()
    assert (distances >= 0).all()
    assert np.isfinite(distances).all()
    with pytest.raises(ValueError, match="701 of 700"):
        graph(rows, 701, metric)
    assert graph(rows, 1, metric)[1].shape == (700, 1)
