"""The analyses as a client is asked for them, and whether two of their results are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from penult_client._results import _Record
from support.wire_numbers import vector_of

ROWS = np.array([vector_of(f"{'x' * i} y") for i in range(7)], dtype=np.float32)
TWICE = ROWS[[0, 1, 2, 0, 1, 0, 3]]
CALLS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "ComputeSimilarity": (lambda client, **how: client.similarity(ROWS, metric="dot", **how), ("scores",)),
    "SearchNeighbors": (
        lambda client, **how: client.neighbors(ROWS, k=3, metric="dot", **how),
        ("indices", "scores"),
    ),
    "Cluster": (lambda client, **how: client.cluster(ROWS, "hdbscan", reduction="none", **how), ("labels",)),
    "Project": (lambda client, **how: client.project(ROWS, "pca", 3, **how), ("coordinates",)),
    "FindDuplicates": (
        lambda client, **how: client.duplicates(TWICE, **how),
        ("pairs", "scores", "groups", "keepers"),
    ),
    "FindOutliers": (
        lambda client, **how: client.outliers(ROWS, 2, **how),
        ("scores", "occurrences", "order"),
    ),
}
# Those that need what the scripted server has stored.
STORED_CALLS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "Transform": (
        lambda client, **how: client.transform(ROWS, "map1", **how),
        ("coordinates", "distances", "nearest_rows"),
    ),
    "AssignClusters": (
        lambda client, **how: client.assign(ROWS, "topics", **how),
        ("labels", "distances", "shares"),
    ),
    "GrowClustering": (lambda client, **how: client.grow(ROWS, "topics", **how), ("labels",)),
}
ALL_CALLS = {**CALLS, **STORED_CALLS}


def same(one: Any, other: Any) -> bool:
    """Whether two records say the same, arrays bit for bit."""
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is not type(other) or not isinstance(one, _Record):
        return bool(one == other)
    return all(map(same, vars(one).values(), vars(other).values()))
