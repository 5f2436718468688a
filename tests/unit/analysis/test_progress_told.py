"""Long analyses tell how far they are, in parts that are small beside the whole."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import (
    Assign,
    Call,
    Cluster,
    Duplicates,
    Grow,
    Neighbors,
    Outliers,
    Project,
    Transform,
)
from penult_service.analysis.progress import Progress, telling
from penult_service.analysis.run import run

RANDOM = np.random.default_rng(1)
ROWS = RANDOM.normal(size=(2_500, 16)).astype(np.float32)
OLD = (ROWS[:1_500] / np.linalg.norm(ROWS[:1_500], axis=1, keepdims=True)).astype(np.float32)
NUMBERS = np.arange(len(OLD), dtype=np.int32)
STORED = {
    "fitted_rows": OLD,
    "fitted_first": NUMBERS,
    "fitted_inverse": NUMBERS,
    "stored_labels": NUMBERS % 3,
    "coordinates": np.ascontiguousarray(OLD[:, :2]),
}
# The stage that takes longest where rows are many, and the least of its reports.
LONG: dict[str, tuple[Call, str, int]] = {
    "auto": (Cluster("kmeans", auto=True), "numbers of clusters", 25),
    "bootstraps": (Cluster("kmeans", 5, bootstraps=12), "bootstraps", 13),
    "ward": (Cluster("agglomerative"), "distances", 4),
    "map": (Project(), "layout", 50),
    "duplicates": (Duplicates(), "pairs", 6),
    "manhattan": (Duplicates(5.0, "manhattan"), "pairs", 6),
    "neighbors": (Neighbors(), "neighbours", 6),
    "outliers": (Outliers(), "neighbours", 6),
    "transform": (Transform(), "neighbours", 6),
    "assign": (Assign(), "neighbours", 6),
    "grow": (Grow(min_cluster_size=10), "assigning", 6),
    "grown map": (Grow(min_cluster_size=10), "layout", 50),
}


def given(call: Call) -> Mapping[str, NDArray[Any]]:
    if isinstance(call, Neighbors):
        return {"queries": ROWS}
    if isinstance(call, Transform | Assign | Grow):
        return {"source": ROWS, **STORED}
    return {"source": ROWS}


@pytest.mark.parametrize("name", LONG)
def test_the_longest_stage_is_told_often(name: str) -> None:
    call, stage, least = LONG[name]
    told: list[Progress] = []
    with telling(told.append):
        run(call, given(call))
    counts = Counter(one.stage for one in told)
    assert counts[stage] >= least, counts
    own = [one for one in told if one.stage == stage]
    assert all(0 <= before.done <= after.done for before, after in itertools.pairwise(own))
    assert own[-1].done > 0
    if own[-1].total:
        # Of so few rows a part, which has a size of its own, may be half of the whole.
        assert np.diff([one.done / one.total for one in own]).max() < 0.6
        assert own[-1].done == own[-1].total
