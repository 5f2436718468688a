"""Analyses that a server computes, as the results that the same analyses have in this process.

What the server does not answer at once it does as an operation: how that gets on is shown, and Ctrl-C ends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis import results
from penult_service.analysis.calls import Call, Cluster, Neighbors, Project
from penult_service.cli.operation_progress import Shown, shown

if TYPE_CHECKING:
    from penult_client import Client


def analyse(
    client: Client, call: Call, arrays: Mapping[str, NDArray[Any]], labels: Sequence[str] | None
) -> Any:
    """The server's answer to a call, as `analysis.results` has it.

    Args:
        client: Of the server.
        call: Neighbours, clusters or a map.
        arrays: float32 [n, d] each, as `analysis.run` names them.
        labels: One a row of `source`, None without.
    """
    with shown("waiting for the server's analysis", "was told to end") as report:
        if isinstance(call, Neighbors):
            return _neighbors(client, call, arrays, report)
        if isinstance(call, Cluster):
            return _cluster(client, call, arrays["source"], labels, report)
        assert isinstance(call, Project)
        return _project(client, call, arrays["source"], labels, report)


def _neighbors(
    client: Client, call: Neighbors, arrays: Mapping[str, NDArray[Any]], report: Shown
) -> results.NeighborsResult:
    reply = client.neighbors(
        arrays["queries"],
        arrays.get("corpus"),
        call.k,
        call.metric,
        exclude_self=call.exclude_self,
        radius=call.radius,
        progress=report,
    )
    told = _adjustments(reply.adjustments)
    return results.NeighborsResult(reply.indices, reply.scores, reply.zero_queries, reply.zero_corpus, told)


def _cluster(
    client: Client, call: Cluster, source: NDArray[Any], labels: Sequence[str] | None, report: Shown
) -> results.ClusterResult:
    reply = client.cluster(
        source,
        call.method,
        call.n_clusters,
        call.metric,
        call.noise,
        reduction=call.reduction,
        reduced_dimensions=call.reduced_dimensions,
        linkage=call.linkage,
        min_cluster_size=call.min_cluster_size,
        min_samples=call.min_samples,
        seed=call.seed,
        labels=labels,
        progress=report,
    )
    quality = reply.quality
    agreement = {name: getattr(quality, name) for name in ("v_measure", "adjusted_rand", "purity")}
    nearest = np.full((len(reply.nearest), max(map(len, reply.nearest), default=0)), -1, np.int32)
    for row, found in zip(nearest, reply.nearest, strict=True):
        row[: len(found)] = found
    return results.ClusterResult(
        labels=reply.labels,
        sizes=reply.sizes,
        nearest=nearest,
        zero_rows=reply.zero_rows,
        silhouette=quality.silhouette,
        silhouette_rows=quality.silhouette_rows,
        noise_share=quality.noise_share,
        used=dict(reply.used),
        agreement={name: value for name, value in agreement.items() if value is not None},
        adjustments=_adjustments(reply.adjustments),
    )


def _project(
    client: Client, call: Project, source: NDArray[Any], labels: Sequence[str] | None, report: Shown
) -> results.ProjectResult:
    reply = client.project(
        source,
        call.method,
        call.n_components,
        call.metric,
        call.seed,
        n_neighbors=call.n_neighbors,
        min_dist=call.min_dist,
        perplexity=call.perplexity,
        labels=labels,
        progress=report,
    )
    quality = reply.quality
    return results.ProjectResult(
        coordinates=reply.coordinates,
        explained_variance=reply.explained_variance,
        zero_rows=reply.zero_rows,
        trustworthiness=quality.trustworthiness,
        quality_rows=quality.rows,
        quality_neighbors=quality.neighbors,
        label_purity=quality.label_purity,
        label_purity_source=quality.label_purity_source,
        used=dict(reply.used),
        adjustments=_adjustments(reply.adjustments),
    )


def _adjustments(told: Sequence[Any]) -> tuple[results.Adjustment, ...]:
    return tuple(results.Adjustment(a.parameter, a.asked, a.used, a.why) for a in told)
