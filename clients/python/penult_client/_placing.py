"""What stored maps and clusters make of new rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penult_client._analysis import StoredInfo, _Analysis
from penult_client._clusters import ClusterBatch, ClusterInfo
from penult_client._results import FloatMatrix


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _New(_Analysis):
    distances: NDArray[np.float32]
    far_rows: NDArray[np.int32]
    far_distance: float | None
    zero_rows: NDArray[np.int32]
    used: dict[str, str]
    space_checked: bool

    @property
    def far(self) -> NDArray[np.bool_]:
        """bool [n]: the rows that `far_rows` names."""
        marked = np.zeros(len(self.distances), np.bool_)
        marked[self.far_rows] = True
        return marked

    def __len__(self) -> int:
        return len(self.distances)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Placed(_New):
    """Places of n new rows on a stored map. The place of a row depends on the map and the row alone.

    Attributes:
        coordinates: float32 [n, n_components]. A row that the map was made of has its own place.
        distances: float32 [n], to the nearest row of the map, under its metric; cosine distance is 1 - cosine.
        nearest_rows: int32 [n], that row; -1 for an all-zero row under cosine.
        far_rows: int32, rows that are farther from the map's rows than `far_distance`: their places say little.
        far: bool [n], the same as a mask.
        far_distance: What 99 % of the map's own rows have to their nearest other row at most; None for fewer than 3
            rows.
        zero_rows: int32, all-zero rows under cosine: they lie beside the map.
        used: The parameters that were used, by name.
        projection: The map.
        space_checked: True when the rows are known to stand in the map's space.
        adjustments: What was not used as asked.
        model, version, digest, space: What embedded the texts; empty and 0 when the rows were vectors.
    """

    coordinates: FloatMatrix
    nearest_rows: NDArray[np.int32]
    projection: StoredInfo


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Assigned(_New):
    """The stored clusters of n new rows. The label of a row depends on the clusters and the row alone.

    Attributes:
        labels: int32 [n], -1 for none of them. A row that the clusters were made of has its own label.
        distances: float32 [n], to the nearest row of the clustering, under its metric; cosine distance is 1 - cosine.
        shares: float32 [n], how much speaks for the label, 0 to 1: of the weights of the nearest rows those with it.
        far_rows: int32, rows that have label -1 because they are farther from all rows of the clustering than
            `far_distance`.
        far: bool [n], the same as a mask.
        far_distance: What 99 % of the clustering's own rows have to their nearest other row at most; None for fewer
            than 3 rows.
        zero_rows: int32, all-zero rows under cosine: they have label -1.
        used: The parameters that were used, by name.
        clustering: The clustering.
        names: What persons called its clusters, by label.
        space_checked: True when the rows are known to stand in the clustering's space.
        model, version, digest, space: What embedded the texts; empty and 0 when the rows were vectors.
    """

    labels: NDArray[np.int32]
    shares: NDArray[np.float32]
    clustering: StoredInfo
    names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Grown(_Analysis):
    """Stored clusters that have taken in n rows.

    Attributes:
        labels: int32 [n], the labels of these rows, -1 for none.
        batch: What became of the clusters.
        clusters: All of them as they are now, by label; rows are counted through all batches.
        clustering: The clustering.
        used: The parameters that were used, by name.
        space_checked: True when the rows are known to stand in the clustering's space.
        adjustments: What was not used as asked.
        model, version, digest, space: What embedded the texts; empty and 0 when the rows were vectors.
    """

    labels: NDArray[np.int32]
    batch: ClusterBatch
    clusters: tuple[ClusterInfo, ...]
    clustering: StoredInfo
    used: dict[str, str]
    space_checked: bool

    def __len__(self) -> int:
        return len(self.labels)
