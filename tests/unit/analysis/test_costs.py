"""Costs: they grow with every size, and know what is quadratic."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from penult_service.analysis.calls import (
    CLUSTER_METHODS,
    METRICS,
    PROJECT_METHODS,
    REDUCTIONS,
    Call,
    Cluster,
    CompareDropout,
    Neighbors,
    Project,
    Similarity,
)
from penult_service.analysis.costs import cost

CALLS: list[tuple[Call, str]] = [
    *((Similarity(metric), "a") for metric in METRICS),
    *((Neighbors(metric=metric), "queries") for metric in METRICS),
    *((Project(method), "source") for method in PROJECT_METHODS),
    *((Cluster(method, reduction=kind), "source") for method in CLUSTER_METHODS for kind in REDUCTIONS),
]


@pytest.mark.parametrize(("call", "name"), CALLS, ids=lambda value: str(value)[:60])
def test_costs_grow_with_rows_and_width(call: Call, name: str) -> None:
    sizes = (1, 2, 100, 1_000, 9_999, 10_001, 20_000, 1_000_000)
    for width in (1, 64, 768, 5_000):
        for few, many in itertools.pairwise(sizes):
            less, more = cost(call, {name: (few, width)}), cost(call, {name: (many, width)})
            assert 0 < less.seconds <= more.seconds
            assert 0 < less.bytes <= more.bytes
    for rows in sizes:
        # From 8 numbers on rows are compared by products of bytes, which are cheaper.
        for narrow, wide in itertools.pairwise((8, 64, 768, 5_000)):
            less, more = cost(call, {name: (rows, narrow)}), cost(call, {name: (rows, wide)})
            assert less.seconds <= more.seconds
            assert less.bytes <= more.bytes


@pytest.mark.parametrize("method", [method for method in CLUSTER_METHODS if method != "hdbscan"])
def test_costs_grow_with_clusters_and_neighbours(method: str) -> None:
    shapes = {"source": (5_000, 384), "queries": (5_000, 384)}
    few, many = (cost(Cluster(method, count), shapes) for count in (2, 500))
    assert few.seconds <= many.seconds
    assert few.bytes <= many.bytes
    near, far = (cost(Neighbors(k), shapes) for k in (1, 1_000))
    assert near.seconds < far.seconds
    assert near.bytes < far.bytes
    small, large = (cost(Project(n_neighbors=k), shapes) for k in (5, 200))
    assert small.seconds < large.seconds
    assert small.bytes < large.bytes


def test_dropout_costs_grow_with_rows_passes_and_scopes() -> None:
    def of(
        rows: int = 500, width: int = 64, passes: int = 3, scopes: tuple[str, ...] = ("head",), **how: int
    ):
        shapes = {"source": (rows, width)} | {f"draws_{scope}": (rows, passes, width) for scope in scopes}
        return cost(CompareDropout(scopes, **how), shapes)

    for more in (
        of(rows=2_000), of(rows=5_000), of(width=768), of(passes=30), of(scopes=("head", "all")),
        of(n_clusters=100),
    ):  # fmt: skip
        assert of().seconds < more.seconds
    assert of().bytes < of(passes=30).bytes - 500 * 64 * 4 * 26
    assert of(map=False).seconds < of().seconds


def test_agglomerative_holds_all_pairs() -> None:
    assert cost(Cluster("agglomerative"), {"source": (100_000, 8)}).bytes > 100_000**2 / 2 * 8


def test_no_scikit_learn_is_needed() -> None:
    code = "import sys, penult_service.analysis.costs; sys.exit('sklearn' in sys.modules or 'numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
