"""The replies about new rows on stored maps and in stored clusters -> records."""

from __future__ import annotations

from typing import Any

import numpy as np
from penult.v1 import analysis_service_pb2 as analysis

from penult_client._core import arrays
from penult_client._core.analysis_results import (
    ALL_THERE,
    Arrays,
    Origin,
    adjustments,
    numbers,
    one_a_row,
    optional,
    rows_of,
    source,
    stored,
    used,
)
from penult_client._core.cluster_results import batch, cluster_infos, labels_of
from penult_client._placing import Assigned, Grown, Placed


def placed(
    reply: analysis.TransformResponse, origin: Origin | None = None, read: Arrays = ALL_THERE
) -> Placed:
    """Places of new rows."""
    coordinates = rows_of(reply, "coordinates", read)
    rows = len(coordinates)
    return Placed(
        coordinates=coordinates,
        nearest_rows=one_a_row(reply, "nearest_rows", rows, read).astype(np.int32, copy=False),
        projection=stored(reply.projection),
        adjustments=adjustments(reply.adjustments),
        **_new(reply, rows, origin, read),
    )


def assigned(
    reply: analysis.AssignClustersResponse, origin: Origin | None = None, read: Arrays = ALL_THERE
) -> Assigned:
    """Stored clusters of new rows."""
    labels = rows_of(reply, "labels", read)
    rows = len(labels)
    return Assigned(
        labels=labels.astype(np.int32, copy=False),
        shares=one_a_row(reply, "shares", rows, read),
        clustering=stored(reply.clustering),
        names=dict(sorted(reply.names.items())),
        adjustments=(),
        **_new(reply, rows, origin, read),
    )


def grown(
    reply: analysis.GrowClusteringResponse, origin: Origin | None = None, read: Arrays = ALL_THERE
) -> Grown:
    """Clusters that grew."""
    infos = cluster_infos(reply.clusters)
    return Grown(
        labels=labels_of(reply, infos, read),
        batch=batch(reply.batch),
        clusters=infos,
        clustering=stored(reply.clustering),
        used=used(reply),
        space_checked=reply.space_check == analysis.SPACE_CHECK_EQUAL,
        adjustments=adjustments(reply.adjustments),
        **source(reply, origin),
    )


def _new(reply: Any, rows: int, origin: Origin | None, read: Arrays) -> dict[str, Any]:
    """What is known of any new rows."""
    far = numbers(reply.far_rows)
    if far.size and not 0 <= far.min() <= far.max() < rows:
        raise arrays.bad_reply(f"far row {far.max()} of {rows}")
    return {
        "distances": one_a_row(reply, "distances", rows, read),
        "far_rows": far,
        "far_distance": optional(reply, "far_distance"),
        "zero_rows": numbers(reply.zero_rows),
        "used": used(reply),
        "space_checked": reply.space_check == analysis.SPACE_CHECK_EQUAL,
        **source(reply, origin),
    }
