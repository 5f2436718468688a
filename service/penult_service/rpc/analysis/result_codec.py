"""Results of analyses <-> arrays and JSON that are stored. What an older release did not write has a default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict, ParseDict
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2

from penult_service.analysis import results
from penult_service.rpc.analysis import dropout_replies, replies
from penult_service.rpc.analysis.dropout_sampling import DropoutOrigin
from penult_service.rpc.replies import timestamp
from penult_service.storage import ResultInfo, StoredResult

Response = pb.ClusterResponse | pb.ProjectResponse
_REPLY = "reply"
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
    answer: Callable[[Any, replies.Origin], Response]

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
        return message

    def response(self, found: StoredResult) -> Any:
        """The reply of the call that made it."""
        message = self.reply(found)
        message.stored.CopyFrom(self.told(found.info))
        return message


def parts(result: results.Result, origin: replies.Known, more: Mapping[str, Any]) -> Parts:
    """What is stored of a result, with `more` facts (those that are empty are left out)."""
    if isinstance(result, results.CompareDropoutResult):
        return _comparison_parts(result, origin, more)
    assert not isinstance(origin, DropoutOrigin)
    fields = {name: getattr(result, name) for name in result.__dataclass_fields__}
    arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}
    used = fields.pop("used", {})
    facts = {
        name: _plain(value) for name, value in fields.items() if name not in arrays and name != "adjustments"
    }
    facts["adjustments"] = [asdict(each) for each in fields.get("adjustments", ())]
    if origin is not None:
        facts["provenance"] = MessageToDict(origin, preserving_proto_field_name=True)
    facts.update((name, value) for name, value in more.items() if value)
    return Parts(arrays, {name: _plain(value) for name, value in used.items()}, facts, _versions())


def _comparison_parts(
    result: results.CompareDropoutResult, origin: replies.Known, more: Mapping[str, Any]
) -> Parts:
    """Its reply as it stands on the wire: it has no rows that are read some at a time."""
    assert isinstance(origin, DropoutOrigin)
    message = dropout_replies.comparison(result, origin).SerializeToString()
    facts = {name: value for name, value in more.items() if value}
    return Parts({_REPLY: np.frombuffer(message, np.uint8)}, {}, facts, _versions())


def _comparison(found: StoredResult) -> pb.CompareDropoutResponse:
    return pb.CompareDropoutResponse.FromString(found.arrays[_REPLY].tobytes())


def _similarity(found: StoredResult) -> pb.ComputeSimilarityResponse:
    facts = found.info.facts
    result = results.SimilarityResult(found.arrays["scores"])
    return replies.similarity(result, facts["metric"], facts["space_check"], _origin(facts))


def _neighbors(found: StoredResult) -> pb.SearchNeighborsResponse:
    arrays, facts = found.arrays, found.info.facts
    result = results.NeighborsResult(
        indices=arrays["indices"],
        scores=arrays["scores"],
        zero_queries=arrays.get("zero_queries", np.zeros(0, np.int32)),
        zero_corpus=arrays.get("zero_corpus", np.zeros(0, np.int32)),
        adjustments=_adjustments(facts),
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
    )
    return replies.projection(result, _origin(facts))


def _clustering(found: StoredResult) -> pb.ClusterResponse:
    arrays, facts = found.arrays, found.info.facts
    labels, sizes, rows = arrays["labels"], arrays["sizes"], found.info.source.rows
    # By the sizes: a part of a result has some of the labels alone.
    noise_share = (rows - int(sizes.sum())) / max(rows, 1)
    result = results.ClusterResult(
        labels=labels,
        sizes=sizes,
        nearest=arrays.get("nearest", np.zeros((len(sizes), 0), np.int32)),
        zero_rows=arrays.get("zero_rows", np.zeros(0, np.int32)),
        silhouette=facts.get("silhouette"),
        silhouette_rows=facts.get("silhouette_rows", 0),
        noise_share=facts.get("noise_share", noise_share),
        used=dict(found.info.parameters),
        agreement=facts.get("agreement", {}),
        adjustments=_adjustments(facts),
    )
    return replies.clusters(result, _origin(facts))


RESPONSES: Mapping[str, Callable[[StoredResult], Any]] = {
    "similarity": _similarity,
    "neighbors": _neighbors,
    "cluster": _clustering,
    "project": _projection,
    "compare_dropout": _comparison,
}
"""The reply that a stored result stands for, by the name of the analysis."""

PROJECTIONS = Kind("projection", "projections", pb.Projection, _projection, replies.projection)
CLUSTERINGS = Kind("clustering", "clusterings", pb.Clustering, _clustering, replies.clusters)


def _adjustments(facts: Mapping[str, Any]) -> tuple[results.Adjustment, ...]:
    return tuple(results.Adjustment(**each) for each in facts.get("adjustments", ()))


def _origin(facts: Mapping[str, Any]) -> replies.Origin:
    told = facts.get("provenance")
    return None if told is None else ParseDict(told, common_pb2.Provenance(), ignore_unknown_fields=True)


def _plain(value: Any) -> Any:
    """Numbers of NumPy as those of JSON."""
    if isinstance(value, np.generic):
        return value.item()
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
