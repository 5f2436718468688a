"""The four analyses as a client is asked for them, and whether two of their results are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from support.wire_server import vector_of

ROWS = np.array([vector_of(f"{'x' * i} y") for i in range(7)], dtype=np.float32)
CALLS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "ComputeSimilarity": (lambda client, **how: client.similarity(ROWS, metric="dot", **how), ("scores",)),
    "SearchNeighbors": (
        lambda client, **how: client.neighbors(ROWS, k=3, metric="dot", **how),
        ("indices", "scores"),
    ),
    "Cluster": (lambda client, **how: client.cluster(ROWS, "hdbscan", noise="keep", **how), ("labels",)),
    "Project": (lambda client, **how: client.project(ROWS, "pca", 3, **how), ("coordinates",)),
}


def same(one: Any, other: Any) -> bool:
    """Whether two records say the same, bit for bit."""
    return type(one) is type(other) and all(
        repr(value) == repr(other_value)
        and (not isinstance(value, np.ndarray) or value.tobytes() == other_value.tobytes())
        for value, other_value in zip(vars(one).values(), vars(other).values(), strict=True)
    )
