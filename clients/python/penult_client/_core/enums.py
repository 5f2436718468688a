"""The words of the Python interface and the enums of the wire, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2 as common

from penult_client._exceptions import InvalidInputError

Number = TypeVar("Number")

POOLINGS = {
    "pooled": common.POOLING_POOLED,
    "cls": common.POOLING_CLS,
    "mean": common.POOLING_MEAN,
    "max": common.POOLING_MAX,
}
TRUNCATES = {"right": common.TRUNCATE_MODE_RIGHT, "error": common.TRUNCATE_MODE_ERROR}
ON_ROW_ERRORS = {"fail": common.ON_ROW_ERROR_FAIL, "report": common.ON_ROW_ERROR_REPORT}
METRICS = {
    "cosine": analysis.METRIC_COSINE,
    "dot": analysis.METRIC_DOT,
    "euclidean": analysis.METRIC_EUCLIDEAN,
    "manhattan": analysis.METRIC_MANHATTAN,
}


def to_number(word: str, table: Mapping[str, Number], argument: str) -> Number:
    """The enum value of a word.

    Raises:
        InvalidInputError: there is no such word (UNKNOWN_POOLING, UNKNOWN_METRIC ...).
    """
    if isinstance(word, str) and word in table:
        return table[word]
    known = ", ".join(repr(name) for name in table)
    raise InvalidInputError(
        f"{argument}={word!r} is not known; take one of {known}",
        reason=f"UNKNOWN_{argument.upper()}",
        field=argument,
    )


def to_word(number: int, enum: Any, prefix: str) -> str:
    """The word of an enum value, such as ``cut``: empty for "not said" and for values of a newer server."""
    value = enum.DESCRIPTOR.values_by_number.get(number)
    word = value.name.removeprefix(prefix).lower() if value else ""
    return "" if word == "unspecified" else word
