"""The replies about duplicates and outliers, and what analyses would take -> records."""

from __future__ import annotations

from typing import cast

import numpy as np
from penult.v1 import analysis_service_pb2 as analysis

from penult_client._core import arrays
from penult_client._core.analysis_results import (
    ALL_THERE,
    Arrays,
    Origin,
    adjustments,
    background,
    metric,
    numbers,
    one_a_row,
    optional,
    rows_of,
    source,
)
from penult_client._core.enums import to_word
from penult_client._estimate import Estimate, Way
from penult_client._screening import Duplicates, Outliers


def duplicates(
    reply: analysis.FindDuplicatesResponse, origin: Origin | None = None, read: Arrays = ALL_THERE
) -> Duplicates:
    """Rows that are equal, or nearly."""
    pairs, groups = rows_of(reply, "pairs", read), rows_of(reply, "groups", read)
    keepers = numbers(reply.keepers)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or groups.ndim != 1:
        raise arrays.bad_reply(f"pairs {list(pairs.shape)} with groups {list(groups.shape)}")
    if keepers.size and not 0 <= keepers.min() <= keepers.max() < len(groups):
        raise arrays.bad_reply(f"keeper {keepers.max()} of {len(groups)} rows")
    return Duplicates(
        pairs=pairs.astype(np.int32, copy=False),
        scores=one_a_row(reply, "scores", len(pairs), read),
        groups=groups.astype(np.int32, copy=False),
        keepers=keepers,
        total_pairs=reply.total_pairs,
        equal_pairs=reply.equal_pairs,
        threshold=reply.threshold,
        metric=metric(reply),
        zero_rows=numbers(reply.zero_rows),
        background=background(reply),
        adjustments=adjustments(reply.adjustments),
        **source(reply, origin),
    )


def outliers(
    reply: analysis.FindOutliersResponse, origin: Origin | None = None, read: Arrays = ALL_THERE
) -> Outliers:
    """How far rows lie from their neighbours."""
    occurrences = rows_of(reply, "occurrences", read)
    return Outliers(
        scores=one_a_row(reply, "scores", len(occurrences), read),
        occurrences=occurrences.astype(np.int32, copy=False),
        order=numbers(reply.order),
        hubness=optional(reply, "hubness"),
        antihubs=reply.antihubs,
        k=reply.k,
        metric=metric(reply),
        zero_rows=numbers(reply.zero_rows),
        adjustments=adjustments(reply.adjustments),
        **source(reply, origin),
    )


def estimate(reply: analysis.EstimateAnalysisResponse, more_to_embed: int) -> Estimate:
    """What an analysis would take; `more_to_embed` are texts that the server was not shown."""
    return Estimate(
        seconds=reply.seconds,
        bytes=reply.bytes,
        way=cast(Way, to_word(reply.way, analysis.AnalysisWay, "ANALYSIS_WAY_")),
        problem=reply.problem,
        load=reply.load,
        processors=reply.processors,
        measured_here=reply.measured_here,
        max_call_seconds=reply.max_call_seconds,
        max_call_bytes=reply.max_call_bytes,
        max_operation_bytes=reply.max_operation_bytes or None,
        rows_to_embed=reply.rows_to_embed + more_to_embed,
    )
