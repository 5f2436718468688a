"""How many clusters there may be, by the mean silhouette of several numbers of them (Rousseeuw 1987).

The curve is often flat: it says which numbers are about as good, and promises none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis.calls import Cluster
from penult_service.analysis.clusters.agglomerative import cut, tree
from penult_service.analysis.clusters.cluster_quality import from_sums
from penult_service.analysis.clusters.description import distances
from penult_service.analysis.clusters.methods import kmeans, mixture
from penult_service.analysis.progress import counting, silently
from penult_service.analysis.rows import blocks

Floats = NDArray[np.float32]

MOST_ROWS, MOST_CLUSTERS = 4_000, 200
"""Numbers are tried on so many distinct rows at most, drawn evenly, and up to so many clusters."""
_GROWTH = 1.2  # from one number tried to the next, past 10
_ROUNDS, _EACH = 3, 4  # of trying between the best number and those beside it, and how many on each side


@dataclass(frozen=True)
class Choice:
    """The number of clusters with the best score, the least of equal ones; all that were tried, and of how many
    rows."""

    count: int
    curve: tuple[tuple[int, float], ...]
    rows: int


def choose(call: Cluster, rows: Floats, counts: NDArray[np.int64], metric: str, linkage: str) -> Choice:
    """The number of clusters of distinct rows [m, r], m at least 3, row i standing for `counts[i]` rows.

    Tried are 2 to 2 sqrt(n) (10 at least, 200 at most, and fewer than rows): all up to 10, then each a fifth larger;
    then those between the best and its neighbours. k-means from one start. Tells the stage numbers of clusters, in
    numbers tried.
    """
    size = min(len(rows), MOST_ROWS)
    chosen = np.arange(size, dtype=np.int64) * len(rows) // size
    rows, counts = np.ascontiguousarray(rows[chosen]), counts[chosen]
    most = min(size - 1, MOST_CLUSTERS, max(10, round(2 * float(np.sqrt(counts.sum())))))
    label = _divider(call, rows, counts, metric, linkage)
    far = _all_distances(rows, metric)
    scores: dict[int, float] = {}
    more = counting("numbers of clusters")

    def tried(numbers: list[int]) -> None:
        for number in numbers:
            with silently():
                scores[number] = _score(far, label(number))
            more(1)

    tried(_grid(most))
    for _ in range(_ROUNDS):
        between = _between(sorted(scores), _best(scores))
        if not between:
            break
        tried(between)
    return Choice(_best(scores), tuple(sorted(scores.items())), size)


def _best(scores: dict[int, float]) -> int:
    return min(scores, key=lambda number: (-scores[number], number))


def _grid(most: int) -> list[int]:
    numbers = list(range(2, min(most, 10) + 1))
    while numbers[-1] < most:
        numbers.append(min(most, max(numbers[-1] + 1, round(numbers[-1] * _GROWTH))))
    return numbers


def _between(tried: list[int], best: int) -> list[int]:
    """Numbers not tried yet, between the best and the one on each side."""
    at = tried.index(best)
    found: list[int] = []
    for low, high in ((tried[max(0, at - 1)], best), (best, tried[min(len(tried) - 1, at + 1)])):
        inner = np.arange(low + 1, high)
        if len(inner):
            # In the middle of equal parts: not beside what is known.
            parts = np.linspace(0, len(inner) - 1, min(_EACH, len(inner)) + 2)[1:-1].round().astype(int)
            found += inner[np.unique(parts)].tolist() if len(inner) > _EACH else inner.tolist()
    return found


def _divider(
    call: Cluster, rows: Floats, counts: NDArray[np.int64], metric: str, linkage: str
) -> Callable[[int], NDArray[np.int64]]:
    if call.method == "agglomerative":
        with silently():
            merges = tree(rows, linkage, metric)
        return lambda number: cut(merges, number)
    if call.method == "gaussian_mixture":
        return lambda number: mixture(rows, number, call.seed)
    return lambda number: kmeans(rows, number, counts, call.seed, starts=1)


def _all_distances(rows: Floats, metric: str) -> Floats:
    far = np.empty((len(rows), len(rows)), dtype=np.float32)
    centres = rows.astype(np.float64)
    for block in blocks(len(rows), 8 * len(rows)):
        far[block] = distances(rows[block], centres, metric)
    np.fill_diagonal(far, 0.0)
    return far


def _score(far: Floats, labels: NDArray[np.int64]) -> float:
    _, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if not 2 <= len(sizes) < len(own):
        return -1.0
    member = np.zeros((len(own), len(sizes)), dtype=np.float32)
    member[np.arange(len(own)), own] = 1
    with threadpool_limits(1, user_api="blas"):
        sums = (far @ member).astype(np.float64)
    return float(from_sums(sums, own, sizes).mean())
