"""The analyses: how each is asked for, and what is made of its reply."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from penult.v1 import analysis_service_pb2 as analysis

from penult_client._analysis import Neighbors, Projection, Similarity
from penult_client._clusters import Clusters
from penult_client._core import (
    analysis_results,
    cluster_results,
    dropout_results,
    placing_results,
    rpcs,
    screening_results,
)
from penult_client._core.progress import Progress
from penult_client._core.rpcs import Rpc
from penult_client._dropout import DropoutComparison
from penult_client._placing import Assigned, Grown, Placed
from penult_client._screening import Duplicates, Outliers

Record = TypeVar("Record")


class Asked(NamedTuple):
    """How an analysis is to be answered, as its caller says."""

    wait: bool
    progress: Progress
    deadline: float | None
    dry_run: bool = False


@dataclass(frozen=True)
class Kind(Generic[Record]):
    """An analysis.

    Attributes:
        rpc: Asks for it at once.
        field: Its name in StartAnalysisRequest and ReadResultResponse.
        by_row: The fields of its reply that have a row for each row of the result.
        record: Makes the record of the reply, of what embedded the texts before, and of `by_row` and `spread` where
            those were read in parts.
        spread: The fields of which each part has some: all of them, one after the other, are the whole.
    """

    rpc: Rpc[Any, Any]
    field: str
    by_row: tuple[str, ...]
    record: Callable[..., Record]
    spread: tuple[str, ...] = ()


SIMILARITY: Kind[Similarity] = Kind(
    rpcs.SIMILARITY, "compute_similarity", ("scores",), analysis_results.similarity
)
NEIGHBORS: Kind[Neighbors] = Kind(
    rpcs.NEIGHBORS, "search_neighbors", ("indices", "scores"), analysis_results.neighbors
)
CLUSTER: Kind[Clusters] = Kind(rpcs.CLUSTER, "cluster", ("labels",), cluster_results.clusters)
PROJECT: Kind[Projection] = Kind(
    rpcs.PROJECT, "project", ("coordinates",), analysis_results.projection, ("row_neighbors_kept",)
)
COMPARE_DROPOUT: Kind[DropoutComparison] = Kind(
    rpcs.COMPARE_DROPOUT, "compare_dropout", (), dropout_results.comparison
)
DUPLICATES: Kind[Duplicates] = Kind(
    rpcs.DUPLICATES, "find_duplicates", ("groups",), screening_results.duplicates, ("pairs", "scores")
)
OUTLIERS: Kind[Outliers] = Kind(
    rpcs.OUTLIERS, "find_outliers", ("scores", "occurrences"), screening_results.outliers
)
TRANSFORM: Kind[Placed] = Kind(
    rpcs.TRANSFORM, "transform", ("coordinates", "distances", "nearest_rows"), placing_results.placed
)
ASSIGN: Kind[Assigned] = Kind(
    rpcs.ASSIGN, "assign_clusters", ("labels", "distances", "shares"), placing_results.assigned
)
GROW: Kind[Grown] = Kind(rpcs.GROW, "grow_clustering", ("labels",), placing_results.grown)

KINDS: tuple[Kind[Any], ...] = (
    SIMILARITY,
    NEIGHBORS,
    CLUSTER,
    PROJECT,
    COMPARE_DROPOUT,
    DUPLICATES,
    OUTLIERS,
    TRANSFORM,
    ASSIGN,
    GROW,
)


def start_request(kind: Kind[Any], request: Any) -> analysis.StartAnalysisRequest:
    """The same request as an operation. It may be sent again."""
    made = analysis.StartAnalysisRequest(request_id=secrets.token_hex(16))
    getattr(made, kind.field).CopyFrom(request)
    return made


def estimate_request(kind: Kind[Any], request: Any) -> analysis.EstimateAnalysisRequest:
    """What the same request would take."""
    made = analysis.EstimateAnalysisRequest()
    getattr(made.analysis, kind.field).CopyFrom(request)
    return made
