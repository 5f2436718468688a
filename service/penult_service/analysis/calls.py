"""What analyses there are, their parameters, the least that each needs, and what it costs.

A call is data: the server checks it and hands it, with its arrays, to a worker (`pool`), which looks up the function
(`worker`). Arrays are called as the attributes `arrays` say: `source`, `queries`, `corpus`, `a`, `b` are float32
[n, d], `labels` int32 [n] codes of the caller's labels; `CompareDropout` names its own. One that lies in a file already
is named, not copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of each array of a call."""


@dataclass(frozen=True)
class ArrayFile:
    """An array of float32, little-endian, row-major, that lies in `path` from byte `offset` on.

    Who names it sees to it that the file stays as it is until the call is over.
    """

    path: Path
    shape: tuple[int, ...]
    offset: int = 0

    def open(self, mode: Literal["r", "c"] = "r") -> NDArray[np.float32]:
        """The array, mapped into memory: read-only, or (c) writeable and never written back."""
        if 0 in self.shape:
            return np.empty(self.shape, np.float32)
        mapped = np.memmap(self.path, dtype="<f4", mode=mode, offset=self.offset, shape=self.shape)
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
SEED = 42


@dataclass(frozen=True)
class Cost:
    """What a call will take, estimated: seconds on two cores of 2020 or later, bytes of memory beside its arrays."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Similarity:
    """Scores of the rows of `a` against those of `b` (absent: `a`); with `pairs` row i against row i only."""

    name: ClassVar[str] = "similarity"
    metric: str = "cosine"
    pairs: bool = False


@dataclass(frozen=True)
class Neighbors:
    """The `k` rows of `corpus` (absent: `queries`) that are nearest to each row of `queries`, exactly.

    `exclude_self` leaves row i out for query i. `radius` keeps what is at least so similar (cosine, dot), or at
    most so far (euclidean, manhattan).
    """

    name: ClassVar[str] = "neighbors"
    k: int = 10
    metric: str = "cosine"
    exclude_self: bool = False
    radius: float | None = None


@dataclass(frozen=True)
class Cluster:
    """Clusters of the rows of `source`.

    None means: as suits the method and the rows. `n_clusters` 8 (not with hdbscan); `reduction` umap for hdbscan,
    pca for gaussian_mixture, else none; `reduced_dimensions` 5 for umap, 50 for pca; `min_cluster_size`
    max(5, n / 200); `min_samples` 5; `linkage` ward, for manhattan average.
    """

    name: ClassVar[str] = "cluster"
    method: str = "kmeans"
    n_clusters: int | None = None
    metric: str = "cosine"
    reduction: str | None = None
    reduced_dimensions: int | None = None
    linkage: str | None = None
    min_cluster_size: int | None = None
    min_samples: int | None = None
    noise: str = "keep"
    seed: int = SEED


@dataclass(frozen=True)
class Project:
    """Places of the rows of `source` on a map of `n_components` dimensions.

    `n_neighbors` and `min_dist` are UMAP's, `perplexity` is t-SNE's. None: 15, 0.1 and 30.
    """

    name: ClassVar[str] = "project"
    method: str = "umap"
    n_components: int = 2
    metric: str = "cosine"
    n_neighbors: int | None = None
    min_dist: float | None = None
    perplexity: float | None = None
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


Call = Similarity | Neighbors | Cluster | Project | CompareDropout
