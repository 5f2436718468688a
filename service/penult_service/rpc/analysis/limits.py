"""Refusing analyses that are too large, before anything is embedded or computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import assert_never

from penult_service.analysis.calls import (
    Assign,
    Call,
    Cluster,
    CompareDropout,
    Cost,
    Duplicates,
    EditClusters,
    Grow,
    Neighbors,
    Outliers,
    Project,
    Shapes,
    Similarity,
    Transform,
)
from penult_service.config import Limits
from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.rpc.limits import OVERHEAD_BYTES, bytes_in_words, too_large

_NEIGHBORS = "for the nearest rows alone ask neighbors (SearchNeighbors), which takes any number"
# A cluster with three times five rows, its silhouette and its merge; its words and labels are told by nobody before.
_CLUSTER_BYTES, _CLUSTERS = 140, 8
# Quantiles of a background.
USUAL_BYTES = 8_100
_FARTHEST = 1_000
# What dropout does to a row in a scope: two numbers and a place; and once a place and a class. Of a scope: three
# distributions, and the paths of its dropouts.
_EFFECT_ROW_BYTES, _DROPOUT_ROW_BYTES, _EFFECT_BYTES = 16, 18, 16 << 10


def check_scores(call: Similarity, shapes: Shapes, limits: Limits) -> None:
    """Refuse a matrix of more scores than one call gives.

    Raises:
        InvalidInput: it has too many (TOO_MANY_SCORES).
    """
    rows, columns = _matrix(call, shapes)
    if rows * columns > limits.max_scores:
        fitting = limits.max_scores // columns
        advice = f"send at most {fitting} rows of a at a time, or " if fitting else ""
        raise InvalidInput(
            f"{rows} by {columns} rows are {rows * columns} scores, one call gives {limits.max_scores};"
            f" {advice}{_NEIGHBORS}",
            reason="TOO_MANY_SCORES",
            field="a",
            metadata={"limit": str(limits.max_scores)},
        )


def check_reply(call: Call, shapes: Shapes, limit: int) -> None:
    """Refuse a reply that would be larger than the caller takes.

    Raises:
        InvalidInput: it would (RESPONSE_TOO_LARGE).
    """
    rows, row_bytes, rest, advice = _reply(call, shapes)
    size = rows * row_bytes + rest + OVERHEAD_BYTES
    if size > limit:
        raise too_large(rows, size, limit, (limit - rest - OVERHEAD_BYTES) // row_bytes, advice)


def check_result(call: Call, shapes: Shapes, limits: Limits) -> None:
    """Refuse an operation whose result is more than this process should ever hold.

    Raises:
        InvalidInput: it is (RESULT_TOO_LARGE).
    """
    rows, row_bytes, rest, advice = _reply(call, shapes)
    size, limit = rows * row_bytes + rest, limits.max_response_bytes
    if size <= limit:
        return
    fitting = max(0, limit - rest) // row_bytes
    ways = [f"ask for at most {fitting} at a time"] if fitting else []
    ways += [advice] if advice else []
    raise InvalidInput(
        f"the result for {rows} rows takes {size} bytes, over the {limit} that an operation of this server gives;"
        f" {'; '.join(ways)}",
        reason="RESULT_TOO_LARGE",
        metadata={"most_rows": str(fitting), "limit_bytes": str(limit), "result_bytes": str(size)},
    )


def check_cost(call: Call, cost: Cost, limits: Limits) -> None:
    """Refuse what would take longer, or more memory, than a call that is answered at once may.

    Raises:
        PreconditionFailed: it would (USE_START_ANALYSIS, with the estimate and the limits in the metadata).
    """
    if is_short(cost, limits):
        return
    raise PreconditionFailed(
        f"this {call.name} would take about {_in_words(cost)}; a call may take"
        f" {limits.max_analysis_seconds:g} s and {bytes_in_words(limits.max_analysis_bytes)}: start it as an operation"
        " (StartAnalysis with the same request; the Python client does that by itself), or send fewer rows",
        reason="USE_START_ANALYSIS",
        metadata={
            "estimated_seconds": f"{cost.seconds:.3f}",
            "estimated_bytes": str(cost.bytes),
            "max_analysis_seconds": f"{limits.max_analysis_seconds:g}",
            "max_analysis_bytes": str(limits.max_analysis_bytes),
        },
    )


def is_short(cost: Cost, limits: Limits) -> bool:
    """Whether a call may wait for it."""
    return cost.seconds <= limits.max_analysis_seconds and cost.bytes <= limits.max_analysis_bytes


def check_memory(
    call: Call,
    cost: Cost,
    limit: int | None,
    idle: int = 0,
    ways: Callable[[int], Sequence[str]] | None = None,
) -> None:
    """Refuse what would take more memory than a worker has (None: no limit).

    Args:
        call: What is asked.
        cost: What it would take, beside an idle worker.
        limit: Bytes that a worker may take in all; None: no limit.
        idle: Bytes of these that it takes when it is idle.
        ways: What fits into so many bytes instead, asked for where it is too large; None: fewer rows.

    Raises:
        PreconditionFailed: it would (ANALYSIS_TOO_LARGE, with the estimate and the limit in the metadata).
    """
    if limit is None or cost.bytes + idle <= limit:
        return
    used = f", of which it takes {bytes_in_words(idle)} idle" if idle else ""
    advice = [*(ways(max(0, limit - idle)) if ways else ["send fewer rows"])]
    advice.append(
        f"give the server a larger --analysis-memory (in GiB, at least {_enough(cost.bytes + idle)})"
    )
    raise PreconditionFailed(
        f"this {call.name} would take about {_in_words(cost)}; a worker of this server may take"
        f" {bytes_in_words(limit)}{used}: {', or '.join(advice)}",
        reason="ANALYSIS_TOO_LARGE",
        metadata={"estimated_bytes": str(cost.bytes), "limit_bytes": str(limit)},
    )


def _reply(call: Call, shapes: Shapes) -> tuple[int, int, int, str]:
    """Rows, bytes a row, bytes beside them, and what else than fewer rows would help."""
    match call:
        case Similarity():
            rows, columns = _matrix(call, shapes)
            return rows, 4 * columns, USUAL_BYTES, _NEIGHBORS
        case Neighbors():
            rows, found = shapes["queries"][0], shapes.get("corpus", shapes["queries"])[0]
            return rows, 8 * min(call.k, found), USUAL_BYTES, "or ask for a smaller k"
        case Cluster():
            rows = shapes["source"][0]
            clusters = min(call.n_clusters or _CLUSTERS, rows)
            return rows, 4, clusters * _CLUSTER_BYTES, ""
        case Project():
            return shapes["source"][0], 4 * call.n_components + 4, 0, ""
        case Duplicates():
            return shapes["source"][0], 4, USUAL_BYTES, "or ask for a smaller max_pairs"
        case Outliers():
            return shapes["source"][0], 8, 4 * min(shapes["source"][0], _FARTHEST), ""
        case Transform():
            return shapes["source"][0], 4 * shapes["coordinates"][1] + 8, 0, ""
        case Assign():
            return shapes["source"][0], 12, 0, ""
        case Grow():
            return shapes["source"][0], 4, 0, ""
        case EditClusters():
            return shapes["stored_labels"][0], 4, 0, ""
        case CompareDropout():
            scopes = len(call.scopes)
            row_bytes = _DROPOUT_ROW_BYTES + scopes * _EFFECT_ROW_BYTES
            return shapes["source"][0], row_bytes, scopes * _EFFECT_BYTES, ""
        case _:
            assert_never(call)


def _matrix(call: Similarity, shapes: Shapes) -> tuple[int, int]:
    rows = shapes["a"][0]
    return (rows, 1) if call.pairs else (rows, shapes.get("b", shapes["a"])[0])


def _enough(size: int) -> str:
    """GiB of two digits that are no less."""
    unit = 10 ** max(-1, len(str(size >> 30)) - 2)
    return f"{math.ceil(size / (1 << 30) / unit) * unit:g}"


def _in_words(cost: Cost) -> str:
    seconds = f"{cost.seconds:.3g} s" if cost.seconds < 1000 else f"{cost.seconds / 60:,.0f} min"
    return f"{seconds} and {bytes_in_words(cost.bytes)} of memory"
