"""What the scripted server makes of rows: sums and orders that every test can make as well."""

from __future__ import annotations

from typing import Any

import numpy as np
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import analysis_service_pb2_grpc as analysis_grpc
from penult.v1 import common_pb2 as common
from support.wire_numbers import packed, rows_of, vector_of
from support.wire_script import Script


class Analysis(analysis_grpc.AnalysisServiceServicer):
    """Similarities, neighbours, clusters and maps."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def ComputeSimilarity(self, request, context):  # noqa: N802
        with self._script.call("ComputeSimilarity", request, context):
            a, b = _sides(request, "a", "b")
            scores = (a * b).sum(axis=1, keepdims=True) if request.pairs else a @ b.T
            return analysis.ComputeSimilarityResponse(
                scores=packed(scores.tolist()),
                metric=request.metric,
                space_check=_space_check(request.a, request.b),
                background=background() if request.background.ByteSize() else None,
                provenance=self._origin(request.a),
            )

    def SearchNeighbors(self, request, context):  # noqa: N802
        """The largest dot products."""
        with self._script.call("SearchNeighbors", request, context):
            queries, corpus = _sides(request, "queries", "corpus")
            scores = queries @ corpus.T
            order = np.argsort(-scores, axis=1, kind="stable")[:, : request.k].astype("<i4")
            return analysis.SearchNeighborsResponse(
                indices=int_tensor(order),
                scores=packed(np.take_along_axis(scores, order, axis=1).tolist()),
                metric=request.metric,
                zero_queries=np.flatnonzero(~queries.any(axis=1)),
                zero_corpus=np.flatnonzero(~corpus.any(axis=1)),
                adjustments=_fewer("k", request.k, len(corpus)),
                background=background(),
                recall=0.5 if request.approximate else None,
                space_check=_space_check(request.queries, request.corpus),
                provenance=self._origin(request.queries),
            )

    def Cluster(self, request, context):  # noqa: N802
        """Row i is in cluster i modulo their number; with hdbscan the last row is noise."""
        with self._script.call("Cluster", request, context):
            rows = len(source_rows(request.source))
            asked = request.n_clusters if request.HasField("n_clusters") else 8
            count = min(asked, rows)
            labels = (np.arange(rows) % count).astype("<i4")
            noisy = request.method == analysis.CLUSTER_METHOD_HDBSCAN
            labels[-1:] = -1 if noisy else labels[-1:]
            members = [np.flatnonzero(labels == cluster) for cluster in range(count)]
            return analysis.ClusterResponse(
                labels=int_tensor(labels),
                clusters=[
                    analysis.ClusterInfo(label=i, size=len(m), nearest_rows=m[:5])
                    for i, m in enumerate(members)
                ],
                silhouette=0.25 if count > 1 else None,
                silhouette_rows=rows if count > 1 else 0,
                noise_share=1 / rows if noisy else 0.0,
                agreement=analysis.Agreement(v_measure=0.5, adjusted_rand=0.25, purity=0.75)
                if request.labels
                else None,
                used={"n_clusters": str(count), "method": "kmeans"},
                adjustments=_fewer("n_clusters", asked, rows),
                provenance=self._origin(request.source),
            )

    def Project(self, request, context):  # noqa: N802
        """The first columns of the rows."""
        with self._script.call("Project", request, context):
            rows = source_rows(request.source)
            given = len(request.labels) > 0
            return analysis.ProjectResponse(
                coordinates=packed(rows[:, : request.n_components].tolist()),
                quality=analysis.ProjectionQuality(
                    trustworthiness=0.5 if len(rows) > 2 else None,
                    neighbors_kept=0.5,
                    alignment_disparity=0.125 if request.aligned_to else None,
                    rows=len(rows),
                    neighbors=15,
                    label_purity=0.25 if given else None,
                    label_purity_source=0.75 if given else None,
                ),
                explained_variance=[0.75, 0.125] if request.method == analysis.PROJECTION_METHOD_PCA else [],
                used={"seed": str(request.seed)},
                row_neighbors_kept=packed(np.where(rows[:, :1] > 5, -1, 0.5)),
                zero_rows=np.flatnonzero(~rows.any(axis=1)),
                provenance=self._origin(request.source),
            )

    def _origin(self, source: common.Source) -> common.Provenance | None:
        return (
            self._script.provenance(source.options)
            if source.WhichOneof("input") in ("texts", "records")
            else None
        )


def background() -> analysis.ScoreBackground:
    """Scores from 0 to 1,000 are usual, all alike."""
    quantiles = np.arange(1001.0)
    return analysis.ScoreBackground(quantiles=quantiles, pairs=5000, mean=500.0, std=289.0, rows=100)


def _sides(request: Any, first: str, second: str) -> tuple[np.ndarray, np.ndarray]:
    one = source_rows(getattr(request, first))
    return one, source_rows(getattr(request, second)) if request.HasField(second) else one


def source_rows(side: common.Source) -> np.ndarray:
    """The numbers of a side."""
    if side.WhichOneof("input") in ("texts", "records"):
        return np.array([vector_of(text) for text in rows_of(side)], dtype=np.float32)
    vectors = side.vectors
    return np.frombuffer(vectors.data, dtype="<f4").reshape(vectors.rows, vectors.columns)


def _space_check(*sides: common.Source) -> int:
    spaces = {side.vectors.embedding_space for side in sides if side.ByteSize()}
    known = "" not in spaces and len(spaces) == 1
    return analysis.SPACE_CHECK_EQUAL if known else analysis.SPACE_CHECK_UNCHECKED


def int_tensor(array: np.ndarray) -> common.Tensor:
    """Whole numbers as they travel."""
    return common.Tensor(
        shape=array.shape, data_type=common.DATA_TYPE_INT32, data=array.astype("<i4").tobytes()
    )


def _fewer(parameter: str, asked: int, most: int) -> list[analysis.Adjustment]:
    if asked <= most:
        return []
    return [
        analysis.Adjustment(
            parameter=parameter, asked=str(asked), used=str(most), why=f"there are {most} rows"
        )
    ]
