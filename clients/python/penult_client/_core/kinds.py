"""The analyses: how each is asked for, and what is made of its reply."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from penult.v1 import analysis_service_pb2 as analysis

from penult_client._analysis import Clusters, Neighbors, Projection
from penult_client._core import analysis_results, dropout_results, rpcs
from penult_client._core.rpcs import Rpc
from penult_client._dropout import DropoutComparison
from penult_client._results import Similarity

Record = TypeVar("Record")


@dataclass(frozen=True)
class Kind(Generic[Record]):
    """An analysis.

    Attributes:
        rpc: Asks for it at once.
        field: Its name in StartAnalysisRequest and ReadResultResponse.
        by_row: The fields of its reply that have a row for each row of the result.
        record: Makes the record of the reply, of what embedded the texts before, and of `by_row` where those were
            read in parts.
    """

    rpc: Rpc[Any, Any]
    field: str
    by_row: tuple[str, ...]
    record: Callable[..., Record]


SIMILARITY: Kind[Similarity] = Kind(
    rpcs.SIMILARITY, "compute_similarity", ("scores",), analysis_results.similarity
)
NEIGHBORS: Kind[Neighbors] = Kind(
    rpcs.NEIGHBORS, "search_neighbors", ("indices", "scores"), analysis_results.neighbors
)
CLUSTER: Kind[Clusters] = Kind(rpcs.CLUSTER, "cluster", ("labels",), analysis_results.clusters)
PROJECT: Kind[Projection] = Kind(rpcs.PROJECT, "project", ("coordinates",), analysis_results.projection)
COMPARE_DROPOUT: Kind[DropoutComparison] = Kind(
    rpcs.COMPARE_DROPOUT, "compare_dropout", (), dropout_results.comparison
)

KINDS: tuple[Kind[Any], ...] = (SIMILARITY, NEIGHBORS, CLUSTER, PROJECT, COMPARE_DROPOUT)


def start_request(kind: Kind[Any], request: Any) -> analysis.StartAnalysisRequest:
    """The same request as an operation. It may be sent again."""
    made = analysis.StartAnalysisRequest(request_id=secrets.token_hex(16))
    getattr(made, kind.field).CopyFrom(request)
    return made
