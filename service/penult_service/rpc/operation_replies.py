"""Operations as the standard messages."""

from __future__ import annotations

from typing import Any

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from penult.v1 import analysis_service_pb2 as pb

from penult_service import errors
from penult_service.errors import Cancelled, PenultError
from penult_service.operations import Progress
from penult_service.rpc.errors import status_of
from penult_service.rpc.replies import timestamp
from penult_service.storage.operations import CANCELLED, DONE, RUNNING, OperationRecord


def operation(
    record: OperationRecord, progress: Progress | None, durable: bool, response: Any = None
) -> operations_pb2.Operation:
    """An operation; `response` is the reply of its analysis, None when it is not told, or there is none."""
    told = operations_pb2.Operation(name=f"operations/{record.name}", done=record.state != RUNNING)
    told.metadata.Pack(_metadata(record, progress, durable))
    if record.state == DONE:
        told.response.Pack(response or pb.StoredResult(name=record.stored, analysis=record.analysis))
    elif record.state != RUNNING:
        told.error.CopyFrom(status_of(error_of(record)))
    return told


def error_of(record: OperationRecord) -> PenultError:
    """Why an operation has no result."""
    if record.state == CANCELLED:
        return Cancelled(f"operation {record.name!r} was cancelled", reason="OPERATION_CANCELLED")
    return errors.from_json(dict(record.error))


def _metadata(record: OperationRecord, progress: Progress | None, durable: bool) -> pb.AnalysisMetadata:
    metadata = pb.AnalysisMetadata(
        analysis=record.analysis,
        rows=record.rows,
        stage=record.state,
        create_time=timestamp(record.created),
        start_time=timestamp(progress.started if progress else record.started),
        end_time=timestamp(record.ended),
        expire_time=timestamp(record.expires),
        durable=durable,
    )
    if progress is not None:
        metadata.stage, metadata.done, metadata.total = progress.stage, progress.done, progress.total
        seconds = progress.seconds_left()
        if seconds is not None:
            metadata.time_left.CopyFrom(Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9)))
    return metadata
