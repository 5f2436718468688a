"""Results, as they were computed, as the replies of their calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message
from penult.v1 import analysis_service_pb2 as pb

from penult_service.rpc.analysis import cluster_replies, dropout_replies, replies
from penult_service.rpc.analysis.dropout_sampling import DropoutOrigin
from penult_service.rpc.analysis.replies import ROWS, About, with_rows


def _similarity_reply(result: Any, about: About) -> Message:
    return replies.similarity(result, about.metric, about.space_check, _plain_origin(about))


def _neighbors_reply(result: Any, about: About) -> Message:
    return replies.neighbors(result, about.metric, about.space_check, _plain_origin(about))


def cluster_reply(result: Any, about: About) -> pb.ClusterResponse:
    """Clusters, and what tells them from each other."""
    clusters = cluster_replies.clusters_of(result, about.label_names)
    return cluster_replies.clusters(result, _plain_origin(about), clusters)


def projection_reply(result: Any, about: About) -> pb.ProjectResponse:
    """A map."""
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
        return REPLIES[name](result, about)
    arrays = {each: getattr(result, each) for each in ROWS[name]}
    return with_rows(REPLIES[name](result, about), arrays, ROWS[name])


REPLIES: Mapping[str, Callable[[Any, About], Any]] = {
    "similarity": _similarity_reply,
    "neighbors": _neighbors_reply,
    "cluster": cluster_reply,
    "project": projection_reply,
    "compare_dropout": _comparison_reply,
    "duplicates": replies.duplicates,
    "outliers": replies.outliers,
    "transform": replies.transform,
    "assign": replies.assign,
}
"""By the name of the analysis; those of `ROWS` are without these."""
