"""The errors of the service: what went wrong, where, and what the caller can do.

    PenultError
    ├── InvalidInput          the caller sent something wrong; sending it again will not help
    ├── NotFound              no such model, version, layer or stored thing
    ├── AlreadyExists         a stored thing has that name; names are given once unless `overwrite`
    ├── PreconditionFailed    the thing is there but cannot do this (the message says what would)
    │   └── ModelRefused      a model that was looked at and is not served, with the reason
    ├── ResourceExhausted     no room now; `retry_after` seconds
    ├── Unavailable           loading, draining or recovering; try again
    ├── DeadlineExceeded      the caller's deadline passed before the work was done
    ├── Cancelled             the caller went away
    ├── DataDamaged           a stored file is not what was written; the message names it
    └── Internal              our bug

`rpc.errors` holds the one table that turns them into gRPC codes, `cli` the one into exit codes.
"""

from __future__ import annotations

from typing import Any


class PenultError(Exception):
    """An error with a stable, machine-readable reason.

    Args:
        message: What was wrong, where, and what to do, for a person.
        reason: UPPER_SNAKE_CASE, stable over releases.
        field: The field of the request at fault, such as ``texts[17]``; empty when there is none.
        metadata: Further facts for machines (limits, names), strings only.
    """

    default_reason = "INTERNAL"

    def __init__(
        self, message: str, *, reason: str = "", field: str = "", metadata: dict[str, str] | None = None
    ) -> None:
        # One line, and nothing that a terminal would obey: names in it may be a stranger's.
        clean = message if message.isprintable() else "".join(c if c.isprintable() else " " for c in message)
        self.message = clean
        super().__init__(self.message)
        self.reason = reason or self.default_reason
        self.field = field
        self.metadata = metadata or {}


class InvalidInput(PenultError):
    """The request is wrong as it stands."""

    default_reason = "INVALID_INPUT"


class NotFound(PenultError):
    """There is no such model, version, layer or stored thing."""

    default_reason = "NOT_FOUND"


class AlreadyExists(PenultError):
    """A stored thing has that name already."""

    default_reason = "ALREADY_EXISTS"


class PreconditionFailed(PenultError):
    """The model or server is not able to do this."""

    default_reason = "PRECONDITION_FAILED"


class ModelRefused(PreconditionFailed):
    """A model was examined and is not served; `reason` names why (see `preparing`)."""

    default_reason = "MODEL_REFUSED"


class ResourceExhausted(PenultError):
    """There is no room now. `retry_after` is in seconds."""

    default_reason = "QUEUE_FULL"

    def __init__(self, message: str, *, retry_after: float = 1.0, **kwargs: object) -> None:
        super().__init__(message, **kwargs)  # type: ignore[arg-type]
        self.retry_after = retry_after


class Unavailable(PenultError):
    """Not now: loading, draining or recovering."""

    default_reason = "UNAVAILABLE"


class DeadlineExceeded(PenultError):
    """The caller's deadline passed first."""

    default_reason = "DEADLINE_EXCEEDED"


class Cancelled(PenultError):
    """The caller went away."""

    default_reason = "CANCELLED"


class DataDamaged(PenultError):
    """A stored file is missing, cut or changed."""

    default_reason = "DATA_DAMAGED"


class Internal(PenultError):
    """A bug of ours."""

    default_reason = "INTERNAL"


def to_json(error: PenultError) -> dict[str, Any]:
    """An error as it crosses from a child process; `from_json` is the inverse."""
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "reason": error.reason,
        "field": error.field,
        "metadata": error.metadata,
    }


def from_json(told: dict[str, Any]) -> PenultError:
    """The child's error, of the same class."""
    kind: type[PenultError] = globals()[told["kind"]]
    return kind(told["message"], reason=told["reason"], field=told["field"], metadata=told["metadata"])
