"""UMAP (McInnes, Healy and Melville 2018) by umap-learn's own steps on our exact graph.

With a seed umap-learn computes on one thread, and is still not the same bytes at another number of BLAS threads:
the eigensolver is not. Here it has one thread, and only the graph, which is exact, has several.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis.progress import heard, silently, tell
from penult_service.analysis.spectral import spectral_places

_MANY = 10_000  # rows beyond which umap-learn takes fewer epochs
_LOOK = 0.05  # seconds between looks at the epochs


def epochs(rows: int) -> int:
    """How many epochs umap-learn chooses for so many rows."""
    return 500 if rows <= _MANY else 200


def fit(
    rows: NDArray[np.float32],
    graph: tuple[NDArray[np.int32], NDArray[np.float32]],
    dimensions: int,
    *,
    min_dist: float,
    seed: int,
) -> NDArray[np.float32]:
    """Places float32 [m, dimensions] of distinct rows [m, d], m at least dimensions + 2.

    Args:
        rows: Used where the graph has several parts.
        graph: `neighbours.graph(rows, n_neighbors, metric)`: each row itself first.
        dimensions: At least 1.
        min_dist: How close places may lie, 0 to 1.
        seed: 0 to 2^32 - 1.

    Tells the stages graph, start, layout (in epochs).
    """
    from umap.umap_ import fuzzy_simplicial_set, noisy_scale_coords, simplicial_set_embedding

    indices, distances = graph
    random = np.random.RandomState(seed)
    count = epochs(len(rows))
    a, b = _curve(min_dist)
    tell("graph")
    with threadpool_limits(1):
        strengths, _, _ = fuzzy_simplicial_set(
            rows, indices.shape[1], random, "euclidean", knn_indices=indices, knn_dists=distances
        )
        strengths = _pruned(strengths, count)
        tell("start")
        with silently():
            spectral = spectral_places(rows, strengths, dimensions, random)
        start = noisy_scale_coords(spectral, random)
        tell("layout", 0, count)
        places, _ = simplicial_set_embedding(
            rows, strengths, dimensions, initial_alpha=1.0, a=a, b=b, gamma=1.0, negative_sample_rate=5,
            n_epochs=count, init=start, random_state=random, metric="euclidean", metric_kwds={},
            densmap=False, densmap_kwds={}, output_dens=False, parallel=False,
            tqdm_kwds=_bar(count),
        )  # fmt: skip
    tell("layout", count, count)
    return np.ascontiguousarray(places, dtype=np.float32)


def _bar(count: int) -> dict[str, Any] | None:
    """umap-learn's own progress bar over its epochs, drawn where somebody listens; else none."""
    if not heard():
        return None
    return {"disable": False, "file": _Bar(count), "bar_format": "{n}", "mininterval": _LOOK}


class _Bar(io.StringIO):
    """What a bar is drawn on: each drawing is the number of epochs done."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self._total = total

    def write(self, text: str) -> int:
        """One drawing, a carriage return before it."""
        if text.strip().isdecimal():
            tell("layout", int(text), self._total)
        return len(text)


@lru_cache
def _curve(min_dist: float) -> tuple[float, float]:
    from umap.umap_ import find_ab_params

    with threadpool_limits(1):
        a, b = find_ab_params(1.0, min_dist)
    return float(a), float(b)


def _pruned(strengths: Any, count: int) -> Any:
    """Without the edges that are too weak to be drawn once: the start is of the same graph as the layout."""
    strengths = strengths.tocoo()
    strengths.sum_duplicates()
    strengths.data[strengths.data < strengths.data.max() / float(count)] = 0.0
    strengths.eliminate_zeros()
    return strengths
