"""Statuses of the wire become typed errors with the server's words."""

from __future__ import annotations

import math
import pickle

import grpc
import penult_client
import pytest
from penult_client import _exceptions as errors
from penult_client._core.errors import count_from, error_from_status
from support.wire_server import status


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidInputError),
        (grpc.StatusCode.NOT_FOUND, errors.NotFoundError),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.PreconditionError),
        (grpc.StatusCode.UNIMPLEMENTED, errors.PreconditionError),
        (grpc.StatusCode.UNAUTHENTICATED, errors.PreconditionError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ResourceExhaustedError),
        (grpc.StatusCode.UNAVAILABLE, errors.UnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineError),
        (grpc.StatusCode.CANCELLED, errors.CancelledError),
        (grpc.StatusCode.INTERNAL, errors.InternalError),
        (grpc.StatusCode.UNKNOWN, errors.InternalError),
        (grpc.StatusCode.DATA_LOSS, errors.DataLossError),
        (grpc.StatusCode.ALREADY_EXISTS, errors.AlreadyExistsError),
    ],
)
def test_every_code_has_its_class(code, kind):
    error = error_from_status(code.name, "words", None)
    assert type(error) is kind
    assert (error.code, error.reason, error.message, str(error)) == (code.name, code.name, "words", "words")
    assert (error.field, error.index, error.metadata, error.retry_after) == ("", None, {}, None)


def test_the_details_are_kept():
    details = status(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "texts[3]: full",
        reason="QUEUE_FULL",
        field="texts[3]",
        retry=1.5,
        metadata={"limit": "9"},
    )
    error = error_from_status("RESOURCE_EXHAUSTED", "texts[3]: full", details)
    assert isinstance(error, errors.ResourceExhaustedError)
    assert (error.reason, error.field, error.index) == ("QUEUE_FULL", "texts[3]", 3)
    assert (error.metadata, error.retry_after) == ({"limit": "9"}, 1.5)


def test_a_reason_of_another_domain_is_not_ours():
    details = status(grpc.StatusCode.UNAVAILABLE, "no", reason="PROXY_DOWN", domain="proxy.example")
    assert error_from_status("UNAVAILABLE", "no", details).reason == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("pushback", "wait"), [("0", 0.0), ("250", 0.25), ("-1", math.inf), ("nonsense", math.inf)]
)
def test_pushback_is_followed_and_no_retry_is_infinite(pushback, wait):
    details = status(grpc.StatusCode.UNAVAILABLE, "no", retry=7.0)
    assert error_from_status("UNAVAILABLE", "no", details, pushback).retry_after == wait


def test_only_the_servers_own_texts_are_renumbered():
    error = errors.InvalidInputError("texts[1] and a.texts[1] and contexts[1]", field="texts[1]")
    count_from(10, error, "b.texts")
    assert error.message == "b.texts[11] and a.texts[1] and contexts[1]"
    assert (error.field, error.args) == ("b.texts[11]", (error.message,))


def test_errors_travel_between_processes():
    error = errors.ResourceExhaustedError("full", reason="QUEUE_FULL", field="texts[2]", retry_after=1.0)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.__dict__ == error.__dict__
    assert copy.index == 2


def test_the_tree_in_the_documentation_is_the_tree():
    drawn = {word for line in errors.__doc__.splitlines() for word in line.split() if word.endswith("Error")}
    drawn -= {"TypeError", "TimeoutError"}
    there = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.PenultError)
    }
    assert drawn == there
    assert there <= set(penult_client.__all__)
