"""Clusters of rows: k-means, agglomerative, HDBSCAN, Gaussian mixtures; from the largest down, told how good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis import cluster_quality
from penult_service.analysis.agglomerative import merged
from penult_service.analysis.calls import Cluster, settled
from penult_service.analysis.fitting import Fitting, fitting
from penult_service.analysis.progress import counting, heard, iterations_printed, tell
from penult_service.analysis.projection import lowered
from penult_service.analysis.reduction import Reduced, reduce
from penult_service.analysis.results import Adjustment, ClusterResult
from penult_service.analysis.rows import blocks

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
Found = tuple[Labels, dict[str, Any], tuple[Adjustment, ...]]

N_CLUSTERS, MIN_SAMPLES = 8, 5
_NEAREST = 5
_STARTS = 3  # of k-means, the best of which counts
_REGULARISATION = 1e-3  # of the mean variance: a component of one row, or of equal ones, has a width


def cluster(
    call: Cluster,
    source: NDArray[Any],
    labels: NDArray[np.int32] | None = None,
    arrays: Mapping[str, NDArray[Any]] = MappingProxyType({}),
) -> ClusterResult:
    """Clusters of finite rows float32 [n, d], n at least 1; labels int32 [n] to compare with; more `arrays` as of
    `calls`.

    Equal rows are in one cluster. All-zero rows under cosine are in none. The same rows and seed give the same bytes
    at any number of threads. More clusters than distinct rows, and whatever else does not suit the rows, is lowered
    and told.

    Tells its stages (`progress`): rows; those of a reduction; clusters (agglomerative: distances, merges); quality;
    labels.
    """
    tell("rows")
    call = settled(call)
    fitted = fitting(source, call.metric)
    found, used, adjustments = _found(call, fitted)
    numbered = _from_largest(found)
    clusters = _of_all(fitted, numbered)
    sizes = np.bincount(numbered[numbered >= 0]).astype(np.int32)
    rows = fitted.all_rows
    silhouettes = cluster_quality.silhouettes(rows, numbered, call.metric)
    near = _nearest(rows, numbered, len(sizes), call.metric)
    if labels is not None:
        tell("labels")
    return ClusterResult(
        labels=clusters,
        sizes=sizes,
        nearest=np.append(fitted.kept, -1)[near].astype(np.int32),
        zero_rows=fitted.zero,
        silhouette=silhouettes.mean,
        silhouette_rows=silhouettes.rows,
        silhouettes=silhouettes.of_each,
        noise_share=float(np.mean(clusters < 0)),
        used={"method": call.method, "metric": call.metric, **used},
        agreement={} if labels is None else cluster_quality.agreement(clusters, labels),
        adjustments=adjustments,
    )


def labels_of(call: Cluster, source: NDArray[Any]) -> tuple[NDArray[np.int32], tuple[Adjustment, ...]]:
    """The labels of `cluster` alone, int32 [n], with what was not used as asked: for whom quality is nothing."""
    call = settled(call)
    fitted = fitting(source, call.metric)
    found, _, adjustments = _found(call, fitted)
    return _of_all(fitted, _from_largest(found)), adjustments


def _of_all(fitted: Fitting, numbered: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels of the kept rows as those of all; rows left out are in no cluster."""
    clusters = np.full(len(fitted.kept) + len(fitted.zero), -1, dtype=np.int32)
    clusters[fitted.kept] = numbered
    return clusters


def _found(call: Cluster, fitted: Fitting) -> Found:
    """Labels of the kept rows in any numbering, noise -1."""
    size = len(fitted.rows)
    if call.method == "hdbscan":
        return _dense(call, fitted) if size else (np.empty(0, np.int64), {"noise": call.noise}, ())
    why = "there is 1 distinct row" if size == 1 else f"there are {size} distinct rows"
    count, told = lowered("n_clusters", call.n_clusters or N_CLUSTERS, size, why)
    used: dict[str, Any] = {"n_clusters": count}
    if count <= 1:
        return np.zeros(len(fitted.inverse), dtype=np.int64), used, told
    if count == size:
        return fitted.inverse.astype(np.int64), used, told
    reduced = reduce(call, fitted)
    found, more = _METHODS[call.method](call, reduced, fitted, count)
    # Equal rows are one: a row's sums may round otherwise at another place of the matrix.
    found = found[fitted.first][fitted.inverse]
    used["n_clusters"] = len(np.unique(found))
    if used["n_clusters"] < count:
        emptied = Adjustment("n_clusters", str(count), str(used["n_clusters"]), "the others came out empty")
        told = (*told, emptied)
    return found, {**used, **reduced.used, **more}, (*told, *reduced.adjustments)


def _kmeans(call: Cluster, reduced: Reduced, fitted: Fitting, count: int) -> tuple[Labels, dict[str, Any]]:
    from sklearn.cluster import KMeans

    more, weights = counting("clusters", _STARTS), fitted.counts.astype(np.float32)
    # One state of random numbers for all: as n_init=_STARTS draws them, and chooses.
    random = np.random.RandomState(call.seed)
    best: Any = None
    # Its threads add up centres in whatever order: one.
    with threadpool_limits(1):
        for _ in range(_STARTS):
            model = KMeans(count, n_init=1, random_state=random).fit(reduced.rows, sample_weight=weights)
            if best is None or (model.inertia_ < best.inertia_ and not _same(model.labels_, best.labels_)):
                best = model
            more(1)
    return best.labels_[fitted.inverse].astype(np.int64), {"seed": call.seed}


def _same(labels: Labels, others: Labels) -> bool:
    """Whether both are the same clusters, however numbered: a better sum is then a matter of rounding."""
    return bool((_from_largest(labels) == _from_largest(others)).all())


def _agglomerative(
    call: Cluster, reduced: Reduced, fitted: Fitting, count: int
) -> tuple[Labels, dict[str, Any]]:
    linkage = call.linkage or ("average" if reduced.metric == "manhattan" else "ward")
    used = {"linkage": linkage}
    if reduced.used["reduction"] == "umap":
        used["seed"] = str(call.seed)
    return merged(reduced.rows[fitted.inverse], count, linkage, reduced.metric), used


def _gaussian_mixture(
    call: Cluster, reduced: Reduced, fitted: Fitting, count: int
) -> tuple[Labels, dict[str, Any]]:
    from sklearn.mixture import GaussianMixture

    rows = reduced.rows[fitted.inverse].astype(np.float64)
    rows -= rows.mean(axis=0)
    rows /= np.sqrt(np.mean(rows**2)) or 1.0
    model = GaussianMixture(
        count,
        covariance_type=COVARIANCE,
        reg_covar=_REGULARISATION,
        random_state=call.seed,
        verbose=int(heard()),
        verbose_interval=1,
    )
    with threadpool_limits(1), iterations_printed("clusters"):
        found = model.fit_predict(rows)
    return found.astype(np.int64), {"covariance_type": COVARIANCE, "seed": call.seed}


COVARIANCE = "tied"
_METHODS: dict[str, Callable[[Cluster, Reduced, Fitting, int], tuple[Labels, dict[str, Any]]]] = {
    "kmeans": _kmeans,
    "agglomerative": _agglomerative,
    "gaussian_mixture": _gaussian_mixture,
}


def _dense(call: Cluster, fitted: Fitting) -> Found:
    """HDBSCAN (Campello, Moulavi and Sander 2013); noise as asked."""
    from sklearn.cluster import HDBSCAN

    size = len(fitted.inverse)
    why = f"there are {size} rows"
    wanted = call.min_cluster_size or max(5, round(size / 200))
    least, told = lowered("min_cluster_size", wanted, max(2, size), why)
    samples, more = lowered("min_samples", call.min_samples or MIN_SAMPLES, size, why)
    used = {"min_cluster_size": least, "min_samples": samples, "noise": call.noise}
    if len(fitted.rows) < 2:
        return np.full(size, -1, dtype=np.int64), used, (*told, *more)
    reduced = reduce(call, fitted)
    rows = reduced.rows[fitted.inverse].astype(np.float64)
    metric = "manhattan" if reduced.metric == "manhattan" else "euclidean"
    tell("clusters")
    with threadpool_limits(1):
        labels = (
            HDBSCAN(min_cluster_size=least, min_samples=samples, metric=metric, copy=True).fit(rows).labels_
        )
    found = np.maximum(labels.astype(np.int64), -1)[fitted.first][fitted.inverse]
    if call.noise == "nearest":
        found = _nearest_cluster(reduced.rows[fitted.inverse], found, reduced.metric)
    if reduced.used["reduction"] == "umap":
        used["seed"] = call.seed
    return found, {**used, **reduced.used}, (*told, *more, *reduced.adjustments)


def _nearest_cluster(rows: Floats, labels: Labels, metric: str) -> Labels:
    """Noise put to the cluster with the nearest centre, where there are clusters."""
    names, inside = np.unique(labels[labels >= 0], return_inverse=True)
    noise = np.flatnonzero(labels < 0)
    if not len(names) or not len(noise):
        return labels
    centres = _centres(rows[labels >= 0], inside, len(names))
    result = labels.copy()
    for block in blocks(len(noise), 8 * centres.size):
        lines = rows[noise[block]]
        far = np.stack([_distances(lines, centre, metric) for centre in centres], axis=1)
        result[noise[block]] = names[far.argmin(axis=1)]
    return result


def _from_largest(labels: Labels) -> NDArray[np.int32]:
    """Numbered from the largest cluster (0) down, equal ones by their first row; noise stays -1."""
    names, first, inverse, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -sizes))
    order = order[names[order] >= 0]
    rank = np.full(len(names), -1, dtype=np.int32)
    rank[order] = np.arange(len(order))
    return np.asarray(rank[inverse], dtype=np.int32)


def _nearest(rows: Floats, labels: NDArray[np.int32], count: int, metric: str) -> NDArray[np.int64]:
    """Up to five rows of each cluster, nearest to the mean of its rows first: [count, 5], -1 where there are fewer."""
    nearest = np.full((count, _NEAREST), -1, dtype=np.int64)
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(count + 1))
    for number in range(count):
        members = order[starts[number] : starts[number + 1]]
        lines = rows[members]
        far = _distances(lines, lines.mean(axis=0, dtype=np.float64), metric)
        best = members[np.argsort(far, kind="stable")[:_NEAREST]]
        nearest[number, : len(best)] = best
    return nearest


def _centres(rows: Floats, labels: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    return np.stack([rows[labels == number].mean(axis=0, dtype=np.float64) for number in range(count)])


def _distances(rows: Floats, centre: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """Of rows [b, d] from a centre [d], in the order of the metric; cosine rows have unit length."""
    if metric == "cosine":
        return -np.einsum("ij,j->i", rows, centre) / (float(np.sqrt(centre @ centre)) or 1.0)
    if metric == "manhattan":
        return np.abs(rows - centre).sum(axis=1)
    return np.asarray(((rows - centre) ** 2).sum(axis=1))
