"""A server of operations in a few lines, over a real socket: for tests of what clients do when things go wrong.

Its numbers are those of `wire_server`. What it is asked to start is done at once, or, with `hold`, when the test
says so.
"""

from __future__ import annotations

import threading
from concurrent import futures
from typing import Any

import grpc
import numpy as np
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import analysis_service_pb2_grpc as analysis_grpc
from penult.v1 import inference_service_pb2_grpc as inference_grpc
from penult.v1 import server_service_pb2_grpc as server_grpc
from support import wire_server
from support.wire_analysis import int_tensor
from support.wire_numbers import packed
from support.wire_server import Script, status
from support.wire_stored import Analysis

METHODS = {
    "compute_similarity": "ComputeSimilarity",
    "search_neighbors": "SearchNeighbors",
    "cluster": "Cluster",
    "project": "Project",
    "find_duplicates": "FindDuplicates",
    "find_outliers": "FindOutliers",
    "transform": "Transform",
    "assign_clusters": "AssignClusters",
    "grow_clustering": "GrowClustering",
}
NAMES = {
    "compute_similarity": "similarity",
    "search_neighbors": "neighbors",
    "cluster": "cluster",
    "project": "project",
    "find_duplicates": "duplicates",
    "find_outliers": "outliers",
    "transform": "transform",
    "assign_clusters": "assign",
    "grow_clustering": "grow",
}
BY_ROW = {
    "compute_similarity": ("scores",),
    "search_neighbors": ("indices", "scores"),
    "cluster": ("labels",),
    "project": ("coordinates",),
    "find_duplicates": ("groups",),
    "find_outliers": ("occurrences", "scores"),
    "transform": ("coordinates", "distances", "nearest_rows"),
    "assign_clusters": ("labels", "distances", "shares"),
    "grow_clustering": ("labels",),
}
# Of which each part has some.
SPREAD = {"find_duplicates": ("pairs", "scores"), "project": ("row_neighbors_kept",)}
TOO_LARGE = status(grpc.StatusCode.FAILED_PRECONDITION, "about 90 s", reason="USE_START_ANALYSIS")
PAGE = 2


class Ledger:
    """The operations of a server; they may outlive it. Their times are seconds since 1970 that count up.

    Attributes:
        hold: What is started runs until `finish`, `fail` or a cancellation.
        inline: The largest result in bytes that is told with the operation.
        part_rows: Rows of a part of a result that is read.
    """

    def __init__(self) -> None:
        self.hold = False
        self.inline = 1 << 20
        self.part_rows = 2
        self.operations: dict[str, operations_pb2.Operation] = {}
        self.results: dict[str, tuple[str, Any]] = {}
        self.changed = threading.Condition()
        self._by_request: dict[str, str] = {}
        self._clock = 0

    def begin(self, request: analysis.StartAnalysisRequest, field: str, reply: Any) -> str:
        """A new operation, or that of an earlier request; its name."""
        with self.changed:
            name = self._by_request.get(request.request_id, "")
            if not name:
                name = f"operations/{NAMES[field]}-{len(self.operations) + 1}"
                self._by_request[request.request_id] = name
                self.results[name] = (field, reply)
                metadata = analysis.AnalysisMetadata(analysis=NAMES[field], rows=_rows(field, reply))
                metadata.create_time.CopyFrom(self._now())
                metadata.stage = "waiting"
                self._put(name, metadata)
        return name

    def tell(self, name: str, stage: str, done: int = 0, total: int = 0, left: int | None = None) -> None:
        """An operation runs, and is so far."""
        with self.changed:
            metadata = self._metadata(name)
            if not metadata.HasField("start_time"):
                metadata.start_time.CopyFrom(self._now())
            metadata.stage, metadata.done, metadata.total = stage, done, total
            metadata.ClearField("time_left")
            if left is not None:
                metadata.time_left.FromSeconds(left)
            self._put(name, metadata)

    def finish(self, name: str) -> None:
        """An operation is done."""
        field, reply = self.results[name]
        response = reply
        if reply.ByteSize() >= self.inline:
            response = analysis.StoredResult(name=name, analysis=NAMES[field], rows=_rows(field, reply))
        with self.changed:
            self._end(name, "done").response.Pack(response)
            self.changed.notify_all()

    def fail(self, name: str, error: Status, state: str = "failed") -> None:
        """An operation has failed."""
        with self.changed:
            self._end(name, state).error.CopyFrom(error)
            self.changed.notify_all()

    def cancel(self, name: str) -> None:
        """An operation is cancelled, unless it has ended."""
        if not self.operations[name].done:
            told = f"operation {name.partition('/')[2]!r} was cancelled"
            error = status(grpc.StatusCode.CANCELLED, told, reason="OPERATION_CANCELLED")
            self.fail(name, error, "cancelled")

    def restart(self) -> None:
        """What had not ended has failed."""
        for name, told in self.operations.items():
            if not told.done:
                self.fail(name, status(grpc.StatusCode.UNAVAILABLE, "ended", reason="SERVER_RESTARTED"))

    def reason(self, name: str) -> str:
        """Of the end of an operation; empty: it is done or runs."""
        return str(wire_reason(self.operations[name].error))

    def only(self) -> str:
        """The name of the one operation that there is."""
        (name,) = self.operations
        return name

    def _metadata(self, name: str) -> analysis.AnalysisMetadata:
        metadata = analysis.AnalysisMetadata()
        self.operations[name].metadata.Unpack(metadata)
        return metadata

    def _put(self, name: str, metadata: analysis.AnalysisMetadata) -> operations_pb2.Operation:
        told = self.operations.setdefault(name, operations_pb2.Operation(name=name))
        told.metadata.Pack(metadata)
        self.changed.notify_all()
        return told

    def _end(self, name: str, stage: str) -> operations_pb2.Operation:
        metadata = self._metadata(name)
        metadata.stage, metadata.done, metadata.total = stage, 0, 0
        metadata.ClearField("time_left")
        metadata.end_time.CopyFrom(self._now())
        metadata.expire_time.FromSeconds(metadata.end_time.seconds + 1000)
        told = self._put(name, metadata)
        told.done = True
        return told

    def _now(self) -> Timestamp:
        self._clock += 1
        return Timestamp(seconds=self._clock)


def wire_reason(error: Status) -> str:
    """The reason of a status; empty when there is none."""
    from google.rpc.error_details_pb2 import ErrorInfo

    info = ErrorInfo()
    for detail in error.details:
        detail.Unpack(info)
    return info.reason


class _Analysis(Analysis):
    def __init__(self, script: Script, ledger: Ledger) -> None:
        super().__init__(script)
        self._ledger = ledger
        self._computing = Analysis(Script())

    def StartAnalysis(self, request, context):  # noqa: N802
        with self._script.call("StartAnalysis", request, context):
            field = request.WhichOneof("analysis")
            reply = getattr(self._computing, METHODS[field])(getattr(request, field), context)
            name = self._ledger.begin(request, field, reply)
            if not self._ledger.hold and not self._ledger.operations[name].done:
                self._ledger.finish(name)
            return self._ledger.operations[name]

    def ReadResult(self, request, context):  # noqa: N802
        if request.name not in self._ledger.results:
            yield from super().ReadResult(request, context)
            return
        field, reply = self._ledger.results[request.name]
        rows, first, whole = _rows(field, reply), request.first_row, True
        while whole or first < rows:
            with self._script.call("ReadResult", request, context):
                stop = min(first + self._ledger.part_rows, rows)
                part = analysis.ReadResultResponse(first_row=first, row_count=stop - first, rows=rows)
                getattr(part, field).CopyFrom(_part(field, reply, first, stop, whole))
                yield part
            first, whole = stop, False


class _Operations(operations_pb2_grpc.OperationsServicer):
    def __init__(self, script: Script, ledger: Ledger) -> None:
        self._script, self._ledger = script, ledger

    def GetOperation(self, request, context):  # noqa: N802
        with self._script.call("GetOperation", request, context):
            return self._found(request.name, context)

    def WaitOperation(self, request, context):  # noqa: N802
        with self._script.call("WaitOperation", request, context), self._ledger.changed:
            self._found(request.name, context)
            self._ledger.changed.wait_for(
                lambda: self._found(request.name, context).done or not context.is_active(),
                request.timeout.ToTimedelta().total_seconds(),
            )
            return self._found(request.name, context)

    def CancelOperation(self, request, context):  # noqa: N802
        with self._script.call("CancelOperation", request, context):
            self._found(request.name, context)
            self._ledger.cancel(request.name)
            return Empty()

    def DeleteOperation(self, request, context):  # noqa: N802
        with self._script.call("DeleteOperation", request, context):
            if not self._found(request.name, context).done:
                failure = status(grpc.StatusCode.FAILED_PRECONDITION, "it runs", reason="OPERATION_RUNNING")
                context.abort_with_status(to_status(failure))
            del self._ledger.operations[request.name]
            return Empty()

    def ListOperations(self, request, context):  # noqa: N802
        with self._script.call("ListOperations", request, context):
            found = list(reversed(self._ledger.operations.values()))
            first = int(request.page_token or 0)
            more = first + PAGE < len(found)
            return operations_pb2.ListOperationsResponse(
                operations=found[first : first + PAGE], next_page_token=str(first + PAGE) if more else ""
            )

    def _found(self, name: str, context: grpc.ServicerContext) -> operations_pb2.Operation:
        if name not in self._ledger.operations:
            told = f"there is no operation {name.partition('/')[2]!r}"
            failure = status(grpc.StatusCode.NOT_FOUND, told, reason="OPERATION_NOT_FOUND")
            context.abort_with_status(to_status(failure))
        return self._ledger.operations[name]


def _rows(field: str, reply: Any) -> int:
    values = getattr(reply, BY_ROW[field][0])
    return int(values.rows if hasattr(values, "rows") else values.shape[0])


def _part(field: str, reply: Any, first: int, stop: int, whole: bool) -> Any:
    """Some rows of a reply; with (`whole`) or without what is no row."""
    part = type(reply)()
    if whole:
        part.CopyFrom(reply)
    for name in BY_ROW[field]:
        _cut(part, reply, name, first, stop)
    rows = max(1, _rows(field, reply))
    for name in SPREAD.get(field, ()):
        values = getattr(reply, name)
        count = values.rows if hasattr(values, "rows") else values.shape[0]
        _cut(part, reply, name, count * first // rows, count * stop // rows)
    return part


def _cut(part: Any, reply: Any, name: str, first: int, stop: int) -> None:
    values = getattr(reply, name)
    if hasattr(values, "rows"):
        matrix = np.frombuffer(values.data, "<f4").reshape(values.rows, values.columns)
        getattr(part, name).CopyFrom(packed(matrix[first:stop]))
    else:
        array = np.frombuffer(values.data, "<i4").reshape(values.shape)
        getattr(part, name).CopyFrom(int_tensor(array[first:stop]))


def start(script: Script, ledger: Ledger, port: int = 0) -> tuple[grpc.Server, str]:
    """The server, started on a port of loopback (0: a free one), and its address."""
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    inference_grpc.add_InferenceServiceServicer_to_server(wire_server.Inference(script), server)
    analysis_grpc.add_AnalysisServiceServicer_to_server(_Analysis(script, ledger), server)
    operations_pb2_grpc.add_OperationsServicer_to_server(_Operations(script, ledger), server)
    server_grpc.add_ServerServiceServicer_to_server(wire_server.Server(script, wire_server.LIMITS), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, f"127.0.0.1:{port}"
