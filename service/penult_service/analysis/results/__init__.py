"""What the analyses give back: arrays and facts that travel from a worker to the server, and on to the caller."""

from penult_service.analysis.results.clusters import (
    Advice,
    AssignResult,
    ClusterResult,
    GrowResult,
    Stability,
)
from penult_service.analysis.results.common import Adjustment, Background, Fitted, Graphed
from penult_service.analysis.results.dropout import CompareDropoutResult, Distribution, DropoutEffect
from penult_service.analysis.results.maps import ProjectResult, TransformResult
from penult_service.analysis.results.scores import (
    DuplicatesResult,
    NeighborsResult,
    OutliersResult,
    SimilarityResult,
)

Result = (
    SimilarityResult
    | NeighborsResult
    | ClusterResult
    | ProjectResult
    | CompareDropoutResult
    | DuplicatesResult
    | OutliersResult
    | TransformResult
    | AssignResult
    | GrowResult
)

__all__ = [
    "Adjustment",
    "Advice",
    "AssignResult",
    "Background",
    "ClusterResult",
    "CompareDropoutResult",
    "Distribution",
    "DropoutEffect",
    "DuplicatesResult",
    "Fitted",
    "Graphed",
    "GrowResult",
    "NeighborsResult",
    "OutliersResult",
    "ProjectResult",
    "Result",
    "SimilarityResult",
    "Stability",
    "TransformResult",
]
