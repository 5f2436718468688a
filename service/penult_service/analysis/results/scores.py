"""Results of comparing rows: similarities, neighbours, duplicates, outliers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.results.common import Adjustment, Background, Graphed


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
