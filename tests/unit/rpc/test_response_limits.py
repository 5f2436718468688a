"""How much of a reply the caller takes."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from penult.v1 import inference_service_pb2 as inference
from penult_service.config import Limits
from penult_service.errors import InvalidInput
from penult_service.rpc.limits import check_fits, check_rows_fit, response_limit

LIMITS = Limits(default_response_bytes=2000, max_response_bytes=5000)


@pytest.mark.parametrize(("asked", "given"), [(0, 2000), (1, 1), (3000, 3000), (9000, 5000)])
def test_the_callers_limit_within_the_servers(asked: int, given: int) -> None:
    assert response_limit(asked, LIMITS) == given


@given(st.integers(1, 100_000), st.integers(1, 5000), st.integers(1000, 10_000_000))
def test_the_most_rows_named_is_what_is_accepted(rows: int, row_bytes: int, limit: int) -> None:
    assume(rows * row_bytes > limit)
    with pytest.raises(InvalidInput) as caught:
        check_rows_fit(rows, row_bytes, limit)
    most = int(caught.value.metadata["most_rows"])
    assert most < rows
    if most:
        check_rows_fit(most, row_bytes, limit)
    else:
        assert "not even one row" in caught.value.message
    with pytest.raises(InvalidInput):
        check_rows_fit(most + 1, row_bytes, limit)


def test_a_reply_of_unknown_size_is_measured() -> None:
    reply = inference.TokenizeResponse(sequences=[{"ids": range(100)}] * 50)
    check_fits(reply, 50, reply.ByteSize())
    with pytest.raises(InvalidInput) as caught:
        check_fits(reply, 50, reply.ByteSize() // 2)
    assert caught.value.reason == "RESPONSE_TOO_LARGE"
    assert int(caught.value.metadata["most_rows"]) in (24, 25)
