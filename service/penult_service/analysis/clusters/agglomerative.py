"""Agglomerative clustering: merges from single rows up, until so many clusters are left. Memory is n^2 / 2 numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis.progress import tell
from penult_service.analysis.rows import blocks

Tree = NDArray[np.float64]


def merged(rows: NDArray[np.float32], count: int, linkage: str, metric: str) -> NDArray[np.int64]:
    """Clusters int64 [n] of rows [n, d] after merging to `count` of them; cosine rows have unit length.

    Ward's is about euclidean distances, of unit rows under cosine. Equal heights are merged as SciPy does. Tells the
    stages distances, in rows, and merges.
    """
    return cut(tree(rows, linkage, metric), count)


def tree(rows: NDArray[np.float32], linkage: str, metric: str) -> Tree:
    """All merges of rows [n, d], float64 [n - 1, 4], as SciPy's `linkage` gives them; else as `merged`."""
    from scipy.cluster import hierarchy

    distances = _condensed(rows, "euclidean" if linkage == "ward" and metric == "cosine" else metric)
    tell("merges")
    return np.asarray(hierarchy.linkage(distances, linkage))


def cut(merges: Tree, count: int) -> NDArray[np.int64]:
    """Clusters int64 [n], in any numbering, when all merges but the last `count` - 1 are made."""
    rows = len(merges) + 1
    kept = rows - count
    group = np.arange(rows + kept)
    for step in range(kept - 1, -1, -1):
        group[merges[step, :2].astype(int)] = group[rows + step]
    return group[:rows]


def _condensed(rows: NDArray[np.float32], metric: str) -> NDArray[np.float64]:
    """Distances of pairs i < j in SciPy's order, float64 [n (n - 1) / 2]."""
    if metric == "manhattan":
        from scipy.spatial.distance import pdist

        tell("distances")
        return np.asarray(pdist(rows, "cityblock"))
    tell("distances", 0, len(rows))
    count, wide = len(rows), rows.astype(np.float64)
    norms = np.einsum("ij,ij->i", wide, wide)
    out, at = np.empty(count * (count - 1) // 2), 0
    with threadpool_limits(1, user_api="blas"):
        for block in blocks(count, 8 * count):
            tile = wide[block] @ wide[block.start :].T
            if metric == "cosine":
                tile = np.maximum(1.0 - tile, 0.0)
            else:
                tile = np.sqrt(np.maximum(norms[block, None] + norms[None, block.start :] - 2.0 * tile, 0.0))
            for number, line in enumerate(tile):
                out[at : at + len(line) - number - 1] = line[number + 1 :]
                at += len(line) - number - 1
            # As many rows as have this share of all pairs.
            tell("distances", count - (count - block.stop) ** 2 // count, count)
    return out
