"""What a report on clusters shows, whatever writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.plots import colours
from penult_service.plots.maps.views import NOISE, MapView

# Keywords that stand for a cluster without a name.
TITLE_WORDS = 3


@dataclass(frozen=True)
class Example:
    """A row, and its text where it has one."""

    row: int
    text: str | None = None

    @property
    def words(self) -> str:
        """Its text, else its number."""
        return f"row {self.row:,}" if self.text is None else self.text


@dataclass(frozen=True)
class Group:
    """A cluster.

    `name` is what a person calls it, `keywords` and `labels` (a label, rows) are the most telling and the most frequent
    first; `central`, `border` and `odd` examples as they come. `silhouette` is the mean of its rows.
    """

    label: int
    size: int
    name: str = ""
    keywords: tuple[str, ...] = ()
    labels: tuple[tuple[str, int], ...] = ()
    central: tuple[Example, ...] = ()
    border: tuple[Example, ...] = ()
    odd: tuple[Example, ...] = ()
    silhouette: float | None = None

    @property
    def words(self) -> str:
        """Its name, else its first keywords without what they repeat; empty where it has neither."""
        if self.name:
            return self.name
        chosen: list[str] = []
        for keyword in self.keywords:
            if not set(keyword.split()) <= {word for one in chosen for word in one.split()}:
                chosen.append(keyword)
        return ", ".join(chosen[:TITLE_WORDS])

    @property
    def title(self) -> str:
        """Its number, and its words."""
        return f"{self.label} {self.words}".rstrip()


@dataclass(frozen=True)
class Batch:
    """What became of clusters at one time: `when` and `event` for people, the rows that came, those of them in none.

    `sizes` and `drift` (how far a centre moved; 0 for new ones) are those of `labels`, afterwards.
    """

    when: str
    event: str
    rows: int
    unassigned: int = 0
    new_labels: tuple[int, ...] = ()
    gone_labels: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    drift: tuple[float, ...] = ()


@dataclass(frozen=True)
class Agreed:
    """Adjusted Rand index of bootstrap samples: mean, and the ends of 95 % of them."""

    mean: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True, eq=False)
class ClusterView:
    """Clusters of n rows.

    Attributes:
        title: What was clustered.
        rows: n.
        groups: The clusters, in the order that `merges` counts them.
        used: Parameters by name; `metric` and `reduction` are looked at.
        unassigned: Rows in no cluster.
        silhouette: Mean of -1 to 1 over `silhouette_rows` rows; None where undefined, as the next.
        davies_bouldin, calinski_harabasz: Of the space that clusters were found in.
        stability: Over bootstrap samples; None where nobody looked.
        agreement: With the labels, by name: v_measure, adjusted_rand, purity, normalized_mutual_information.
        merges: float64 [k - 1, 4], as SciPy's `linkage`; [0, 4] where there is no hierarchy.
        curve: (number of clusters, mean silhouette) of those tried.
        moved: Rows that were noise and went to the nearest cluster.
        advice: (parameter, why) to change.
        notes: What was not used as asked, and what else to know.
        history: What became of stored clusters, oldest first.
        label_name: What the labels are called.
        facts: Where it comes from, (what, words).
        command: What makes it again.
        map: Its rows on a map, labelled by cluster.

    Raises:
        InvalidInput: merges of another number of clusters.
    """

    title: str
    rows: int
    groups: tuple[Group, ...]
    used: Mapping[str, Any]
    unassigned: int = 0
    silhouette: float | None = None
    silhouette_rows: int = 0
    davies_bouldin: float | None = None
    calinski_harabasz: float | None = None
    stability: Agreed | None = None
    agreement: Mapping[str, float] = field(default_factory=dict)
    merges: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    curve: tuple[tuple[int, float], ...] = ()
    moved: int = 0
    advice: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    history: tuple[Batch, ...] = ()
    label_name: str = "label"
    facts: tuple[tuple[str, str], ...] = ()
    command: str = ""
    map: MapView | None = None

    def __post_init__(self) -> None:
        if len(self.merges) not in (0, len(self.groups) - 1):
            raise InvalidInput(
                f"{len(self.merges)} merges of {len(self.groups)} clusters", reason="WRONG_SHAPE"
            )

    def colours(self) -> dict[int, colours.Entry]:
        """How each cluster is drawn: as on a map that is coloured by the clusters' numbers."""
        sizes = Counter({str(group.label): group.size for group in self.groups})
        entries = colours.entries(sizes, sizes, NOISE)
        return {int(label): entry for entry in entries for label in entry.labels}
