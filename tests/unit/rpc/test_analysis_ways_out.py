"""What a refusal for memory says can be done: it fits, and it is nearly the most that does."""

from __future__ import annotations

import re

import pytest
from penult_service.analysis.calls import (
    Call,
    Cluster,
    CompareDropout,
    Cost,
    Duplicates,
    Grow,
    Neighbors,
    Project,
    Similarity,
    Transform,
)
from penult_service.analysis.costs import cost
from penult_service.errors import PreconditionFailed
from penult_service.rpc.analysis.limits import check_memory
from penult_service.rpc.analysis.ways_out import ways_out

GIB = 1 << 30
MANY = (300_000, 384)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Cluster("agglomerative", 20), "source"),
        (Cluster(), "source"),
        (Project(), "source"),
        (Duplicates(), "source"),
        (Neighbors(10), "queries"),
        (Similarity(), "a"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_as_many_rows_as_it_says_fit(call: Call, name: str) -> None:
    said = next(way for way in ways_out(call, {name: MANY}, GIB // 2) if "rows" in way and "send" in way)
    rows = int(re.search(r"at most about ([\d,]+) rows", said)[1].replace(",", ""))
    assert cost(call, {name: (rows, 384)}).bytes <= GIB // 2
    assert cost(call, {name: (round(1.2 * rows), 384)}).bytes > GIB // 2


def test_other_methods_are_named_where_they_fit() -> None:
    shapes = {"source": (60_000, 384)}
    (first, *_) = ways_out(Cluster("agglomerative"), shapes, GIB)
    assert re.fullmatch(r"take method hdbscan \(about .*\) or method kmeans \(about .*\)", first)
    # HDBSCAN takes no number of clusters.
    assert "hdbscan" not in " ".join(ways_out(Cluster("agglomerative", 20), shapes, GIB))
    assert "kmeans" in " ".join(ways_out(Cluster("agglomerative", 20), shapes, GIB))
    assert "method" not in " ".join(ways_out(Cluster("agglomerative"), {"source": (5_000_000, 384)}, GIB))
    assert "method pca" in " ".join(ways_out(Project("tsne"), {"source": (100_000, 384)}, GIB))
    assert "neighbors" in " ".join(ways_out(Similarity(), {"a": MANY}, GIB))
    dropout = {"source": (5_000, 384), "draws_head": (5_000, 100, 384)}
    assert ways_out(CompareDropout(), dropout, GIB)[-1].startswith("send at most about ")


def test_what_is_stored_cannot_be_sent_in_fewer_rows() -> None:
    stored = {"fitted_rows": (2_000_000, 384), "fitted_first": (2_000_000,)}
    for call in (Transform(), Grow()):
        assert ways_out(call, {"source": (10, 384), **stored}, GIB) == []


def test_a_refusal_has_both_figures_and_the_ways() -> None:
    call, shapes = Cluster("agglomerative", 20), {"source": (100_000, 384)}
    takes = cost(call, shapes)
    with pytest.raises(PreconditionFailed) as caught:
        check_memory(call, takes, 2 * GIB, GIB // 2, lambda room: ways_out(call, shapes, room))
    said = caught.value.message
    assert f"about {takes.seconds:.3g} s and {takes.bytes / GIB:.2g} GiB" in said
    assert "may take 2 GiB, of which it takes 0.5 GiB idle: take method kmeans" in said
    least = float(re.search(r"--analysis-memory \(in GiB, at least ([\d.]+)\)", said)[1])
    check_memory(call, takes, int(least * GIB), GIB // 2)
    with pytest.raises(PreconditionFailed, match=r"at least 0\.8\)"):
        check_memory(Project(), Cost(1.0, 3 << 28), GIB // 2)
