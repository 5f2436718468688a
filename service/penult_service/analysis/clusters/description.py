"""What clusters are, told by their rows: centres, the rows that stand for each, and how the clusters lie together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis.rows import blocks

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Codes = NDArray[np.integer]

EXEMPLARS = 5
MOST_IN_HIERARCHY = 2_000
"""Clusters beyond which there is no hierarchy: all pairs of them are compared, and nobody looks at so many."""


@dataclass(frozen=True, eq=False)
class Exemplars:
    """Rows that stand for each of k clusters, int32 [k, 5], -1 where there are fewer.

    `nearest` to the cluster's centre first; `border` those nearest to the centre of another cluster; `odd` those
    farthest from their own.
    """

    nearest: NDArray[np.int32]
    border: NDArray[np.int32]
    odd: NDArray[np.int32]

    def of(self, numbers: Codes) -> Exemplars:
        """The same rows by their `numbers` [n] elsewhere."""
        named = np.append(numbers, -1).astype(np.int32)
        return Exemplars(named[self.nearest], named[self.border], named[self.odd])


def from_largest(labels: Codes) -> NDArray[np.int32]:
    """Numbered from the largest cluster (0) down, equal ones by their first row; noise (-1) stays."""
    names, first, inverse, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -sizes))
    order = order[names[order] >= 0]
    rank = np.full(len(names), -1, dtype=np.int32)
    rank[order] = np.arange(len(order))
    return np.asarray(rank[inverse], dtype=np.int32)


def centres_of(rows: Floats, labels: Codes, count: int) -> Doubles:
    """The mean of the rows [n, d] of each of the clusters 0 to count - 1, all of which have rows: [count, d]."""
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(count + 1))
    centres = np.empty((count, rows.shape[1]))
    for number in range(count):
        centres[number] = rows[order[ends[number] : ends[number + 1]]].mean(axis=0, dtype=np.float64)
    return centres


def distances(rows: NDArray[np.floating], centres: Doubles, metric: str) -> Doubles:
    """Of rows [b, d], under cosine of unit length, from centres [k, d] of any length: [b, k]."""
    if metric == "manhattan":
        from scipy.spatial.distance import cdist

        return np.asarray(cdist(rows, centres, "cityblock"))
    wide = rows.astype(np.float64)
    norms = np.einsum("ij,ij->i", centres, centres)
    with threadpool_limits(1, user_api="blas"):
        products = wide @ centres.T
    if metric == "cosine":
        lengths = np.sqrt(norms)
        # A centre without direction is as far from all as an orthogonal one.
        return np.maximum(1.0 - products / np.where(lengths > 0, lengths, 1.0), 0.0)
    own = np.einsum("ij,ij->i", wide, wide)
    return np.sqrt(np.maximum(own[:, None] + norms - 2.0 * products, 0.0))


def exemplars(rows: Floats, labels: Codes, centres: Doubles, metric: str) -> Exemplars:
    """Of rows [n, d] in clusters 0 to k - 1 (-1: in none) with centres [k, d]; equally far ones by number.

    Of one cluster alone there is no border.
    """
    count = len(centres)
    inside = np.flatnonzero(labels >= 0)
    own, other = np.empty(len(inside)), np.empty(len(inside))
    for block in blocks(len(inside), 8 * (count + rows.shape[1])):
        lines = inside[block]
        far = distances(rows[lines], centres, metric)
        at = np.arange(len(lines)), labels[lines]
        own[block] = far[at]
        far[at] = np.inf
        other[block] = far.min(axis=1)
    found = Exemplars(*(np.full((count, EXEMPLARS), -1, dtype=np.int32) for _ in range(3)))
    order = np.argsort(labels[inside], kind="stable")
    ends = np.searchsorted(labels[inside][order], np.arange(count + 1))
    for number in range(count):
        members = order[ends[number] : ends[number + 1]]
        _first(found.nearest[number], inside[members], own[members])
        _first(found.odd[number], inside[members], -own[members])
        if count > 1:
            _first(found.border[number], inside[members], other[members])
    return found


def merges(centres: Doubles, metric: str) -> Doubles:
    """The hierarchy of clusters by their centres [k, d], as `scipy.cluster.hierarchy.linkage` (average) gives it.

    float64 [k - 1, 4]: two clusters (k + i is the i-th merge), their distance under the metric, and of how many
    clusters the merge is. Nothing of one cluster, nor of more than 2,000.
    """
    count = len(centres)
    if not 2 <= count <= MOST_IN_HIERARCHY:
        return np.empty((0, 4))
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    lines = centres
    if metric == "cosine":
        lengths = np.sqrt(np.einsum("ij,ij->i", centres, centres))[:, None]
        lines = centres / np.where(lengths > 0, lengths, 1.0)
    far = distances(lines, centres, metric)
    np.fill_diagonal(far, 0.0)
    return np.asarray(linkage(squareform((far + far.T) / 2, checks=False), "average"))


def label_counts(clusters: Codes, labels: Codes, count: int) -> NDArray[np.int32]:
    """How many rows of each cluster have each label: int32 [count, codes] of rows [n]; -1 is none of either."""
    codes = int(labels.max(initial=-1)) + 1
    both = (clusters >= 0) & (labels >= 0)
    cells, times = np.unique(clusters[both].astype(np.int64) * codes + labels[both], return_counts=True)
    counts = np.zeros((count, codes), dtype=np.int32)
    counts.reshape(-1)[cells] = times
    return counts


def _first(place: NDArray[np.int32], rows: Codes, keys: Doubles) -> None:
    best = rows[np.argsort(keys, kind="stable")[:EXEMPLARS]]
    place[: len(best)] = best
