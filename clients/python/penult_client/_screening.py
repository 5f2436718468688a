"""Rows to look at: those that are there twice, and those that lie far from all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_client._analysis import _Analysis
from penult_client._background import Background


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Duplicates(_Analysis):
    """Rows of n that are equal, or nearly.

    Attributes:
        pairs: int32 [p, 2], two rows, the smaller number first; the most alike first, then by number.
        scores: float32 [p], how alike, or how far apart.
        groups: int32 [n], the group of each row, from the largest (0) down; -1 for rows without a duplicate. Rows that
            are connected by pairs are one group, so the ends of a chain may be less alike than the threshold.
        keepers: int32 [g], the row of each group that is proposed to be kept: the one most like the others.
        keep: bool [n], rows that are left when of each group the keeper is kept: ``texts[made.keep]``.
        total_pairs: All pairs, also those beyond ``max_pairs``.
        equal_pairs: Of all pairs those of equal rows (under cosine: of one direction).
        threshold: The one used.
        metric: The metric used.
        zero_rows: int32, all-zero rows under cosine: they are like none.
        background: What scores are usual; None: there are fewer than 30 distinct rows.
        adjustments: What was not used as asked.
        model, version, digest, space: What embedded the texts; empty and 0 when the rows were vectors.
    """

    pairs: NDArray[np.int32]
    scores: NDArray[np.float32]
    groups: NDArray[np.int32]
    keepers: NDArray[np.int32]
    total_pairs: int
    equal_pairs: int
    threshold: float
    metric: str
    zero_rows: NDArray[np.int32]
    background: Background | None = None

    @property
    def keep(self) -> NDArray[np.bool_]:
        """bool [n]: rows that are left when of each group the keeper is kept."""
        kept: NDArray[np.bool_] = self.groups < 0
        kept[self.keepers] = True
        return kept

    def __len__(self) -> int:
        return len(self.groups)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Outliers(_Analysis):
    """How far n rows lie from their neighbours.

    Attributes:
        scores: float32 [n], mean distance to the `k` nearest other rows; cosine distance is 1 - cosine.
        occurrences: int32 [n], of how many rows it is among the `k` nearest.
        order: int32, the rows by score, the farthest first; at most 1,000.
        hubness: Skewness of the occurrences: above 1 a few rows are neighbours of very many; None where all are alike.
        antihubs: How many rows are a neighbour of none.
        k: The neighbours that were looked at.
        metric: The metric used.
        zero_rows: int32, all-zero rows under cosine: they have no direction, and score 1.
        adjustments: What was not used as asked, such as a `k` larger than the rows.
        model, version, digest, space: What embedded the texts; empty and 0 when the rows were vectors.
    """

    scores: NDArray[np.float32]
    occurrences: NDArray[np.int32]
    order: NDArray[np.int32]
    hubness: float | None
    antihubs: int
    k: int
    metric: str
    zero_rows: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.scores)
