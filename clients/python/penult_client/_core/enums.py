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
    "tokens": common.POOLING_TOKENS,
}
TRUNCATES = {"right": common.TRUNCATE_MODE_RIGHT, "error": common.TRUNCATE_MODE_ERROR}
ON_ROW_ERRORS = {"fail": common.ON_ROW_ERROR_FAIL, "report": common.ON_ROW_ERROR_REPORT}
METRICS = {
    "cosine": analysis.METRIC_COSINE,
    "dot": analysis.METRIC_DOT,
    "euclidean": analysis.METRIC_EUCLIDEAN,
    "manhattan": analysis.METRIC_MANHATTAN,
}
CLUSTER_METHODS = {
    "kmeans": analysis.CLUSTER_METHOD_KMEANS,
    "agglomerative": analysis.CLUSTER_METHOD_AGGLOMERATIVE,
    "hdbscan": analysis.CLUSTER_METHOD_HDBSCAN,
    "gaussian_mixture": analysis.CLUSTER_METHOD_GAUSSIAN_MIXTURE,
}
REDUCTIONS = {
    "none": analysis.REDUCTION_NONE,
    "umap": analysis.REDUCTION_UMAP,
    "pca": analysis.REDUCTION_PCA,
}
LINKAGES = {
    "ward": analysis.LINKAGE_WARD,
    "average": analysis.LINKAGE_AVERAGE,
    "complete": analysis.LINKAGE_COMPLETE,
    "single": analysis.LINKAGE_SINGLE,
}
NOISE_MODES = {"keep": analysis.NOISE_MODE_KEEP, "nearest": analysis.NOISE_MODE_NEAREST}
PROJECTION_METHODS = {
    "umap": analysis.PROJECTION_METHOD_UMAP,
    "pca": analysis.PROJECTION_METHOD_PCA,
    "tsne": analysis.PROJECTION_METHOD_TSNE,
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


def to_number_or_none(word: str | None, table: Mapping[str, Number], argument: str) -> Number | None:
    """The same; None, for what suits the method, stays None."""
    return None if word is None else to_number(word, table, argument)


def to_word(number: int, enum: Any, prefix: str) -> str:
    """The word of an enum value, such as ``cut``: empty for "not said" and for values of a newer server."""
    value = enum.DESCRIPTOR.values_by_number.get(number)
    word = value.name.removeprefix(prefix).lower() if value else ""
    return "" if word == "unspecified" else word
