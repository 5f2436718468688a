"""Fewer dimensions before clustering: density means little in hundreds of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis import umap_fit
from penult_service.analysis.components import principal
from penult_service.analysis.neighbours import graph
from penult_service.analysis.results import Adjustment
from penult_service.analysis.rows import distinct, unit_rows

Floats = NDArray[np.float32]

DIMENSIONS = {"umap": 5, "pca": 50}
_NEIGHBORS = 15


def reduced(
    rows: Floats, kind: str, dimensions: int | None, metric: str, seed: int
) -> tuple[Floats, str, tuple[Adjustment, ...]]:
    """Rows float32 [n, d] in fewer dimensions, how that was done (none, umap or pca), and what was not as asked.

    `umap` is a UMAP with min_dist 0, as clustering wants it; of too few distinct rows the rows themselves are taken.
    `pca` gives at most as many dimensions as there are. Under cosine rows are scaled to unit length first.
    """
    straight = unit_rows(rows) if metric == "cosine" else rows
    if kind == "none":
        return straight, "none", ()
    wanted = dimensions or DIMENSIONS[kind]
    if kind == "pca":
        count = min(wanted, rows.shape[1], len(rows))
        told = _fewer(dimensions, count, "that is as many as the rows have")
        return principal(straight, count)[0], "pca", told
    among = distinct(rows)
    count = len(among.rows)
    least = umap_fit.least_rows(1)
    if count < least:
        why = f"there are {count} distinct rows, umap needs {least}"
        return straight, "none", (Adjustment("reduction", "umap", "none", why),)
    n_components = min(wanted, count + 1 - least)
    made = graph(among.rows, min(_NEIGHBORS, count - 1), metric)
    places = umap_fit.fit(among.rows, made, metric, n_components=n_components, min_dist=0.0, seed=seed)
    told = _fewer(wanted, n_components, f"there are {count} distinct rows")
    return places[among.inverse], "umap", told


def _fewer(asked: int | None, used: int, why: str) -> tuple[Adjustment, ...]:
    if asked is None or asked <= used:
        return ()
    return (Adjustment("reduced_dimensions", str(asked), str(used), why),)
