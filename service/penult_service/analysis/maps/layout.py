"""The layout of a UMAP (McInnes, Healy and Melville 2018): the same bytes at any number of threads.

umap-learn draws edges one after the other, each from the places that the one before has left: with a seed on one
thread. Here an epoch reads the places that the epoch before has left and writes new ones, so its rows are any thread's;
each row has the pulls of both directions of its edges and the pushes of its own strangers, and these are drawn by a
hash of seed, epoch, edge and number. As a row meets its neighbours where they were, not where they are, steps are
hotter than umap-learn's; they shrink with the third power of the epochs left, not the first, and no row goes farther
than a few times the way that its edges pull it. ADR 015 has the figures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.maps import layout_kernels
from penult_service.analysis.progress import tell
from penult_service.analysis.search.rough import Threads, fixed

Floats = NDArray[np.float32]

_COOLING = 3
_PART_ROWS = 1_024  # at least, for a thread: fewer are done sooner than handed over
_TOLD = 100  # times, of all epochs


def laid_out(
    start: Floats, strengths: Any, epochs: int, a: float, b: float, seed: int, step: float = 1.0
) -> Floats:
    """Places float32 [m, c] after `epochs` from `start` float32 [m, c].

    Args:
        start: UMAP's is a box of side 10.
        strengths: A symmetric sparse matrix [m, m] of numbers above 0, those of the edges.
        epochs: At least 1.
        a: With `b` the curve of distances on the map, 1 / (1 + a d^2b).
        b: See `a`.
        seed: 0 to 2^32 - 1.
        step: How far the first epoch goes; umap-learn's `learning_rate`.

    Tells the stage layout, in epochs.
    """
    graph = strengths.tocsr()
    graph.sort_indices()
    largest = float(graph.data.max(initial=0)) or 1.0
    edges = (
        fixed(graph.indptr.astype(np.int64)),
        fixed(graph.indices.astype(np.uint32)),
        fixed((graph.data / largest).astype(np.float32)),
    )
    old = np.ascontiguousarray(start, dtype=np.float32).copy()
    new, curve = np.empty_like(old), (np.float32(a), np.float32(b))
    every = -(-epochs // _TOLD)
    tell("layout", 0, epochs)
    with Threads() as threads:
        parts = min(2 * threads.count if threads.count > 1 else 1, len(old) // _PART_ROWS)
        part = -(-len(old) // max(1, parts))
        for epoch in range(1, epochs + 1):
            alpha = np.float32(step * (1 - (epoch - 1) / epochs) ** _COOLING)
            places = fixed(old), new

            def move(
                rows: slice,
                epoch: int = epoch,
                alpha: np.float32 = alpha,
                places: tuple[Floats, Floats] = places,
            ) -> None:
                layout_kernels.move_rows(
                    rows.start, rows.stop, epoch, np.uint32(seed), *places, *edges, alpha, *curve
                )

            if parts > 1:
                threads.each(move, slice(0, len(old)), part)
            else:
                move(slice(0, len(old)))
            old, new = new, old
            if epoch % every == 0 or epoch == epochs:
                tell("layout", epoch, epochs)
    return old
