"""The replies of analyses -> records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.json_format import MessageToDict
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2 as common

from penult_client._analysis import (
    Adjustment,
    ClusterQuality,
    Clusters,
    Neighbors,
    Projection,
    ProjectionQuality,
    StoredInfo,
)
from penult_client._core import arrays
from penult_client._core.enums import to_word
from penult_client._core.names import split_name
from penult_client._results import Similarity

Arrays = Mapping[str, NDArray[Any]]
"""What was read in parts, by the name of its field; empty: all is in the reply."""

_ALL_THERE: Arrays = {}


class Origin(NamedTuple):
    """What embedded the texts of a call before the analysis was asked for."""

    model: str
    version: int
    digest: str
    space: str


def similarity(
    reply: analysis.ComputeSimilarityResponse, origin: Origin | None = None, read: Arrays = _ALL_THERE
) -> Similarity:
    """A matrix of scores."""
    return Similarity(
        scores=rows_of(reply, "scores", read),
        metric=to_word(reply.metric, analysis.Metric, "METRIC_"),
        space_checked=reply.space_check == analysis.SPACE_CHECK_EQUAL,
        **source(reply, origin),
    )


def neighbors(
    reply: analysis.SearchNeighborsResponse, origin: Origin | None = None, read: Arrays = _ALL_THERE
) -> Neighbors:
    """The nearest rows."""
    scores, indices = rows_of(reply, "scores", read), rows_of(reply, "indices", read)
    if indices.shape != scores.shape:
        raise arrays.bad_reply(f"indices {list(indices.shape)} with scores {list(scores.shape)}")
    return Neighbors(
        indices=indices.astype(np.int32, copy=False),
        scores=scores,
        metric=to_word(reply.metric, analysis.Metric, "METRIC_"),
        zero_queries=_rows(reply.zero_queries),
        zero_corpus=_rows(reply.zero_corpus),
        space_checked=reply.space_check == analysis.SPACE_CHECK_EQUAL,
        adjustments=adjustments(reply.adjustments),
        **source(reply, origin),
    )


def clusters(
    reply: analysis.ClusterResponse, origin: Origin | None = None, read: Arrays = _ALL_THERE
) -> Clusters:
    """Clusters."""
    labels = rows_of(reply, "labels", read)
    if labels.ndim != 1 or (labels.size and labels.max() >= len(reply.clusters)):
        raise arrays.bad_reply(f"labels {list(labels.shape)} of {len(reply.clusters)} clusters")
    agreed = reply.agreement if reply.HasField("agreement") else None
    return Clusters(
        labels=labels.astype(np.int32, copy=False),
        sizes=_rows(cluster.size for cluster in reply.clusters),
        nearest=tuple(_rows(cluster.nearest_rows) for cluster in reply.clusters),
        quality=ClusterQuality(
            silhouette=optional(reply, "silhouette"),
            silhouette_rows=reply.silhouette_rows,
            noise_share=reply.noise_share,
            v_measure=agreed.v_measure if agreed else None,
            adjusted_rand=agreed.adjusted_rand if agreed else None,
            purity=agreed.purity if agreed else None,
        ),
        used=_used(reply.used),
        adjustments=adjustments(reply.adjustments),
        zero_rows=_rows(reply.zero_rows),
        stored=_stored(reply),
        **source(reply, origin),
    )


def projection(
    reply: analysis.ProjectResponse, origin: Origin | None = None, read: Arrays = _ALL_THERE
) -> Projection:
    """A map."""
    return Projection(
        coordinates=rows_of(reply, "coordinates", read),
        quality=ProjectionQuality(
            trustworthiness=optional(reply.quality, "trustworthiness"),
            rows=reply.quality.rows,
            neighbors=reply.quality.neighbors,
            label_purity=optional(reply.quality, "label_purity"),
            label_purity_source=optional(reply.quality, "label_purity_source"),
        ),
        explained_variance=np.array(reply.explained_variance, dtype=np.float64),
        used=_used(reply.used),
        adjustments=adjustments(reply.adjustments),
        zero_rows=_rows(reply.zero_rows),
        stored=_stored(reply),
        **source(reply, origin),
    )


def stored(told: analysis.Projection | analysis.Clustering) -> StoredInfo:
    """What is known of a map or clustering that the server keeps."""
    rows = told.source
    return StoredInfo(
        name=told.name.rpartition("/")[2],
        durable=told.durable,
        rows=rows.rows,
        dataset=rows.dataset.removeprefix("datasets/"),
        generation=rows.generation,
        id_digest=rows.id_digest,
        space=rows.embedding_space,
        parameters=MessageToDict(told.parameters),
        versions=dict(sorted(told.versions.items())),
        created=told.create_time.ToDatetime(UTC) if told.HasField("create_time") else None,
        size=told.size_bytes,
        problem=told.problem,
    )


def _stored(reply: analysis.ProjectResponse | analysis.ClusterResponse) -> StoredInfo | None:
    return stored(reply.stored) if reply.HasField("stored") else None


def rows_of(reply: Any, field: str, read: Arrays = _ALL_THERE) -> NDArray[Any]:
    """A field of a reply as an array, unless it was read in parts."""
    if field in read:
        return read[field]
    values = getattr(reply, field)
    if isinstance(values, common.Vectors):
        return arrays.to_matrix([values], [values.rows])
    return arrays.to_array(values)


def _rows(numbers: Iterable[int]) -> NDArray[np.int32]:
    return np.fromiter(numbers, dtype=np.int32)


def optional(message: Any, field: str) -> float | None:
    """A number that may be absent."""
    return getattr(message, field) if message.HasField(field) else None


def _used(parameters: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(parameters.items()))


def adjustments(told: Iterable[analysis.Adjustment]) -> tuple[Adjustment, ...]:
    """What was not used as asked."""
    return tuple(
        Adjustment(parameter=each.parameter, asked=each.asked, used=each.used, why=each.why) for each in told
    )


def source(reply: Any, origin: Origin | None) -> dict[str, Any]:
    """What embedded the texts: the server in this call, or, when they were too many for one request, before it."""
    if not reply.HasField("provenance"):
        return {} if origin is None else origin._asdict()
    model, version = split_name(reply.provenance.model)
    return {
        "model": model,
        "version": reply.provenance.version or version,
        "digest": reply.provenance.model_digest,
        "space": reply.provenance.embedding_space,
    }
