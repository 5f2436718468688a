"""What the methods tell while they work: their stages in order, and the same bytes whether anybody listens."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import Call, Cluster, Neighbors, Project, Similarity
from penult_service.analysis.progress import Progress, counting, iterations_printed, silently, tell, telling
from penult_service.analysis.results import Result
from penult_service.analysis.run import run
from penult_service.analysis.search import sieve
from support.pools import in_order, some_rows

SEARCH = ["neighbours", "ranking neighbours"]
UMAP = [*SEARCH, "graph", "start", "layout"]
LABELS = (np.arange(600) % 4).astype(np.int32)


def listened(call: Call, arrays: dict[str, NDArray[Any]]) -> tuple[Result, list[Progress]]:
    """The result, and all that was told meanwhile."""
    told: list[Progress] = []
    with telling(told.append):
        return run(call, arrays), told


def contents(result: Result) -> list[bytes]:
    """Every field of a result, bit by bit."""
    values = [getattr(result, field.name) for field in fields(result)]
    return [value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode() for value in values]


@pytest.mark.parametrize(
    ("call", "stages"),
    [
        (Project("umap"), ["rows", *UMAP, "quality", "labels"]),
        (Project("pca"), ["rows", "components", "quality", "labels"]),
        (Project("tsne"), ["rows", *SEARCH, "components", "layout", "quality", "labels"]),
        (Cluster("kmeans"), ["rows", "clusters", "quality", "labels"]),
        (Cluster("kmeans", reduction="pca"), ["rows", "components", "clusters", "quality", "labels"]),
        (Cluster("agglomerative"), ["rows", "distances", "merges", "quality", "labels"]),
        (
            Cluster("agglomerative", metric="manhattan"),
            ["rows", "distances", "merges", "quality", "labels"],
        ),
        (Cluster("hdbscan"), ["rows", *UMAP, "clusters", "quality", "labels"]),
        (Cluster("gaussian_mixture"), ["rows", "components", "clusters", "quality", "labels"]),
    ],
    ids=lambda value: None if isinstance(value, list) else f"{value.method} {value.metric}",
)
def test_stages_come_in_order_and_change_no_byte(call: Call, stages: list[str]) -> None:
    centres = 4.0 * some_rows(4, 24)
    arrays = {"source": some_rows(600, 24) + centres[LABELS], "labels": LABELS}
    heard, told = listened(call, arrays)
    assert in_order(told) == stages
    assert contents(heard) == contents(run(call, arrays))
    if call.method == "tsne":
        assert {50, 100, 500} < {one.done for one in told if one.stage == "layout"}


@pytest.mark.parametrize(
    ("call", "stages"),
    [
        (Neighbors(5), ["rows", *SEARCH]),
        (Neighbors(5, "manhattan", exclude_self=True), ["rows", *SEARCH]),
        (Similarity(), ["scores"]),
        (Similarity("manhattan"), ["scores"]),
    ],
)
def test_stages_of_what_has_no_map(call: Call, stages: list[str]) -> None:
    arrays = {"a" if isinstance(call, Similarity) else "queries": some_rows(600, 24)}
    heard, told = listened(call, arrays)
    assert in_order(told) == stages
    assert contents(heard) == contents(run(call, arrays))


def test_a_long_search_tells_within(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where the processor has no products of bytes.
    monkeypatch.setattr(sieve, "worth_it", lambda *_: False)
    _, told = listened(Neighbors(10), {"queries": some_rows(20_000, 32)})
    searching = [one.done for one in told if one.stage == sieve.SEARCHING]
    assert len(searching) > 10
    # A row meets only those after it: what is told goes with the work, not with the row numbers.
    steps = np.diff(searching)
    assert (steps[1:] <= steps[:-1] + 1).all()
    assert sum(one.stage == sieve.RANKING for one in told) > 10
    monkeypatch.setattr(sieve, "worth_it", lambda *_: True)
    _, told = listened(Neighbors(10), {"queries": some_rows(20_000, 32)})
    assert in_order(told) == ["rows", "neighbours"]
    assert len(told) > 10


def test_a_search_in_another_corpus_tells_its_queries() -> None:
    arrays = {"queries": some_rows(3_000, 16), "corpus": some_rows(5_000, 16)[::-1].copy()}
    _, told = listened(Neighbors(10), arrays)
    assert in_order(told) == ["rows", "neighbours"]
    assert len(told) > 4


@pytest.mark.parametrize("by_bytes", [False, True])
def test_near_copies_are_a_stage_of_their_own(by_bytes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sieve, "worth_it", lambda *_: by_bytes)
    copies = some_rows(1) + (1e-6 if by_bytes else 1e-4) * some_rows(1_500)
    copies = np.concatenate([copies, some_rows(100 * by_bytes)])
    heard, told = listened(Neighbors(10), {"queries": copies})
    first = SEARCH[:1] if by_bytes else SEARCH
    assert in_order(told) == ["rows", *first, "neighbours among near-copies"]
    assert contents(heard) == contents(run(Neighbors(10), {"queries": copies}))


def test_a_layout_tells_its_epochs() -> None:
    _, told = listened(Project(), {"source": some_rows(1_500, 8)})
    layout = [one for one in told if one.stage == "layout"]
    assert {one.total for one in layout} == {500}
    assert len(layout) > 10


def test_what_a_method_prints_is_heard_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[Progress] = []
    with telling(told.append), iterations_printed("steps", 9):
        print("Initialization 0\n  Iteration 2")
        print("[x] Iteration 5: error = 0.1")
    assert [(one.done, one.total) for one in told] == [(0, 9), (2, 9), (5, 9), (9, 9)]
    with iterations_printed("steps"):
        print("nobody listens")
    assert capsys.readouterr().out == "nobody listens\n"


def test_who_listens_is_a_matter_of_the_block() -> None:
    outer: list[Progress] = []
    inner: list[Progress] = []
    tell("before")
    with telling(outer.append):
        with telling(inner.append):
            tell("b", 1, 2)
        with silently():
            tell("c")
        counting("d", 3)(2)
    tell("after")
    assert inner == [Progress("b", 1, 2)]
    assert outer == [Progress("d", 0, 3), Progress("d", 2, 3)]


def test_in_order_finds_what_is_wrong() -> None:
    for wrong in (
        [Progress("a", 2, 3), Progress("a", 1, 3), Progress("a", 3, 3)],
        [Progress("a", 0, 3), Progress("a", 2, 3)],
        [Progress("a"), Progress("b"), Progress("a")],
    ):
        with pytest.raises(AssertionError):
            in_order(wrong)
