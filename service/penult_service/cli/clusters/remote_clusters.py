"""Clusters that a server found, as the result that they have in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis import results

if TYPE_CHECKING:
    from penult_client import ClusterInfo, Clusters

AGREEMENT = ("v_measure", "adjusted_rand", "purity", "normalized_mutual_information")


def result(reply: Clusters, labels: Sequence[str] | None, used: dict[str, Any]) -> results.ClusterResult:
    """As `analysis.results` has it, the clusters in the order of the reply; `labels` are those that were compared."""
    quality, stability = reply.quality, reply.stability
    agreement = {name: getattr(quality, name) for name in AGREEMENT}
    return results.ClusterResult(
        labels=reply.labels,
        sizes=reply.sizes,
        nearest=_padded(reply.nearest),
        zero_rows=reply.zero_rows,
        silhouette=quality.silhouette,
        silhouette_rows=quality.silhouette_rows,
        noise_share=quality.noise_share,
        used=used,
        agreement={name: value for name, value in agreement.items() if value is not None},
        adjustments=tuple(results.Adjustment(a.parameter, a.asked, a.used, a.why) for a in reply.adjustments),
        border=_padded([info.border for info in reply.clusters]),
        odd=_padded([info.odd for info in reply.clusters]),
        silhouettes=np.array([_or_nan(info.silhouette) for info in reply.clusters], np.float32),
        davies_bouldin=quality.davies_bouldin,
        calinski_harabasz=quality.calinski_harabasz,
        stability=results.Stability(*stability) if stability is not None else None,
        curve=tuple((each.n_clusters, each.score) for each in reply.curve),
        merges=reply.merges,
        moved=reply.moved,
        advice=tuple(results.Advice(each.parameter, each.why) for each in reply.advice),
        keywords=tuple(info.keywords for info in reply.clusters),
        label_counts=_counts(reply.clusters, labels),
    )


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _padded(rows: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """int32 [k, m], -1 where there are fewer than m."""
    made = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int32)
    for line, found in zip(made, rows, strict=True):
        line[: len(found)] = found
    return made


def _counts(clusters: Sequence[ClusterInfo], labels: Sequence[str] | None) -> NDArray[Any]:
    """int32 [k, codes] rows of each label, in the order of the labels; of those that the reply tells."""
    if labels is None:
        return np.empty((0, 0), np.int32)
    words = sorted(set(labels) - {""})
    return np.array([[info.labels.get(word, 0) for word in words] for info in clusters], np.int32).reshape(
        len(clusters), len(words)
    )
