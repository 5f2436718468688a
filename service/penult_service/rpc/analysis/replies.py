"""Results of analyses as messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2

from penult_service.analysis import results
from penult_service.rpc import replies
from penult_service.rpc.analysis.codec import METRICS
from penult_service.rpc.analysis.dropout_sampling import DropoutOrigin

_METRICS = {word: number for number, word in METRICS.items() if number}

Origin = common_pb2.Provenance | None
Known = Origin | DropoutOrigin
"""Where the rows of a result came from; of a comparison with dropout, all that is known beside it."""


def similarity(
    result: results.SimilarityResult, metric: str, check: pb.SpaceCheck, origin: Origin
) -> pb.ComputeSimilarityResponse:
    """Scores."""
    return pb.ComputeSimilarityResponse(
        scores=replies.vectors(result.scores), metric=_METRICS[metric], space_check=check, provenance=origin
    )


def neighbors(
    result: results.NeighborsResult, metric: str, check: pb.SpaceCheck, origin: Origin
) -> pb.SearchNeighborsResponse:
    """The nearest rows."""
    return pb.SearchNeighborsResponse(
        indices=replies.tensor(result.indices),
        scores=replies.vectors(result.scores),
        metric=_METRICS[metric],
        zero_queries=result.zero_queries,
        zero_corpus=result.zero_corpus,
        adjustments=adjustments(result.adjustments),
        space_check=check,
        provenance=origin,
    )


def clusters(result: results.ClusterResult, origin: Origin) -> pb.ClusterResponse:
    """Clusters."""
    return pb.ClusterResponse(
        labels=replies.tensor(result.labels),
        clusters=[
            pb.ClusterInfo(label=label, size=size, nearest_rows=[row for row in nearest if row >= 0])
            for label, (size, nearest) in enumerate(
                zip(result.sizes.tolist(), result.nearest.tolist(), strict=True)
            )
        ],
        silhouette=result.silhouette,
        silhouette_rows=result.silhouette_rows,
        noise_share=result.noise_share,
        agreement=pb.Agreement(**result.agreement) if result.agreement else None,
        used=_used(result.used),
        adjustments=adjustments(result.adjustments),
        zero_rows=result.zero_rows,
        provenance=origin,
    )


def projection(result: results.ProjectResult, origin: Origin) -> pb.ProjectResponse:
    """A map."""
    return pb.ProjectResponse(
        coordinates=replies.vectors(result.coordinates),
        quality=pb.ProjectionQuality(
            trustworthiness=result.trustworthiness,
            rows=result.quality_rows,
            neighbors=result.quality_neighbors,
            label_purity=result.label_purity,
            label_purity_source=result.label_purity_source,
        ),
        explained_variance=result.explained_variance,
        used=_used(result.used),
        adjustments=adjustments(result.adjustments),
        zero_rows=result.zero_rows,
        provenance=origin,
    )


def adjustments(made: Iterable[results.Adjustment]) -> list[pb.Adjustment]:
    """What was not used as asked."""
    return [pb.Adjustment(parameter=a.parameter, asked=a.asked, used=a.used, why=a.why) for a in made]


def _used(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Numbers as people write them: 0.1, not 0.10000000149011612; what was not used is left out."""
    return {name: _written(value) for name, value in parameters.items() if value is not None}


def _written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
