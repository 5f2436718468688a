"""What analyses there are, their parameters, the least that each needs, and what it costs.

A call is data: the server checks it and hands it, with its arrays, to a worker (`pool`), which looks up the function
(`run`). `source`, `queries`, `corpus`, `a`, `b`, `background` are float32 [n, d]; a call says what else it takes. One
that lies in a file already is named, not copied. Of all that take a `source`:

    labels                          int32 [n], codes of the caller's labels; -1: not known
    near_rows, near_distances       int32 and float32 [m, k]: the neighbour graph of the source (`graphs`), where one
                                    with enough neighbours is kept; else it is made
    text_bytes, text_ends           uint8 [t], int64 [n]: the texts of the rows in UTF-8, one after the other, and where
                                    each ends
    fitted_rows, fitted_first       float32 [m, d], int32 [m]: what a stored result was fitted on (`results.Fitted`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of each array of a call."""


@dataclass(frozen=True)
class ArrayFile:
    """An array, little-endian, row-major, that lies in `path` from byte `offset` on; `dtype` as NumPy writes it.

    Who names it sees to it that the file stays as it is until the call is over.
    """

    path: Path
    shape: tuple[int, ...]
    offset: int = 0
    dtype: str = "<f4"

    def open(self, mode: Literal["r", "c"] = "r") -> NDArray[Any]:
        """The array, mapped into memory: read-only, or (c) writeable and never written back."""
        if 0 in self.shape:
            return np.empty(self.shape, self.dtype)
        mapped = np.memmap(self.path, dtype=self.dtype, mode=mode, offset=self.offset, shape=self.shape)
        return mapped.view(np.ndarray)


Array: TypeAlias = NDArray[Any] | ArrayFile

METRICS = ("cosine", "dot", "euclidean", "manhattan")
LARGER_IS_CLOSER = ("cosine", "dot")
CLUSTER_METHODS = ("kmeans", "agglomerative", "hdbscan", "gaussian_mixture")
CLUSTER_METRICS = ("cosine", "euclidean", "manhattan")
LINKAGES = ("ward", "average", "complete", "single")
REDUCTIONS = ("none", "umap", "pca")
NOISE_MODES = ("keep", "nearest")
PROJECT_METHODS = ("umap", "pca", "tsne")
PROJECT_METRICS = ("cosine", "euclidean", "manhattan")
DUPLICATE_METRICS = ("cosine", "euclidean", "manhattan")
THRESHOLD = 0.95
MOST_PAIRS, ALL_PAIRS = 1_000_000, 10_000_000
SEED = 42
GRAPH_NEIGHBORS = 32
"""Columns of a graph that is kept, the row itself included, unless more are asked for."""


@dataclass(frozen=True)
class Cost:
    """What a call will take, estimated: seconds on two cores of 2020 or later, bytes of memory beside its arrays."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Similarity:
    """Scores of the rows of `a` against those of `b` (absent: `a`); with `pairs` row i against row i only.

    `background`, an array too, says what scores are usual, absent: `a` and `b`. `center` takes the mean of its rows
    from every row first (cosine only).
    """

    name: ClassVar[str] = "similarity"
    metric: str = "cosine"
    pairs: bool = False
    center: bool = False


@dataclass(frozen=True)
class Neighbors:
    """The `k` rows of `corpus` (absent: `queries`) that are nearest to each row of `queries`, exactly.

    `exclude_self` leaves row i out for query i. `radius` keeps what is at least so similar (cosine, dot), or at
    most so far (euclidean, manhattan). `center` takes the mean of the corpus' rows from every row first (cosine only).
    `approximate` searches lists of near rows and measures its recall; where that is as quick it is the exact search.
    """

    name: ClassVar[str] = "neighbors"
    k: int = 10
    metric: str = "cosine"
    exclude_self: bool = False
    radius: float | None = None
    center: bool = False
    approximate: bool = False


@dataclass(frozen=True)
class Cluster:
    """Clusters of the rows of `source`; with its texts, keywords of each.

    None means: as suits the method and the rows. `method` auto: with `n_clusters` or `auto` kmeans, else hdbscan, and
    `reduction` umap. `n_clusters` 8 (not with hdbscan); `reduction` umap for hdbscan, pca for gaussian_mixture, else
    none; `reduced_dimensions` 5 for umap, 50 for pca; `min_cluster_size` max(5, n / 200); `min_samples` 5; `linkage`
    ward, for manhattan average. `auto` tries several numbers of clusters; `bootstraps` samples say how stable they are.
    `keep`: the result has what `Assign` takes. `keep_graph`: it has the neighbour graph, if one was made.
    """

    name: ClassVar[str] = "cluster"
    method: str = "auto"
    n_clusters: int | None = None
    metric: str = "cosine"
    reduction: str | None = None
    reduced_dimensions: int | None = None
    linkage: str | None = None
    min_cluster_size: int | None = None
    min_samples: int | None = None
    noise: str = "keep"
    seed: int = SEED
    auto: bool = False
    bootstraps: int = 0
    keywords: int = 10
    keep: bool = False
    keep_graph: bool = False


@dataclass(frozen=True)
class Project:
    """Places of the rows of `source` on a map of `n_components` dimensions.

    `n_neighbors`, `min_dist`, `supervised` (by `labels`), `target_weight` and `density` are UMAP's, `perplexity` is
    t-SNE's. None: 15, 0.1, 0.5 and 30. With an array `anchor` float32 [n, n_components], places of the same rows on
    another map, the map lies as that one does. `keep`: the result has what `Transform` takes; `keep_graph` as of
    `Cluster`.
    """

    name: ClassVar[str] = "project"
    method: str = "umap"
    n_components: int = 2
    metric: str = "cosine"
    n_neighbors: int | None = None
    min_dist: float | None = None
    perplexity: float | None = None
    seed: int = SEED
    supervised: bool = False
    target_weight: float | None = None
    density: bool = False
    keep: bool = False
    keep_graph: bool = False


@dataclass(frozen=True)
class Duplicates:
    """Pairs of rows of `source` that are at least so similar (cosine), or at most so far apart, as `threshold`.

    None: 0.95, of distances 0. The first `max_pairs` are given.
    """

    name: ClassVar[str] = "duplicates"
    threshold: float | None = None
    metric: str = "cosine"
    max_pairs: int = MOST_PAIRS
    keep_graph: bool = False


@dataclass(frozen=True)
class Outliers:
    """How far each row of `source` lies from its `k` nearest others, and of how many it is one."""

    name: ClassVar[str] = "outliers"
    k: int = 10
    metric: str = "cosine"
    keep_graph: bool = False


@dataclass(frozen=True)
class Transform:
    """Places of the rows of `source` on a stored map.

    Arrays: `fitted_rows`, `fitted_first`, `coordinates` float32 [n, c] of the map's rows; of PCA `mean` float64 [d] and
    `loadings` float64 [d, c]. What the map was made with: `method`, `metric`, `n_neighbors` (of t-SNE what its
    perplexity comes to), `far_distance` (None: not known).
    """

    name: ClassVar[str] = "transform"
    method: str = "umap"
    metric: str = "cosine"
    n_neighbors: int = 15
    far_distance: float | None = None
    approximate: bool = False


@dataclass(frozen=True)
class Assign:
    """Stored clusters of the rows of `source`.

    Arrays: `fitted_rows`, `fitted_first`, `stored_labels` int32 [n] of the clustering's rows; of k-means without a
    reduction `centres` float32 [k, d], in the order of `centre_labels` int32 [k]. `far_distance` as of `Transform`.
    """

    name: ClassVar[str] = "assign"
    method: str = "hdbscan"
    metric: str = "cosine"
    far_distance: float | None = None


@dataclass(frozen=True)
class Grow:
    """Stored clusters with the rows of `source` taken in; arrays as of `Assign`, and `fitted_inverse` int32 [n].

    `next_label` is the first that no cluster ever had.
    """

    name: ClassVar[str] = "grow"
    method: str = "hdbscan"
    metric: str = "cosine"
    far_distance: float | None = None
    min_cluster_size: int = 5
    min_samples: int = 5
    next_label: int = 0
    seed: int = SEED


@dataclass(frozen=True)
class EditClusters:
    """Stored clusters, some of them merged (`merge`: labels) or one split (`split`: its label, into `n_clusters`).

    Arrays: `fitted_rows`, `fitted_first`, `fitted_inverse` and `stored_labels`; `centres` and `centre_labels` as of
    `Assign`; what the clustering was found on where it is kept (`reduced` float32 [m, r]). `next_label` as of `Grow`.
    """

    name: ClassVar[str] = "edit_clusters"
    metric: str = "cosine"
    merge: tuple[int, ...] = ()
    split: int | None = None
    n_clusters: int = 2
    next_label: int = 0
    seed: int = SEED


@dataclass(frozen=True)
class CompareDropout:
    """What dropout does to the rows of `source`, which are clean: for each of `scopes` what it does there.

    The arrays of a scope called head are `draws_head` float32 [n, passes, d], the rows behind the active dropout, and
    `predicted_head` int32 [n, passes], their classes; `predicted` int32 [n] are those of the clean rows. Of no
    classifier there is neither.
    """

    name: ClassVar[str] = "compare_dropout"
    metric: ClassVar[str] = "cosine"
    scopes: tuple[str, ...] = ("head",)
    n_clusters: int = 8
    map: bool = True
    seed: int = SEED


Call = (
    Similarity
    | Neighbors
    | Cluster
    | Project
    | CompareDropout
    | Duplicates
    | Outliers
    | Transform
    | Assign
    | Grow
    | EditClusters
)
KINDS: tuple[type[Call], ...] = Call.__args__


def graph_neighbors(call: Call, rows: int) -> int:
    """Columns of the neighbour graph of `source`, the row itself included, that a call reads; 0: none."""
    match call:
        case Project(method="pca"):
            return min(rows, 16)  # its quality does
        case Project(method="umap"):
            return min(rows, max(call.n_neighbors or 15, 16))
        case Project(method="tsne"):
            return min(rows, max(int(3 * (call.perplexity or 30.0)) + 2, 16))
        case Cluster() if reduction_of(call) == "umap":
            return min(rows, 16)
        case Cluster(keep=True):
            return min(rows, 2)
        case Duplicates():
            return min(rows, GRAPH_NEIGHBORS)
        case Outliers():
            return min(rows, call.k + 1)
        case _:
            return 0


def settled(call: Cluster) -> Cluster:
    """The call with the method and the reduction that suit where none is said."""
    if call.method != "auto":
        return call
    method = "kmeans" if call.n_clusters is not None or call.auto else "hdbscan"
    return replace(call, method=method, reduction=reduction_of(call))


def reduction_of(call: Cluster) -> str:
    """What clusters are found on: `reduction`, or what suits the method."""
    return call.reduction or {"auto": "umap", "hdbscan": "umap", "gaussian_mixture": "pca"}.get(
        call.method, "none"
    )
