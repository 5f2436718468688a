"""Refusing what is too large: before computing where its size is known, in any case before sending."""

from __future__ import annotations

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from penult_service.config import Limits
from penult_service.errors import InvalidInput
from penult_service.rpc.laid import Laid

PAGE_SIZE, MOST_PAGE_SIZE = 100, 1000
# What a reply holds beside its rows: provenance, labels, tags.
OVERHEAD_BYTES = 4096


def response_limit(asked: int, limits: Limits) -> int:
    """The most bytes of this reply, from the request's `max_response_bytes`.

    Raises:
        InvalidInput: it is negative (OUT_OF_RANGE).
    """
    if asked < 0:
        raise InvalidInput(
            f"max_response_bytes is {asked}; give bytes, or 0 for {limits.default_response_bytes}",
            reason="OUT_OF_RANGE",
            field="max_response_bytes",
        )
    return min(asked or limits.default_response_bytes, limits.max_response_bytes)


def page_size(asked: int) -> int:
    """How many entries a page has.

    Raises:
        InvalidInput: it is negative (OUT_OF_RANGE).
    """
    if asked < 0:
        raise InvalidInput(
            f"page_size is {asked}; give 1 to {MOST_PAGE_SIZE}, or 0 for {PAGE_SIZE}",
            reason="OUT_OF_RANGE",
            field="page_size",
        )
    return min(asked or PAGE_SIZE, MOST_PAGE_SIZE)


def check_rows_fit(rows: int, row_bytes: int, limit: int, otherwise: str = "") -> None:
    """Refuse a reply of so many rows before it is computed; `otherwise` as of `too_large`.

    Raises:
        InvalidInput: it would be larger than the limit (RESPONSE_TOO_LARGE).
    """
    if rows * row_bytes + OVERHEAD_BYTES > limit:
        size, fitting = rows * row_bytes + OVERHEAD_BYTES, (limit - OVERHEAD_BYTES) // row_bytes
        raise too_large(rows, size, limit, fitting, otherwise)


def check_tokens_fit(counts: NDArray[np.int32], token_bytes: int, row_bytes: int, limit: int) -> None:
    """Refuse a reply in which row i has counts[i] rows of numbers, before it is computed.

    Raises:
        InvalidInput: it would be larger than the limit (RESPONSE_TOO_LARGE).
    """
    size = int(counts.sum()) * token_bytes + len(counts) * row_bytes + OVERHEAD_BYTES
    if size > limit:
        longest = int(counts.max()) * token_bytes + row_bytes
        raise too_large(len(counts), size, limit, (limit - OVERHEAD_BYTES) // longest)


def check_fits(response: Message | Laid, rows: int, limit: int) -> None:
    """Refuse a reply whose size was not known before.

    Raises:
        InvalidInput: it is larger than the limit (RESPONSE_TOO_LARGE).
    """
    size = response.ByteSize()
    if size > limit:
        raise too_large(rows, size, limit, rows * limit // size)


def too_large(rows: int, size: int, limit: int, most_rows: int, otherwise: str = "") -> InvalidInput:
    """The error of a reply that is larger than the caller takes; `otherwise` is what would help too."""
    fitting = max(0, min(most_rows, rows - 1))
    advice = f"send at most {fitting} at a time" if fitting else "not even one row fits"
    return InvalidInput(
        f"the reply to {rows} rows takes {size} bytes, over the limit of {limit}; {advice},"
        f" or raise max_response_bytes (and what your channel receives){'; ' + otherwise if otherwise else ''}",
        reason="RESPONSE_TOO_LARGE",
        field="max_response_bytes",
        metadata={"most_rows": str(fitting), "limit_bytes": str(limit), "response_bytes": str(size)},
    )


def bytes_in_words(size: int) -> str:
    """Bytes for a person: GiB, or MiB where they are few."""
    return f"{size / (1 << 30):.2g} GiB" if size >= 1 << 28 else f"{max(1, size >> 20)} MiB"
