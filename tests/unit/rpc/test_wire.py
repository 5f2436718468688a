"""Why bytes did not parse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import inference_service_pb2 as inference
from penult.v1 import model_service_pb2 as models
from penult_service.errors import InvalidInput
from penult_service.rpc import wire

NOT_UTF8 = [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", "ä".encode("latin-1"), b"\xf4\x90\x80\x80"]


def field(number: int, data: bytes) -> bytes:
    length, prefix = len(data), b""
    while length >= 128:
        prefix += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + prefix + bytes([length]) + data


def parsed(data: bytes, message: type = inference.EmbedRequest) -> object:
    return wire.parser(message)(data)


@given(st.lists(st.text()))
def test_what_is_right_is_parsed(texts: list[str]) -> None:
    request = inference.EmbedRequest(texts={"texts": texts}, probabilities=True)
    assert parsed(request.SerializeToString()) == request


@given(st.lists(st.text()), st.lists(st.text()), st.sampled_from(NOT_UTF8))
def test_the_text_that_is_not_utf8_is_named(before: list[str], after: list[str], bad: bytes) -> None:
    texts = [*(text.encode() for text in before), bad, *(text.encode() for text in after)]
    error = parsed(field(1, b"".join(field(1, text) for text in texts)))
    assert isinstance(error, InvalidInput)
    assert (error.reason, error.field) == ("NOT_UTF8", f"texts[{len(before)}]")


@pytest.mark.parametrize(
    ("data", "message", "expected"),
    [
        (field(2, field(1, b"\xff")), inference.EmbedRequest, "options.model"),
        (field(2, field(2, b"\xff")), inference.EmbedRequest, "options.layer"),
        (field(1, field(1, field(1, b"\xff"))), analysis.ComputeSimilarityRequest, "a.texts[0]"),
        (field(2, field(3, field(1, b"\xff"))), analysis.ComputeSimilarityRequest, "b.options.model"),
        (
            field(1, field(2, field(5, b"\xff"))),
            analysis.ComputeSimilarityRequest,
            "a.vectors.embedding_space",
        ),
        (field(2, b"\xff"), models.ListModelsRequest, "page_token"),
        # Numbers of every wire type and unknown fields are stepped over; bytes need not be UTF-8.
        (
            b"\x18\x01"
            + b"\xf1\x01"
            + bytes(8)
            + b"\xf5\x01"
            + bytes(4)
            + field(15, b"\xff")
            + field(1, field(1, b"\xff")),
            inference.EmbedRequest,
            "texts[0]",
        ),
        (
            field(1, field(2, field(4, b"\xff") + field(5, b"\xff"))),
            analysis.ComputeSimilarityRequest,
            "a.vectors.embedding_space",
        ),
    ],
)
def test_strings_everywhere_are_named(data: bytes, message: type, expected: str) -> None:
    error = parsed(data, message)
    assert isinstance(error, InvalidInput)
    assert (error.reason, error.field) == ("NOT_UTF8", expected)


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(data: bytes) -> None:
    outcome = parsed(data)
    if isinstance(outcome, InvalidInput):
        assert outcome.reason in ("NOT_UTF8", "MALFORMED_REQUEST")
        assert (outcome.field != "") == (outcome.reason == "NOT_UTF8")
    else:
        assert isinstance(outcome, inference.EmbedRequest)


@pytest.mark.parametrize("data", [b"\x0a\x05abc", b"\xff" * 11, b"\x0b\x00", b"\x0d\x00"], ids=repr)
def test_what_is_no_message_is_called_so(data: bytes) -> None:
    error = parsed(data)
    assert isinstance(error, InvalidInput)
    assert (error.reason, error.field) == ("MALFORMED_REQUEST", "")
    assert "penult.v1.EmbedRequest" in error.message


def test_the_search_does_not_go_on_for_ever() -> None:
    error = parsed(field(1, field(1, b"") * 300_000 + field(1, b"\xff")))
    assert isinstance(error, InvalidInput)
    assert error.reason == "MALFORMED_REQUEST"
