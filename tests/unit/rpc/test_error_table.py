"""Our errors as gRPC codes and `google.rpc.Status`."""

from __future__ import annotations

import logging

import grpc
import pytest
from penult_service import errors
from penult_service.rpc.errors import code_of, internal, status_of, trailing_metadata
from support.calling import status_outcome

CODES = {
    errors.InvalidInput: "INVALID_ARGUMENT",
    errors.NotFound: "NOT_FOUND",
    errors.AlreadyExists: "ALREADY_EXISTS",
    errors.PreconditionFailed: "FAILED_PRECONDITION",
    errors.ModelRefused: "FAILED_PRECONDITION",
    errors.ResourceExhausted: "RESOURCE_EXHAUSTED",
    errors.Unavailable: "UNAVAILABLE",
    errors.DeadlineExceeded: "DEADLINE_EXCEEDED",
    errors.Cancelled: "CANCELLED",
    errors.DataDamaged: "DATA_LOSS",
    errors.Internal: "INTERNAL",
}


def all_kinds(kind: type[errors.PenultError]) -> set[type[errors.PenultError]]:
    return {kind}.union(*(all_kinds(child) for child in kind.__subclasses__()))


def test_every_error_has_a_code() -> None:
    assert all_kinds(errors.PenultError) - {errors.PenultError} == set(CODES)
    assert {kind: code_of(kind("m")).name for kind in CODES} == CODES


def test_reason_field_and_metadata_travel() -> None:
    error = errors.InvalidInput("no", reason="WHY", field="texts[3]", metadata={"limit": "7"})
    outcome = status_outcome(status_of(error), "")
    assert (outcome.message, outcome.reason, outcome.field) == ("no", "WHY", "texts[3]")
    assert outcome.metadata == {"limit": "7"}
    assert outcome.retry_seconds is None


@pytest.mark.parametrize(
    ("error", "seconds", "pushback"),
    [
        (errors.ResourceExhausted("full", retry_after=2.25), 2.25, "2250"),
        (errors.Unavailable("later"), 1.0, "1000"),
    ],
)
def test_what_may_be_sent_again_says_when(error: errors.PenultError, seconds: float, pushback: str) -> None:
    assert status_outcome(status_of(error), "").retry_seconds == seconds
    assert dict(trailing_metadata(error))["grpc-retry-pushback-ms"] == pushback


def test_what_must_not_be_sent_again_does_not() -> None:
    assert "grpc-retry-pushback-ms" not in dict(trailing_metadata(errors.InvalidInput("no")))


@pytest.mark.parametrize("letter", ["x", "ü", "語", "👩"])
def test_trailers_stay_under_what_stock_clients_take(letter: str) -> None:
    """8 KiB, the message percent-encoded and the status in base64; whatever a caller made us quote."""
    long = letter * 100_000
    error = errors.InvalidInput(long, field=long, metadata={"name": long})
    message = len(grpc_percent_encoded(status_of(error).message))
    details = sum(len(value) for _, value in trailing_metadata(error)) * 4 // 3
    assert message + details < 8192
    assert status_of(error).message.startswith(letter * 100)


def grpc_percent_encoded(text: str) -> str:
    return "".join(chr(b) if 0x20 <= b < 0x7F and b != 0x25 else f"%{b:02X}" for b in text.encode())


def test_a_fault_is_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    def inner() -> None:
        raise KeyError("what the caller sent")

    def outer() -> None:
        try:
            inner()
        except KeyError as error:
            raise ValueError("what the caller sent") from error

    with caplog.at_level(logging.ERROR), pytest.raises(ValueError) as caught:
        outer()
    error = internal(caught.value, "Service/Method")
    (record,) = caplog.records
    assert error.metadata["error_id"] in error.message
    assert error.metadata["error_id"] in record.getMessage()
    traceback = record.facts["traceback"]
    assert "in inner" in traceback
    assert "KeyError" in traceback
    assert "the caller sent\n" not in traceback.replace(
        'raise KeyError("what the caller sent")\n', ""
    ).replace('raise ValueError("what the caller sent") from error\n', "")
    assert code_of(error) is grpc.StatusCode.INTERNAL
