"""Which rows share a batch: a pure function of their lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Limits:
    """Of a batch.

    Attributes:
        token_budget: Padded tokens, at most.
        max_rows: Rows, at most.
        overhead: Padded tokens that would take as long as a batch takes beside its tokens. Rows of other lengths are
            kept apart where that saves more padding than this.
    """

    token_budget: int = 2048
    max_rows: int = 32
    overhead: int = 64


def plan(lengths: Sequence[int], limits: Limits) -> list[list[int]]:
    """Pack rows into batches of similar length, the longest first: those that cost least in all.

    A batch is padded to its longest row, so it costs longest * rows + overhead tokens; longest * rows is at most the
    token budget, unless a row alone is longer than that: it is a batch of its own. Of all batches that are consecutive
    in the order of lengths these are the cheapest, by dynamic programming. Equal lengths keep their order.

    Args:
        lengths: Tokens a row, at least 1 each.
        limits: Of a batch.

    Returns:
        Batches of row numbers; every row is in exactly one of them.
    """
    if len(lengths) <= 1:
        return [[0]] if len(lengths) else []
    given = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-given, kind="stable")
    longest = int(given[order[0]])
    one = len(given) <= limits.max_rows and longest * len(given) <= limits.token_budget
    if one and longest * len(given) - int(given.sum()) <= limits.overhead:  # nothing to save
        return [order.tolist()]
    batches: list[list[int]] = []
    start = 0
    for rows in _cheapest(given[order], limits):
        batches.append(order[start : start + rows].tolist())
        start += rows
    return batches


def _cheapest(lengths: NDArray[np.int64], limits: Limits) -> list[int]:
    """Rows of each batch, of lengths in falling order."""
    count = len(lengths)
    rows = np.arange(1, min(limits.max_rows, count) + 1, dtype=np.float64)
    room = np.minimum(limits.token_budget // lengths, count - np.arange(count))
    most = np.clip(room, 1, len(rows)).tolist()
    rest, best = (
        np.zeros(count + 1),
        [0] * count,
    )  # what the rows from here to the end cost, and how many go first
    for i, length in reversed(list(enumerate(lengths.tolist()))):
        costs = rows[: most[i]] * length
        costs += rest[i + 1 : i + 1 + most[i]]
        best[i] = most[i] - int(costs[::-1].argmin())  # of equal ones that with most rows
        rest[i] = costs[best[i] - 1] + limits.overhead
    batches, i = [], 0
    while i < count:
        batches.append(best[i])
        i += best[i]
    return batches
