"""What `cluster` returns: clusters, how good they are, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penult_client._analysis import StoredInfo, _Analysis
from penult_client._results import _Record


@dataclass(frozen=True, kw_only=True)
class ClusterQuality:
    """How good clusters are.

    Attributes:
        silhouette: Mean silhouette of the rows that are in a cluster, -1 to 1; None where undefined (fewer than
            two clusters).
        silhouette_rows: How many rows it was measured on; a sample when there are many.
        noise_share: Share of the rows in no cluster.
        v_measure, adjusted_rand, purity, normalized_mutual_information: Agreement with the labels that were given; None
            without labels.
        davies_bouldin: 0 or more, less is better; of rows that are in a cluster, in the space that they were found in
            (`Clusters.used`: ``reduction``); None where undefined.
        calinski_harabasz: Of the same, more is better.
    """

    silhouette: float | None
    silhouette_rows: int
    noise_share: float
    v_measure: float | None = None
    adjusted_rand: float | None = None
    purity: float | None = None
    normalized_mutual_information: float | None = None
    davies_bouldin: float | None = None
    calinski_harabasz: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ClusterInfo(_Record):
    """One cluster.

    Attributes:
        label: Its number. 0 is the largest when the clusters are made; later it keeps the number, whatever its size.
        size: Rows in it.
        nearest: int32, up to five rows nearest to its centre, nearest first: the central ones.
        border: int32, up to five of its rows that lie nearest to another cluster.
        odd: int32, up to five of its rows that lie farthest from its centre, farthest first.
        keywords: Words that tell it from the others and their weights (class-based TF-IDF), the most telling first;
            empty without texts.
        labels: Of the labels that were given, at most ten: how many of its rows have each, the most frequent first;
            empty without.
        name: What a person called it; empty: nothing.
        silhouette: Mean of its rows; None where undefined.
    """

    label: int
    size: int
    nearest: NDArray[np.int32]
    border: NDArray[np.int32]
    odd: NDArray[np.int32]
    keywords: tuple[tuple[str, float], ...] = ()
    labels: dict[str, int] = field(default_factory=dict)
    name: str = ""
    silhouette: float | None = None


class ClusterCount(NamedTuple):
    """A number of clusters that was tried, and its score: the mean silhouette."""

    n_clusters: int
    score: float


class ClusterStability(NamedTuple):
    """How far clusters are the same on other samples of the rows.

    `adjusted_rand` is the mean of the adjusted Rand index of bootstrap samples, how many `samples` says, with the
    clusters of all rows; `low` and `high` are its 2.5 and 97.5 % quantiles.
    """

    adjusted_rand: float
    low: float
    high: float
    samples: int


class Advice(NamedTuple):
    """What to change when clusters are not what one hopes for: which parameter, and for a person why and which way."""

    parameter: str
    why: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ClusterBatch(_Record):
    """What became of stored clusters at one time.

    Attributes:
        created: Time in UTC; None when not known.
        event: ``made``, ``grown``, ``merged``, ``split`` or ``named``.
        rows: Rows that came with it.
        unassigned: Of those, rows that are in no cluster afterwards.
        new_labels, gone_labels: Clusters that are new and gone since.
        labels: int32 [k], all clusters afterwards.
        sizes: int32 [k], their rows.
        drift: float64 [k], how far the centre of each moved, under the metric; 0 for new ones.
    """

    created: datetime | None
    event: str
    rows: int
    unassigned: int
    new_labels: tuple[int, ...]
    gone_labels: tuple[int, ...]
    labels: NDArray[np.int32]
    sizes: NDArray[np.int32]
    drift: NDArray[np.float64]


def _no_merges() -> NDArray[np.float64]:
    return np.empty((0, 4), np.float64)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Clusters(_Analysis):
    """k clusters of n rows, numbered from the largest, 0; stored ones that were changed since keep their numbers.

    Attributes:
        labels: int32 [n], the cluster of each row; -1: in none.
        sizes: int32 [k], rows of each cluster, in the order of `clusters`.
        nearest: k arrays int32, up to five rows nearest to the centre of each cluster, nearest first.
        clusters: Each of them: see `ClusterInfo`.
        quality: See `ClusterQuality`.
        merges: float64 [k - 1, 4], their hierarchy by the distance of their centres, nearest first, as SciPy's
            ``linkage`` gives one: two places in `clusters` (k + i: the i-th merge), distance, and clusters in both.
        curve: With ``n_clusters="auto"``: what was tried, by number.
        stability: How far bootstrap samples agree; None without ``bootstraps``.
        moved: int32, rows that were noise and went to the nearest cluster (``noise="nearest"``).
        advice: What to change, when all is noise or there is but one cluster.
        history: Of stored ones: what became of them, oldest first.
        used: The parameters that were used, by name, such as ``{"method": "hdbscan"}``; ``reduction`` is the space that
            they were found in.
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
    clusters: tuple[ClusterInfo, ...] = ()
    merges: NDArray[np.float64] = field(default_factory=_no_merges)
    curve: tuple[ClusterCount, ...] = ()
    stability: ClusterStability | None = None
    moved: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    advice: tuple[Advice, ...] = ()
    history: tuple[ClusterBatch, ...] = ()
    stored: StoredInfo | None = None

    def __len__(self) -> int:
        return len(self.labels)
