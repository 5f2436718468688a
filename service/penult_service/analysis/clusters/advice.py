"""What to change when all rows are noise or in one cluster: which parameter, which way, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator

from penult_service.analysis.calls import Cluster
from penult_service.analysis.clusters.finding import Found
from penult_service.analysis.clusters.methods import hdbscan
from penult_service.analysis.fitting import Fitting
from penult_service.analysis.results import Advice

_TRIED_ROWS = 5_000  # up to which other parameters are tried; beyond, it takes as long as what was asked


def advice(call: Cluster, fitted: Fitting, found: Found, clusters: int) -> tuple[Advice, ...]:
    """Advice about a settled call that found fewer than two clusters; none where there are more."""
    if clusters > 1:
        return ()
    rows = len(fitted.inverse)
    if not rows:
        zero = len(fitted.zero)
        why = f"all {zero} rows are zero, which have no direction; metric euclidean compares them"
        return (Advice("metric", why),)
    if len(fitted.rows) == 1:
        what = f"all {rows} rows are equal" if rows > 1 else "there is one row"
        return (Advice("source", f"{what}, so there is nothing to tell apart; give other rows"),)
    if call.method == "hdbscan":
        return (_denser(fitted, found, clusters),)
    if call.n_clusters == 1:
        return (
            Advice("n_clusters", "n_clusters is 1; give 2 or more, or auto to have several numbers tried"),
        )
    why = f"there are {len(fitted.rows)} distinct rows, too few to choose a number by; give n_clusters 2"
    return (Advice("n_clusters", why),)


def _denser(fitted: Fitting, found: Found, clusters: int) -> Advice:
    """What HDBSCAN finds with smaller parameters, on the same rows."""
    least, samples = int(found.used["min_cluster_size"]), int(found.used["min_samples"])
    rows = len(fitted.inverse)
    what = (
        f"all {rows} rows are noise"
        if not clusters
        else f"all rows that are no noise (of {rows}) are one cluster"
    )
    what += f": with min_cluster_size {least} and min_samples {samples} no groups of rows lie denser than the rest"
    if rows > _TRIED_ROWS or found.reduced is None:
        return Advice("min_cluster_size", f"{what}; lower min_cluster_size, such as to {max(2, least // 4)}")
    for parameter, fewer, dense in _smaller(least, samples):
        labels = hdbscan(found.reduced.rows[fitted.inverse], fewer, dense, found.reduced.metric)
        groups = int(labels.max()) + 1
        if groups > 1:
            value = fewer if parameter == "min_cluster_size" else dense
            noise = f"{(labels < 0).mean():.0%} noise"
            return Advice(
                parameter, f"{what}; with {parameter} {value} there are {groups} clusters and {noise}"
            )
    return Advice(
        "method",
        f"{what}, nor do they with smaller ones; kmeans or agglomerative with n_clusters divides the rows all the same",
    )


def _smaller(least: int, samples: int) -> Iterator[tuple[str, int, int]]:
    size = least // 2
    while size >= 2:
        yield "min_cluster_size", size, samples
        size //= 2
    if samples > 1:
        yield "min_samples", least, 1
        if least > 2:
            yield "min_samples", 2, 1
