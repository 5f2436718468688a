"""The replies of analyses -> records: similarities, neighbours, maps, and what all of them have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.json_format import MessageToDict
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2 as common

from penult_client._analysis import (
    Adjustment,
    Neighbors,
    Projection,
    ProjectionQuality,
    Similarity,
    StoredInfo,
)
from penult_client._background import Background
from penult_client._core import arrays
from penult_client._core.enums import to_word
from penult_client._core.names import split_name

Arrays = Mapping[str, NDArray[Any]]
"""What was read in parts, by the name of its field; empty: all is in the reply."""

ALL_THERE: Arrays = {}


class Origin(NamedTuple):
    """What embedded the texts of a call before the analysis was asked for."""

    model: str
    version: int
    digest: str
    space: str


def similarity(
    reply: analysis.ComputeSimilarityResponse, origin: Origin | None = None, read: Arrays = ALL_THERE
) -> Similarity:
    """A matrix of scores."""
    return Similarity(
        scores=rows_of(reply, "scores", read),
        metric=metric(reply),
        space_checked=reply.space_check == analysis.SPACE_CHECK_EQUAL,
        background=background(reply),
        **source(reply, origin),
    )


def neighbors(
    reply: analysis.SearchNeighborsResponse, origin: Origin | None = None, read: Arrays = ALL_THERE
) -> Neighbors:
    """The nearest rows."""
    scores, indices = rows_of(reply, "scores", read), rows_of(reply, "indices", read)
    if indices.shape != scores.shape:
        raise arrays.bad_reply(f"indices {list(indices.shape)} with scores {list(scores.shape)}")
    return Neighbors(
        indices=indices.astype(np.int32, copy=False),
        scores=scores,
        metric=metric(reply),
        zero_queries=numbers(reply.zero_queries),
        zero_corpus=numbers(reply.zero_corpus),
        space_checked=reply.space_check == analysis.SPACE_CHECK_EQUAL,
        background=background(reply),
        recall=optional(reply, "recall"),
        adjustments=adjustments(reply.adjustments),
        **source(reply, origin),
    )


def projection(
    reply: analysis.ProjectResponse, origin: Origin | None = None, read: Arrays = ALL_THERE
) -> Projection:
    """A map."""
    coordinates = rows_of(reply, "coordinates", read)
    return Projection(
        coordinates=coordinates,
        quality=ProjectionQuality(
            trustworthiness=optional(reply.quality, "trustworthiness"),
            rows=reply.quality.rows,
            neighbors=reply.quality.neighbors,
            label_purity=optional(reply.quality, "label_purity"),
            label_purity_source=optional(reply.quality, "label_purity_source"),
            continuity=optional(reply.quality, "continuity"),
            neighbors_kept=optional(reply.quality, "neighbors_kept"),
            distance_correlation=optional(reply.quality, "distance_correlation"),
            alignment_disparity=optional(reply.quality, "alignment_disparity"),
        ),
        explained_variance=np.array(reply.explained_variance, dtype=np.float64),
        used=used(reply),
        adjustments=adjustments(reply.adjustments),
        zero_rows=numbers(reply.zero_rows),
        row_neighbors_kept=_neighbors_kept(reply, len(coordinates), read),
        stored=stored_of(reply),
        **source(reply, origin),
    )


def stored(told: analysis.Projection | analysis.Clustering) -> StoredInfo:
    """What is known of a map or clustering that the server keeps."""
    rows = told.source
    changes: dict[str, Any] = {}
    if isinstance(told, analysis.Clustering):
        changes = {
            "updated": time_of(told, "update_time"),
            "clusters": optional(told, "cluster_count"),
            "cluster_names": dict(sorted(told.cluster_names.items())),
            "batches": told.batch_count,
        }
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
        created=time_of(told, "create_time"),
        size=told.size_bytes,
        problem=told.problem,
        **changes,
    )


def time_of(told: Any, field: str) -> datetime | None:
    """A time in UTC; None: it is not told."""
    found: datetime | None = getattr(told, field).ToDatetime(UTC) if told.HasField(field) else None
    return found


def stored_of(reply: analysis.ProjectResponse | analysis.ClusterResponse) -> StoredInfo | None:
    """Where the server keeps it; None: nowhere."""
    return stored(reply.stored) if reply.HasField("stored") else None


def _neighbors_kept(reply: analysis.ProjectResponse, rows: int, read: Arrays) -> NDArray[np.float32]:
    """NaN where it is not told: older servers, and maps that they stored."""
    if not rows_of(reply, "row_neighbors_kept", read).size:
        return np.full(rows, np.nan, np.float32)
    kept = one_a_row(reply, "row_neighbors_kept", rows, read)
    return np.where(kept < 0, np.float32(np.nan), kept)


def rows_of(reply: Any, field: str, read: Arrays = ALL_THERE) -> NDArray[Any]:
    """A field of a reply as an array, unless it was read in parts."""
    if field in read:
        return read[field]
    values = getattr(reply, field)
    if isinstance(values, common.Vectors):
        return arrays.to_matrix([values], [values.rows])
    return arrays.to_array(values)


def one_a_row(reply: Any, field: str, rows: int, read: Arrays = ALL_THERE) -> NDArray[Any]:
    """A field of one number a row, Vectors [rows, 1] or a Tensor [rows], as an array [rows]."""
    values = rows_of(reply, field, read)
    if values.size != rows or values.shape[0] != rows:
        raise arrays.bad_reply(f"{field} {list(values.shape)} of {rows} rows")
    return values.reshape(rows)


def numbers(values: Iterable[int]) -> NDArray[np.int32]:
    """Numbers of rows, or how many there are, as int32."""
    return np.fromiter(values, dtype=np.int32)


def metric(reply: Any) -> str:
    """The word of the metric that was used."""
    return to_word(reply.metric, analysis.Metric, "METRIC_")


def background(reply: Any) -> Background | None:
    """What scores are usual; None: not known."""
    if not reply.HasField("background"):
        return None
    told = reply.background
    if not told.quantiles:
        raise arrays.bad_reply("a background without quantiles")
    return Background(
        quantiles=np.array(told.quantiles, np.float64),
        pairs=told.pairs,
        mean=told.mean,
        std=told.std,
        rows=told.rows,
        metric=metric(reply),
    )


def optional(message: Any, field: str) -> Any:
    """A number that may be absent: None then."""
    return getattr(message, field) if message.HasField(field) else None


def used(reply: Any) -> dict[str, str]:
    """The parameters that were used, by name."""
    return dict(sorted(reply.used.items()))


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
