"""Similarities and distances, many at a time, exactly: as `vectors.similarity`, and manhattan by a kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.background import compared
from penult_service.analysis.calls import Similarity
from penult_service.analysis.progress import counting
from penult_service.analysis.results import SimilarityResult
from penult_service.vectors import in_float32, pair_similarity, similarity

Floats = NDArray[np.float32]

_BLOCK = 1 << 21  # scores that are worked on at a time
_STEP = 32


def compute(
    call: Similarity, a: Floats, b: Floats | None = None, background: Floats | None = None
) -> SimilarityResult:
    """Scores of the rows of a [n, d] against those of b [m, d] (absent: a), or of pairs of rows (b as long as a).

    What is usual is said by the rows of `background` [u, d], absent: by a and b. Tells the stage scores (`progress`).
    """
    a, b, usual = compared(a, b, background, call.metric, call.center)
    b = a if b is None else b
    scores = pair_similarity(a, b, call.metric) if call.pairs else matrix(a, b, call.metric)
    return SimilarityResult(scores, usual)


def matrix(a: Floats, b: Floats, metric: str) -> Floats:
    """Scores float32 [n, m] of rows a [n, d] against rows b [m, d], block by block of a.

    Tells the stage scores, in rows of a.
    """
    more = counting("scores", len(a))
    scores = np.empty((len(a), len(b)), dtype=np.float32)
    step = max(1, _BLOCK // max(1, len(b)))
    for start in range(0, len(a), step):
        block = a[start : start + step]
        scores[start : start + step] = (
            _manhattan(block, b) if metric == "manhattan" else similarity(block, b, metric)
        )
        more(len(block))
    return scores


def _manhattan(a: Floats, b: Floats) -> Floats:
    # Only here: numba takes a second to import, and the other metrics do without.
    from penult_service.analysis.search import kernels
    from penult_service.analysis.search.rough import Threads, fixed

    x, y = (fixed(np.ascontiguousarray(side, dtype=np.float32)) for side in (a, b))
    tile = np.empty((len(x), len(y)))
    with Threads() as threads:
        threads.each(lambda rows: kernels.absolute_tile(x[rows], y, tile[rows]), slice(0, len(x)), _STEP)
    return in_float32(tile)
