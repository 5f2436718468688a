"""Results of analyses as messages. Those of clusters are in `cluster_replies`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2

from penult_service.analysis import results
from penult_service.rpc import replies
from penult_service.rpc.analysis.dropout_sampling import DropoutOrigin
from penult_service.rpc.analysis.words import METRIC_NUMBERS

Origin = common_pb2.Provenance | None
Known = Origin | DropoutOrigin
"""Where the rows of a result came from; of a comparison with dropout, all that is known beside it."""


@dataclass(frozen=True, eq=False)
class About:
    """What a reply says beside what was computed.

    `label_names` are the caller's labels by code; `stored` the map or clustering that new rows were placed by, and
    `cluster_names` those that persons gave to its clusters.
    """

    origin: Known = None
    metric: str = "cosine"
    space_check: pb.SpaceCheck = pb.SPACE_CHECK_UNSPECIFIED
    label_names: tuple[str, ...] = ()
    stored: pb.Projection | pb.Clustering | None = None
    cluster_names: Mapping[int, str] | None = None


def similarity(
    result: results.SimilarityResult, metric: str, check: pb.SpaceCheck, origin: Origin
) -> pb.ComputeSimilarityResponse:
    """Scores."""
    return pb.ComputeSimilarityResponse(
        scores=replies.vectors(result.scores),
        metric=METRIC_NUMBERS[metric],
        space_check=check,
        provenance=origin,
        background=background(result.background),
    )


def neighbors(
    result: results.NeighborsResult, metric: str, check: pb.SpaceCheck, origin: Origin
) -> pb.SearchNeighborsResponse:
    """The nearest rows."""
    return pb.SearchNeighborsResponse(
        indices=replies.tensor(result.indices),
        scores=replies.vectors(result.scores),
        metric=METRIC_NUMBERS[metric],
        zero_queries=result.zero_queries,
        zero_corpus=result.zero_corpus,
        adjustments=adjustments(result.adjustments),
        space_check=check,
        provenance=origin,
        background=background(result.background),
        recall=result.recall,
    )


def projection(result: results.ProjectResult, origin: Origin) -> pb.ProjectResponse:
    """A map."""
    kept = np.nan_to_num(result.row_neighbors_kept, nan=-1.0)
    return pb.ProjectResponse(
        coordinates=replies.vectors(result.coordinates),
        quality=pb.ProjectionQuality(
            trustworthiness=result.trustworthiness,
            rows=result.quality_rows,
            neighbors=result.quality_neighbors,
            label_purity=result.label_purity,
            label_purity_source=result.label_purity_source,
            continuity=result.continuity,
            neighbors_kept=result.neighbors_kept,
            distance_correlation=result.distance_correlation,
            alignment_disparity=result.alignment_disparity,
        ),
        explained_variance=result.explained_variance,
        used=used(result.used),
        adjustments=adjustments(result.adjustments),
        zero_rows=result.zero_rows,
        provenance=origin,
        row_neighbors_kept=replies.vectors(kept[:, None]) if kept.size else None,
    )


def duplicates(result: results.DuplicatesResult, about: About) -> pb.FindDuplicatesResponse:
    """Equal rows, without `ROWS` (and so below)."""
    left_out = int((result.groups >= 0).sum()) - len(result.keepers)
    return pb.FindDuplicatesResponse(
        keepers=result.keepers,
        total_pairs=result.total_pairs,
        equal_pairs=result.equal_pairs,
        rows_kept=len(result.groups) - left_out,
        threshold=result.threshold,
        metric=METRIC_NUMBERS[about.metric],
        background=background(result.background),
        adjustments=adjustments(result.adjustments),
        zero_rows=result.zero_rows,
        provenance=_origin(about),
    )


def outliers(result: results.OutliersResult, about: About) -> pb.FindOutliersResponse:
    """Rows far from all."""
    return pb.FindOutliersResponse(
        order=result.order,
        hubness=result.hubness,
        antihubs=result.antihubs,
        k=result.k,
        metric=METRIC_NUMBERS[about.metric],
        adjustments=adjustments(result.adjustments),
        zero_rows=result.zero_rows,
        provenance=_origin(about),
    )


def transform(result: results.TransformResult, about: About) -> pb.TransformResponse:
    """Places of new rows."""
    assert not isinstance(about.stored, pb.Clustering)
    return pb.TransformResponse(
        far_rows=result.far_rows,
        far_distance=result.far_distance,
        zero_rows=result.zero_rows,
        used=used(result.used),
        projection=about.stored,
        space_check=about.space_check,
        provenance=_origin(about),
        adjustments=adjustments(result.adjustments),
    )


def assign(result: results.AssignResult, about: About) -> pb.AssignClustersResponse:
    """Clusters of new rows."""
    assert not isinstance(about.stored, pb.Projection)
    return pb.AssignClustersResponse(
        far_rows=result.far_rows,
        far_distance=result.far_distance,
        zero_rows=result.zero_rows,
        used=used(result.used),
        clustering=about.stored,
        space_check=about.space_check,
        provenance=_origin(about),
        names=about.cluster_names,
    )


ROWS: Mapping[str, tuple[str, ...]] = {
    "duplicates": ("groups", "pairs", "scores"),
    "outliers": ("scores", "occurrences"),
    "transform": ("coordinates", "distances", "nearest_rows"),
    "assign": ("labels", "distances", "shares"),
    "grow": ("labels",),
}
"""Arrays of results that are fields of their replies under the same name; by the name of the analysis."""


def with_rows(message: Any, arrays: Mapping[str, NDArray[Any]], names: Iterable[str]) -> Any:
    """A reply with those arrays: float32 [n, c] and [n] as Vectors, integers as tensors."""
    for name in names:
        array = arrays[name]
        if array.dtype.kind == "f":
            column = array if array.ndim == 2 else array[:, None]
            getattr(message, name).CopyFrom(replies.vectors(column))
        else:
            getattr(message, name).CopyFrom(replies.tensor(array))
    return message


def background(found: results.Background | None) -> pb.ScoreBackground | None:
    """What scores are usual."""
    if found is None:
        return None
    return pb.ScoreBackground(
        quantiles=found.quantiles, pairs=found.pairs, mean=found.mean, std=found.std, rows=found.rows
    )


def adjustments(made: Iterable[results.Adjustment]) -> list[pb.Adjustment]:
    """What was not used as asked."""
    return [pb.Adjustment(parameter=a.parameter, asked=a.asked, used=a.used, why=a.why) for a in made]


def used(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Numbers as people write them: 0.1, not 0.10000000149011612; what was not used is left out."""
    return {name: _written(value) for name, value in parameters.items() if value is not None}


def _origin(about: About) -> Origin:
    assert not isinstance(about.origin, DropoutOrigin)
    return about.origin


def _written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
