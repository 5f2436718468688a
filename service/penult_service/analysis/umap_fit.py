"""UMAP (McInnes, Healy and Melville 2018) as umap-learn does it, on our exact neighbour graph, and repeatable.

umap-learn's own neighbours are approximate and, below 4,096 rows, computed pair by pair; and its seed alone does not
give the same bytes at every number of threads: its spectral start is ARPACK's, whose sums follow BLAS' threads. Here
the graph is exact, that step has one thread, and the layout is the serial one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis.warming import cache_umap

Floats = NDArray[np.float32]

# Fewer distinct rows than this beyond the dimensions have no spectral start.
_SPARE_ROWS = 3


def least_rows(n_components: int) -> int:
    """How many distinct rows UMAP needs."""
    return n_components + _SPARE_ROWS


def fit(
    rows: Floats,
    graph: tuple[NDArray[np.int32], Floats],
    metric: str,
    *,
    n_components: int,
    min_dist: float,
    seed: int,
) -> Floats:
    """Places float32 [n, n_components] of distinct rows [n, d], n at least `least_rows`.

    Args:
        rows: Where the graph falls into parts, their centres are compared under the metric.
        graph: As `neighbours.graph` gives it, each row itself first; its width is `n_neighbors`.
        metric: cosine, euclidean or manhattan.
        n_components: Dimensions of the map.
        min_dist: How close rows may lie, 0 to 1.
        seed: 0 to 2^32 - 1.
    """
    cache_umap()
    from umap import umap_

    indices, distances = graph
    random = np.random.RandomState(seed)
    a, b = umap_.find_ab_params(spread=1.0, min_dist=min_dist)
    with threadpool_limits(1):
        fuzzy, _, _ = umap_.fuzzy_simplicial_set(
            rows,
            indices.shape[1],
            random,
            metric,
            knn_indices=indices,
            knn_dists=distances,
        )
        places, _ = umap_.simplicial_set_embedding(
            rows,
            fuzzy,
            n_components,
            initial_alpha=1.0,
            a=a,
            b=b,
            gamma=1.0,
            negative_sample_rate=5,
            n_epochs=None,  # umap-learn's own: 500, above 10,000 rows 200
            init="spectral",
            random_state=random,
            metric=metric,
            metric_kwds={},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
            parallel=False,
        )
    return np.ascontiguousarray(places, dtype=np.float32)
