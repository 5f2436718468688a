"""Calls as any client in any language makes them: raw bytes out, a reply or a rich status back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import grpc
from google.longrunning import operations_pb2
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from penult.v1 import (
    analysis_service_pb2,
    dataset_service_pb2,
    inference_service_pb2,
    model_service_pb2,
    server_service_pb2,
)

_FILES = (
    analysis_service_pb2,
    dataset_service_pb2,
    inference_service_pb2,
    model_service_pb2,
    operations_pb2,
    server_service_pb2,
)
METHODS = {
    method.name: method
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


@dataclass(frozen=True)
class Outcome:
    """How a call ended; `reply` is there when `code` is OK."""

    code: str
    message: str = ""
    reason: str = ""
    field: str = ""
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    retry_seconds: float | None = None
    trailers: dict[str, str | bytes] = dataclasses.field(default_factory=dict)
    reply: Message | None = None


def call(
    channel: grpc.Channel, method: str, request: Message | bytes = b"", timeout: float = 30.0
) -> Outcome:
    """Call a method, such as ``Embed``, with a message or with bytes."""
    data = request if isinstance(request, bytes) else request.SerializeToString()
    described = METHODS[method]
    path = f"/{described.containing_service.full_name}/{method}"
    try:
        reply = channel.unary_unary(path)(data, timeout=timeout)
    except grpc.RpcError as error:
        return outcome_of(error)
    return Outcome("OK", reply=GetMessageClass(described.output_type).FromString(reply))


def call_stream(
    channel: grpc.Channel, method: str, request: Message, timeout: float = 30.0
) -> tuple[list[Message], Outcome]:
    """Call a method with a server stream: its messages, and how it ended."""
    described = METHODS[method]
    path = f"/{described.containing_service.full_name}/{method}"
    kind, messages = GetMessageClass(described.output_type), []
    try:
        for reply in channel.unary_stream(path)(request.SerializeToString(), timeout=timeout):
            messages.append(kind.FromString(reply))
    except grpc.RpcError as error:
        return messages, outcome_of(error)
    return messages, Outcome("OK")


def outcome_of(error: grpc.RpcError) -> Outcome:
    """What a failed call says."""
    status = rpc_status.from_call(error)
    # Pair by pair: what aio returns looks like a mapping and is none.
    trailers = {key: value for key, value in error.trailing_metadata() or ()}  # noqa: C416
    return status_outcome(status or Status(message=error.details() or ""), error.code().name, trailers)


def status_outcome(status: Status, code: str, trailers: dict[str, str | bytes] | None = None) -> Outcome:
    """What a `google.rpc.Status` says."""
    info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details:
        for message in (info, bad, retry):
            detail.Unpack(message)
    return Outcome(
        code=code,
        message=status.message,
        reason=info.reason,
        field=bad.field_violations[0].field if bad.field_violations else "",
        metadata=dict(info.metadata),
        retry_seconds=retry.retry_delay.ToTimedelta().total_seconds()
        if retry.HasField("retry_delay")
        else None,
        trailers=trailers or {},
    )
