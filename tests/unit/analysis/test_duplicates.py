"""Duplicates against brute force in float64: pairs, their order, groups, keepers; whatever way they were found."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from penult_service.analysis.background import background
from penult_service.analysis.calls import DUPLICATE_METRICS, Duplicates, Outliers
from penult_service.analysis.pairs import best_pairs, duplicates, shortening, within
from penult_service.analysis.progress import Progress, telling
from penult_service.analysis.results import DuplicatesResult
from penult_service.analysis.run import run
from penult_service.analysis.search import rough
from penult_service.errors import InvalidInput
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

Matrix = np.ndarray


def find(call: Duplicates, rows: Matrix, **arrays: Matrix) -> DuplicatesResult:
    found = run(call, {"source": rows, **arrays})
    assert isinstance(found, DuplicatesResult)
    return found


def scores_of(rows: Matrix, metric: str) -> Matrix:
    """Float64 [n, n], 1 or 0 where rows are equal; of rows without direction NaN."""
    rows = rows.astype(np.float64)
    if metric == "cosine":
        with np.errstate(invalid="ignore"):
            unit = rows / np.linalg.norm(rows, axis=1)[:, None]
        scores = np.clip(unit @ unit.T, -1, 1)
        same = unit.astype(np.float32)
    else:
        scores = cdist(rows, rows, "cityblock" if metric == "manhattan" else metric)
        same = rows
    _, kind = np.unique(same, axis=0, return_inverse=True)
    equal = kind.reshape(-1, 1) == kind.reshape(1, -1)
    return np.where(equal & ~np.isnan(scores), 1.0 if metric == "cosine" else 0.0, scores)


def is_within(scores: Matrix, threshold: float, metric: str) -> Matrix:
    found = scores >= threshold if metric == "cosine" else scores <= threshold
    return np.triu(found, 1)


def keeper(scores: Matrix, group: Matrix, metric: str) -> int:
    sums = np.round(scores[np.ix_(group, group)].sum(axis=1), 9)
    return int(group[(np.argmax if metric == "cosine" else np.argmin)(sums)])


def check(found: DuplicatesResult, rows: Matrix, threshold: float, metric: str) -> None:
    scores = scores_of(rows, metric)
    one, other = np.nonzero(is_within(scores, threshold, metric))
    assert found.total_pairs == len(one)
    assert found.equal_pairs == np.count_nonzero(np.triu(scores == (1 if metric == "cosine" else 0), 1))
    assert set(map(tuple, found.pairs.tolist())) == set(zip(one.tolist(), other.tolist(), strict=True))
    first, second = found.pairs.T
    np.testing.assert_allclose(found.scores, scores[first, second], rtol=1e-6, atol=1e-7)
    key = -found.scores if metric == "cosine" else found.scores
    assert (np.diff(key) >= 0).all()
    graph = coo_array((np.ones(len(one)), (one, other)), shape=scores.shape)
    count, label = connected_components(graph, directed=False)
    groups = [np.flatnonzero(label == i) for i in range(count)]
    groups = sorted((g for g in groups if len(g) > 1), key=lambda g: (-len(g), g[0]))
    expected = np.full(len(rows), -1)
    for number, group in enumerate(groups):
        expected[group] = number
    assert found.groups.tolist() == expected.tolist()
    assert found.keepers.tolist() == [keeper(scores, group, metric) for group in groups]
    assert found.threshold == threshold


def near_copies(count: int, width: int, seed: int = 0) -> Matrix:
    """Rows among which are equal ones, chains of near ones, and clumps."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, width)).astype(np.float32)
    part = count // 6
    rows[part : 2 * part] = rows[rng.integers(0, part, part)]
    away = rng.uniform(0, 0.5, (part, 1)) * rng.standard_normal((part, width))
    rows[2 * part : 3 * part] = rows[rng.integers(0, part, part)] + away
    rows[3 * part : 3 * part + 9] = rows[0] * np.float32(1 + 1e-6) + 1e-7
    return rows[rng.permutation(count)]


LIMITS = [("cosine", 0.95), ("cosine", 0.6), ("euclidean", 2.0), ("euclidean", 0.0), ("manhattan", 9.0)]


@pytest.mark.parametrize(("metric", "threshold"), LIMITS)
@pytest.mark.parametrize("width", [2, 70])
def test_pairs_groups_and_keepers_are_those_of_brute_force(metric: str, threshold: float, width: int) -> None:
    rows = near_copies(300, width)
    if width == 2:
        threshold = 1 - (1 - threshold) / 1e3 if metric == "cosine" else threshold / 100
    check(find(Duplicates(threshold, metric), rows), rows, threshold, metric)


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short rows, many tiles, no room in them for what is found."""
    monkeypatch.setattr(shortening, "_LEAST_ROWS", 1)
    monkeypatch.setattr(shortening, "_SAMPLE", 200)
    monkeypatch.setattr(shortening, "_PAIRS_OF", 100)
    monkeypatch.setattr(within, "_TILE_ROWS", 37)
    monkeypatch.setattr(within, "_TILE_COLUMNS", 101)
    monkeypatch.setattr(within, "_BLOCK_ROWS", 3)
    monkeypatch.setattr(within, "_ROOM", 303)
    monkeypatch.setattr(best_pairs, "_ROOM", 64)
    monkeypatch.setattr(duplicates, "blocks", lambda count, _: [slice(0, 50), slice(50, count)])


@pytest.mark.usefixtures("in_small_parts")
@pytest.mark.parametrize(("metric", "threshold"), LIMITS)
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_parts_and_short_rows_change_nothing(metric: str, threshold: float, offset: float) -> None:
    rows = near_copies(400, 70, seed=1) + np.float32(offset)
    if metric == "cosine" and offset:
        threshold = 0.99
    check(find(Duplicates(threshold, metric), rows), rows, threshold, metric)


def test_short_rows_are_taken_where_they_pay() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((3000, 10)) @ rng.standard_normal((10, 64))).astype(np.float32)
    rows += 0.1 * rng.standard_normal(rows.shape).astype(np.float32)
    for metric, threshold in (("cosine", 0.95), ("euclidean", 3.0)):
        short = shortening.shortened(rows, metric, threshold)
        assert short is not None
        assert short.rows.shape[1] < 40
        # What the short rows rule out is not alike, and near copies are not ruled out.
        scores, few = scores_of(rows[:500], metric), short.rows[:500].astype(np.float64)
        found = few @ few.T if metric == "cosine" else cdist(few, few)
        slack = short.slack[:500, None]
        assert (found >= scores - slack if metric == "cosine" else found <= scores + slack).all()
    assert shortening.shortened(rows, "cosine", -0.5) is None
    assert shortening.shortened(rows[:100], "cosine", 0.95) is None
    assert shortening.shortened((rows * np.float32(1e34)).astype(np.float32), "euclidean", 1e34) is None


@pytest.mark.usefixtures("in_small_parts")
@pytest.mark.parametrize("metric", DUPLICATE_METRICS)
def test_scores_at_the_threshold_itself_count(metric: str) -> None:
    """Whole numbers: some pairs lie at the threshold exactly, and float32 could not say on which side."""
    rng = np.random.default_rng(3)
    rows = rng.integers(-3, 4, (250, 49)).astype(np.float32)
    rows[100:150] = rows[:50] + (rng.permuted(np.eye(49)[rng.integers(0, 49, 50)], axis=1) * 2)
    rows[150:180] = rows[:30] * 2
    scores = scores_of(rows, metric)
    for pair in ((0, 100), (7, 107), (0, 1)):
        threshold = float(
            within.Scored.of(rows, metric, 0.0).pairs(*np.array(pair, np.int32).reshape(2, 1))[0]
        )
        found = find(Duplicates(threshold, metric), rows)
        pairs = found.pairs.tolist()
        assert list(pair) in pairs
        clear = 1e-12
        sure = is_within(scores, threshold + (clear if metric == "cosine" else -clear), metric)
        may = is_within(scores, threshold - (clear if metric == "cosine" else -clear), metric)
        assert np.count_nonzero(sure) <= found.total_pairs <= np.count_nonzero(may)
        assert may[tuple(np.transpose(pairs))].all()


def expected_order(rows: Matrix, threshold: float, metric: str) -> list[tuple[int, int]]:
    scores = scores_of(rows, metric)
    pairs = np.argwhere(is_within(scores, threshold, metric))
    key = scores[tuple(pairs.T)] * (-1 if metric == "cosine" else 1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], key))
    return [(int(i), int(j)) for i, j in pairs[order]]


@pytest.mark.usefixtures("in_small_parts")
def test_the_most_alike_pairs_come_first_and_no_more_than_asked() -> None:
    rng = np.random.default_rng(4)
    rows = rng.integers(0, 4, (150, 3)).astype(np.float32)  # many ties, many equal rows
    expected = expected_order(rows, 2.0, "manhattan")
    assert len(expected) > 2000
    for most in (1, 2, 70, 71, 333, 1500, len(expected) - 1, len(expected), len(expected) + 1):
        found = find(Duplicates(2.0, "manhattan", max_pairs=most), rows)
        assert list(map(tuple, found.pairs.tolist())) == expected[:most]
        assert found.total_pairs == len(expected)
        assert found.pairs.shape == (min(most, len(expected)), 2)


def test_many_equal_rows_are_counted_in_closed_form() -> None:
    rows = np.ones((50_000, 3), np.float32)
    rows[1::2] *= 2
    found = find(Duplicates(max_pairs=10), rows)
    assert found.total_pairs == found.equal_pairs == 50_000 * 49_999 // 2
    assert found.pairs.tolist() == [[0, j] for j in range(1, 11)]
    assert found.keepers.tolist() == [0]
    assert not found.groups.any()
    apart = find(Duplicates(metric="euclidean", max_pairs=3), rows)
    assert apart.total_pairs == 2 * (25_000 * 24_999 // 2)
    assert apart.keepers.tolist() == [0, 1]
    assert apart.pairs.tolist() == [[0, 2], [0, 4], [0, 6]]


def test_two_near_rows_of_many_copies() -> None:
    rows = np.repeat(np.array([[1, 0], [1, 0.1]], np.float32), [3, 4], axis=0)[[3, 0, 4, 1, 5, 2, 6]]
    found = find(Duplicates(0.2, "euclidean"), rows)
    assert list(map(tuple, found.pairs.tolist())) == expected_order(rows, 0.2, "euclidean")
    assert (found.total_pairs, found.equal_pairs) == (21, 9)
    assert found.keepers.tolist() == [0]  # of four, where the others are three


@pytest.mark.parametrize("metric", DUPLICATE_METRICS)
def test_chains_are_one_group(metric: str) -> None:
    angle = np.arange(40) * 0.02
    rows = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)[np.r_[20:40, 0:20]]
    threshold = {"cosine": 0.9997, "euclidean": 0.025, "manhattan": 0.03}[metric]
    found = find(Duplicates(threshold, metric), rows)
    assert not found.groups.any()
    check(found, rows, threshold, metric)
    assert found.total_pairs < 100


@pytest.mark.parametrize(("metric", "threshold"), LIMITS)
@pytest.mark.parametrize("columns", [2, 6, 32, 400])
def test_a_graph_that_is_kept_changes_nothing(metric: str, threshold: float, columns: int) -> None:
    rows = near_copies(330, 30, seed=5)
    if metric == "cosine":
        rows[[4, 200]] = 0
    kept = run(Outliers(10, metric, keep_graph=True), {"source": rows})
    many = run(Outliers(329, metric, keep_graph=True), {"source": rows})
    graph = many if columns > 32 else kept
    arrays = {
        "near_rows": graph.near_rows[:, :columns].copy(),  # type: ignore[union-attr]
        "near_distances": graph.near_distances[:, :columns].copy(),  # type: ignore[union-attr]
    }
    alone, taking = (
        find(Duplicates(threshold, metric), rows),
        find(Duplicates(threshold, metric), rows, **arrays),
    )
    for name in ("pairs", "scores", "groups", "keepers"):
        assert getattr(alone, name).tobytes() == getattr(taking, name).tobytes()
    assert (alone.total_pairs, alone.equal_pairs) == (taking.total_pairs, taking.equal_pairs)
    check(taking, rows, threshold, metric)


def test_zero_rows_are_like_none_under_cosine_alone() -> None:
    rows = near_copies(60, 8)
    rows[[3, 30, 31]] = 0
    found = find(Duplicates(0.9), rows)
    assert found.zero_rows.tolist() == [3, 30, 31]
    assert found.groups[[3, 30, 31]].tolist() == [-1, -1, -1]
    check(found, rows, 0.9, "cosine")
    equal = find(Duplicates(0.0, "euclidean"), rows)
    assert equal.zero_rows.size == 0
    assert equal.groups[3] == equal.groups[30] == equal.groups[31] >= 0


@pytest.mark.parametrize("metric", DUPLICATE_METRICS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_rows(metric: str, count: int) -> None:
    rows = np.array([[1, 2], [3, 4], [1, 2]], np.float32)[:count]
    found = find(Duplicates(metric=metric), rows)
    check(found, rows, {"cosine": 0.95}.get(metric, 0.0), metric)
    assert found.background is None
    nothing = find(Duplicates(), np.zeros((count, 2), np.float32))
    assert (nothing.total_pairs, nothing.keepers.size, nothing.pairs.shape) == (0, 0, (0, 2))
    assert nothing.groups.tolist() == [-1] * count


@pytest.mark.parametrize("metric", DUPLICATE_METRICS)
@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_sizes_change_nothing(metric: str, size: float) -> None:
    rows = near_copies(120, 50)
    scaled = (rows * np.float32(size)).astype(np.float32)
    threshold = {"cosine": 0.95, "euclidean": 2.0, "manhattan": 9.0}[metric]
    if metric != "cosine":
        threshold *= float(np.float32(size))
    found = find(Duplicates(threshold, metric), scaled)
    scores = scores_of(scaled, metric)
    one, other = np.nonzero(is_within(scores, threshold, metric))
    assert set(map(tuple, found.pairs.tolist())) == set(zip(one.tolist(), other.tolist(), strict=True))


def test_small_differences_among_huge_rows_are_differences() -> None:
    rows = np.array([[3e38, 0], [0, 1e-30], [0, 2e-30], [0, 1e-30]], np.float32)
    found = find(Duplicates(0.0, "euclidean"), rows)
    assert found.pairs.tolist() == [[1, 3]]
    near = find(Duplicates(1.5e-30, "euclidean"), rows)
    assert near.pairs.tolist() == [[1, 3], [1, 2], [2, 3]]
    assert np.isfinite(find(Duplicates(1e30, "manhattan"), rows).scores).all()


def results(call: Duplicates, rows: Matrix) -> Iterator[bytes]:
    found = find(call, rows)
    for name in ("pairs", "scores", "groups", "keepers"):
        yield getattr(found, name).tobytes()


@pytest.mark.parametrize(("metric", "threshold"), LIMITS)
def test_the_same_bytes_at_any_number_of_threads(
    metric: str, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = near_copies(3000, 50, seed=6)
    call = Duplicates(threshold, metric, max_pairs=200)
    answers = []
    for count in (1, 2, 5):
        monkeypatch.setattr(rough, "cores", lambda count=count: count)
        answers.append(list(results(call, rows)))
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("metric", DUPLICATE_METRICS)
def test_a_threshold_that_most_pairs_reach_is_refused_with_one_that_few_reach(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "MOST_FOUND", 20_000)
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 500)
    rows = np.random.default_rng(7).standard_normal((600, 12)).astype(np.float32) + np.float32(3)
    low = {"cosine": 0.7, "euclidean": 5.0, "manhattan": 15.0}[metric]
    with pytest.raises(InvalidInput) as caught:
        find(Duplicates(low, metric), rows)
    error = caught.value
    assert (error.reason, error.field) == ("THRESHOLD_TOO_LOW", "threshold")
    actual = np.count_nonzero(is_within(scores_of(rows, metric), low, metric))
    assert abs(int(error.metadata["pairs"]) / actual - 1) < 0.05
    better = float(error.metadata["few"])
    assert f"{better:g}" in error.message
    found = find(Duplicates(better, metric), rows)
    assert 0 < found.total_pairs < 1000
    assert found.background == background([rows], metric)


def test_a_threshold_that_is_usual_among_many_rows_is_refused() -> None:
    rows = np.random.default_rng(8).standard_normal((460, 12)).astype(np.float32) + np.float32(5)
    with pytest.raises(InvalidInput, match="usual here") as caught:
        find(Duplicates(0.95), rows)
    assert 0 < find(Duplicates(float(caught.value.metadata["few"])), rows).total_pairs < 300
    few = find(Duplicates(0.95), rows[:400])  # they may be near-copies all
    assert few.total_pairs > 400 * 399 / 4
    assert few.background is not None


def test_where_all_pairs_are_alike_there_is_a_way_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_FOUND", 1000)
    for metric, low in (("cosine", 0.0), ("euclidean", 1.5)):
        with pytest.raises(InvalidInput) as caught:
            find(Duplicates(low, metric), np.eye(60, dtype=np.float32))
        assert find(Duplicates(float(caught.value.metadata["few"]), metric), np.eye(60)).total_pairs == 0


def test_stages_are_told() -> None:
    told: list[Progress] = []
    with telling(told.append):
        find(Duplicates(), near_copies(1200, 60))
    assert [stage for stage, _ in itertools.groupby(p.stage for p in told)] == ["rows", "pairs", "keepers"]
    pairs = [p for p in told if p.stage == "pairs"]
    assert [p.done for p in pairs] == sorted(p.done for p in pairs)
    assert pairs[-1].done == pairs[-1].total
