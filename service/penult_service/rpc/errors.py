"""The one table that turns our errors into gRPC codes, and their rich form, `google.rpc.Status`.

Codes are chosen for what the caller should do next: INVALID_ARGUMENT mend the request, RESOURCE_EXHAUSTED and
UNAVAILABLE wait and send it again, FAILED_PRECONDITION change the model, INTERNAL tell us.
"""

from __future__ import annotations

import logging
import traceback
import uuid

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status

from penult_service import errors

DOMAIN = "penult"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
UNAVAILABLE_RETRY_SECONDS = 1.0

_CODES: dict[type[errors.PenultError], grpc.StatusCode] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.PreconditionFailed: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Cancelled: grpc.StatusCode.CANCELLED,
    errors.DataDamaged: grpc.StatusCode.DATA_LOSS,
    errors.Internal: grpc.StatusCode.INTERNAL,
}
# The message travels twice, percent-encoded and in base64, and stock clients refuse trailers over 8 KiB.
_MESSAGE_BYTES = 1200
_VALUE_BYTES = 200

_log = logging.getLogger(__name__)


def code_of(error: errors.PenultError) -> grpc.StatusCode:
    """The gRPC code of an error."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), grpc.StatusCode.INTERNAL)


def status_of(error: errors.PenultError) -> Status:
    """`google.rpc.Status` with ErrorInfo, and BadRequest and RetryInfo where they say something."""
    message = _shortened(error.message, _MESSAGE_BYTES)
    facts = {key: _shortened(value, _VALUE_BYTES) for key, value in error.metadata.items()}
    details: list[Message] = [ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts)]
    if error.field:
        field = _shortened(error.field, _VALUE_BYTES)
        details.append(
            BadRequest(field_violations=[BadRequest.FieldViolation(field=field, description=message)])
        )
    delay = retry_after(error)
    if delay is not None:
        details.append(RetryInfo(retry_delay=Duration(nanos=round(delay % 1 * 1e9), seconds=int(delay))))
    status = Status(code=code_of(error).value[0], message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def retry_after(error: errors.PenultError) -> float | None:
    """Seconds after which sending the same again makes sense; None when it does not."""
    if isinstance(error, errors.ResourceExhausted):
        return error.retry_after
    return UNAVAILABLE_RETRY_SECONDS if isinstance(error, errors.Unavailable) else None


def trailing_metadata(error: errors.PenultError) -> tuple[tuple[str, str | bytes], ...]:
    """The trailers of a failed RPC: the rich status, and the pushback that gRPC's own retries obey."""
    return _trailers(error, status_of(error))


async def abort(context: grpc.aio.ServicerContext, error: errors.PenultError) -> None:
    """End the RPC with this error. Raises gRPC's abort."""
    status = status_of(error)
    await context.abort(code_of(error), status.message, _trailers(error, status))


def internal(error: BaseException, method: str) -> errors.Internal:
    """An unexpected exception -> INTERNAL with an id that is in the log too.

    Logged with types and places only: the text of an exception may quote what the caller sent.
    """
    error_id = uuid.uuid4().hex[:12]
    _log.error(
        "unexpected %s in %s, error id %s",
        type(error).__name__,
        method,
        error_id,
        extra={"facts": {"error_id": error_id, "traceback": _places(error)}},
    )
    return errors.Internal(
        f"a fault of the server (error id {error_id}); its log has the details",
        metadata={"error_id": error_id},
    )


def _trailers(error: errors.PenultError, status: Status) -> tuple[tuple[str, str | bytes], ...]:
    trailers = tuple(to_status(status).trailing_metadata)
    delay = retry_after(error)
    return trailers if delay is None else (*trailers, (PUSHBACK_KEY, str(round(delay * 1000))))


def _places(error: BaseException) -> str:
    """The traceback of the error and its causes, without their texts."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        parts.append(f"{type(current).__name__}\n" + "".join(traceback.format_tb(current.__traceback__)))
        current = current.__cause__ or current.__context__
    return "caused by ".join(parts)


def _shortened(text: str, limit: int) -> str:
    data = text.encode("utf-8", errors="replace")
    return text if len(data) <= limit else data[:limit].decode("utf-8", errors="ignore") + " …"
