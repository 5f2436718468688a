"""Results of analyses as arrays and JSON that are stored; `stored_replies` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from importlib import metadata
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis import results
from penult_service.rpc.analysis import cluster_codec, cluster_replies, dropout_replies, replies
from penult_service.rpc.analysis.answers import REPLIES
from penult_service.rpc.analysis.dropout_sampling import DropoutOrigin
from penult_service.rpc.analysis.replies import ROWS, About
from penult_service.storage.manifests import now

REPLY = "reply"
_GRAPH = ("near_rows", "near_distances")
_OF_FITTED = ("fitted_first", "fitted_inverse")
_OPTIONAL = ("fitted_rows", "mean", "loadings", "reduced", "centres", "label_counts")
_MAKERS = ("umap-learn", "scikit-learn", "numba", "scipy", "faiss-cpu")


@dataclass(frozen=True, eq=False)
class Parts:
    """A result as `ResultStore.put` takes it."""

    arrays: dict[str, NDArray[Any]]
    parameters: dict[str, Any]
    facts: dict[str, Any]
    versions: dict[str, str]


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
        for name in ("fitted_first", "fitted_inverse"):
            arrays.pop(name, None)
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
    return _with_reply(REPLIES[kind](result, about), arrays, used, more)


def _with_reply(
    reply: Message, arrays: Mapping[str, NDArray[Any]], used: dict[str, Any], facts: Mapping[str, Any]
) -> Parts:
    """A reply as it stands on the wire, and beside it the arrays of which some are read at a time."""
    message = np.frombuffer(reply.SerializeToString(), np.uint8)
    return Parts({**arrays, REPLY: message}, used, dict(facts), _versions())


def _comparison_parts(
    result: results.CompareDropoutResult, origin: replies.Known, more: Mapping[str, Any]
) -> Parts:
    """Its reply as it stands on the wire: it has no rows that are read some at a time."""
    assert isinstance(origin, DropoutOrigin)
    message = dropout_replies.comparison(result, origin).SerializeToString()
    return Parts({REPLY: np.frombuffer(message, np.uint8)}, {}, dict(more), _versions())


_BY_ROWS: Mapping[type, str] = {
    results.DuplicatesResult: "duplicates",
    results.OutliersResult: "outliers",
    results.TransformResult: "transform",
    results.AssignResult: "assign",
}


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
