"""One call, run in this process: looks up what does it, and imports it only then (a search needs no UMAP)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from penult_service.analysis.calls import (
    Assign,
    Call,
    Cluster,
    CompareDropout,
    Duplicates,
    EditClusters,
    Grow,
    Neighbors,
    Outliers,
    Project,
    Similarity,
    Transform,
)
from penult_service.analysis.results import Result


def run(call: Call, arrays: Mapping[str, NDArray[Any]]) -> Result:
    """The result of a call that has been checked (`checks.check`).

    Args:
        call: What to do.
        arrays: As `calls` names them, and each call.

    Raises:
        PenultError: as the analysis says.
    """
    match call:
        case Similarity():
            from penult_service.analysis.similarity import compute

            return compute(call, arrays["a"], arrays.get("b"), arrays.get("background"))
        case Neighbors():
            from penult_service.analysis.search.neighbours import search

            return search(call, arrays["queries"], arrays.get("corpus"))
        case Cluster():
            from penult_service.analysis.clusters.clustering import cluster

            return cluster(call, arrays["source"], arrays.get("labels"), arrays)
        case Project():
            from penult_service.analysis.maps.projection import project

            return project(call, arrays["source"], arrays.get("labels"), arrays)
        case CompareDropout():
            from penult_service.analysis.dropout import compare

            return compare(call, arrays)
        case Duplicates():
            from penult_service.analysis.pairs.duplicates import find

            return find(call, arrays)
        case Outliers():
            from penult_service.analysis.outliers import measure

            return measure(call, arrays)
        case Transform():
            from penult_service.analysis.maps.placing import transform

            return transform(call, arrays)
        case Assign():
            from penult_service.analysis.clusters.assigning import assign

            return assign(call, arrays)
        case Grow():
            from penult_service.analysis.clusters.growing import grow

            return grow(call, arrays)
        case EditClusters():
            from penult_service.analysis.clusters.growing import edit

            return edit(call, arrays)
