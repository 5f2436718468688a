"""One call, run in this process: looks up what does it, and imports it only then (a search needs no UMAP)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from penult_service.analysis.calls import Call, Cluster, CompareDropout, Neighbors, Project, Similarity
from penult_service.analysis.results import Result


def run(call: Call, arrays: Mapping[str, NDArray[Any]]) -> Result:
    """The result of a call that has been checked (`checks.check`).

    Args:
        call: What to do.
        arrays: As `calls` names them: `a` and perhaps `b`; `queries` and perhaps `corpus`; `source` and perhaps
            `labels`. float32 [n, d], labels int32 [n]. Those of `CompareDropout` as it says.

    Raises:
        PenultError: as the analysis says.
    """
    match call:
        case Similarity():
            from penult_service.analysis.similarity import compute

            return compute(call, arrays["a"], arrays.get("b"))
        case Neighbors():
            from penult_service.analysis.neighbours import search

            return search(call, arrays["queries"], arrays.get("corpus"))
        case Cluster():
            from penult_service.analysis.clustering import cluster

            return cluster(call, arrays["source"], arrays.get("labels"))
        case Project():
            from penult_service.analysis.projection import project

            return project(call, arrays["source"], arrays.get("labels"))
        case CompareDropout():
            from penult_service.analysis.dropout import compare

            return compare(call, arrays)
