"""Changes of stored clusters by hand: the requests, and the words for a break."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from penult.v1 import analysis_service_pb2 as analysis

from penult_client._core import parameters
from penult_client._core.inputs import text_size
from penult_client._core.operations import reword
from penult_client._exceptions import (
    CancelledError,
    DeadlineError,
    InputTypeError,
    InvalidInputError,
    PenultError,
    UnavailableError,
)

# The most bytes of a name that a person gives.
NAME_BYTES = 256


def merge(labels: Any) -> analysis.MergeClusters:
    """Two labels at least.

    Raises:
        InputTypeError: no labels (NOT_LABELS, NOT_A_NUMBER).
        InvalidInputError: fewer than two, or one twice (TOO_FEW_LABELS).
    """
    if isinstance(labels, str | bytes | Mapping) or not isinstance(labels, Iterable):
        raise InputTypeError(
            f"labels={labels!r}; give a list of the labels to merge", reason="NOT_LABELS", field="labels"
        )
    numbers = [parameters.required(label, f"labels[{place}]") for place, label in enumerate(labels)]
    if len(set(numbers)) < 2 or len(set(numbers)) < len(numbers):
        raise InvalidInputError(
            f"labels={numbers}; give two different labels at least, each once",
            reason="TOO_FEW_LABELS",
            field="labels",
        )
    return analysis.MergeClusters(labels=numbers)


def split(label: Any, n_clusters: Any) -> analysis.SplitCluster:
    """A label, and into how many.

    Raises:
        InputTypeError, InvalidInputError: as `parameters.required`; fewer than two (OUT_OF_RANGE).
    """
    parts = parameters.required(n_clusters, "n_clusters")
    if parts < 2:
        raise InvalidInputError(
            f"n_clusters={parts}; give at least 2", reason="OUT_OF_RANGE", field="n_clusters"
        )
    return analysis.SplitCluster(label=parameters.required(label, "label"), n_clusters=parts)


def names(given: Any) -> analysis.NameClusters:
    """A name a label.

    Raises:
        InputTypeError: no dict of str by whole numbers (NOT_NAMES, NOT_A_NUMBER, NOT_TEXT).
        InvalidInputError: there is none (EMPTY_INPUT); one is too long (NAME_TOO_LONG), or no UTF-8 (NOT_UTF8).
    """
    if not isinstance(given, Mapping):
        raise InputTypeError(
            f"names={given!r}; give a dict of names by label, such as {{0: 'refunds'}}",
            reason="NOT_NAMES",
            field="names",
        )
    if not given:
        raise InvalidInputError(
            "names is empty; name one cluster at least", reason="EMPTY_INPUT", field="names"
        )
    made = {}
    for label, name in given.items():
        where = f"names[{label!r}]"
        made[parameters.required(label, where)] = _checked(name, where)
    return analysis.NameClusters(names=made)


def _checked(name: Any, where: str) -> str:
    if text_size(name, where) > NAME_BYTES:
        raise InvalidInputError(
            f"{where} takes over {NAME_BYTES} bytes; give a shorter name", reason="NAME_TOO_LONG", field=where
        )
    return str(name)


def perhaps_done(error: PenultError, clustering: str) -> PenultError:
    """What stopped us from knowing whether the server changed clusters; of an operation its own words say more."""
    unknown = isinstance(error, UnavailableError | DeadlineError | CancelledError)
    if unknown and error.retry_after is None and "operation" not in error.metadata:
        return reword(
            error,
            f"{error.message}; perhaps the clusters were changed: client.clustering({clustering!r}).history tells",
        )
    return error
