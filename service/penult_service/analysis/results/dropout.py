"""What dropout does to rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.results.common import Adjustment


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
