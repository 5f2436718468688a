"""A clustering as it is after rows were taken in, or clusters changed by hand: what is stored in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from google.protobuf.json_format import MessageToDict
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis.calls import Array, ArrayFile
from penult_service.analysis.results import GrowResult
from penult_service.rpc.analysis import cluster_codec
from penult_service.rpc.analysis.bases import FITTED, next_label
from penult_service.rpc.analysis.cluster_replies import Clusters
from penult_service.storage import RowsOf, StoredResult
from penult_service.storage.manifests import now as time_now

GROWN, MERGED, SPLIT, NAMED = "grown", "merged", "split", "named"
# What stays as it is when clusters are changed by hand: the rows are the same.
_OF_ROWS = (*FITTED, "fitted_inverse", "reduced", "zero_rows", "moved")

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Next:
    """What is stored in the place of a clustering: `clusters` are those that it has then, `keep` arrays that stay."""

    arrays: Mapping[str, NDArray[Any]]
    keep: tuple[str, ...]
    facts: Mapping[str, Any]
    source: RowsOf
    clusters: Clusters

    def draft(self, before: StoredResult) -> StoredResult:
        """As it will be read."""
        kept = {name: before.arrays[name] for name in self.keep if name in before.arrays}
        info = replace(before.info, facts=self.facts, source=self.source)
        return StoredResult(info, {**kept, **self.arrays})


def grown(
    before: StoredResult,
    result: GrowResult,
    source: Array,
    request_id: str,
    told: pb.GrowClusteringResponse,
) -> Next:
    """After rows were taken in. `told`: what the reply says beside what is stored, for the same request again."""
    info, count = before.info, before.info.source.rows
    added = len(result.labels) - count
    clusters, facts = _after(
        before, result, GROWN, rows=added, unassigned=result.unassigned, more=result.far_distance
    )
    if request_id:
        facts |= {"batch_request_id": request_id, "batch_reply": MessageToDict(told)}
    old = before.arrays.get("zero_rows", np.zeros(0, np.int32))
    zero = np.concatenate(
        [old, _zero_rows(source, info.parameters.get("metric", "cosine")) + np.int32(count)]
    )
    arrays = {
        **_arrays(clusters, result),
        "zero_rows": zero.astype(np.int32),
        "fitted_rows": result.fitted_rows,
        "fitted_first": result.fitted_first,
        "fitted_inverse": result.fitted_inverse,
    }
    return Next(arrays, ("moved",), facts, replace(info.source, rows=count + added), clusters)


def edited(before: StoredResult, result: GrowResult, event: str) -> Next:
    """After some were merged, or one was split."""
    clusters, facts = _after(before, result, event, more=before.info.facts.get("far_distance"))
    return Next(_arrays(clusters, result), _OF_ROWS, facts, before.info.source, clusters)


def named(before: StoredResult, names: Mapping[int, str]) -> Next:
    """After some got names; an empty one takes a name away."""
    now = cluster_codec.clusters_now(before.info, before.arrays)
    all_names = {label: name for label, name in {**now.names, **names}.items() if name}
    clusters = replace(now, names=all_names)
    history = cluster_codec.history_of(before.info, now.by_label)
    entry = cluster_codec.entry_of(NAMED, time_now(), clusters.by_label)
    facts = {
        **_without_batch(before.info.facts),
        **cluster_codec.facts_of(clusters),
        "next_label": _next_label(before, clusters),
        "history": cluster_codec.with_entry(history, entry),
    }
    return Next({}, tuple(before.info.array_bytes), facts, before.info.source, clusters)


def _after(
    before: StoredResult, result: GrowResult, event: str, more: float | None, **batch_facts: int
) -> tuple[Clusters, dict[str, Any]]:
    """The clusters, and what is said of them. The description of those that have other rows now is gone."""
    old = cluster_codec.clusters_now(before.info, before.arrays)
    clusters = _described(old, result)
    labels = set(old.labels)
    entry = cluster_codec.entry_of(
        event,
        time_now(),
        clusters.by_label,
        new_labels=result.new_labels.tolist(),
        gone_labels=sorted(labels - set(clusters.labels)),
        drift=[float(each) for each in result.drift],
        **batch_facts,
    )
    facts = {
        name: value
        for name, value in _without_batch(before.info.facts).items()
        if name not in (*cluster_codec.OF_ALL_ROWS, "agreement", "advice")
    }
    rows = len(result.labels)
    facts |= {
        **cluster_codec.facts_of(clusters),
        "noise_share": float((result.labels < 0).sum() / max(rows, 1)),
        "far_distance": more,
        "next_label": _next_label(before, clusters),
        "history": cluster_codec.with_entry(cluster_codec.history_of(before.info, old.by_label), entry),
    }
    return clusters, facts


def _next_label(before: StoredResult, clusters: Clusters) -> int:
    return max([next_label(before.info), *(label + 1 for label in clusters.labels)])


def _described(old: Clusters, result: GrowResult) -> Clusters:
    labels, sizes = result.cluster_labels.tolist(), result.sizes.tolist()
    before = old.by_label
    # None ever loses a row to another unless it is split, nor gets one without growing.
    same = {label for label, size in zip(labels, sizes, strict=True) if before.get(label) == size}

    def of(told: Mapping[int, T], those: set[int]) -> dict[int, T]:
        return {label: value for label, value in told.items() if label in those}

    return Clusters(
        labels=labels,
        sizes=sizes,
        nearest=result.nearest,
        border=result.border,
        odd=result.odd,
        silhouettes=of(old.silhouettes, same),
        keywords=of(old.keywords, same),
        shares=of(old.shares, same),
        names=of(old.names, set(labels)),
    )


def _arrays(clusters: Clusters, result: GrowResult) -> dict[str, NDArray[Any]]:
    arrays = {"labels": result.labels, **cluster_codec.arrays_of(clusters), "merges": result.merges}
    if result.centres.size:
        arrays |= {"centres": result.centres, "centre_labels": result.cluster_labels}
    return arrays


def _without_batch(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in ("batch_request_id", "batch_reply")}


def _zero_rows(source: Array, metric: str) -> NDArray[np.int32]:
    """All-zero rows, which have no direction."""
    if metric != "cosine":
        return np.zeros(0, np.int32)
    rows = source.open() if isinstance(source, ArrayFile) else source
    return np.flatnonzero(~rows.any(axis=1)).astype(np.int32)
