"""Every error that this library raises.

    PenultError
    ├── InvalidInputError         what was sent, or was about to be, is wrong; sending it again will not help
    │   └── InputTypeError        it is not a list of texts (or vectors) at all; also a TypeError
    ├── NotFoundError             no such model, version, layer, set or operation
    ├── AlreadyExistsError        a set has that name; names are given once unless `overwrite`
    ├── PreconditionError         the model or server is there but cannot do this; the message says what would
    ├── ResourceExhaustedError    no room now, even after the retries that the deadline allowed
    ├── UnavailableError          no server there, or it is loading, draining, or was restarted meanwhile
    ├── DeadlineError             the time ran out first; also a TimeoutError
    ├── CancelledError            the call, or the operation, was cancelled
    ├── DataLossError             what the server has stored is damaged; the message names the file
    ├── InternalError             a bug of the server or of this library
    └── ClientError               the client could not even try
        ├── ClientClosedError     it was closed before
        └── ServerStartError      `Client.open` could not start a server

The server's words are kept: `message`, `reason`, `field` and `metadata` are what it said, except that a
number such as the 17 of ``texts[17]`` counts from the start of the caller's own list, not of the part sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


class PenultError(Exception):
    """An error of Penult.

    Attributes:
        message: What was wrong, where, and what to do, for a person.
        code: Name of the gRPC status code, such as ``INVALID_ARGUMENT``.
        reason: Stable name for machines, such as ``NOT_UTF8``; the code where nobody gave a reason.
        field: The part of the request at fault, such as ``texts[17]``; empty when there is none.
        metadata: Further facts for machines (limits, names).
        retry_after: Seconds that the server asks to wait; ``inf``: it asks not to try again; None: it did
            not say.
    """

    default_code = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        reason: str = "",
        field: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.reason = reason or self.code
        self.field = field
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after

    @property
    def index(self) -> int | None:
        """Number of the text or row at fault, from 0; None when the error names none."""
        # `texts[17]`, `records[17].title`, `row 17 of tensors`; of `tensors[input_ids]` the metadata say it.
        found = re.search(r"(?<!tensors)\[(\d+)\]|^row (\d+) of ", self.field)
        if found:
            return int(found[1] or found[2])
        row = self.metadata.get("row", "")
        return int(row) if row.isdigit() else None


class InvalidInputError(PenultError):
    """The request is wrong as it stands."""

    default_code = "INVALID_ARGUMENT"


class InputTypeError(InvalidInputError, TypeError):
    """An argument of the wrong type, such as a bare string for a list of texts."""


class NotFoundError(PenultError):
    """There is no such model, version, layer, set or operation."""

    default_code = "NOT_FOUND"


class AlreadyExistsError(PenultError):
    """Something has that name already."""

    default_code = "ALREADY_EXISTS"


class PreconditionError(PenultError):
    """The model or server cannot do this."""

    default_code = "FAILED_PRECONDITION"


class ResourceExhaustedError(PenultError):
    """The server has no room now; see `retry_after`."""

    default_code = "RESOURCE_EXHAUSTED"


class UnavailableError(PenultError):
    """No server answers, or it says: not now."""

    default_code = "UNAVAILABLE"


class DeadlineError(PenultError, TimeoutError):
    """The timeout or deadline passed first."""

    default_code = "DEADLINE_EXCEEDED"


class CancelledError(PenultError):
    """The call, or the operation, was cancelled."""

    default_code = "CANCELLED"


class DataLossError(PenultError):
    """A file of the server is not what was written."""

    default_code = "DATA_LOSS"


class InternalError(PenultError):
    """A bug, of the server or of this library."""

    default_code = "INTERNAL"


class ClientError(PenultError):
    """The client could not even try."""

    default_code = "FAILED_PRECONDITION"


class ClientClosedError(ClientError):
    """The client was closed."""


class ServerStartError(ClientError):
    """A private server could not be started, or did not become ready."""
