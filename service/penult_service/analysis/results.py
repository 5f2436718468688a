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


@dataclass(frozen=True)
class Background:
    """What scores are usual: those of `pairs` random pairs of different rows, of `rows` distinct ones.

    `quantiles` are the 1,001 scores that 0, 0.001 ... 1 of the pairs do not exceed.
    """

    quantiles: tuple[float, ...]
    pairs: int
    mean: float
    std: float
    rows: int


def _no_rows() -> NDArray[np.int32]:
    return np.empty(0, np.int32)


def _no_matrix() -> NDArray[np.float32]:
    return np.empty((0, 0), np.float32)


def _no_numbers() -> NDArray[np.float64]:
    return np.empty((0, 0), np.float64)


@dataclass(frozen=True, eq=False, kw_only=True)
class Graphed:
    """What a call with `keep_graph` gives beside its result: the neighbour graph, where it was made.

    `near_rows` int32 [m, k] and `near_distances` float32 [m, k] of the m distinct rows (`graphs`); [0, 0] otherwise.
    """

    near_rows: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 0), np.int32))
    near_distances: NDArray[np.float32] = field(default_factory=_no_matrix)


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """What a call with `keep` gives beside its result, for new rows later.

    `fitted_rows` float32 [m, d]: the distinct rows that were fitted, under cosine of unit length; `fitted_first` int32
    [m]: where among all n each appears first. `far_distance`: the 99 % quantile of their distances to the nearest other
    one, None for fewer than 3.
    """

    fitted_rows: NDArray[np.float32] = field(default_factory=_no_matrix)
    fitted_first: NDArray[np.int32] = field(default_factory=_no_rows)
    far_distance: float | None = None


@dataclass(frozen=True, eq=False)
class SimilarityResult:
    """`scores` float32 [rows of a, rows of b], of pairs [rows, 1]; `background` None for fewer than 30 distinct
    rows."""

    scores: NDArray[np.float32]
    background: Background | None = None


@dataclass(frozen=True, eq=False)
class NeighborsResult:
    """`indices` int32 [n, k] and `scores` float32 [n, k], nearest first, ties by row number.

    Where a radius leaves fewer than k: index -1, score -inf (cosine, dot) or +inf. All-zero rows under cosine are
    named in `zero_queries` and `zero_corpus`; their cosine with everything is 0, and as neighbours they come last.
    `background` is of the corpus' rows. `recall` of an approximate search is the share of the exact neighbours found.
    """

    indices: NDArray[np.int32]
    scores: NDArray[np.float32]
    zero_queries: NDArray[np.int32]
    zero_corpus: NDArray[np.int32]
    adjustments: tuple[Adjustment, ...] = ()
    background: Background | None = None
    recall: float | None = None


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
    moved: NDArray[np.int32] = field(default_factory=_no_rows)
    advice: tuple[Advice, ...] = ()
    keywords: tuple[tuple[tuple[str, float], ...], ...] = ()
    label_counts: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 0), np.int32))
    reduced: NDArray[np.float32] = field(default_factory=_no_matrix)
    centres: NDArray[np.float32] = field(default_factory=_no_matrix)
    fitted_inverse: NDArray[np.int32] = field(default_factory=_no_rows)


@dataclass(frozen=True, eq=False)
class ProjectResult(Graphed, Fitted):
    """A map of n rows.

    Attributes:
        coordinates: float32 [n, components], always finite.
        explained_variance: float64 [components] shares, of PCA only, else empty.
        zero_rows: int32: all-zero rows under cosine, placed together beside the map.
        trustworthiness: (Venna and Kaski 2001) 0 to 1 over `quality_rows` rows at `quality_neighbors` neighbours, None
            where undefined.
        label_purity: Share of the neighbours on the map that have the row's label; `label_purity_source` the same among
            the rows themselves; None without labels.
        used: The parameters that were used (`method` may be pca for a handful of rows); `layout` says what made it.
        continuity: As trustworthiness, with the sides changed.
        neighbors_kept: Share of the neighbours among the rows that are neighbours on the map, mean.
        row_neighbors_kept: float32 [n], the same of each row; NaN where undefined.
        distance_correlation: Spearman's, of the distances of random pairs of rows and of their places.
        alignment_disparity: Procrustes disparity to `anchor`, 0 to 1; None without.
        mean, loadings: float64 [d] and [d, components], of PCA; with `keep` alone, else [0, 0].
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
    continuity: float | None = None
    neighbors_kept: float | None = None
    row_neighbors_kept: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    distance_correlation: float | None = None
    alignment_disparity: float | None = None
    mean: NDArray[np.float64] = field(default_factory=_no_numbers)
    loadings: NDArray[np.float64] = field(default_factory=_no_numbers)


@dataclass(frozen=True, eq=False)
class DuplicatesResult(Graphed):
    """Rows that are equal, or nearly.

    Attributes:
        pairs: int32 [p, 2], the smaller number first; the most alike first, then by number.
        scores: float32 [p].
        groups: int32 [n], from the largest group (0) down, equal ones by their first row; -1 in none.
        keepers: int32 [g], the row of each group that is most like the others, of equal ones the first.
        total_pairs, equal_pairs: Of all pairs; `equal_pairs` those of equal rows (under cosine: of one direction).
        threshold: The one used.
        zero_rows: int32: all-zero rows under cosine, which are like none.
        background: What scores are usual; None for fewer than 30 distinct rows.
        adjustments: What was not used as asked.
    """

    pairs: NDArray[np.int32]
    scores: NDArray[np.float32]
    groups: NDArray[np.int32]
    keepers: NDArray[np.int32]
    total_pairs: int
    equal_pairs: int
    threshold: float
    zero_rows: NDArray[np.int32]
    background: Background | None = None
    adjustments: tuple[Adjustment, ...] = ()


@dataclass(frozen=True, eq=False)
class OutliersResult(Graphed):
    """How far rows lie from their neighbours.

    Attributes:
        scores: float32 [n], mean distance to the k nearest others (Angiulli and Pizzuti 2002); 1 for all-zero rows
            under cosine.
        occurrences: int32 [n], of how many rows it is among the k nearest.
        order: int32, up to 1,000 rows, the highest score first, ties by number.
        hubness: Skewness of the occurrences; None where all are alike.
        antihubs: Rows that are a neighbour of none.
        k: The neighbours looked at.
        zero_rows: int32: all-zero rows under cosine.
        adjustments: What was not used as asked.
    """

    scores: NDArray[np.float32]
    occurrences: NDArray[np.int32]
    order: NDArray[np.int32]
    hubness: float | None
    antihubs: int
    k: int
    zero_rows: NDArray[np.int32]
    adjustments: tuple[Adjustment, ...] = ()


@dataclass(frozen=True, eq=False)
class TransformResult:
    """Places of n new rows on a stored map.

    Attributes:
        coordinates: float32 [n, c].
        distances: float32 [n], to the nearest fitted row.
        nearest_rows: int32 [n], its number among all rows of the map; -1 for an all-zero row under cosine.
        far_rows: int32, those beyond `far_distance`.
        far_distance: As given.
        zero_rows: int32: all-zero rows under cosine, placed beside the map.
        used: The parameters that were used.
        adjustments: What was not used as asked.
    """

    coordinates: NDArray[np.float32]
    distances: NDArray[np.float32]
    nearest_rows: NDArray[np.int32]
    far_rows: NDArray[np.int32]
    far_distance: float | None
    zero_rows: NDArray[np.int32]
    used: dict[str, Any]
    adjustments: tuple[Adjustment, ...] = ()


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
    centres: NDArray[np.float32] = field(default_factory=_no_matrix)
    fitted_inverse: NDArray[np.int32] = field(default_factory=_no_rows)
    merges: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4), np.float64))
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


Result = (
    SimilarityResult
    | NeighborsResult
    | ClusterResult
    | ProjectResult
    | CompareDropoutResult
    | DuplicatesResult
    | OutliersResult
    | TransformResult
    | AssignResult
    | GrowResult
)
