"""What the analyses return: neighbours, clusters, maps, and how good they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _Analysis(_Record):
    adjustments: tuple[Adjustment, ...]
    model: str = ""
    version: int = 0
    digest: str = ""
    space: str = ""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Neighbors(_Analysis):
    """The nearest rows of a corpus, one row a query, nearest first; equal scores by row number.

    Attributes:
        indices: int32 [n, k], numbers of rows of the corpus; -1 where a radius leaves fewer than k.
        scores: float32 [n, k]. Similarities for cosine and dot, distances for euclidean and manhattan; where
            there is no neighbour -inf or inf.
        metric: The metric used.
        zero_queries, zero_corpus: int32, all-zero rows under cosine. Their cosine with every row is 0; as
            neighbours they come last.
        adjustments: What was not used as asked, such as a `k` larger than the corpus.
        space_checked: True when both sides are known to stand in one embedding space.
        model, version, digest, space: What embedded the texts; empty and 0 when both sides were vectors.
    """

    indices: NDArray[np.int32]
    scores: FloatMatrix
    metric: str
    zero_queries: NDArray[np.int32]
    zero_corpus: NDArray[np.int32]
    space_checked: bool

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, kw_only=True)
class ClusterQuality:
    """How good clusters are.

    Attributes:
        silhouette: Mean silhouette of the rows that are in a cluster, -1 to 1; None where undefined (fewer than
            two clusters).
        silhouette_rows: How many rows it was measured on; a sample when there are many.
        noise_share: Share of the rows in no cluster.
        v_measure, adjusted_rand, purity: Agreement with the labels that were given; None without labels.
    """

    silhouette: float | None
    silhouette_rows: int
    noise_share: float
    v_measure: float | None = None
    adjusted_rand: float | None = None
    purity: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Clusters(_Analysis):
    """Clusters of n rows, numbered from the largest, 0.

    Attributes:
        labels: int32 [n], the cluster of each row; -1: in none.
        sizes: int32 [k], rows of each cluster.
        nearest: k arrays int32, up to five rows nearest to the centre of each cluster, nearest first.
        quality: See `ClusterQuality`.
        used: The parameters that were used, by name, such as ``{"method": "hdbscan"}``.
        adjustments: What was not used as asked, such as more clusters than distinct rows.
        zero_rows: int32, all-zero rows under cosine: they have no direction, and label -1.
        stored: Where the server keeps them; None: nowhere.
        model, version, digest, space: What embedded the texts; empty and 0 when the rows were vectors.
    """

    labels: NDArray[np.int32]
    sizes: NDArray[np.int32]
    nearest: tuple[NDArray[np.int32], ...]
    quality: ClusterQuality
    used: dict[str, str]
    zero_rows: NDArray[np.int32]
    stored: StoredInfo | None = None


@dataclass(frozen=True, kw_only=True)
class ProjectionQuality:
    """How good a map is.

    Attributes:
        trustworthiness: 0 to 1: whether neighbours on the map are neighbours among the rows; None where undefined
            (too few rows).
        rows, neighbors: How many rows it was measured on (a sample when there are many), at how many neighbours.
        label_purity: Share of the neighbours on the map that have the row's label; None without labels.
        label_purity_source: The same among the rows themselves: the most that a map can be asked for.
    """

    trustworthiness: float | None
    rows: int
    neighbors: int
    label_purity: float | None = None
    label_purity_source: float | None = None


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
        stored: Where the server keeps it; None: nowhere.
        model, version, digest, space: What embedded the texts; empty and 0 when the rows were vectors.
    """

    coordinates: FloatMatrix
    quality: ProjectionQuality
    explained_variance: NDArray[np.float64]
    used: dict[str, str]
    zero_rows: NDArray[np.int32]
    stored: StoredInfo | None = None

    def __len__(self) -> int:
        return len(self.coordinates)
