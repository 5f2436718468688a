"""Clusterings <-> arrays and JSON that are stored: as they were made, and as they are after they grew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis import results
from penult_service.rpc.analysis.cluster_replies import Clusters
from penult_service.storage import ResultInfo, StoredResult

MADE = "made"
# The first entry stays, then the newest, so that a reply with all of them stays small: entries, and labels in them.
_HISTORY, _HISTORY_LABELS = 1_000, 50_000
# What was measured of all rows, or belongs to the rows that were fitted: gone when others come.
OF_ALL_ROWS = ("silhouette", "silhouette_rows", "davies_bouldin", "calinski_harabasz", "stability", "curve")
_OF_CLUSTERS = ("silhouettes", "keywords", "shares", "names")
_CONVERTERS: Mapping[str, Any] = {
    "silhouettes": float,
    "keywords": lambda words: [(word, float(weight)) for word, weight in words],
    "shares": lambda shares: [(name, int(rows)) for name, rows in shares],
    "names": str,
}


def made_facts(now: Clusters, rows: int, created: str) -> dict[str, Any]:
    """What is said of clusters that have just been made."""
    unassigned = rows - sum(now.sizes)
    entry = entry_of(MADE, created, now.by_label, rows=rows, unassigned=unassigned, new_labels=now.labels)
    return {**facts_of(now), "next_label": len(now.labels), "history": [entry]}


def facts_of(now: Clusters) -> dict[str, Any]:
    """Their descriptions as JSON."""
    by_label = {
        name: {str(label): value for label, value in getattr(now, name).items()} for name in _OF_CLUSTERS
    }
    return {"cluster_labels": list(now.labels), **by_label}


def arrays_of(now: Clusters) -> dict[str, NDArray[Any]]:
    """Their arrays."""
    return {
        "sizes": np.asarray(now.sizes, np.int32),
        "nearest": now.nearest,
        "border": now.border,
        "odd": now.odd,
    }


def clusters_now(info: ResultInfo, arrays: Mapping[str, NDArray[Any]]) -> Clusters:
    """The clusters of a stored clustering. What an older release did not write is empty."""
    sizes, facts = arrays["sizes"], info.facts
    none = np.zeros((len(sizes), 0), np.int32)
    described = {
        name: {int(label): _CONVERTERS[name](value) for label, value in facts.get(name, {}).items()}
        for name in _OF_CLUSTERS
        if isinstance(facts.get(name, {}), dict)
    }
    return Clusters(
        labels=facts.get("cluster_labels", list(range(len(sizes)))),
        sizes=sizes.tolist(),
        nearest=arrays.get("nearest", none),
        border=arrays.get("border", none),
        odd=arrays.get("odd", none),
        **described,
    )


def history_of(info: ResultInfo, sizes: Mapping[int, int]) -> list[dict[str, Any]]:
    """What became of a stored clustering, oldest first; of one of an older release, that it was made.

    `sizes` are those of its clusters now, by label.
    """
    told = info.facts.get("history")
    if told:
        return list(told)
    rows = info.source.rows
    unassigned = rows - sum(sizes.values())
    return [entry_of(MADE, info.created, sizes, rows=rows, unassigned=unassigned, new_labels=list(sizes))]


def with_entry(history: Sequence[dict[str, Any]], entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The history with one more entry: the first, and the newest that there is room for, one at least."""
    newest, labels = [entry], sum(len(each.get("labels", ())) for each in (*history[:1], entry))
    for each in reversed(history[1:]):
        labels += len(each.get("labels", ()))
        if labels > _HISTORY_LABELS or len(newest) == _HISTORY - 1:
            break
        newest.append(each)
    return [*history[:1], *reversed(newest)]


def entry_of(event: str, created: str, sizes: Mapping[int, int], **more: Any) -> dict[str, Any]:
    """One entry, with the fields of `ClusterBatch`; `sizes` are those of all clusters afterwards, by label."""
    entry = {
        "event": event,
        "create_time": created,
        "rows": 0,
        "unassigned": 0,
        "new_labels": [],
        "gone_labels": [],
        "sizes": list(sizes.values()),
        "labels": list(sizes),
        "drift": [0.0] * len(sizes),
    }
    return {**entry, **more}


def clustering_of(found: StoredResult) -> results.ClusterResult:
    """The result as it is now."""
    arrays, facts, rows = found.arrays, found.info.facts, found.info.source.rows
    sizes, stability = arrays["sizes"], facts.get("stability")
    none = np.zeros(0, np.int32)
    return results.ClusterResult(
        labels=arrays["labels"],
        sizes=sizes,
        nearest=arrays.get("nearest", np.zeros((len(sizes), 0), np.int32)),
        zero_rows=arrays.get("zero_rows", none),
        silhouette=facts.get("silhouette"),
        silhouette_rows=facts.get("silhouette_rows", 0),
        # By the sizes: a part of a result has some of the labels alone.
        noise_share=facts.get("noise_share", (rows - int(sizes.sum())) / max(rows, 1)),
        used=dict(found.info.parameters),
        agreement=facts.get("agreement", {}),
        adjustments=tuple(results.Adjustment(**each) for each in facts.get("adjustments", ())),
        davies_bouldin=facts.get("davies_bouldin"),
        calinski_harabasz=facts.get("calinski_harabasz"),
        stability=None if stability is None else results.Stability(**stability),
        curve=tuple((int(count), float(score)) for count, score in facts.get("curve", ())),
        merges=arrays.get("merges", np.zeros((0, 4))),
        moved=arrays.get("moved", none),
        advice=tuple(results.Advice(**each) for each in facts.get("advice", ())),
    )


def records(result: results.ClusterResult) -> dict[str, Any]:
    """The facts of a result that are records."""
    return {
        "stability": None if result.stability is None else asdict(result.stability),
        "advice": [asdict(each) for each in result.advice],
        "curve": [list(each) for each in result.curve],
    }
