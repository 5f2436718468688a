"""Which rows share a batch: a pure function of their lengths."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

# Binary digits that are kept of rows and of lengths: 8, 10, 12, 14, 16, 20; and 16, 18, 20 ... 32, 36.
_ROW_DIGITS, _LENGTH_DIGITS = 3, 4


@dataclass(frozen=True)
class Limits:
    """Of a batch.

    Attributes:
        token_budget: Padded tokens, at most.
        max_rows: Rows, at most.
        overhead: Padded tokens that would take as long as a batch takes beside its tokens. Rows of other lengths are
            kept apart where that saves more padding than this.
        stepped: Whether rows and lengths come in steps: engines make kernels for each new shape of a batch, and keep
            those of some, so that few shapes are faster. A batch is padded to `stepped` of its longest row then.
        longest: Tokens that the model reads, at most: no row is padded beyond.
        at_once: Batches that may be computed at once, where many wait.
    """

    token_budget: int = 2048
    max_rows: int = 32
    overhead: int = 64
    stepped: bool = False
    longest: int = sys.maxsize
    at_once: int = 1

    def padded(self, longest: int) -> int:
        """Tokens that each row of a batch is padded to."""
        return stepped(longest, self.longest) if self.stepped else longest


def stepped(length: int, most: int = sys.maxsize) -> int:
    """The next length of those that batches are padded to: at most an eighth more, up to 16 none; no more than `most`,
    unless it is itself."""
    return max(length, min(most, _up(length, _LENGTH_DIGITS)))


def _up(number: int, digits: int) -> int:
    """The next number that has no more binary digits but zeros."""
    zeros = max(0, number.bit_length() - digits)
    return -(-number >> zeros) << zeros


def plan(lengths: Sequence[int], limits: Limits) -> list[list[int]]:
    """Pack rows into batches of similar length, the longest first: those that cost least in all.

    A batch is padded to its longest row, or the step above, so it costs padded * rows + overhead tokens; padded * rows
    is at most the token budget, unless a row alone is longer than that: it is a batch of its own. Of all batches that
    are consecutive in the order of lengths, each of a number of rows that is a step where there are steps, these are
    the cheapest, by dynamic programming. Equal lengths keep their order.

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
    longest = limits.padded(int(given[order[0]]))
    padded = longest * len(given)
    one = len(given) in _numbers(limits) and padded <= limits.token_budget
    if one and padded - int(given.sum()) <= limits.overhead:  # nothing to save
        return [order.tolist()]
    batches: list[list[int]] = []
    start = 0
    ordered = [limits.padded(length) for length in given[order].tolist()]
    for rows in _cheapest(ordered, limits):
        batches.append(order[start : start + rows].tolist())
        start += rows
    return batches


@cache
def _numbers(limits: Limits) -> tuple[int, ...]:
    """How many rows a batch may have, rising."""
    found = range(1, limits.max_rows + 1)
    return tuple(n for n in found if not limits.stepped or n in (limits.max_rows, _up(n, _ROW_DIGITS)))


def _cheapest(lengths: Sequence[int], limits: Limits) -> list[int]:
    """Rows of each batch, of padded lengths in falling order."""
    count = len(lengths)
    numbers = np.array(_numbers(limits))
    numbers = numbers[numbers <= count]
    rows = numbers.astype(np.float64)
    room = np.minimum(limits.token_budget // np.asarray(lengths), count - np.arange(count))
    most = np.searchsorted(numbers, np.maximum(room, 1), "right").tolist()
    # What the rows from here to the end cost, and how many go first.
    rest, best = np.zeros(count + 1), [0] * count
    for i in range(count - 1, -1, -1):
        costs = rows[: most[i]] * lengths[i]
        costs += rest[i + numbers[: most[i]]]
        which = most[i] - 1 - int(costs[::-1].argmin())  # of equal ones that with most rows
        best[i] = int(numbers[which])
        rest[i] = costs[which] + limits.overhead
    batches, i = [], 0
    while i < count:
        batches.append(best[i])
        i += best[i]
    return batches
