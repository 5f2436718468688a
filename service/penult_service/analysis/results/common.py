"""What results of several analyses have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Adjustment:
    """A parameter that was not used as asked: which, what was asked, what was used, and why, for a person."""

    parameter: str
    asked: str
    used: str
    why: str


@dataclass(frozen=True)
class Background:
    """What scores are usual: those of `pairs` random pairs of different rows, of `rows` distinct ones.

    `quantiles` are the 1,001 scores that 0, 0.001 ... 1 of the pairs do not exceed.
    """

    quantiles: tuple[float, ...]
    pairs: int
    mean: float
    std: float
    rows: int


def no_rows() -> NDArray[np.int32]:
    return np.empty(0, np.int32)


def no_matrix() -> NDArray[np.float32]:
    return np.empty((0, 0), np.float32)


def no_numbers() -> NDArray[np.float64]:
    return np.empty((0, 0), np.float64)


@dataclass(frozen=True, eq=False, kw_only=True)
class Graphed:
    """What a call with `keep_graph` gives beside its result: the neighbour graph, where it was made.

    `near_rows` int32 [m, k] and `near_distances` float32 [m, k] of the m distinct rows (`graphs`); [0, 0] otherwise.
    """

    near_rows: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 0), np.int32))
    near_distances: NDArray[np.float32] = field(default_factory=no_matrix)


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """What a call with `keep` gives beside its result, for new rows later.

    `fitted_rows` float32 [m, d]: the distinct rows that were fitted, under cosine of unit length; `fitted_first` int32
    [m]: where among all n each appears first. `far_distance`: the 99 % quantile of their distances to the nearest other
    one, None for fewer than 3.
    """

    fitted_rows: NDArray[np.float32] = field(default_factory=no_matrix)
    fitted_first: NDArray[np.int32] = field(default_factory=no_rows)
    far_distance: float | None = None
