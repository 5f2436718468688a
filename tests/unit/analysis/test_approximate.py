"""The approximate search: exact among the lists it looks into, alone as in company, and honest about its recall."""

from __future__ import annotations

import numpy as np
import pytest
from penult_service.analysis.calls import Neighbors
from penult_service.analysis.search import approximate, neighbours, rough
from penult_service.analysis.search.approximate import Lists, approximate_nearest
from penult_service.analysis.search.neighbours import search
from penult_service.analysis.search.sieve import nearest

Matrix = np.ndarray
METRICS = ("cosine", "euclidean", "dot")


@pytest.fixture(autouse=True)
def _few_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "SMALLEST", 500)
    monkeypatch.setattr(approximate, "_PROBES", 6)


def rows_of(n: int = 1500, d: int = 24) -> Matrix:
    """Rows around 60 centres, 150 of them near-equal, two zero."""
    rng = np.random.default_rng(0)
    rows = 3 * rng.standard_normal((60, d))[rng.integers(0, 60, n)] + rng.standard_normal((n, d))
    rows[200:350] = rows[7] + 1e-6 * rng.standard_normal((150, d))
    rows[[20, 640]] = 0
    return rows.astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_every_row_is_in_the_list_of_its_nearest_centre(metric: str) -> None:
    rows = rows_of()
    lists = Lists.of(rows, metric)
    block = approximate.byte_kernel.COLUMNS
    named = [
        lists.places[start * block : start * block + size]
        for start, size in zip(lists.starts[:-1], lists.sizes, strict=True)
    ]
    assert sorted(np.concatenate(named).tolist()) == list(range(len(rows)))
    assert all((np.diff(its) > 0).all() for its in named)
    _, near = nearest(rows, lists.centres, 1, metric)
    for number, its in enumerate(named):
        assert (near[its, 0] == number).all()


@pytest.mark.parametrize("metric", METRICS)
def test_it_is_exact_among_the_rows_of_the_lists(metric: str) -> None:
    rows = rows_of()
    queries = rows[::3] + np.float32(0.01)
    lists = Lists.of(rows, metric)
    _, probes = nearest(queries, lists.centres, 6, metric)
    measure = "cosine" if metric == "cosine" else "euclidean"
    lies_in = nearest(rows, lists.centres, 1, measure)[1][:, 0]
    keys, found = approximate_nearest(queries, rows, 5, metric)
    for i in range(0, len(queries), 17):
        within = np.flatnonzero(np.isin(lies_in, probes[i]))
        expected_keys, expected = nearest(queries[i : i + 1], rows[within], 5, metric)
        assert found[i].tolist() == within[expected[0]].tolist()
        assert keys[i].tobytes() == expected_keys[0].tobytes()


@pytest.mark.parametrize("metric", METRICS)
def test_with_all_lists_it_is_the_exact_search(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "_PROBES", 1000)
    rows = rows_of()
    for k in (1, 12, 300):
        exact, found = nearest(rows, None, k, metric), approximate_nearest(rows, None, k, metric)
        assert found[0].tobytes() == exact[0].tobytes()
        assert found[1].tobytes() == exact[1].tobytes()


def test_alone_in_company_in_any_order_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of()
    queries = np.concatenate([rows[:100], rows[180:360] + np.float32(1e-7)])
    whole = approximate_nearest(queries, rows, 4, "cosine")
    order = np.random.default_rng(1).permutation(len(queries))
    for count in (1, 2):
        monkeypatch.setattr(rough, "cores", lambda count=count: count)
        keys, found = approximate_nearest(queries[order], rows, 4, "cosine")
        assert keys.tobytes() == whole[0][order].tobytes()
        assert found.tobytes() == whole[1][order].tobytes()
    monkeypatch.setattr(approximate, "_TOGETHER", 7)
    assert approximate_nearest(queries, rows, 4, "cosine")[1].tobytes() == whole[1].tobytes()
    for i in (0, 20, 150):
        alone = approximate_nearest(queries[i : i + 1], rows, 4, "cosine")
        assert alone[0].tobytes() == whole[0][i].tobytes()
        assert alone[1].tobytes() == whole[1][i].tobytes()


def test_near_copies_for_which_there_is_no_room_and_lists_of_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((4000, 8))
    rows[:1500] = rows[0] + 1e-6 * rng.standard_normal((1500, 8))
    rows = rows.astype(np.float32)
    # More neighbours than six lists hold: from all rows.
    many = nearest(rows[3000:3050], rows, 2500, "euclidean")
    assert approximate_nearest(rows[3000:3050], rows, 2500, "euclidean")[1].tobytes() == many[1].tobytes()
    monkeypatch.setattr(approximate, "_PROBES", 1000)
    exact = nearest(rows[:50], rows, 3, "euclidean")
    assert approximate_nearest(rows[:50], rows, 3, "euclidean")[1].tobytes() == exact[1].tobytes()


def test_the_recall_is_told() -> None:
    rows = rows_of()
    exact = search(Neighbors(8, exclude_self=True), rows)
    found = search(Neighbors(8, exclude_self=True, approximate=True), rows)
    assert (found.indices != np.arange(len(rows))[:, None]).all()
    chosen = np.linspace(0, len(rows) - 1, 256).astype(int)
    shares = [len({*found.indices[i]} & {*exact.indices[i]}) / 8 for i in chosen]
    assert found.recall == pytest.approx(np.mean(shares), abs=1e-12)
    assert 0.8 < found.recall < 1
    assert exact.recall is None
    np.testing.assert_array_equal(found.zero_queries, [20, 640])


def test_where_it_would_not_pay_it_is_exact() -> None:
    rows = rows_of()
    for call, queries, corpus in (
        (Neighbors(4, "manhattan", approximate=True), rows, None),
        (Neighbors(4, approximate=True), rows[:400], None),
        (Neighbors(4, approximate=True), rows[:30], rows),
    ):
        exact = search(Neighbors(4, call.metric), queries, corpus)
        found = search(call, queries, corpus)
        assert found.recall == 1
        assert found.indices.tobytes() == exact.indices.tobytes()
    assert neighbours.pays(1500, 1500, "cosine")
