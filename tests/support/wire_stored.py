"""What the scripted server makes of duplicates, of outliers, and of new rows on stored maps and in stored clusters."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
from grpc_status.rpc_status import to_status
from penult.v1 import analysis_service_pb2 as analysis
from support import wire_analysis
from support.wire_analysis import int_tensor, source_rows
from support.wire_numbers import packed
from support.wire_script import status

# Of a stored result: beyond it rows are far.
FAR = 10.0


class Analysis(wire_analysis.Analysis):
    """All of the service; what it stores is one map, `map1`, and one clustering, `topics`, of six rows.

    A row's place are its first columns, its distance is its first number; it is in cluster 0 or 1 as that is even or
    odd.
    """

    def FindDuplicates(self, request, context):  # noqa: N802
        """Equal rows."""
        with self._script.call("FindDuplicates", request, context):
            rows = source_rows(request.source)
            equal = (rows[:, None] == rows[None]).all(axis=2)
            pairs = np.argwhere(np.triu(equal, 1))
            first = equal.argmax(axis=1)
            keepers = [row for row in range(len(rows)) if first[row] == row and equal[row].sum() > 1]
            groups = [keepers.index(row) if row in keepers else -1 for row in first.tolist()]
            return analysis.FindDuplicatesResponse(
                pairs=int_tensor(pairs),
                scores=packed(np.ones((len(pairs), 1))),
                groups=int_tensor(np.array(groups)),
                keepers=keepers,
                total_pairs=len(pairs),
                equal_pairs=len(pairs),
                threshold=request.threshold,
                metric=request.metric,
                background=wire_analysis.background(),
                zero_rows=np.flatnonzero(~rows.any(axis=1)),
                provenance=self._origin(request.source),
            )

    def FindOutliers(self, request, context):  # noqa: N802
        """By the mean Euclidean distance to all other rows."""
        with self._script.call("FindOutliers", request, context):
            rows = source_rows(request.source)
            distances = np.linalg.norm(rows[:, None] - rows[None], axis=2)
            scores = distances.sum(axis=1) / max(1, len(rows) - 1)
            return analysis.FindOutliersResponse(
                scores=packed(scores[:, None]),
                occurrences=int_tensor(np.arange(len(rows))),
                order=np.argsort(-scores, kind="stable"),
                hubness=0.5 if len(rows) > 2 else None,
                antihubs=1,
                k=min(request.k, len(rows) - 1),
                metric=request.metric,
                provenance=self._origin(request.source),
            )

    def Transform(self, request, context):  # noqa: N802
        with self._script.call("Transform", request, context):
            self._found(request.projection, "map1", context)
            rows = source_rows(request.source)
            return analysis.TransformResponse(
                coordinates=packed(rows[:, :2]),
                nearest_rows=int_tensor(np.arange(len(rows)) % 6),
                used={"method": "umap"},
                projection=analysis.Projection(
                    name="projections/map1", durable=True, source=analysis.RowsOf(rows=6)
                ),
                **self._new(request.source, rows),
            )

    def AssignClusters(self, request, context):  # noqa: N802
        with self._script.call("AssignClusters", request, context):
            self._found(request.clustering, "topics", context)
            rows = source_rows(request.source)
            return analysis.AssignClustersResponse(
                labels=int_tensor(labels_of(rows)),
                shares=packed(np.full((len(rows), 1), 0.75)),
                used={"method": "hdbscan"},
                clustering=self._clustering(),
                names={1: "odd"},
                **self._new(request.source, rows),
            )

    def GrowClustering(self, request, context):  # noqa: N802
        with self._script.call("GrowClustering", request, context):
            self._found(request.clustering, "topics", context)
            labels = labels_of(source_rows(request.source))
            return analysis.GrowClusteringResponse(
                labels=int_tensor(labels),
                batch=analysis.ClusterBatch(
                    event="grown",
                    rows=len(labels),
                    unassigned=int((labels < 0).sum()),
                    new_labels=[7],
                    labels=[0, 1, 7],
                    sizes=[3, 3, 2],
                    drift=[0.5, 0.25, 0.0],
                ),
                clusters=[analysis.ClusterInfo(label=label, size=3) for label in (0, 1, 7)],
                clustering=self._clustering(),
                used={"min_cluster_size": str(request.min_cluster_size)},
                provenance=self._origin(request.source),
            )

    def EditClustering(self, request, context):  # noqa: N802
        """Nothing changes but the history."""
        with self._script.call("EditClustering", request, context):
            self._found(request.clustering, "topics", context)
            edit = request.WhichOneof("edit")
            return analysis.EditClusteringResponse(result=self._clusters({"merge": "merged"}.get(edit, edit)))

    def EstimateAnalysis(self, request, context):  # noqa: N802
        """A second a row."""
        with self._script.call("EstimateAnalysis", request, context):
            field = request.analysis.WhichOneof("analysis")
            asked = getattr(request.analysis, field)
            side = next(getattr(asked, name) for name in ("source", "a", "queries") if hasattr(asked, name))
            rows = len(source_rows(side))
            return analysis.EstimateAnalysisResponse(
                seconds=rows,
                bytes=1 << 20,
                way=analysis.ANALYSIS_WAY_OPERATION if rows > 60 else analysis.ANALYSIS_WAY_CALL,
                max_call_seconds=60.0,
                max_call_bytes=1 << 32,
                load=1.5,
                processors=2,
                measured_here=True,
                rows_to_embed=0 if side.HasField("vectors") else rows,
            )

    def ListProjections(self, request, context):  # noqa: N802
        with self._script.call("ListProjections", request, context):
            made = analysis.Projection(
                name="projections/map1", source=analysis.RowsOf(rows=6, dataset="datasets/films")
            )
            made.parameters.update({"method": "umap", "n_components": 2, "min_dist": 0.5})
            return analysis.ListProjectionsResponse(projections=[made])

    def DeleteProjection(self, request, context):  # noqa: N802
        with self._script.call("DeleteProjection", request, context):
            self._found(request.name, "map1", context)
            return analysis.DeleteProjectionResponse()

    def ListClusterings(self, request, context):  # noqa: N802
        with self._script.call("ListClusterings", request, context):
            return analysis.ListClusteringsResponse(clusterings=[self._clustering()])

    def DeleteClustering(self, request, context):  # noqa: N802
        with self._script.call("DeleteClustering", request, context):
            self._found(request.name, "topics", context)
            return analysis.DeleteClusteringResponse()

    def ReadResult(self, request, context):  # noqa: N802
        """The map and the clustering, whole."""
        with self._script.call("ReadResult", request, context):
            made = self._script.provenance(self._script.made_with)
            if request.name == "projections/map1":
                coordinates = packed(np.arange(12).reshape(6, 2))
                reply = analysis.ProjectResponse(coordinates=coordinates, provenance=made)
                yield analysis.ReadResultResponse(project=reply, row_count=6, rows=6)
            else:
                reply = self._clusters("made")
                reply.provenance.CopyFrom(made)
                yield analysis.ReadResultResponse(cluster=reply, row_count=6, rows=6)

    def _new(self, source: Any, rows: np.ndarray) -> dict[str, Any]:
        return {
            "distances": packed(rows[:, :1]),
            "far_rows": np.flatnonzero(rows[:, 0] > FAR),
            "far_distance": FAR,
            "zero_rows": np.flatnonzero(~rows.any(axis=1)),
            "space_check": analysis.SPACE_CHECK_EQUAL,
            "provenance": self._origin(source),
        }

    def _clustering(self) -> analysis.Clustering:
        made = analysis.Clustering(
            name="clusterings/topics",
            source=analysis.RowsOf(rows=6),
            cluster_count=2,
            cluster_names={1: "odd"},
            batch_count=2,
        )
        made.update_time.FromSeconds(60)
        return made

    def _clusters(self, event: str) -> analysis.ClusterResponse:
        batch = analysis.ClusterBatch(event=event, rows=6, labels=[0, 1], sizes=[3, 3], drift=[0.0, 0.0])
        return analysis.ClusterResponse(
            labels=int_tensor(np.arange(6) % 2),
            clusters=[
                analysis.ClusterInfo(
                    label=label,
                    size=3,
                    nearest_rows=[label, label + 2],
                    keywords=[analysis.Keyword(word=f"word {label}", weight=0.5)],
                    name="odd" if label else "",
                )
                for label in (0, 1)
            ],
            used={"method": "hdbscan", "metric": "cosine"},
            stored=self._clustering(),
            history=[batch],
        )

    @staticmethod
    def _found(name: str, known: str, context: grpc.ServicerContext) -> None:
        if name.rpartition("/")[2] != known:
            failure = status(
                grpc.StatusCode.NOT_FOUND, f"there is no {name!r}", reason="NOT_FOUND", field="name"
            )
            context.abort_with_status(to_status(failure))


def labels_of(rows: np.ndarray) -> np.ndarray:
    """0 or 1 as the first number is even or odd; -1 where it is large."""
    return np.where(rows[:, 0] > FAR, -1, rows[:, 0].astype(int) % 2)
