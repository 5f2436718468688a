"""Stored results as replies: what is kept of an operation, a map, a clustering. What was not written has a default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from google.protobuf.json_format import ParseDict
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2

from penult_service.analysis import results
from penult_service.rpc.analysis import cluster_codec, cluster_replies, replies
from penult_service.rpc.analysis.replies import ROWS, with_rows
from penult_service.rpc.analysis.result_codec import REPLY
from penult_service.storage import StoredResult


def _comparison(found: StoredResult) -> pb.CompareDropoutResponse:
    return pb.CompareDropoutResponse.FromString(found.arrays[REPLY].tobytes())


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


def projection(found: StoredResult) -> pb.ProjectResponse:
    """A map."""
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


def clustering(found: StoredResult) -> pb.ClusterResponse:
    """A clustering as it is now."""
    clusters = cluster_codec.clusters_now(found.info, found.arrays)
    return cluster_replies.clusters(cluster_codec.clustering_of(found), _origin(found.info.facts), clusters)


def _from_reply(kind: str, found: StoredResult) -> Any:
    message = _MESSAGES[kind].FromString(found.arrays[REPLY].tobytes())
    return with_rows(message, found.arrays, ROWS[kind])


def _background(facts: Mapping[str, Any]) -> results.Background | None:
    told = facts.get("background")
    return None if told is None else results.Background(**{**told, "quantiles": tuple(told["quantiles"])})


def _adjustments(facts: Mapping[str, Any]) -> tuple[results.Adjustment, ...]:
    return tuple(results.Adjustment(**each) for each in facts.get("adjustments", ()))


def _origin(facts: Mapping[str, Any]) -> replies.Origin:
    told = facts.get("provenance")
    return None if told is None else ParseDict(told, common_pb2.Provenance(), ignore_unknown_fields=True)


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
    "cluster": clustering,
    "project": projection,
    "compare_dropout": _comparison,
    **{kind: partial(_from_reply, kind) for kind in _MESSAGES},
}
"""The reply that a stored result stands for, by the name of the analysis."""
