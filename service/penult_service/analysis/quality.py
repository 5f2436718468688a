"""How good a map is, in numbers between 0 and 1; what clusters are is measured in `cluster_quality`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import SEED
from penult_service.analysis.progress import counting
from penult_service.analysis.rows import blocks, unit_rows
from penult_service.analysis.search import kernels
from penult_service.analysis.search.neighbours import nearest_others
from penult_service.analysis.search.rough import Threads, fixed, rough_keys
from penult_service.analysis.search.sieve import CODES, squared_norms

Floats = NDArray[np.float32]
Codes = NDArray[np.integer]

_PAIRS = 20_000_000  # how many distances a measure may take: up to 4,472 rows all, beyond that of a sample
_LEAST = 500  # rows of a sample
_TILE_ROWS = 64
_DRAWN = 20_000  # pairs whose distances are ranked
_DECIMALS = 12  # of cosines: what differs less is rounding
_STAGE = "quality"


def neighbors_of(rows: int, neighbors: int = 15) -> int:
    """How many neighbours trustworthiness is measured at: fewer than half of the rows; 0 where it is undefined."""
    return min(neighbors, (rows - 1) // 2) if rows >= 4 else 0


@dataclass(frozen=True, eq=False)
class MapQuality:
    """How good a map of m distinct rows is; None (of a row: NaN) where undefined.

    `trustworthiness`, `continuity` and `neighbors_kept` are of `rows` rows at `neighbors` neighbours;
    `row_neighbors_kept` float32 [m].
    """

    trustworthiness: float | None
    continuity: float | None
    neighbors_kept: float | None
    row_neighbors_kept: Floats
    distance_correlation: float | None
    rows: int
    neighbors: int


def of_map(
    rows: Floats, coordinates: Floats, metric: str, near: Codes | None = None, neighbors: int = 15
) -> MapQuality:
    """How good a map `coordinates` [m, c] of distinct rows [m, d] is: rows under the metric, places under euclidean.

    Trustworthiness is that of `sklearn.manifold` (Venna and Kaski 2001), but that rows equally far have the same,
    lowest rank; at `neighbors_of(m, neighbors)` neighbours. Continuity is the same with the sides changed. Exact for up
    to 4,472 rows, beyond that of rows drawn evenly, at least 500, each against all others. `near` [m, at least
    neighbors + 1] are the rows of `neighbours.graph`, each itself first; without it only the rows that are measured
    know how many of their neighbours are kept. Tells the stage quality, in rows measured (twice: on either side).
    """
    rows, k = np.ascontiguousarray(rows, dtype=np.float32), neighbors_of(len(rows), neighbors)
    kept, correlation = (
        np.full(len(rows), np.nan, np.float32),
        distance_correlation(rows, coordinates, metric),
    )
    if not k:
        return MapQuality(None, None, None, kept, correlation, 0, 0)
    chosen = sampled(len(rows))
    more = counting(_STAGE, 2 * len(chosen))
    among = nearest_others(rows, chosen, k, metric)[1] if near is None else near[chosen, 1 : k + 1]
    on_map = nearest_others(coordinates, chosen, k, "euclidean")[1]
    some = np.arange(len(rows), dtype=np.int32) if near is not None else chosen
    kept[some] = _shared(nearest_places(coordinates, some, k), among if near is None else near[:, 1 : k + 1])
    return MapQuality(
        trustworthiness=_ranked(rows, chosen, on_map, metric, more),
        continuity=_ranked(coordinates, chosen, among, "euclidean", more),
        neighbors_kept=float(kept[chosen].mean(dtype=np.float64)),
        row_neighbors_kept=kept,
        distance_correlation=correlation,
        rows=len(chosen),
        neighbors=k,
    )


def distance_correlation(rows: Floats, coordinates: Floats, metric: str) -> float | None:
    """Spearman's rank correlation of the distances of rows [m, d] and of their places [m, c]; None where undefined.

    Of all pairs, or of 20,000 that are drawn, always the same.
    """
    from scipy.stats import rankdata

    if len(rows) < 3:
        return None
    pairs = _pairs(len(rows))
    ranks = [rankdata(_apart(side, pairs, by)) for side, by in ((rows, metric), (coordinates, "euclidean"))]
    a, b = (rank - (len(rank) + 1) / 2 for rank in ranks)
    lengths = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float(np.clip((a * b).sum() / lengths, -1.0, 1.0)) if lengths else None


def nearest_places(coordinates: Floats, chosen: Codes, k: int) -> NDArray[np.int32]:
    """The k nearest places of a map [m, c] to each of the chosen ones but itself: row numbers int32 [b, k]."""
    from scipy.spatial import KDTree

    places = np.asarray(coordinates, dtype=np.float64)
    found = KDTree(places).query(places[chosen], k + 1)[1]
    itself = found == chosen[:, None]
    # A row among many of one place may not find itself.
    itself[~itself.any(axis=1), -1] = True
    return np.asarray(found[~itself].reshape(len(chosen), k), dtype=np.int32)


def sampled(rows: int) -> NDArray[np.int32]:
    """Row numbers, evenly drawn, as many as may be compared with all."""
    count = min(rows, max(_LEAST, _PAIRS // rows))
    return (np.arange(count, dtype=np.int64) * rows // count).astype(np.int32)


def _ranked(
    rows: Floats, chosen: NDArray[np.int32], others: Codes, metric: str, more: Callable[[int], None]
) -> float:
    """1 less what the ranks of others [b, k] among the neighbours of the chosen rows are too high by, scaled."""
    count, k = others.shape
    numbers: NDArray[np.int32] = np.ascontiguousarray(others, dtype=np.int32)
    excess = np.maximum(_nearer(rows, chosen, numbers, metric, more) + 1 - k, 0)
    return 1.0 - float(excess.sum(dtype=np.int64)) / (count * k * (2 * len(rows) - 3 * k - 1) / 2)


def _shared(a: Codes, b: Codes) -> Floats:
    """The share of the numbers of each row of b [n, k], all different, that its row of a [n, k] has."""
    shares = np.empty(len(a), dtype=np.float32)
    for block in blocks(len(a), a.shape[1] * b.shape[1]):
        shares[block] = (a[block, :, None] == b[block, None, :]).any(axis=1).mean(axis=1)
    return shares


def _pairs(rows: int) -> tuple[Codes, Codes]:
    """Pairs of different row numbers."""
    if rows * (rows - 1) // 2 <= _DRAWN:
        return np.triu_indices(rows, 1)
    random = np.random.default_rng(SEED)
    first = random.integers(rows, size=_DRAWN)
    return first, (first + random.integers(1, rows, size=_DRAWN)) % rows


def _apart(rows: Floats, pairs: tuple[Codes, Codes], metric: str) -> NDArray[np.float64]:
    """How far apart the rows of each pair are, or what has the same order: float64 [p]."""
    found = np.empty(len(pairs[0]))
    for block in blocks(len(found), 16 * rows.shape[1]):
        sides = (rows[side[block]] for side in pairs)
        a, b = ((unit_rows(side) if metric == "cosine" else side).astype(np.float64) for side in sides)
        if metric == "cosine":
            found[block] = np.round(-np.einsum("ij,ij->i", a, b), _DECIMALS)
        else:
            found[block] = (np.abs if metric == "manhattan" else np.square)(a - b).sum(axis=1)
    return found


def _nearer(
    rows: Floats,
    chosen: NDArray[np.int32],
    others: NDArray[np.int32],
    metric: str,
    more: Callable[[int], None],
) -> NDArray[np.int32]:
    """How many rows are nearer to each chosen one than each of its others [b, k]: int32 [b, k]."""
    rough = rough_keys(rows[chosen], rows, metric)
    norms, out = squared_norms(rows), np.empty(others.shape, dtype=np.int32)

    def count(part: slice) -> None:
        tile = rough.tile(part, slice(0, len(rows)))
        bounds = rough.unit, rough.relative, rough.margins[part]
        kernels.ranks(CODES[metric], fixed(rows), norms, chosen[part], tile, *bounds, others[part], out[part])

    with Threads() as threads:
        threads.each(count, slice(0, len(chosen)), _TILE_ROWS, more)
    return out
