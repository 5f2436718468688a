"""What the analyses give back: arrays and facts that travel from a worker to the server, and on to the caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Adjustment:
    """A parameter that was not used as asked: which, what was asked, what was used, and why, for a person."""

    parameter: str
    asked: str
    used: str
    why: str


@dataclass(frozen=True, eq=False)
class SimilarityResult:
    """`scores` float32 [rows of a, rows of b], of pairs [rows, 1]."""

    scores: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class NeighborsResult:
    """`indices` int32 [n, k] and `scores` float32 [n, k], nearest first, ties by row number.

    Where a radius leaves fewer than k: index -1, score -inf (cosine, dot) or +inf. All-zero rows under cosine are
    named in `zero_queries` and `zero_corpus`; their cosine with everything is 0, and as neighbours they come last.
    """

    indices: NDArray[np.int32]
    scores: NDArray[np.float32]
    zero_queries: NDArray[np.int32]
    zero_corpus: NDArray[np.int32]
    adjustments: tuple[Adjustment, ...] = ()


@dataclass(frozen=True, eq=False)
class ClusterResult:
    """Clusters of n rows, numbered from the largest (0) down; -1 is noise.

    `labels` int32 [n]; `sizes` int32 [k]; `nearest` int32 [k, m]: rows nearest to each cluster's centre, nearest
    first, -1 where there are fewer; `silhouette` mean of -1 to 1 over `silhouette_rows` rows that are no noise, None
    where undefined; `agreement` with the caller's labels: v_measure, adjusted_rand, purity; empty without labels.
    `zero_rows` int32: all-zero rows under cosine, which are noise. `used` are the parameters that were used.
    """

    labels: NDArray[np.int32]
    sizes: NDArray[np.int32]
    nearest: NDArray[np.int32]
    zero_rows: NDArray[np.int32]
    silhouette: float | None
    silhouette_rows: int
    noise_share: float
    used: dict[str, Any]
    agreement: dict[str, float] = field(default_factory=dict)
    adjustments: tuple[Adjustment, ...] = ()


@dataclass(frozen=True, eq=False)
class ProjectResult:
    """A map of n rows: `coordinates` float32 [n, components], always finite.

    `trustworthiness` (Venna and Kaski 2001) 0 to 1 over `quality_rows` rows at `quality_neighbors` neighbours, None
    where undefined; `label_purity` share of the neighbours on the map that have the row's label, and
    `label_purity_source` the same among the rows themselves, None without labels; `explained_variance` float64
    [components] shares, of PCA only, else empty. `zero_rows` int32: all-zero rows under cosine, placed together
    beside the map. `used` are the parameters that were used (`method` may be pca for a handful of rows).
    """

    coordinates: NDArray[np.float32]
    explained_variance: NDArray[np.float64]
    zero_rows: NDArray[np.int32]
    trustworthiness: float | None
    quality_rows: int
    quality_neighbors: int
    label_purity: float | None
    label_purity_source: float | None
    used: dict[str, Any]
    adjustments: tuple[Adjustment, ...] = ()


@dataclass(frozen=True)
class Distribution:
    """Many numbers told by some.

    `counts` are how many lie in each of as many bins of equal width from `min` to `max`; none when these are equal.
    `std` is that of these numbers (divided by how many they are).
    """

    mean: float
    std: float
    min: float
    max: float
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class DropoutEffect:
    """What the active dropout of a scope does to n rows in some passes.

    Attributes:
        scope: Its name.
        cosine_to_clean: Of a row in a pass to the clean row; 0 with an all-zero row.
        cosine_between_draws: Of a row in two passes that follow each other; None of one pass.
        neighbors_changed: How many of the k nearest rows by cosine are others, mean over rows and passes.
        nearest_kept: Share of rows and passes whose nearest row stays the nearest.
        cluster_agreement: Adjusted Rand index (Hubert and Arabie 1985) of k-means of a pass with that of the clean
            rows, the same seed, over passes.
        pair_rank_correlation: Spearman's, of the cosines of pairs of rows, mean over passes; None where all pairs are
            alike.
        predictions_flipped: Share of rows and passes of another class; None of no classifier.
        rows_flipped: Rows of another class in any pass; None as above.
    """

    scope: str
    cosine_to_clean: Distribution
    cosine_between_draws: Distribution | None
    neighbors_changed: float
    nearest_kept: float
    cluster_agreement: Distribution
    pair_rank_correlation: float | None
    predictions_flipped: float | None
    rows_flipped: int | None


@dataclass(frozen=True, eq=False)
class CompareDropoutResult:
    """What dropout does to n rows.

    Attributes:
        effects: One a scope.
        cluster_agreement_reseeded: Adjusted Rand index of k-means of the clean rows with other seeds, as many as
            passes.
        neighbors: k, how many neighbours a row.
        n_clusters: How many there were.
        row_neighbors_changed: float32 [scopes, n], mean over passes.
        row_flipped: float32 [scopes, n], share of the passes whose class is another; [0, n] of no classifier.
        coordinates: float32 [1 + scopes, n, 2], the clean rows and those of each scope's first pass on one map;
            [0, n, 2] without.
        adjustments: What was not used as asked.
    """

    effects: tuple[DropoutEffect, ...]
    cluster_agreement_reseeded: Distribution
    neighbors: int
    n_clusters: int
    row_neighbors_changed: NDArray[np.float32]
    row_flipped: NDArray[np.float32]
    coordinates: NDArray[np.float32]
    adjustments: tuple[Adjustment, ...] = ()


Result = SimilarityResult | NeighborsResult | ClusterResult | ProjectResult | CompareDropoutResult
