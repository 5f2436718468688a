"""Clusters of rows, by scikit-learn, made repeatable: the same bytes at any number of threads.

HDBSCAN in hundreds of dimensions finds noise; on a UMAP of five it finds topics (BERTopic's recipe, Grootendorst 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis import quality
from penult_service.analysis.calls import Cluster
from penult_service.analysis.reduction import reduced
from penult_service.analysis.results import Adjustment, ClusterResult
from penult_service.analysis.rows import distinct, unit_rows, zero_rows
from penult_service.errors import InvalidInput
from penult_service.vectors import similarity

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]

N_CLUSTERS, MIN_SAMPLES = 8, 5
HDBSCAN_LEAST = 5
NEAREST = 5
_STARTS = 4  # k-means from so many starts, the best is kept
_REGULAR = 1e-4  # of the mean variance, added to each: a mixture of equal rows has none


def cluster(call: Cluster, source: Floats, labels: Labels | None = None) -> ClusterResult:
    """Clusters of the rows of `source` [n, d]; see `ClusterResult`. `labels` [n] are codes.

    Raises:
        InvalidInput: too few rows for hdbscan (TOO_FEW_ROWS).
    """
    source = np.ascontiguousarray(source, dtype=np.float32)
    zero = zero_rows(source) if call.metric == "cosine" else np.empty(0, np.int32)
    kept = np.delete(np.arange(len(source), dtype=np.int32), zero)
    rows = source if not zero.size else source[kept]
    found = np.full(len(source), -1, np.int32)
    used: dict[str, Any] = {"method": call.method, "metric": call.metric}
    told: tuple[Adjustment, ...] = ()
    if len(rows):
        with threadpool_limits(1):
            made = _clustered(call, rows)
        found[kept] = _by_size(made.labels)
        used, told = {**used, **made.used}, made.told
    sizes = np.bincount(found[found >= 0]).astype(np.int32)
    straight = unit_rows(source) if call.metric == "cosine" else source
    silhouette, silhouette_rows = quality.silhouette(source, found, call.metric)
    return ClusterResult(
        labels=found,
        sizes=sizes,
        nearest=_nearest(straight, found, len(sizes), call.metric),
        zero_rows=zero,
        silhouette=silhouette,
        silhouette_rows=silhouette_rows,
        noise_share=float(np.mean(found < 0)),
        used=used,
        agreement=quality.agreement(found, labels) if labels is not None else {},
        adjustments=told,
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """Labels [n] as the method numbers them, the parameters used, and what was not as asked."""

    labels: NDArray[Any]
    used: dict[str, Any]
    told: tuple[Adjustment, ...]


def _clustered(call: Cluster, rows: Floats) -> _Found:
    default = {"hdbscan": "umap", "gaussian_mixture": "pca"}.get(call.method, "none")
    if call.method == "hdbscan" and len(rows) < HDBSCAN_LEAST:
        raise InvalidInput(
            f"hdbscan needs at least {HDBSCAN_LEAST} rows (that are not all zero), there are {len(rows)};"
            " use kmeans or agglomerative",
            reason="TOO_FEW_ROWS",
            field="source",
            metadata={"rows": str(len(rows)), "least": str(HDBSCAN_LEAST)},
        )
    asked = call.reduction or default
    space, reduction, told = reduced(rows, asked, call.reduced_dimensions, call.metric, call.seed)
    # Places on a UMAP, and principal components, are compared as the crow flies, whatever the rows were.
    metric = call.metric if reduction == "none" else "euclidean"
    how = {
        "kmeans": _kmeans,
        "agglomerative": _agglomerative,
        "hdbscan": _hdbscan,
        "gaussian_mixture": _mixture,
    }[call.method]
    found = how(call, space, metric)
    about = {"reduction": reduction, "seed": call.seed}
    if reduction != "none":
        about["reduced_dimensions"] = space.shape[1]
    return _Found(found.labels, {**found.used, **about}, told + found.told)


def _kmeans(call: Cluster, space: Floats, metric: str) -> _Found:
    """Lloyd's k-means from k-means++ starts (Arthur and Vassilvitskii 2007); cosine rows have unit length by now."""
    del metric
    from sklearn.cluster import KMeans

    count, told = _possible(call, space)
    model = KMeans(count, n_init=_STARTS, random_state=call.seed)
    return _Found(model.fit(space).labels_, {"n_clusters": count}, told)


def _agglomerative(call: Cluster, space: Floats, metric: str) -> _Found:
    from sklearn.cluster import AgglomerativeClustering

    linkage = call.linkage or ("average" if metric == "manhattan" else "ward")
    # Of unit rows the squared euclidean distance is twice that of cosine, so Ward's is about cosine too.
    how = "euclidean" if linkage == "ward" else metric
    count, told = _possible(call, space)
    used = {"n_clusters": count, "linkage": linkage}
    if len(space) < 2:
        return _Found(np.zeros(len(space), np.int32), used, told)
    model = AgglomerativeClustering(count, metric=how, linkage=linkage)
    return _Found(model.fit(np.asarray(space, np.float64)).labels_, used, told)


def _hdbscan(call: Cluster, space: Floats, metric: str) -> _Found:
    """HDBSCAN (Campello, Moulavi and Sander 2013)."""
    from sklearn.cluster import HDBSCAN

    n = len(space)
    asked_size = call.min_cluster_size or max(5, round(n / 200))
    asked_samples = call.min_samples or MIN_SAMPLES
    size, samples = min(asked_size, n), min(asked_samples, n - 1)
    told = tuple(
        Adjustment(name, str(asked), str(used), f"there are {n} rows")
        for name, asked, used in (
            ("min_cluster_size", call.min_cluster_size, size),
            ("min_samples", call.min_samples, samples),
        )
        if asked is not None and asked != used
    )
    # Unit rows: euclidean distances are in the order of cosine's, and have a tree.
    how = "euclidean" if metric == "cosine" else metric
    model = HDBSCAN(size, min_samples=samples, metric=how, copy=True)
    labels = model.fit(np.asarray(space, np.float64)).labels_
    used = {"min_cluster_size": size, "min_samples": samples, "noise": call.noise}
    if call.noise == "nearest" and (labels < 0).any() and (labels >= 0).any():
        labels = _without_noise(space, labels)
    return _Found(labels, used, told)


def _mixture(call: Cluster, space: Floats, metric: str) -> _Found:
    """A mixture of Gaussians with a covariance of their own along the axes, begun by k-means."""
    del metric
    from sklearn.mixture import GaussianMixture

    count, told = _possible(call, space)
    used = {"n_clusters": count, "covariance": "diagonal"}
    if len(space) < 2:
        return _Found(np.zeros(len(space), np.int32), used, told)
    wide = space.astype(np.float64)
    wide = (wide - wide.mean(axis=0)) / (float(wide.std()) or 1.0)
    model = GaussianMixture(count, covariance_type="diag", reg_covar=_REGULAR, random_state=call.seed)
    return _Found(model.fit_predict(wide), used, told)


def _possible(call: Cluster, space: Floats) -> tuple[int, tuple[Adjustment, ...]]:
    """How many clusters there can be: one a distinct row at most."""
    asked = N_CLUSTERS if call.n_clusters is None else call.n_clusters
    count = len(space) if asked > len(space) else asked
    if asked > 1:
        count = min(asked, len(distinct(space).rows))
    if count == asked:
        return count, ()
    return count, (Adjustment("n_clusters", str(asked), str(count), f"there are {count} distinct rows"),)


def _by_size(labels: NDArray[Any]) -> Labels:
    """Clusters numbered anew: the largest is 0, of equal ones that with the first row; noise stays -1."""
    numbers, first, inverse, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    clusters = np.flatnonzero(numbers >= 0)
    order = clusters[np.lexsort((first[clusters], -sizes[clusters]))]
    rank = np.full(len(numbers), -1, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank[inverse]


def _without_noise(space: Floats, labels: NDArray[Any]) -> NDArray[Any]:
    count = int(labels.max()) + 1
    centres = np.stack([space[labels == c].mean(axis=0, dtype=np.float64) for c in range(count)])
    noise = labels < 0
    filled = labels.copy()
    filled[noise] = similarity(space[noise], centres.astype(np.float32), "euclidean").argmin(axis=1)
    return filled


def _nearest(rows: Floats, labels: Labels, count: int, metric: str) -> Labels:
    """Row numbers int32 [clusters, NEAREST] nearest to each centre, nearest first, -1 where there are fewer."""
    nearest = np.full((count, NEAREST), -1, np.int32)
    for number in range(count):
        members = np.flatnonzero(labels == number)
        centre = rows[members].mean(axis=0, dtype=np.float64)[None]
        how = "manhattan" if metric == "manhattan" else "euclidean"
        far = similarity(rows[members], centre.astype(np.float32), how)[:, 0]
        first = members[np.argsort(far, kind="stable")[:NEAREST]]
        nearest[number, : len(first)] = first
    return nearest
