"""How a call becomes requests: every text once, in order, none over the server's limits."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penult.v1 import inference_service_pb2 as inference
from penult_client import InvalidInputError, Limits
from penult_client._core.inputs import check_texts
from penult_client._core.requests import with_rows
from penult_client._core.splitting import PART_BYTES, PART_ROWS, Part, split_rows


def limits(**changed: int) -> Limits:
    told = {
        "max_request_bytes": 64 << 20,
        "default_response_bytes": 4 << 20,
        "max_response_bytes": 256 << 20,
        "max_texts": 16_384,
        "max_text_bytes": 4 << 20,
        "max_queued_tokens": 1 << 20,
        "max_scores": 1 << 24,
    }
    return Limits(**{**told, **changed})


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(max_size=40), min_size=1, max_size=60),
    most_texts=st.integers(1, 70),
    most_bytes=st.integers(240, 4000),
)
def test_parts_cover_every_text_once_and_fit_the_wire(texts, most_texts, most_bytes):
    told = limits(max_texts=most_texts, max_request_bytes=most_bytes)
    checked = check_texts(texts)
    template = inference.EmbedRequest(probabilities=True)
    template.options.model = "reviews@3"
    parts = split_rows(checked, told, template.ByteSize())
    requests = [with_rows(template, checked, part.start, part.stop, told) for part in parts]
    assert [text for request in requests for text in request.texts.texts] == texts
    assert max(len(request.texts.texts) for request in requests) <= most_texts
    assert max(request.ByteSize() for request in requests) <= most_bytes
    assert all(request.max_response_bytes == told.max_response_bytes for request in requests)
    # None could have been joined to the one before: that is what "as many as fit" means.
    for before, after in pairwise(requests):
        grown = type(before)()
        grown.CopyFrom(before)
        grown.texts.texts.append(after.texts.texts[0])
        slack = 8 * len(grown.texts.texts) + 32
        assert len(grown.texts.texts) > most_texts or grown.ByteSize() + slack > most_bytes


def test_a_part_is_bounded_in_texts_and_in_bytes():
    parts = split_rows(check_texts(["short"] * 2500), limits(), 0)
    assert [len(part) for part in parts] == [PART_ROWS, PART_ROWS, 2500 - 2 * PART_ROWS]
    parts = split_rows(check_texts(["x" * 1000] * 300), limits(), 0)
    assert [len(part) for part in parts[:-1]] == [PART_BYTES // 1006] * (len(parts) - 1)


def test_a_text_longer_than_a_part_goes_alone():
    parts = split_rows(check_texts(["a", "x" * (PART_BYTES + 1), "b"]), limits(), 0)
    assert [(part.start, part.stop) for part in parts] == [(0, 1), (1, 2), (2, 3)]


def test_a_text_that_no_request_can_hold_is_named():
    with pytest.raises(InvalidInputError) as caught:
        split_rows(check_texts(["a", "é" * 600]), limits(max_request_bytes=1000), 10)
    error = caught.value
    assert (error.reason, error.field) == ("TEXT_TOO_LARGE", "texts[1]")
    assert "1200 bytes" in error.message
    assert error.metadata == {"max_request_bytes": "1000"}


def test_splitting_a_part_keeps_its_rows_and_its_time():
    pieces = Part(10, 17, until=99.0, attempts=2).split(3)
    assert [(p.start, p.stop, p.until, p.attempts) for p in pieces] == [
        (10, 13, 99.0, 0),
        (13, 16, 99.0, 0),
        (16, 17, 99.0, 0),
    ]
