"""The replies about clusters -> records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as analysis

from penult_client._clusters import (
    Advice,
    ClusterBatch,
    ClusterCount,
    ClusterInfo,
    ClusterQuality,
    Clusters,
    ClusterStability,
)
from penult_client._core import arrays
from penult_client._core.analysis_results import (
    ALL_THERE,
    Arrays,
    Origin,
    adjustments,
    numbers,
    optional,
    rows_of,
    source,
    stored_of,
    time_of,
    used,
)


def clusters(
    reply: analysis.ClusterResponse, origin: Origin | None = None, read: Arrays = ALL_THERE
) -> Clusters:
    """Clusters."""
    infos = cluster_infos(reply.clusters)
    return Clusters(
        labels=labels_of(reply, infos, read),
        sizes=numbers(info.size for info in infos),
        nearest=tuple(info.nearest for info in infos),
        clusters=infos,
        quality=_quality(reply),
        merges=_merges(reply.merges, len(infos)),
        curve=tuple(ClusterCount(each.n_clusters, each.score) for each in reply.curve),
        stability=_stability(reply.stability) if reply.HasField("stability") else None,
        moved=numbers(reply.moved),
        advice=tuple(Advice(each.parameter, each.why) for each in reply.advice),
        history=tuple(batch(each) for each in reply.history),
        used=used(reply),
        adjustments=adjustments(reply.adjustments),
        zero_rows=numbers(reply.zero_rows),
        stored=stored_of(reply),
        **source(reply, origin),
    )


def labels_of(reply: Any, infos: Iterable[ClusterInfo], read: Arrays = ALL_THERE) -> NDArray[np.int32]:
    """int32 [n] labels, each of a cluster that is told, or -1."""
    labels = rows_of(reply, "labels", read)
    known = [info.label for info in infos]
    if labels.ndim != 1 or not np.isin(labels, [-1, *known]).all():
        raise arrays.bad_reply(f"labels {list(labels.shape)} of {len(known)} clusters")
    return labels.astype(np.int32, copy=False)


def cluster_infos(told: Iterable[analysis.ClusterInfo]) -> tuple[ClusterInfo, ...]:
    """What is known of each cluster."""
    return tuple(
        ClusterInfo(
            label=each.label,
            size=each.size,
            nearest=numbers(each.nearest_rows),
            border=numbers(each.border_rows),
            odd=numbers(each.odd_rows),
            keywords=tuple((keyword.word, keyword.weight) for keyword in each.keywords),
            labels={share.label: share.rows for share in each.labels},
            name=each.name,
            silhouette=optional(each, "silhouette"),
        )
        for each in told
    )


def batch(told: analysis.ClusterBatch) -> ClusterBatch:
    """What became of clusters at one time."""
    if not len(told.labels) == len(told.sizes) == len(told.drift):
        raise arrays.bad_reply(
            f"{len(told.sizes)} sizes and {len(told.drift)} drifts of {len(told.labels)} clusters"
        )
    return ClusterBatch(
        created=time_of(told, "create_time"),
        event=told.event,
        rows=told.rows,
        unassigned=told.unassigned,
        new_labels=tuple(told.new_labels),
        gone_labels=tuple(told.gone_labels),
        labels=numbers(told.labels),
        sizes=numbers(told.sizes),
        drift=np.array(told.drift, np.float64),
    )


def _quality(reply: analysis.ClusterResponse) -> ClusterQuality:
    agreed = reply.agreement if reply.HasField("agreement") else None
    return ClusterQuality(
        silhouette=optional(reply, "silhouette"),
        silhouette_rows=reply.silhouette_rows,
        noise_share=reply.noise_share,
        v_measure=agreed.v_measure if agreed else None,
        adjusted_rand=agreed.adjusted_rand if agreed else None,
        purity=agreed.purity if agreed else None,
        normalized_mutual_information=agreed.normalized_mutual_information if agreed else None,
        davies_bouldin=optional(reply, "davies_bouldin"),
        calinski_harabasz=optional(reply, "calinski_harabasz"),
    )


def _merges(told: Iterable[analysis.Merge], clusters: int) -> NDArray[np.float64]:
    rows = [(each.first, each.second, each.distance, each.size) for each in told]
    if rows and len(rows) != clusters - 1:
        raise arrays.bad_reply(f"{len(rows)} merges of {clusters} clusters")
    return np.array(rows, np.float64).reshape(-1, 4)


def _stability(told: analysis.ClusterStability) -> ClusterStability:
    return ClusterStability(told.adjusted_rand, told.low, told.high, told.samples)
