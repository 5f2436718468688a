"""Requests for analyses as calls: enums as words, sources as sides, labels as codes.

What the parameters must satisfy is said by `analysis.checks`, which knows the shapes too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2

from penult_service.analysis import calls
from penult_service.config import Limits
from penult_service.embedder import Given
from penult_service.errors import InvalidInput
from penult_service.repository.names import parse_reference
from penult_service.rpc import inputs
from penult_service.rpc.analysis.dropout_plan import DropoutSide
from penult_service.rpc.analysis.sources import AskedSides, DatasetSide, TextSide, VectorSide
from penult_service.rpc.codec import TRUNCATIONS, Codec, dropout_options, embed_options, enum_value
from penult_service.rpc.datasets.codec import set_name
from penult_service.rpc.limits import response_limit
from penult_service.vectors import matrix_from_bytes

METRICS = {
    pb.METRIC_UNSPECIFIED: "cosine",
    pb.METRIC_COSINE: "cosine",
    pb.METRIC_DOT: "dot",
    pb.METRIC_EUCLIDEAN: "euclidean",
    pb.METRIC_MANHATTAN: "manhattan",
}
CLUSTER_METHODS = {
    pb.CLUSTER_METHOD_UNSPECIFIED: "auto",
    pb.CLUSTER_METHOD_KMEANS: "kmeans",
    pb.CLUSTER_METHOD_AGGLOMERATIVE: "agglomerative",
    pb.CLUSTER_METHOD_HDBSCAN: "hdbscan",
    pb.CLUSTER_METHOD_GAUSSIAN_MIXTURE: "gaussian_mixture",
}
REDUCTIONS = {
    pb.REDUCTION_UNSPECIFIED: None,
    pb.REDUCTION_NONE: "none",
    pb.REDUCTION_UMAP: "umap",
    pb.REDUCTION_PCA: "pca",
}
LINKAGES = {
    pb.LINKAGE_UNSPECIFIED: None,
    pb.LINKAGE_WARD: "ward",
    pb.LINKAGE_AVERAGE: "average",
    pb.LINKAGE_COMPLETE: "complete",
    pb.LINKAGE_SINGLE: "single",
}
NOISE_MODES = {
    pb.NOISE_MODE_UNSPECIFIED: "keep",
    pb.NOISE_MODE_KEEP: "keep",
    pb.NOISE_MODE_NEAREST: "nearest",
}
PROJECTION_METHODS = {
    pb.PROJECTION_METHOD_UNSPECIFIED: "umap",
    pb.PROJECTION_METHOD_UMAP: "umap",
    pb.PROJECTION_METHOD_PCA: "pca",
    pb.PROJECTION_METHOD_TSNE: "tsne",
}


@dataclass(frozen=True, eq=False)
class Asked:
    """An analysis that is asked for.

    `labels` int32 codes of the caller's labels in order of their first appearance, None without labels;
    `max_bytes` the most of the reply.
    """

    call: calls.Call
    sides: AskedSides
    labels: NDArray[np.int32] | None
    max_bytes: int


class AnalysisCodec:
    """Turns requests into calls; every method raises InvalidInput naming the field at fault.

    It copies and looks at every number of the request: call it on a thread.
    """

    def __init__(self, codec: Codec, limits: Limits) -> None:
        self._codec, self._limits = codec, limits

    def similarity(self, request: pb.ComputeSimilarityRequest) -> Asked:
        """Two sides, a metric, and whether pairs are meant."""
        call = calls.Similarity(metric=_metric(request.metric), pairs=request.pairs)
        return self._asked(call, request, "a", "b")

    def neighbors(self, request: pb.SearchNeighborsRequest) -> Asked:
        """Queries, a corpus, and how many of which are near."""
        call = calls.Neighbors(
            k=request.k,
            metric=_metric(request.metric),
            exclude_self=request.exclude_self,
            radius=_given(request, "radius"),
        )
        return self._asked(call, request, "queries", "corpus")

    def cluster(self, request: pb.ClusterRequest) -> Asked:
        """Rows and how to cluster them."""
        call = calls.Cluster(
            method=enum_value(CLUSTER_METHODS, request.method, pb.ClusterMethod, "method"),
            n_clusters=_given(request, "n_clusters"),
            metric=_metric(request.metric),
            reduction=enum_value(REDUCTIONS, request.reduction, pb.Reduction, "reduction"),
            reduced_dimensions=_given(request, "reduced_dimensions"),
            linkage=enum_value(LINKAGES, request.linkage, pb.Linkage, "linkage"),
            min_cluster_size=_given(request, "min_cluster_size"),
            min_samples=_given(request, "min_samples"),
            noise=enum_value(NOISE_MODES, request.noise, pb.NoiseMode, "noise"),
            seed=_given(request, "seed", calls.SEED),
        )
        return self._asked(call, request, "source", labels=request.labels)

    def project(self, request: pb.ProjectRequest) -> Asked:
        """Rows and how to map them."""
        call = calls.Project(
            method=enum_value(PROJECTION_METHODS, request.method, pb.ProjectionMethod, "method"),
            n_components=_given(request, "n_components", 2),
            metric=_metric(request.metric),
            n_neighbors=_given(request, "n_neighbors"),
            min_dist=_given(request, "min_dist"),
            perplexity=_given(request, "perplexity"),
            seed=_given(request, "seed", calls.SEED),
        )
        return self._asked(call, request, "source", labels=request.labels)

    def compare_dropout(self, request: pb.CompareDropoutRequest) -> Asked:
        """Rows, and which dropouts are put back; the scopes and the clusters are as the model has them."""
        if request.WhichOneof("input") == "records":
            given: Given = inputs.records(request.records, "records", self._limits)
        else:
            given = self._codec.texts(request.texts, "texts")
        truncate = enum_value(TRUNCATIONS, request.truncate, common_pb2.TruncateMode, "truncate")
        options = dropout_options(request.dropout, truncate=truncate, seed=calls.SEED)
        side = DropoutSide(given, parse_reference(request.model, "model"), options, tuple(request.row_labels))
        call = calls.CompareDropout(
            scopes=(), n_clusters=request.n_clusters, map=not request.without_map, seed=options.seed
        )
        limit = response_limit(request.max_response_bytes, self._limits)
        return Asked(call, {"source": side}, _codes(request.row_labels), limit)

    def _asked(
        self, call: calls.Call, request: Any, first: str, second: str = "", labels: Iterable[str] = ()
    ) -> Asked:
        sides = {first: self._side(getattr(request, first), first)}
        if second and request.HasField(second):
            sides[second] = self._side(getattr(request, second), second)
        limit = response_limit(request.max_response_bytes, self._limits)
        return Asked(call, sides, _codes(labels), limit)

    def _side(self, source: common_pb2.Source, field: str) -> TextSide | VectorSide | DatasetSide:
        kind = source.WhichOneof("input")
        if kind is None:
            raise InvalidInput(
                f"{field} is empty; give it texts, records, vectors or a dataset",
                reason="EMPTY_INPUT",
                field=field,
            )
        if kind == "vectors":
            return _vectors(source.vectors, f"{field}.vectors")
        if kind == "dataset":
            return DatasetSide(set_name(source.dataset, f"{field}.dataset"))
        where = f"{field}.options"
        return TextSide(
            given=self._codec.side(source, field),
            reference=parse_reference(source.options.model, f"{where}.model"),
            options=embed_options(source.options, where),
        )


def _metric(number: int) -> str:
    return enum_value(METRICS, number, pb.Metric, "metric")


def _given(request: Message, field: str, default: Any = None) -> Any:
    return getattr(request, field) if request.HasField(field) else default


def _codes(labels: Iterable[str]) -> NDArray[np.int32] | None:
    numbers: dict[str, int] = {}
    codes = np.fromiter((numbers.setdefault(label, len(numbers)) for label in labels), dtype=np.int32)
    return codes if codes.size else None


def _vectors(vectors: common_pb2.Vectors, field: str) -> VectorSide:
    if vectors.data_type not in (common_pb2.DATA_TYPE_UNSPECIFIED, common_pb2.DATA_TYPE_FLOAT32):
        raise InvalidInput(
            f"{field}.data_type is {vectors.data_type}; requests take DATA_TYPE_FLOAT32 only",
            reason="WRONG_DATA_TYPE",
            field=f"{field}.data_type",
        )
    matrix = matrix_from_bytes(vectors.data, vectors.rows, vectors.columns, field)
    if not matrix.size:
        raise InvalidInput(
            f"{field} has {vectors.rows} rows of {vectors.columns} columns; send at least one of each",
            reason="EMPTY_INPUT",
            field=field,
        )
    return VectorSide(matrix, vectors.embedding_space)
