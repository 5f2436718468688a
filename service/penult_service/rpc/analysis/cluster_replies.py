"""Clusters as messages: of a result as it was computed, and of a stored clustering as it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis import results
from penult_service.rpc import replies as messages
from penult_service.rpc.analysis.replies import Origin, adjustments, used
from penult_service.rpc.replies import timestamp

_SHARES = 10
Rows = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Clusters:
    """Clusters as they are now.

    Attributes:
        labels: Of each, ascending.
        sizes: Rows of each.
        nearest, border, odd: int32 [k, m], rows of each, -1 where there are fewer.
        silhouettes: Of those that have one, by label.
        keywords: (word, weight) of each, by label; only of those that have not changed since they were found.
        shares: (given label, rows) of each, the most frequent first, by label; likewise.
        names: That persons gave them, by label.
    """

    labels: Sequence[int]
    sizes: Sequence[int]
    nearest: Rows
    border: Rows
    odd: Rows
    silhouettes: Mapping[int, float] = field(default_factory=dict)
    keywords: Mapping[int, Sequence[tuple[str, float]]] = field(default_factory=dict)
    shares: Mapping[int, Sequence[tuple[str, int]]] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def by_label(self) -> dict[int, int]:
        """The sizes."""
        return dict(zip(self.labels, self.sizes, strict=True))


def clusters_of(result: results.ClusterResult, label_names: Sequence[str]) -> Clusters:
    """As they were computed."""
    labels = range(len(result.sizes))
    return Clusters(
        labels=list(labels),
        sizes=result.sizes.tolist(),
        nearest=result.nearest,
        border=result.border,
        odd=result.odd,
        silhouettes={i: float(x) for i, x in enumerate(result.silhouettes) if np.isfinite(x)},
        keywords={i: list(words) for i, words in enumerate(result.keywords) if words},
        shares={i: _shares(row, label_names) for i, row in enumerate(result.label_counts)},
    )


def clusters(
    result: results.ClusterResult,
    origin: Origin,
    now: Clusters | None = None,
) -> pb.ClusterResponse:
    """The reply, with the clusters as they are `now` (None: as they were computed, without labels)."""
    stability = result.stability
    return pb.ClusterResponse(
        labels=messages.tensor(result.labels),
        clusters=infos(now or clusters_of(result, ())),
        silhouette=result.silhouette,
        silhouette_rows=result.silhouette_rows,
        noise_share=result.noise_share,
        agreement=_agreement(result.agreement),
        used=used(result.used),
        adjustments=adjustments(result.adjustments),
        zero_rows=result.zero_rows,
        provenance=origin,
        davies_bouldin=result.davies_bouldin,
        calinski_harabasz=result.calinski_harabasz,
        stability=None
        if stability is None
        else pb.ClusterStability(
            adjusted_rand=stability.adjusted_rand,
            low=stability.low,
            high=stability.high,
            samples=stability.samples,
        ),
        curve=[pb.ClusterCount(n_clusters=count, score=score) for count, score in result.curve],
        merges=[
            pb.Merge(first=int(first), second=int(second), distance=distance, size=int(size))
            for first, second, distance, size in result.merges.tolist()
        ],
        moved=result.moved,
        advice=[pb.Advice(parameter=each.parameter, why=each.why) for each in result.advice],
    )


def infos(now: Clusters) -> list[pb.ClusterInfo]:
    """One message a cluster."""
    return [
        pb.ClusterInfo(
            label=label,
            size=size,
            nearest_rows=_there(now.nearest, place),
            border_rows=_there(now.border, place),
            odd_rows=_there(now.odd, place),
            keywords=[pb.Keyword(word=word, weight=weight) for word, weight in now.keywords.get(label, ())],
            labels=[pb.LabelShare(label=name, rows=rows) for name, rows in now.shares.get(label, ())],
            name=now.names.get(label, ""),
            silhouette=now.silhouettes.get(label),
        )
        for place, (label, size) in enumerate(zip(now.labels, now.sizes, strict=True))
    ]


def batch(told: Mapping[str, Any]) -> pb.ClusterBatch:
    """What became of stored clusters at one time, as it is stored."""
    facts = dict(told)
    return pb.ClusterBatch(create_time=timestamp(facts.pop("create_time")), **facts)


def _there(rows: Rows, place: int) -> list[int]:
    return [row for row in rows[place].tolist() if row >= 0] if place < len(rows) else []


def _agreement(found: Mapping[str, float]) -> pb.Agreement | None:
    return pb.Agreement(**found) if found else None


def _shares(counts: NDArray[np.int32], names: Sequence[str]) -> list[tuple[str, int]]:
    order = np.argsort(-counts, kind="stable")[:_SHARES]
    return [(names[code], int(counts[code])) for code in order if counts[code] and code < len(names)]
