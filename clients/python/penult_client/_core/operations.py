"""Operations: what the server tells of them -> records, results, and the words for what can go wrong."""

from __future__ import annotations

from typing import Any

from google.longrunning import operations_pb2
from penult.v1 import analysis_service_pb2 as analysis

from penult_client._core import arrays
from penult_client._core.analysis_results import Origin, time_of
from penult_client._core.errors import error_from_row_status
from penult_client._core.kinds import KINDS
from penult_client._exceptions import (
    CancelledError,
    DeadlineError,
    InputTypeError,
    NotFoundError,
    PenultError,
    UnavailableError,
)
from penult_client._operations import OperationState, OperationStatus

# What a call that is answered at once is refused with where an operation would do.
TOO_LARGE_AT_ONCE = ("USE_START_ANALYSIS", "RESPONSE_TOO_LARGE", "TOO_MANY_SCORES")

_PREFIX = "operations/"
_RESTARTED = "SERVER_RESTARTED"


def check_name(name: Any) -> str:
    """The name of an operation without ``operations/``.

    Raises:
        InputTypeError: it is no str, or empty (BAD_NAME).
    """
    bare = name.removeprefix(_PREFIX) if isinstance(name, str) else ""
    if bare:
        return str(bare)
    raise InputTypeError(f"name={name!r}; pass the name of an operation", reason="BAD_NAME", field="name")


def resource(name: str) -> str:
    """As the wire calls it."""
    return _PREFIX + name


def bare(told: operations_pb2.Operation) -> str:
    """Its name in this library."""
    return str(told.name).removeprefix(_PREFIX)


def status(told: operations_pb2.Operation) -> OperationStatus:
    """What is known of an operation."""
    known = analysis.AnalysisMetadata()
    told.metadata.Unpack(known)  # one of another kind says nothing that we know
    error = error_of(told)
    return OperationStatus(
        name=bare(told),
        analysis=known.analysis,
        rows=known.rows,
        state=_state(told, known, error),
        stage=known.stage,
        done=known.done,
        total=known.total,
        seconds_left=known.time_left.ToTimedelta().total_seconds() if known.HasField("time_left") else None,
        created=time_of(known, "create_time"),
        started=time_of(known, "start_time"),
        ended=time_of(known, "end_time"),
        expires=time_of(known, "expire_time"),
        durable=known.durable,
        error=error,
    )


def error_of(told: operations_pb2.Operation) -> PenultError | None:
    """Why an operation failed; None: it did not."""
    if told.WhichOneof("result") != "error":
        return None
    error = error_from_row_status(told.error)
    if error.reason == _RESTARTED and "start it again" not in error.message:
        reword(error, f"{error.message}; start it again")
    error.metadata.setdefault("operation", bare(told))
    return error


def response(told: operations_pb2.Operation, origin: Origin | None) -> Any:
    """The record of an operation that has not failed; None: it is to be read."""
    if told.response.Is(analysis.StoredResult.DESCRIPTOR):
        return None
    for kind in KINDS:
        reply = kind.rpc.reply()
        if told.response.Unpack(reply):
            return kind.record(reply, origin)
    raise arrays.bad_reply(f"operation {bare(told)!r} has a result of type {told.response.type_url!r}")


def reword(error: PenultError, message: str, **metadata: str) -> PenultError:
    """The same error in other words."""
    error.message = message
    error.args = (message,)
    error.metadata.update(metadata)
    return error


def while_waiting(error: PenultError, name: str) -> PenultError:
    """What stopped us from waiting for an operation, with what to do now."""
    if isinstance(error, UnavailableError | DeadlineError):
        return UnavailableError(
            f"{error.message}; operation {name} is out of sight: client.operation({name!r}) tells what became of it"
            " when the server is back",
            reason=error.reason if isinstance(error, UnavailableError) else "NO_ANSWER",
            metadata={**error.metadata, "operation": name},
        )
    if isinstance(error, CancelledError):
        return reword(error, f"{error.message}; operation {name} goes on", operation=name)
    if isinstance(error, NotFoundError):
        return reword(
            error,
            f"{error.message}: it was deleted, or the server was restarted and keeps nothing; start it again",
            operation=name,
        )
    return reword(error, error.message, operation=name)


def while_reading(error: PenultError, name: str) -> PenultError:
    """What stopped us from reading the result of an operation that is done."""
    if isinstance(error, UnavailableError | DeadlineError):
        return reword(
            error,
            f"{error.message}; operation {name} is done, and client.operation({name!r}).wait() reads its result",
            operation=name,
        )
    return reword(error, error.message, operation=name)


def not_started(error: PenultError, field: str) -> PenultError:
    """Why an analysis was not started, with the field as the caller knows it: without that of the operation."""
    error.field = error.field.removeprefix(f"{field}.")
    return error


def has_none(error: PenultError) -> bool:
    """Whether that is what a server says which has no operations: an older one, or one without workers."""
    return error.code == "UNIMPLEMENTED" or error.reason == "ANALYSIS_OFF"


def passed(seconds: float | None, name: str, told: str) -> DeadlineError:
    """The deadline of a call that waited for an operation."""
    limit = "the time" if seconds is None else f"the deadline of {seconds:g} s"
    return DeadlineError(f"{limit} passed; operation {name} {told}", metadata={"operation": name})


GOES_ON = "goes on: wait for it again, or end it with cancel()"


def what_now(name: str, state: str) -> str:
    """What became of an operation that was to be cancelled; `state` is empty when the server could not be told."""
    if not state:
        return f"may go on: the server could not be told to end it; client.operation({name!r}).cancel() does"
    if state == "done":
        return f"was done by then: client.operation({name!r}).wait() reads its result"
    return "was cancelled; give it longer, or start it with wait=False and come back to it"


def _state(
    told: operations_pb2.Operation, known: analysis.AnalysisMetadata, error: PenultError | None
) -> OperationState:
    if not told.done:
        return "running" if known.HasField("start_time") else "waiting"
    if error is None:
        return "done"
    return "cancelled" if isinstance(error, CancelledError) else "failed"
