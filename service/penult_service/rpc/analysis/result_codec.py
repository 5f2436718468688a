"""Results of analyses <-> arrays and JSON that are stored. What an older release did not write has a default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2

from penult_service.analysis import results
from penult_service.rpc.analysis import cluster_codec, cluster_replies, dropout_replies, replies
from penult_service.rpc.analysis.bases import CLUSTERINGS as CLUSTERINGS_PLURAL
from penult_service.rpc.analysis.bases import PROJECTIONS as PROJECTIONS_PLURAL
from penult_service.rpc.analysis.dropout_sampling import DropoutOrigin
from penult_service.rpc.analysis.replies import ROWS, About, with_rows
from penult_service.rpc.replies import timestamp
from penult_service.storage import ResultInfo, StoredResult
from penult_service.storage.manifests import now

Response = pb.ClusterResponse | pb.ProjectResponse
_REPLY = "reply"
_GRAPH = ("near_rows", "near_distances")
_OPTIONAL = ("fitted_rows", "mean", "loadings", "reduced", "centres", "label_counts")
_MAKERS = ("umap-learn", "scikit-learn", "numba", "scipy", "faiss-cpu")


@dataclass(frozen=True, eq=False)
class Parts:
    """A result as `ResultStore.put` takes it."""

    arrays: dict[str, NDArray[Any]]
    parameters: dict[str, Any]
    facts: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True)
class Kind:
    """What can be stored: its names, its messages, and how its replies are made."""

    word: str
    plural: str
    resource: Callable[..., pb.Projection | pb.Clustering]
    reply: Callable[[StoredResult], Response]
    answer: Callable[[Any, About], Response]

    def told(self, info: ResultInfo) -> Any:
        """What is known of a stored result, as a message."""
        source = info.source
        message = self.resource(
            name=f"{self.plural}/{info.name}",
            create_time=timestamp(info.created),
            source=pb.RowsOf(
                rows=source.rows,
                dataset=f"datasets/{source.dataset}" if source.dataset else "",
                generation=source.generation,
                id_digest=source.id_digest,
                embedding_space=source.embedding_space,
            ),
            versions=info.versions,
            size_bytes=info.bytes,
            durable=info.durable,
            problem=info.problem,
        )
        message.parameters.update(info.parameters)
        if isinstance(message, pb.Clustering):
            _tell_clusters(message, info)
        return message

    def response(self, found: StoredResult) -> Any:
        """The reply of the call that made it, as things are now."""
        message = self.reply(found)
        self.told_in(message, found.info)
        return message

    def told_in(self, response: Any, info: ResultInfo) -> None:
        """Say in the reply of the call that made it where it is, and what became of it."""
        response.stored.CopyFrom(self.told(info))
        if isinstance(response, pb.ClusterResponse):
            sizes = {each.label: each.size for each in response.clusters}
            history = cluster_codec.history_of(info, sizes)
            response.history.extend(cluster_replies.batch(each) for each in history)


def _tell_clusters(message: pb.Clustering, info: ResultInfo) -> None:
    facts = info.facts
    if info.updated:
        message.update_time.CopyFrom(timestamp(info.updated))  # type: ignore[arg-type]
    if "cluster_labels" in facts:
        message.cluster_count = len(facts["cluster_labels"])
    for label, name in facts.get("names", {}).items():
        message.cluster_names[int(label)] = name
    message.batch_count = len(facts.get("history", ())) or 1


def parts(result: results.Result, about: About, more: Mapping[str, Any]) -> Parts:
    """What is stored of a result, with `more` facts (those that are empty are left out)."""
    extra = {name: value for name, value in more.items() if value}
    if isinstance(result, results.CompareDropoutResult):
        return _comparison_parts(result, about.origin, extra)
    kind = _BY_ROWS.get(type(result))
    if kind is not None:
        return _reply_parts(kind, result, about, extra)
    assert not isinstance(about.origin, DropoutOrigin)
    values = {each.name: getattr(result, each.name) for each in fields(result)}
    used = values.pop("used", {})
    arrays = {
        name: value for name, value in values.items() if isinstance(value, np.ndarray) and _says(name, value)
    }
    if "fitted_rows" not in arrays:
        arrays.pop("fitted_first", None)
    facts = {name: _plain(value) for name, value in values.items() if not isinstance(value, np.ndarray)}
    facts["adjustments"] = [asdict(each) for each in values.get("adjustments", ())]
    if isinstance(result, results.ClusterResult):
        clusters = cluster_replies.clusters_of(result, about.label_names)
        facts |= cluster_codec.records(result)
        facts |= cluster_codec.made_facts(clusters, len(result.labels), now())
        if "centres" in arrays:
            arrays["centre_labels"] = np.arange(len(result.sizes), dtype=np.int32)
        for name in ("silhouettes", "label_counts"):  # they are among the facts, by label
            arrays.pop(name, None)
    if about.origin is not None:
        facts["provenance"] = MessageToDict(about.origin, preserving_proto_field_name=True)
    return Parts(
        arrays, {name: _plain(value) for name, value in used.items()}, {**facts, **extra}, _versions()
    )


def grown_parts(
    reply: pb.GrowClusteringResponse, labels: NDArray[np.int32], more: Mapping[str, Any]
) -> Parts:
    """What an operation keeps of clusters that grew: the labels of the new rows, and the rest of its reply."""
    return _with_reply(reply, {"labels": labels}, {}, {name: value for name, value in more.items() if value})


def _says(name: str, array: NDArray[Any]) -> bool:
    """Whether an array is worth a file: one that was not asked for is [0, 0]. A graph is kept with its set."""
    return name not in _GRAPH and (name not in _OPTIONAL or array.ndim == 1 or array.shape[1] > 0)


def _reply_parts(kind: str, result: Any, about: About, more: Mapping[str, Any]) -> Parts:
    arrays = {name: getattr(result, name) for name in ROWS[kind]}
    used = {name: _plain(value) for name, value in getattr(result, "used", {}).items()}
    return _with_reply(_REPLIES[kind](result, about), arrays, used, more)


def _with_reply(
    reply: Message, arrays: Mapping[str, NDArray[Any]], used: dict[str, Any], facts: Mapping[str, Any]
) -> Parts:
    """A reply as it stands on the wire, and beside it the arrays of which some are read at a time."""
    message = np.frombuffer(reply.SerializeToString(), np.uint8)
    return Parts({**arrays, _REPLY: message}, used, dict(facts), _versions())


def _from_reply(kind: str, found: StoredResult) -> Any:
    message = _MESSAGES[kind].FromString(found.arrays[_REPLY].tobytes())
    return with_rows(message, found.arrays, ROWS[kind])


def _comparison_parts(
    result: results.CompareDropoutResult, origin: replies.Known, more: Mapping[str, Any]
) -> Parts:
    """Its reply as it stands on the wire: it has no rows that are read some at a time."""
    assert isinstance(origin, DropoutOrigin)
    message = dropout_replies.comparison(result, origin).SerializeToString()
    return Parts({_REPLY: np.frombuffer(message, np.uint8)}, {}, dict(more), _versions())


def _comparison(found: StoredResult) -> pb.CompareDropoutResponse:
    return pb.CompareDropoutResponse.FromString(found.arrays[_REPLY].tobytes())


def _similarity(found: StoredResult) -> pb.ComputeSimilarityResponse:
    facts = found.info.facts
    result = results.SimilarityResult(found.arrays["scores"], _background(facts))
    return replies.similarity(result, facts["metric"], facts["space_check"], _origin(facts))


def _neighbors(found: StoredResult) -> pb.SearchNeighborsResponse:
    arrays, facts = found.arrays, found.info.facts
    result = results.NeighborsResult(
        indices=arrays["indices"],
        scores=arrays["scores"],
        zero_queries=arrays.get("zero_queries", np.zeros(0, np.int32)),
        zero_corpus=arrays.get("zero_corpus", np.zeros(0, np.int32)),
        adjustments=_adjustments(facts),
        background=_background(facts),
        recall=facts.get("recall"),
    )
    return replies.neighbors(result, facts["metric"], facts["space_check"], _origin(facts))


def _projection(found: StoredResult) -> pb.ProjectResponse:
    arrays, facts = found.arrays, found.info.facts
    result = results.ProjectResult(
        coordinates=arrays["coordinates"],
        explained_variance=arrays.get("explained_variance", np.zeros(0)),
        zero_rows=arrays.get("zero_rows", np.zeros(0, np.int32)),
        trustworthiness=facts.get("trustworthiness"),
        quality_rows=facts.get("quality_rows", 0),
        quality_neighbors=facts.get("quality_neighbors", 0),
        label_purity=facts.get("label_purity"),
        label_purity_source=facts.get("label_purity_source"),
        used=dict(found.info.parameters),
        adjustments=_adjustments(facts),
        continuity=facts.get("continuity"),
        neighbors_kept=facts.get("neighbors_kept"),
        row_neighbors_kept=arrays.get("row_neighbors_kept", np.zeros(0, np.float32)),
        distance_correlation=facts.get("distance_correlation"),
        alignment_disparity=facts.get("alignment_disparity"),
    )
    return replies.projection(result, _origin(facts))


def _clustering(found: StoredResult) -> pb.ClusterResponse:
    clusters = cluster_codec.clusters_now(found.info, found.arrays)
    return cluster_replies.clusters(cluster_codec.clustering_of(found), _origin(found.info.facts), clusters)


def _similarity_reply(result: Any, about: About) -> Message:
    return replies.similarity(result, about.metric, about.space_check, _plain_origin(about))


def _neighbors_reply(result: Any, about: About) -> Message:
    return replies.neighbors(result, about.metric, about.space_check, _plain_origin(about))


def _cluster_reply(result: Any, about: About) -> pb.ClusterResponse:
    clusters = cluster_replies.clusters_of(result, about.label_names)
    return cluster_replies.clusters(result, _plain_origin(about), clusters)


def _projection_reply(result: Any, about: About) -> pb.ProjectResponse:
    return replies.projection(result, _plain_origin(about))


def _comparison_reply(result: Any, about: About) -> Message:
    assert isinstance(about.origin, DropoutOrigin)
    return dropout_replies.comparison(result, about.origin)


def _plain_origin(about: About) -> replies.Origin:
    assert not isinstance(about.origin, DropoutOrigin)
    return about.origin


def reply(name: str, result: Any, about: About) -> Any:
    """The reply to the call of an analysis."""
    if name not in ROWS:
        return _REPLIES[name](result, about)
    arrays = {each: getattr(result, each) for each in ROWS[name]}
    return with_rows(_REPLIES[name](result, about), arrays, ROWS[name])


_REPLIES: Mapping[str, Callable[[Any, About], Any]] = {
    "similarity": _similarity_reply,
    "neighbors": _neighbors_reply,
    "cluster": _cluster_reply,
    "project": _projection_reply,
    "compare_dropout": _comparison_reply,
    "duplicates": replies.duplicates,
    "outliers": replies.outliers,
    "transform": replies.transform,
    "assign": replies.assign,
}
_BY_ROWS: Mapping[type, str] = {
    results.DuplicatesResult: "duplicates",
    results.OutliersResult: "outliers",
    results.TransformResult: "transform",
    results.AssignResult: "assign",
}
_MESSAGES: Mapping[str, Any] = {
    "duplicates": pb.FindDuplicatesResponse,
    "outliers": pb.FindOutliersResponse,
    "transform": pb.TransformResponse,
    "assign": pb.AssignClustersResponse,
    "grow": pb.GrowClusteringResponse,
}
RESPONSES: Mapping[str, Callable[[StoredResult], Any]] = {
    "similarity": _similarity,
    "neighbors": _neighbors,
    "cluster": _clustering,
    "project": _projection,
    "compare_dropout": _comparison,
    **{kind: partial(_from_reply, kind) for kind in _MESSAGES},
}
"""The reply that a stored result stands for, by the name of the analysis."""

PROJECTIONS = Kind("projection", PROJECTIONS_PLURAL, pb.Projection, _projection, _projection_reply)
CLUSTERINGS = Kind("clustering", CLUSTERINGS_PLURAL, pb.Clustering, _clustering, _cluster_reply)


def _background(facts: Mapping[str, Any]) -> results.Background | None:
    told = facts.get("background")
    return None if told is None else results.Background(**{**told, "quantiles": tuple(told["quantiles"])})


def _adjustments(facts: Mapping[str, Any]) -> tuple[results.Adjustment, ...]:
    return tuple(results.Adjustment(**each) for each in facts.get("adjustments", ()))


def _origin(facts: Mapping[str, Any]) -> replies.Origin:
    told = facts.get("provenance")
    return None if told is None else ParseDict(told, common_pb2.Provenance(), ignore_unknown_fields=True)


def _plain(value: Any) -> Any:
    """Numbers of NumPy and records as those of JSON."""
    if isinstance(value, np.generic):
        return value.item()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def _versions() -> dict[str, str]:
    """Of what computes in the workers; this process never imports it."""
    found: dict[str, str] = {}
    for name in _MAKERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
