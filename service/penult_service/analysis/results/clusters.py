"""Results of clustering: clusters, their new rows, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.results.common import Adjustment, Fitted, Graphed, no_matrix, no_rows


@dataclass(frozen=True)
class Advice:
    """What to change when a result is not what one hopes for: the parameter, and why and which way, for a person."""

    parameter: str
    why: str


@dataclass(frozen=True)
class Stability:
    """Adjusted Rand index of the clusters of `samples` bootstrap samples with those of all rows: mean, 2.5 and 97.5
    %."""

    adjusted_rand: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True, eq=False)
class ClusterResult(Graphed, Fitted):
    """Clusters of n rows, numbered from the largest (0) down; -1 is noise.

    Attributes:
        labels: int32 [n].
        sizes: int32 [k].
        nearest: int32 [k, m]: rows nearest to each cluster's centre, nearest first, -1 where there are fewer.
        zero_rows: int32: all-zero rows under cosine, which are noise.
        silhouette: Mean of -1 to 1 over `silhouette_rows` rows that are no noise, on the rows themselves; None where
            undefined.
        noise_share: Of all rows.
        used: The parameters that were used; `reduction` is the space that clusters were found in.
        agreement: With the caller's labels: v_measure, adjusted_rand, purity, normalized_mutual_information; empty
        without. adjustments: What was not used as asked.
        border, odd: int32 [k, m] as `nearest`: rows nearest to another cluster's centre, and farthest from their own.
        silhouettes: float32 [k], mean of each cluster; NaN where undefined.
        davies_bouldin, calinski_harabasz: In the space that clusters were found in; None where undefined.
        stability: None without `bootstraps`.
        curve: (number of clusters, mean silhouette) of those tried with `auto`, by number.
        merges: float64 [k - 1, 4], the hierarchy of the clusters' centres as SciPy's `linkage` (average) gives it.
        moved: int32, rows that were noise and went to the nearest cluster.
        advice: What to change when all is noise, or there is one cluster.
        keywords: Of each cluster (word, weight), the most telling first; empty without texts.
        label_counts: int32 [k, codes], rows of each label in each cluster; [0, 0] without labels.
        reduced: float32 [m, r], the distinct rows in the space that clusters were found in; with `keep` alone, and
            [0, 0] when that is the rows'.
        centres: float32 [k, d], of k-means without a reduction; with `keep` alone.
        fitted_inverse: int32 [n], which of `fitted_rows` each row is, -1 for all-zero rows under cosine; with `keep`
            alone.
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
    border: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 0), np.int32))
    odd: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 0), np.int32))
    silhouettes: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    davies_bouldin: float | None = None
    calinski_harabasz: float | None = None
    stability: Stability | None = None
    curve: tuple[tuple[int, float], ...] = ()
    merges: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4), np.float64))
    moved: NDArray[np.int32] = field(default_factory=no_rows)
    advice: tuple[Advice, ...] = ()
    keywords: tuple[tuple[tuple[str, float], ...], ...] = ()
    label_counts: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 0), np.int32))
    reduced: NDArray[np.float32] = field(default_factory=no_matrix)
    centres: NDArray[np.float32] = field(default_factory=no_matrix)
    fitted_inverse: NDArray[np.int32] = field(default_factory=no_rows)


@dataclass(frozen=True, eq=False)
class AssignResult:
    """Stored clusters of n new rows.

    Attributes:
        labels: int32 [n], -1 for none.
        distances: float32 [n], to the nearest fitted row.
        shares: float32 [n], how much speaks for the label, 0 to 1.
        far_rows: int32, those beyond `far_distance`; their label is -1.
        far_distance: As given.
        zero_rows: int32: all-zero rows under cosine; label -1.
        used: The parameters that were used.
    """

    labels: NDArray[np.int32]
    distances: NDArray[np.float32]
    shares: NDArray[np.float32]
    far_rows: NDArray[np.int32]
    far_distance: float | None
    zero_rows: NDArray[np.int32]
    used: dict[str, Any]


@dataclass(frozen=True, eq=False)
class GrowResult:
    """Stored clusters of n rows with s new ones taken in.

    Attributes:
        labels: int32 [n + s], those of the old rows as they were.
        fitted_rows: float32 [m', d], the distinct rows now, the old ones first; `fitted_first` int32 [m'] among n + s.
        far_distance: That of the rows now.
        cluster_labels: int32 [k], the labels of all clusters now, ascending; the arrays below are in their order.
        sizes: int32 [k]. nearest, border, odd: int32 [k, m] as of `ClusterResult`, rows among n + s.
        drift: float64 [k], how far each centre moved, under the metric; 0 for new ones.
        new_labels, gone_labels: int32.
        unassigned: New rows with label -1.
        centres: float32 [k, d] where the clustering had them, else [0, 0].
        fitted_inverse: int32 [n + s] as of `ClusterResult`, where the clustering had it, else [0].
        used, adjustments: As ever.
    """

    labels: NDArray[np.int32]
    fitted_rows: NDArray[np.float32]
    fitted_first: NDArray[np.int32]
    far_distance: float | None
    cluster_labels: NDArray[np.int32]
    sizes: NDArray[np.int32]
    nearest: NDArray[np.int32]
    border: NDArray[np.int32]
    odd: NDArray[np.int32]
    drift: NDArray[np.float64]
    new_labels: NDArray[np.int32]
    gone_labels: NDArray[np.int32]
    unassigned: int
    used: dict[str, Any]
    centres: NDArray[np.float32] = field(default_factory=no_matrix)
    fitted_inverse: NDArray[np.int32] = field(default_factory=no_rows)
    merges: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4), np.float64))
    adjustments: tuple[Adjustment, ...] = ()
