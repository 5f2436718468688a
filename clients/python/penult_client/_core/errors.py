"""Statuses of the wire -> the errors that this library raises."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from google.rpc import code_pb2, error_details_pb2, status_pb2

from penult_client import _exceptions as errors
from penult_client._exceptions import PenultError

DOMAIN = "penult"

_BY_CODE: dict[str, type[PenultError]] = {
    "INVALID_ARGUMENT": errors.InvalidInputError,
    "OUT_OF_RANGE": errors.InvalidInputError,
    "NOT_FOUND": errors.NotFoundError,
    "FAILED_PRECONDITION": errors.PreconditionError,
    "ALREADY_EXISTS": errors.AlreadyExistsError,
    "PERMISSION_DENIED": errors.PreconditionError,
    "UNAUTHENTICATED": errors.PreconditionError,
    "UNIMPLEMENTED": errors.PreconditionError,
    "RESOURCE_EXHAUSTED": errors.ResourceExhaustedError,
    "UNAVAILABLE": errors.UnavailableError,
    "DEADLINE_EXCEEDED": errors.DeadlineError,
    "CANCELLED": errors.CancelledError,
    "DATA_LOSS": errors.DataLossError,
}


def error_from_status(
    code: str, message: str, status: status_pb2.Status | None, pushback_ms: str | None = None
) -> PenultError:
    """The typed error of a gRPC status.

    Args:
        code: Name of the gRPC code, such as ``NOT_FOUND``; those that no class stands for are InternalError.
        message: The status message.
        status: The details, when the server sent some.
        pushback_ms: The trailing metadatum ``grpc-retry-pushback-ms``, when there is one; negative: do not retry.
    """
    info = _detail(status, error_details_pb2.ErrorInfo)
    if info is not None and info.domain != DOMAIN:
        info = None
    bad = _detail(status, error_details_pb2.BadRequest)
    return _BY_CODE.get(code, errors.InternalError)(
        message,
        code=code,
        reason=info.reason if info else "",
        field=bad.field_violations[0].field if bad and bad.field_violations else "",
        metadata=info.metadata if info else None,
        retry_after=_retry_after(status, pushback_ms),
    )


def error_from_row_status(status: status_pb2.Status) -> PenultError:
    """The typed error of a single row."""
    return error_from_status(code_pb2.Code.Name(status.code), status.message, status)


def _retry_after(status: status_pb2.Status | None, pushback_ms: str | None) -> float | None:
    if pushback_ms is not None:
        wait = int(pushback_ms) if re.fullmatch(r"\d+", pushback_ms) else -1
        return wait / 1000 if wait >= 0 else math.inf
    retry = _detail(status, error_details_pb2.RetryInfo)
    return retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9 if retry else None


def _detail(status: status_pb2.Status | None, kind: Any) -> Any:
    packed: Iterable[Any] = status.details if status is not None else ()
    for detail in packed:
        if detail.Is(kind.DESCRIPTOR):
            found = kind()
            detail.Unpack(found)
            return found
    return None


def count_from(start: int, error: PenultError, called: str = "") -> PenultError:
    """The error with the server's ``texts[17]`` as the caller knows it: ``texts[2065]`` of a part from 2048 on.

    Likewise records and tensors, and the ids, vectors and columns of rows that are appended. `called` is what the
    caller calls its texts, records or tensors; empty: as the server does.

    The error itself is changed, so that its traceback stays.
    """
    error.field = _shift(error.field, start, called)
    error.message = _shift(error.message, start, called)
    if error.metadata.get("row", "").isdigit():
        error.metadata["row"] = str(int(error.metadata["row"]) + start)
    error.args = (error.message,)
    return error


# Inputs of tensors stand in brackets too, and their rows in front: `row 3 of tensors[input_ids]`.
_ROW = re.compile(
    r"(?<![\w.])(?:rows\.)?(texts|records|ids|vectors|columns\.[^\[\]]+)\[(\d+)\]"
    r"|\b(row )(\d+)(?= of (?:vectors|tensors)\b)"
    r"|(?<![\w.])(tensors)(?=\[)"
)


def _shift(words: str, start: int, called: str) -> str:
    def shifted(found: re.Match[str]) -> str:
        if found[5]:
            return called or found[5]
        if found[3]:
            return f"{found[3]}{int(found[4]) + start}"
        what = called if called and found[1] in ("texts", "records") else found[1]
        return f"{what}[{int(found[2]) + start}]"

    return _ROW.sub(shifted, words)
