"""Results of mapping: maps, and places of new rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.results.common import Adjustment, Fitted, Graphed, no_numbers


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
    mean: NDArray[np.float64] = field(default_factory=no_numbers)
    loadings: NDArray[np.float64] = field(default_factory=no_numbers)


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
