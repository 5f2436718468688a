"""Of any call."""

from __future__ import annotations

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
from penult_service.analysis.costs import clusters, maps, rows
from penult_service.analysis.costs.work import Work, together
from penult_service.analysis.speeds import REFERENCE, Speeds

_START = Work(loops=0.01)


def cost(call: Call, shapes: Shapes, speeds: Speeds | None = None) -> Cost:
    """Seconds on an idle machine, and the most bytes beside those of an idle worker, arrays and result included.

    Args:
        call: What is asked; it has been checked.
        shapes: Of its arrays, as `calls` names them: [n, d]; of `CompareDropout` also [n, passes, d].
        speeds: This machine's; None: those of the reference machine.
    """
    return together([_START, _work(call, shapes)]).cost(speeds or REFERENCE)


def _work(call: Call, shapes: Shapes) -> Work:
    kept = shapes.get("near_rows", (0, 0))[1]
    match call:
        case Similarity():
            return rows.similarity(call, shapes)
        case Neighbors():
            return rows.neighbors(call, shapes)
        case Cluster():
            return clusters.cluster(call, shapes)
        case Project():
            return maps.project(call, shapes, kept)
        case CompareDropout():
            return clusters.compare_dropout(call, shapes)
        case Duplicates():
            return rows.duplicates(call, shapes)
        case Outliers():
            return rows.outliers(call, shapes, kept)
        case Transform() | Assign():
            return maps.placed(call, shapes)
        case Grow():
            return clusters.grow(call, shapes)
        case EditClusters():
            return clusters.edit(call, shapes)
        case _:
            assert_never(call)
