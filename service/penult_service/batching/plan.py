"""Which rows share a batch: a pure function of their lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def plan(lengths: Sequence[int], *, token_budget: int, max_rows: int) -> list[list[int]]:
    """Pack rows into batches of similar length, the longest first.

    A batch is padded to its longest row, so it costs longest * rows tokens: at most `token_budget`, in at
    most `max_rows` rows. A row longer than the whole budget is a batch of its own. Equal lengths keep their
    order.

    Args:
        lengths: Tokens a row, at least 1 each.
        token_budget: Padded tokens a batch.
        max_rows: Rows a batch.

    Returns:
        Batches of row numbers; every row is in exactly one of them.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        rows = max(1, min(max_rows, token_budget // int(lengths[order[start]])))
        batches.append(order[start : start + rows].tolist())
        start += rows
    return batches
