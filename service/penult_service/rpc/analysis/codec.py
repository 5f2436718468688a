"""Requests for analyses as calls: enums as words, sources as sides, labels as codes.

What the parameters must satisfy is said by `analysis.checks`, which knows the shapes too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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
from penult_service.rpc.analysis.bases import CLUSTERINGS, PROJECTIONS, StoredName
from penult_service.rpc.analysis.dropout_plan import DropoutSide
from penult_service.rpc.analysis.sources import OPTIONS, AskedSides, DatasetSide, TextSide, VectorSide
from penult_service.rpc.analysis.words import (
    CLUSTER_METHODS,
    LINKAGES,
    METRICS,
    NOISE_MODES,
    PROJECTION_METHODS,
    REDUCTIONS,
)
from penult_service.rpc.codec import TRUNCATIONS, Codec, dropout_options, embed_options, enum_value
from penult_service.rpc.datasets.codec import set_name
from penult_service.rpc.limits import response_limit
from penult_service.storage import check_name
from penult_service.vectors import matrix_from_bytes

_REQUEST_ID_BYTES = 256
_LEAST_CLUSTER = 2


@dataclass(frozen=True, eq=False)
class Asked:
    """An analysis that is asked for.

    `labels` int32 codes of the caller's labels in order of their first appearance, None without labels, and -1 for
    those that are not known; `label_names` the labels by code; `max_bytes` the most of the reply; `stored` what it is
    about, beside its sides.
    """

    call: calls.Call
    sides: AskedSides
    labels: NDArray[np.int32] | None
    max_bytes: int
    label_names: tuple[str, ...] = ()
    stored: StoredName | None = None
    request_id: str = ""


class AnalysisCodec:
    """Turns requests into calls; every method raises InvalidInput naming the field at fault.

    It copies and looks at every number of the request: call it on a thread.
    """

    def __init__(self, codec: Codec, limits: Limits) -> None:
        self._codec, self._limits = codec, limits

    def similarity(self, request: pb.ComputeSimilarityRequest) -> Asked:
        """Two sides and a background, a metric, and whether pairs are meant."""
        call = calls.Similarity(metric=_metric(request.metric), pairs=request.pairs, center=request.center)
        return self._asked(call, request, "a", "b", "background")

    def neighbors(self, request: pb.SearchNeighborsRequest) -> Asked:
        """Queries, a corpus, and how many of which are near."""
        call = calls.Neighbors(
            k=request.k,
            metric=_metric(request.metric),
            exclude_self=request.exclude_self,
            radius=_given(request, "radius"),
            center=request.center,
            approximate=request.approximate,
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
            auto=request.auto,
            bootstraps=request.bootstraps,
            keywords=_given(request, "keywords", 10),
            keep=bool(request.name),
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
            supervised=request.supervised,
            target_weight=_given(request, "target_weight"),
            density=request.density,
            keep=bool(request.name),
        )
        unknown = "" if request.supervised else None
        asked = self._asked(call, request, "source", labels=request.labels, unknown=unknown)
        if not request.aligned_to:
            return asked
        return replace(asked, stored=_stored(PROJECTIONS, request.aligned_to, "aligned_to"))

    def duplicates(self, request: pb.FindDuplicatesRequest) -> Asked:
        """Rows, and how alike is alike."""
        call = calls.Duplicates(
            threshold=_given(request, "threshold"),
            metric=_metric(request.metric),
            max_pairs=request.max_pairs or calls.MOST_PAIRS,
        )
        return self._asked(call, request, "source")

    def outliers(self, request: pb.FindOutliersRequest) -> Asked:
        """Rows, and at how many neighbours."""
        call = calls.Outliers(k=request.k or calls.Outliers.k, metric=_metric(request.metric))
        return self._asked(call, request, "source")

    def transform(self, request: pb.TransformRequest) -> Asked:
        """Rows and a map; what the map was made with is found with it."""
        asked = self._asked(calls.Transform(approximate=request.approximate), request, "source")
        return replace(asked, stored=_stored(PROJECTIONS, request.projection, "projection"))

    def assign(self, request: pb.AssignClustersRequest) -> Asked:
        """Rows and clusters; how those were made is found with them."""
        asked = self._asked(calls.Assign(), request, "source")
        return replace(asked, stored=_stored(CLUSTERINGS, request.clustering, "clustering"))

    def grow(self, request: pb.GrowClusteringRequest) -> Asked:
        """The same, to be taken in; a `min_cluster_size` of 0 is that of the clustering."""
        least = _given(request, "min_cluster_size", 0)
        if request.HasField("min_cluster_size") and least < _LEAST_CLUSTER:
            raise InvalidInput(
                f"min_cluster_size is {least}; give at least {_LEAST_CLUSTER}",
                reason="OUT_OF_RANGE",
                field="min_cluster_size",
                metadata={"least": str(_LEAST_CLUSTER)},
            )
        check_request_id(request.request_id)
        asked = self._asked(calls.Grow(min_cluster_size=least), request, "source")
        stored = _stored(CLUSTERINGS, request.clustering, "clustering")
        return replace(asked, stored=stored, request_id=request.request_id)

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
        codes, names = _coded(request.row_labels)
        return Asked(call, {"source": side}, codes, limit, names)

    def _asked(
        self,
        call: calls.Call,
        request: Any,
        first: str,
        *others: str,
        labels: Sequence[str] = (),
        unknown: str | None = None,
    ) -> Asked:
        sides = {first: self._side(getattr(request, first), first)}
        sides |= {name: self._side(getattr(request, name), name) for name in others if request.HasField(name)}
        limit = response_limit(request.max_response_bytes, self._limits)
        codes, names = _coded(labels, unknown)
        return Asked(call, sides, codes, limit, names)

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
            unsaid=tuple(name for name in OPTIONS if not getattr(source.options, name)),
        )


def _metric(number: int) -> str:
    return enum_value(METRICS, number, pb.Metric, "metric")


def _given(request: Message, field: str, default: Any = None) -> Any:
    return getattr(request, field) if request.HasField(field) else default


def check_request_id(request_id: str) -> None:
    """Refuse a long one.

    Raises:
        InvalidInput: OUT_OF_RANGE.
    """
    if len(request_id.encode()) > _REQUEST_ID_BYTES:
        raise InvalidInput(
            f"request_id is over {_REQUEST_ID_BYTES} bytes", reason="OUT_OF_RANGE", field="request_id"
        )


def _stored(plural: str, text: str, field: str) -> StoredName:
    name = text.removeprefix(f"{plural}/")
    return StoredName(plural, check_name(name, field), field)


def _coded(
    labels: Iterable[str], unknown: str | None = None
) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Codes of labels, and the labels by code; `unknown` has the code -1."""
    numbers: dict[str, int] = {}
    codes = np.fromiter(
        (-1 if label == unknown else numbers.setdefault(label, len(numbers)) for label in labels),
        dtype=np.int32,
    )
    return codes if codes.size else None, tuple(numbers)


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
