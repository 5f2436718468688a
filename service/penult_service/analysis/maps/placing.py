"""New rows on a stored map, which does not move.

On a map by principal components whose loadings are stored a row lies where these put it. Else its nearest fitted rows
draw it to their places, with the weights of UMAP's fuzzy neighbourhood (McInnes, Healy and Melville 2018): from their
weighted geometric median (Weiszfeld 1937) to where the weighted sum of log(1 + (distance / scale)^2) is least nearby.
That sum is the part of t-SNE's own, and nearly of UMAP's own, that draws together; as a location it is that of a Cauchy
distribution. So a row has neighbours around it, where their weighted mean would drop it between two islands into the
sea. What umap-learn's own `transform` says of a row depends on the others in the request; this does not, and draws no
random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import Transform
from penult_service.analysis.fitting import beside
from penult_service.analysis.maps import pca
from penult_service.analysis.maps import placing_kernels as kernels
from penult_service.analysis.nearby import NEIGHBORS, Nearby, Search, by_rows, float32, nearby
from penult_service.analysis.progress import tell
from penult_service.analysis.results import Adjustment, TransformResult
from penult_service.analysis.search.approximate import approximate_nearest, pays
from penult_service.analysis.search.rough import fixed
from penult_service.analysis.search.sieve import nearest

Floats = NDArray[np.float32]

_SMOOTHING = 1.5e-3  # of the map's spread: distances below it hardly count as such to the median
_SCALE = 0.02  # of the map's spread: beyond it, what a place draws falls
_TOLERANCE = 1e-7  # of the map's spread
_STEPS = 300
_OWN = 3e-5  # of the far distance (where it is no square, of its square): so near, a row lies where the nearest does


def transform(call: Transform, arrays: Mapping[str, NDArray[Any]]) -> TransformResult:
    """Places of finite rows float32 [n, d], n at least 1, on a stored map; `arrays` as `Transform` says.

    The place of a row depends on the row and the map alone, bit for bit; a fitted row has its own. All-zero rows under
    cosine lie beside the map, where it has its own. Tells its stages (`progress`): rows; neighbours; places.
    """
    tell("rows")
    first = np.asarray(arrays["fitted_first"])
    places = np.ascontiguousarray(arrays["coordinates"][first], dtype=np.float32)
    by_loadings = call.method == "pca" and "loadings" in arrays
    count = 1 if by_loadings else neighbors_of(call)
    search, told = _search(call, arrays)
    near = nearby(arrays["source"], arrays["fitted_rows"], count, call.metric, search)
    tell("places")
    if by_loadings:
        found = pca.placed(near.lines, arrays["mean"], arrays["loadings"])
        used: dict[str, Any] = {}
    else:
        found = drawn(near, places, call.metric, call.far_distance)
        used = {"n_neighbors": near.rows.shape[1]}
    coordinates = near.of_all(found, 0)
    if near.zero.size:
        coordinates[near.zero] = beside(places, places.shape[1])
    return TransformResult(
        coordinates=coordinates,
        distances=near.of_all(float32(near.distances[:, 0]), 1),
        nearest_rows=near.of_all(first[near.nearest].astype(np.int32), -1),
        far_rows=near.kept[near.far(call.far_distance)],
        far_distance=call.far_distance,
        zero_rows=near.zero,
        used={
            "method": call.method,
            "metric": call.metric,
            "placed_by": "loadings" if by_loadings else "neighbors",
            "search": "exact" if search is nearest else "lists",
            **used,
        },
        adjustments=told,
    )


def _search(call: Transform, arrays: Mapping[str, NDArray[Any]]) -> tuple[Search, tuple[Adjustment, ...]]:
    """How neighbours are looked for: as asked, where that is quicker."""
    if not call.approximate:
        return nearest, ()
    new, fitted = len(arrays["source"]), len(arrays["fitted_rows"])
    if pays(new, fitted, call.metric):
        return approximate_nearest, ()
    why = f"to look for {new} rows among {fitted} exactly is as quick"
    return nearest, (Adjustment("approximate", "true", "false", why),)


def neighbors_of(call: Transform) -> int:
    """How many fitted rows speak for a new one: on a map of t-SNE, which looks at many, as many as on UMAP's usual."""
    return min(call.n_neighbors, NEIGHBORS) if call.method == "tsne" else call.n_neighbors


def drawn(near: Nearby, places: Floats, metric: str, far_distance: float | None) -> Floats:
    """Places float32 [p, c] of new rows on a map whose fitted rows lie at `places` [m, c]."""
    weights, closeness = near.weights(), _closeness(near.distances, metric, far_distance)
    columns = places.T.astype(np.float64, order="C")  # sums along rows of memory
    spread = float(np.sqrt(columns.var(axis=1).sum())) or 1.0
    found = np.empty((len(near.rows), places.shape[1]), dtype=np.float32)

    def place(at: slice) -> None:
        ones: list[NDArray[Any]] = [near.rows[at], weights[at], near.same[at], closeness[at]]
        sizes = spread * _SMOOTHING, spread * _SCALE, spread * _TOLERANCE
        kernels.place(fixed(places), *map(fixed, ones), *sizes, _STEPS, found[at])

    by_rows(place, len(found))
    return found


def _closeness(
    distances: NDArray[np.float64], metric: str, far_distance: float | None
) -> NDArray[np.float64]:
    """How far the nearest row is, as a multiple of where it has a place to itself: float64 [p].

    Cosine distances are squares; the others are squared, so that maps of unit rows are alike under all metrics.
    """
    # Without a far distance, as of two rows, the row's own neighbours say what is far.
    far = distances[:, -1] if not far_distance else np.full(len(distances), far_distance)
    ratio = np.divide(distances[:, 0], far, out=np.zeros(len(far)), where=far > 0)
    return (ratio if metric == "cosine" else ratio**2) / _OWN
