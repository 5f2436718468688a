"""The four analyses as a client is asked for them, and whether two of their results are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from penult_client._results import _Record
from support.wire_numbers import vector_of

ROWS = np.array([vector_of(f"{'x' * i} y") for i in range(7)], dtype=np.float32)
CALLS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "ComputeSimilarity": (lambda client, **how: client.similarity(ROWS, metric="dot", **how), ("scores",)),
    "SearchNeighbors": (
        lambda client, **how: client.neighbors(ROWS, k=3, metric="dot", **how),
        ("indices", "scores"),
    ),
    "Cluster": (lambda client, **how: client.cluster(ROWS, "hdbscan", reduction="none", **how), ("labels",)),
    "Project": (lambda client, **how: client.project(ROWS, "pca", 3, **how), ("coordinates",)),
}


def same(one: Any, other: Any) -> bool:
    """Whether two records say the same, arrays bit for bit."""
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is not type(other) or not isinstance(one, _Record):
        return bool(one == other)
    return all(map(same, vars(one).values(), vars(other).values()))
