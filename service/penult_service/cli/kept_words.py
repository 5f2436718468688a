"""Clusters that are kept, in tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from penult_service.cli import remote
from penult_service.cli.analyses import short

if TYPE_CHECKING:
    from datetime import datetime

    from penult_client import ClusterBatch, ClusterInfo, Clusters, StoredInfo

# Keywords of a cluster that are printed.
WORDS = 5
_OF_CLUSTERS = ("updated", "clusters", "cluster_names", "batches")


def cluster_line(info: ClusterInfo, rows: int) -> tuple[str, ...]:
    """A cluster in a table."""
    return (
        str(info.label),
        short(info.name, 40) or "-",
        f"{info.size:,}",
        f"{info.size / max(rows, 1):.1%}",
        ", ".join(word for word, _ in info.keywords[:WORDS]) or "-",
        ", ".join(map(str, info.nearest[:3].tolist())),
    )


def facts(found: Clusters) -> dict[str, Any]:
    """All that is known of clusters that are kept, for --json."""
    assert found.stored is not None
    return {
        **info_facts(found.stored),
        "used": remote.used(found.used),
        "quality": asdict(found.quality),
        "clusters": [
            {
                "cluster": info.label,
                "name": info.name,
                "size": info.size,
                "nearest": info.nearest.tolist(),
                "border": info.border.tolist(),
                "odd": info.odd.tolist(),
                "keywords": [{"word": word, "weight": weight} for word, weight in info.keywords],
                "labels": info.labels,
                "silhouette": info.silhouette,
            }
            for info in found.clusters
        ],
        "merges": found.merges.tolist(),
        "history": [batch_facts(each) for each in found.history],
        "labels": found.labels.tolist(),
    }


def batch_facts(batch: ClusterBatch) -> dict[str, Any]:
    """What became of clusters at one time, for --json."""
    return {
        "created": batch.created.isoformat() if batch.created else "",
        "event": batch.event,
        "rows": batch.rows,
        "unassigned": batch.unassigned,
        "new_labels": list(batch.new_labels),
        "gone_labels": list(batch.gone_labels),
        "labels": batch.labels.tolist(),
        "sizes": batch.sizes.tolist(),
        "drift": batch.drift.tolist(),
    }


def batch_line(batch: ClusterBatch) -> tuple[str, ...]:
    """The same in a table."""
    moved = "-"
    if batch.drift.size and batch.drift.max() > 0:
        far = int(np.argmax(batch.drift))
        moved = f"{batch.drift[far]:.4f} (cluster {batch.labels[far]})"
    return (
        time(batch.created),
        batch.event,
        f"{batch.rows:,}",
        f"{batch.unassigned:,}",
        f"{len(batch.labels):,}",
        ", ".join(map(str, batch.new_labels)) if batch.event != "made" else "-",
        ", ".join(map(str, batch.gone_labels)),
        moved,
    )


def info_facts(info: StoredInfo) -> dict[str, Any]:
    """What is known of a clustering without its labels, for --json."""
    facts = asdict(info)
    for name in ("created", "updated"):
        facts[name] = facts[name].isoformat() if facts[name] else ""
    facts["cluster_names"] = {str(label): name for label, name in info.cluster_names.items()}
    return facts


def info_line(info: StoredInfo) -> tuple[str, ...]:
    """The same in a table."""
    return (
        info.name,
        "-" if info.clusters is None else f"{info.clusters:,}",
        f"{info.rows:,}",
        str(info.parameters.get("method", "-")),
        info.dataset or "-",
        time(info.created),
        time(info.updated),
        kept(info),
    )


def map_facts(info: StoredInfo) -> dict[str, Any]:
    """What is known of a map without its places, for --json."""
    return {name: value for name, value in info_facts(info).items() if name not in _OF_CLUSTERS}


def time(when: datetime | None) -> str:
    """A time in UTC to the minute."""
    return when.strftime("%Y-%m-%d %H:%M") if when else "-"


def kept(info: StoredInfo) -> str:
    """Whether it is whole, and for how long it is there."""
    return "damaged" if info.problem else "yes" if info.durable else "until the server ends"
