"""What the analyses return: similarities, neighbours, maps, and how good they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_client._background import Background
from penult_client._results import FloatMatrix, _Record


@dataclass(frozen=True, kw_only=True)
class Adjustment:
    """A parameter that was not used as asked.

    Attributes:
        parameter: Its name, such as ``n_clusters``.
        asked, used: What was asked (or the default), and what was used.
        why: For a person.
    """

    parameter: str
    asked: str
    used: str
    why: str


@dataclass(frozen=True, kw_only=True)
class StoredInfo:
    """What is known of a map or clustering that the server keeps.

    Attributes:
        name: Its name.
        durable: Whether it is there after a restart of the server.
        rows: How many rows it has places or labels for.
        dataset, generation: The set whose first rows these are, and its life; empty: they came with the call.
        id_digest: SHA-256 over the ids of the rows, in order; empty without a set.
        space: The embedding space of the rows; empty when not known.
        parameters: The parameters that were used, by name.
        versions: Of what made it, such as ``{"penult": "0.1.0", "numpy": "2.3.5"}``.
        created: Time in UTC; None when not known.
        size: Bytes of its arrays.
        problem: What is damaged; empty: nothing is known to be.
        updated: When a clustering was last changed (grown, merged, split or named), in UTC; None: it is as it was made.
        clusters: How many clusters it has; None: it is a map, or an older release stored it.
        cluster_names: What persons called clusters, by label.
        batches: The entries of its history (`Clusters.history`).
    """

    name: str
    durable: bool
    rows: int
    dataset: str = ""
    generation: str = ""
    id_digest: str = ""
    space: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None
    size: int = 0
    problem: str = ""
    updated: datetime | None = None
    clusters: int | None = None
    cluster_names: Mapping[int, str] = field(default_factory=dict)
    batches: int = 0


def _no_numbers() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _Analysis(_Record):
    adjustments: tuple[Adjustment, ...]
    model: str = ""
    version: int = 0
    digest: str = ""
    space: str = ""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _Scored(_Record):
    scores: FloatMatrix
    background: Background | None = None

    @cached_property
    def percentiles(self) -> FloatMatrix | None:
        """float32 like `scores`: the share of random pairs that are less alike, 0 to 100 (`Background.percentiles`)."""
        return None if self.background is None else self.background.percentiles(self.scores)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Similarity(_Scored):
    """How alike rows are.

    Attributes:
        scores: float32 [rows of a, rows of b]; of pairs [rows, 1]. Similarities for cosine and dot, distances for
            euclidean and manhattan.
        metric: The metric used.
        space_checked: True when both sides are known to stand in one embedding space; False when a side was
            a bare array, which says nothing about its space.
        background: What scores are usual; None: there are fewer than 30 distinct rows to draw pairs from.
        percentiles: float32 like `scores`, 0 to 100: the share of random pairs that are less alike; None without a
            background.
        model, version, digest, space: What embedded the texts; empty and 0 when both sides were vectors.
    """

    metric: str
    space_checked: bool
    model: str = ""
    version: int = 0
    digest: str = ""
    space: str = ""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Neighbors(_Analysis, _Scored):
    """The nearest rows of a corpus, one row a query, nearest first; equal scores by row number.

    Attributes:
        indices: int32 [n, k], numbers of rows of the corpus; -1 where a radius leaves fewer than k.
        scores: float32 [n, k]. Similarities for cosine and dot, distances for euclidean and manhattan; where
            there is no neighbour -inf or inf.
        metric: The metric used.
        zero_queries, zero_corpus: int32, all-zero rows under cosine. Their cosine with every row is 0; as
            neighbours they come last.
        background: What scores are usual among the rows of the corpus; None: it has fewer than 30 distinct ones.
        percentiles: float32 [n, k], 0 to 100: the share of random pairs that are less alike; None without a background.
        recall: The share of the exact neighbours that were found, measured on some queries; None: all were, the search
            was exact.
        adjustments: What was not used as asked, such as a `k` larger than the corpus.
        space_checked: True when both sides are known to stand in one embedding space.
        model, version, digest, space: What embedded the texts; empty and 0 when both sides were vectors.
    """

    indices: NDArray[np.int32]
    metric: str
    zero_queries: NDArray[np.int32]
    zero_corpus: NDArray[np.int32]
    space_checked: bool
    recall: float | None = None

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, kw_only=True)
class ProjectionQuality:
    """How good a map is.

    Attributes:
        trustworthiness: 0 to 1: whether neighbours on the map are neighbours among the rows; None where undefined
            (too few rows).
        rows, neighbors: How many rows it was measured on (a sample when there are many), at how many neighbours.
        label_purity: Share of the neighbours on the map that have the row's label; None without labels.
        label_purity_source: The same among the rows themselves: the most that a map can be asked for.
        continuity: 0 to 1: whether neighbours among the rows are neighbours on the map; None where undefined.
        neighbors_kept: Share of the neighbours among the rows that are neighbours on the map, mean over the rows.
        distance_correlation: Spearman's rank correlation of the distances of random pairs of rows and of their places.
        alignment_disparity: Procrustes disparity to the map that it was aligned to, 0 (the same shape) to 1; None
            without ``aligned_to``.
    """

    trustworthiness: float | None
    rows: int
    neighbors: int
    label_purity: float | None = None
    label_purity_source: float | None = None
    continuity: float | None = None
    neighbors_kept: float | None = None
    distance_correlation: float | None = None
    alignment_disparity: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Projection(_Analysis):
    """A map of n rows; equal rows have equal places.

    Attributes:
        coordinates: float32 [n, n_components], always finite.
        quality: See `ProjectionQuality`.
        explained_variance: float64 [n_components], the share of the variance that each component explains; of
            ``pca`` only, else empty.
        used: The parameters that were used, by name, such as ``{"method": "umap"}``.
        adjustments: What was not used as asked, such as more neighbours than rows.
        zero_rows: int32, all-zero rows under cosine: they have no direction, and lie together beside the map.
        row_neighbors_kept: float32 [n], `ProjectionQuality.neighbors_kept` of each row; NaN where undefined.
        stored: Where the server keeps it; None: nowhere.
        model, version, digest, space: What embedded the texts; empty and 0 when the rows were vectors.
    """

    coordinates: FloatMatrix
    quality: ProjectionQuality
    explained_variance: NDArray[np.float64]
    used: dict[str, str]
    zero_rows: NDArray[np.int32]
    row_neighbors_kept: NDArray[np.float32] = field(default_factory=_no_numbers)
    stored: StoredInfo | None = None

    def __len__(self) -> int:
        return len(self.coordinates)
