"""Clusters of rows, found in the space where they are looked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import Cluster
from penult_service.analysis.clusters.agglomerative import merged
from penult_service.analysis.clusters.choosing import choose
from penult_service.analysis.clusters.description import centres_of, distances
from penult_service.analysis.clusters.methods import COVARIANCE, STARTS, hdbscan, kmeans, mixture
from penult_service.analysis.clusters.reduction import Reduced, reduce
from penult_service.analysis.fitting import Fitting
from penult_service.analysis.maps.projection import lowered
from penult_service.analysis.progress import counting, tell
from penult_service.analysis.results import Adjustment
from penult_service.analysis.rows import blocks

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
Arrays = Mapping[str, NDArray[Any]]

N_CLUSTERS, MIN_SAMPLES = 8, 5
_LEAST_TO_CHOOSE = 3  # distinct rows: two clusters of them have a silhouette


@dataclass(frozen=True, eq=False)
class Found:
    """Clusters of p rows.

    Attributes:
        labels: int64 [p], in any numbering, noise -1.
        used, adjustments: As of `results.ClusterResult`.
        reduced: What they were found on; None where nothing had to be looked for.
        curve: Numbers of clusters that were tried, with their silhouettes.
        moved: bool [p], noise that went to the nearest cluster.
    """

    labels: Labels
    used: dict[str, Any]
    adjustments: tuple[Adjustment, ...] = ()
    reduced: Reduced | None = None
    curve: tuple[tuple[int, float], ...] = ()
    moved: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))


def find(call: Cluster, fitted: Fitting, arrays: Arrays) -> Found:
    """Clusters of the kept rows, as a settled call asks for them; equal rows are in one."""
    if call.method == "hdbscan":
        return _dense(call, fitted, arrays)
    size = len(fitted.rows)
    why = "there is 1 distinct row" if size == 1 else f"there are {size} distinct rows"
    reduced: Reduced | None = None
    curve: tuple[tuple[int, float], ...] = ()
    tried: dict[str, Any] = {}
    if not call.auto:
        count, told = lowered("n_clusters", call.n_clusters or N_CLUSTERS, size, why)
    elif size < _LEAST_TO_CHOOSE:
        count, told = min(1, size), (Adjustment("auto", "true", "false", f"{why}, which have no silhouette"),)
    else:
        reduced, told = reduce(call, fitted, arrays), ()
        choice = choose(call, reduced.rows, fitted.counts, reduced.metric, linkage_of(call, reduced))
        count, curve = choice.count, choice.curve
        tried = {"criterion": "silhouette", "auto_rows": choice.rows}
    used: dict[str, Any] = {"n_clusters": count, **tried}
    if count <= 1:
        return Found(np.zeros(len(fitted.inverse), dtype=np.int64), used, told)
    if count == size:
        return Found(fitted.inverse.astype(np.int64), used, told)
    reduced = reduced or reduce(call, fitted, arrays)
    labels, more = _divided(call, reduced, fitted, count)
    # Equal rows are one: a row's sums may round otherwise at another place of the matrix.
    labels = labels[fitted.first][fitted.inverse]
    used["n_clusters"] = len(np.unique(labels))
    if used["n_clusters"] < count:
        emptied = Adjustment("n_clusters", str(count), str(used["n_clusters"]), "the others came out empty")
        told = (*told, emptied)
    used = {**used, **reduced.used, **more}
    return Found(labels, used, (*told, *reduced.adjustments), reduced, curve)


def linkage_of(call: Cluster, reduced: Reduced) -> str:
    """Which clusters an agglomerative step merges: as asked, or as suits the distances."""
    return call.linkage or ("average" if reduced.metric == "manhattan" else "ward")


def _divided(call: Cluster, reduced: Reduced, fitted: Fitting, count: int) -> tuple[Labels, dict[str, Any]]:
    """Labels of the kept rows in `count` clusters at most, and what was used."""
    match call.method:
        case "agglomerative":
            linkage = linkage_of(call, reduced)
            used: dict[str, Any] = {"linkage": linkage}
            if reduced.used["reduction"] == "umap":
                used["seed"] = call.seed
            return merged(reduced.rows[fitted.inverse], count, linkage, reduced.metric), used
        case "gaussian_mixture":
            used = {"covariance_type": COVARIANCE, "seed": call.seed}
            return mixture(reduced.rows[fitted.inverse], count, call.seed, stage="clusters"), used
        case _:
            more = counting("clusters", STARTS)
            labels = kmeans(reduced.rows, count, fitted.counts, call.seed, STARTS, more)
            return labels[fitted.inverse], {"seed": call.seed}


def _dense(call: Cluster, fitted: Fitting, arrays: Arrays) -> Found:
    """HDBSCAN; noise as asked."""
    size = len(fitted.inverse)
    if not size:
        return Found(np.empty(0, np.int64), {"noise": call.noise})
    why = f"there {'are' if size > 1 else 'is'} {size} row{'s' if size > 1 else ''}"
    wanted = call.min_cluster_size or max(5, round(size / 200))
    least, told = lowered("min_cluster_size", wanted, max(2, size), why)
    samples, more = lowered("min_samples", call.min_samples or MIN_SAMPLES, size, why)
    used: dict[str, Any] = {"min_cluster_size": least, "min_samples": samples, "noise": call.noise}
    if len(fitted.rows) < 2:
        return Found(np.full(size, -1, dtype=np.int64), used, (*told, *more))
    reduced = reduce(call, fitted, arrays)
    tell("clusters")
    found = hdbscan(reduced.rows[fitted.inverse], least, samples, reduced.metric)
    found = found[fitted.first][fitted.inverse]
    moved = np.zeros(size, dtype=np.bool_)
    if call.noise == "nearest" and (found >= 0).any():
        moved = found < 0
        found = _to_nearest(found, reduced, fitted)
    if reduced.used["reduction"] == "umap":
        used["seed"] = call.seed
    told = (*told, *more, *reduced.adjustments)
    return Found(found, {**used, **reduced.used}, told, reduced, moved=moved)


def _to_nearest(found: Labels, reduced: Reduced, fitted: Fitting) -> Labels:
    """Noise put to the cluster with the nearest centre."""
    inside = found >= 0
    names, own = np.unique(found[inside], return_inverse=True)
    centres = centres_of(reduced.rows[fitted.inverse[inside]], own, len(names))
    labels = found[fitted.first]
    noise = np.flatnonzero(labels < 0)
    for block in blocks(len(noise), 8 * centres.size):
        far = distances(reduced.rows[noise[block]], centres, reduced.metric)
        labels[noise[block]] = names[far.argmin(axis=1)]
    return labels[fitted.inverse]
