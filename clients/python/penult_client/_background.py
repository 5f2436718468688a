"""What scores are usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_client._results import FloatMatrix, _Record

_LARGER_IS_CLOSER = ("cosine", "dot")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Background(_Record):
    """What scores are usual: those of random pairs of different rows.

    Classifiers give cosines near 0.95 to everything, so a score says little without it.

    Attributes:
        quantiles: float64 [1001], the scores that 0, 0.001, 0.002 ... 1 of the pairs do not exceed, ascending.
        pairs: How many pairs they were measured on.
        mean, std: Of the scores of these pairs.
        rows: How many distinct rows the pairs were drawn from.
        metric: The metric of the scores.
    """

    quantiles: NDArray[np.float64]
    pairs: int
    mean: float
    std: float
    rows: int
    metric: str

    def percentiles(self, scores: Any) -> FloatMatrix:
        """How unusual scores are: the share of random pairs that are less alike, in percent.

        That is the share of the pairs with a smaller score, for a distance with a larger one; between quantiles it is
        interpolated.

        Args:
            scores: Numbers of any shape.

        Returns:
            float32, 0 to 100, of the same shape; NaN where a score is NaN.
        """
        given = np.asarray(scores, np.float32).astype(np.float64)
        # Compared as float32, as scores are: one that many pairs have is found again.
        known = self.quantiles.astype(np.float32).astype(np.float64)
        shares = np.linspace(0.0, 1.0, len(known))
        reached = np.interp(given, known, shares)  # of scores up to it, with those that are equal
        if self.metric not in _LARGER_IS_CLOSER:
            return np.asarray(100 * (1 - reached), np.float32)
        place = np.minimum(np.searchsorted(known, given), len(known) - 1)
        equal = (known[place] == given) & (known[np.minimum(place + 1, len(known) - 1)] == given)
        return np.asarray(100 * np.where(equal, shares[place], reached), np.float32)
