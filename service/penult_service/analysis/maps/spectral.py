"""Where the rows of a UMAP start: the spectral layout of its graph (Belkin and Niyogi 2003).

As `umap.spectral` does it, but that everything random has our seed (SciPy's eigensolver draws a new start where
it meets an invariant subspace), and that graphs in any number of parts have a start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, eigsh

from penult_service.analysis.maps.pca import components

Places = NDArray[np.float64]

_DENSE = 256  # rows up to which all eigenvectors are computed
_SUBSPACE, _TOLERANCE = 60, 1e-5
# Of the eigensolver; a graph that needs more has no gap, and starts from principal components.
_RESTARTS = 100


def spectral_places(
    rows: NDArray[np.float32], graph: Any, dimensions: int, random: np.random.RandomState
) -> Places:
    """Places [m, dimensions] of the rows of a symmetric graph [m, m]; never NaN. BLAS has to have one thread."""
    parts, part = connected_components(graph, directed=False)
    if parts == 1:
        places = _connected(graph, dimensions, random)
    else:
        places = _in_parts(rows, graph.tocsr(), part, parts, dimensions, random)
    if places is None or not np.isfinite(places).all() or not np.abs(places).max() > 0:
        places = components(rows, dimensions, np.ones(len(rows))).coordinates.astype(np.float64)
    return places


def _connected(graph: Any, dimensions: int, random: np.random.RandomState) -> Places | None:
    """The eigenvectors of the normalised Laplacian after the first; None where they do not converge."""
    size = graph.shape[0]
    degrees = np.sqrt(np.asarray(graph.sum(axis=0)).reshape(-1))
    scale = scipy.sparse.diags_array(1.0 / degrees)
    # The Laplacian is 1 - this, so its smallest eigenvalues are the largest here, where Lanczos is at home: with a
    # tolerance of their own size the small ones take ten times as long to settle.
    adjacency = (scale @ graph @ scale).tocsr().astype(np.float64)
    count = dimensions + 1
    if size <= max(_DENSE, 2 * count + 1):
        laplacian = np.eye(size) - adjacency.toarray()
        _, vectors = scipy.linalg.eigh(laplacian, subset_by_index=[0, min(count, size) - 1])
        return _padded(vectors[:, 1:], dimensions)
    random.normal(size=(size, count))  # as umap-learn draws them, so that what comes after is drawn alike
    try:
        values, vectors = eigsh(
            adjacency, count, which="LA", ncv=max(2 * count + 1, _SUBSPACE), tol=_TOLERANCE,
            v0=np.ones(size), maxiter=_RESTARTS, rng=np.random.default_rng(0),
        )  # fmt: skip
    except ArpackError:
        return None
    return np.asarray(vectors[:, np.argsort(-values)[1:count]])


def _in_parts(
    rows: NDArray[np.float32],
    graph: Any,
    part: NDArray[np.int32],
    parts: int,
    dimensions: int,
    random: np.random.RandomState,
) -> Places:
    """Each part around the principal components of its mean, reaching half way to the next one."""
    sizes = np.bincount(part, minlength=parts)
    order = np.argsort(part, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    means = np.add.reduceat(rows[order], starts[:-1], axis=0) / sizes[:, None].astype(np.float32)
    centres = components(means, dimensions, np.ones(parts)).coordinates.astype(np.float64)
    reach = _reach(centres)
    sorted_graph = graph[order][:, order]
    places = np.empty((len(rows), dimensions))
    for number in range(parts):
        own = slice(starts[number], starts[number + 1])
        inner = None
        if sizes[number] > dimensions + 1:
            inner = _connected(sorted_graph[own, own], dimensions, random)
        if inner is None or not np.abs(inner).max() > 0:
            inner = random.uniform(-1, 1, size=(sizes[number], dimensions))
        places[order[own]] = centres[number] + inner * (reach[number] / np.abs(inner).max())
    return places


def _reach(centres: Places) -> Places:
    """Half the distance of each centre to its nearest other."""
    from scipy.spatial import KDTree

    nearest = KDTree(centres).query(centres, k=2)[0][:, 1]
    span = float(np.ptp(centres, axis=0).max()) or 1.0
    return np.maximum(nearest / 2, span * 1e-3)


def _padded(places: Places, dimensions: int) -> Places:
    missing = dimensions - places.shape[1]
    return np.pad(places, ((0, 0), (0, max(0, missing))))
