"""Who is held out, and which rows train together. Pure functions of their arguments and a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput

Indices = NDArray[np.int64]

CHUNK_BATCHES = 50
"""Rows are sorted by length within this many batches: enough that a batch is of one length, few enough that
two epochs differ."""


def hold_out(
    labels: Sequence[str], groups: Sequence[str] | None, fraction: float, seed: int
) -> tuple[Indices, Indices]:
    """Splits rows into (training, held out), each class by `fraction`, each group on one side.

    Without groups every class gives `fraction` of its rows, rounded, one at least. With groups the split is
    greedy: groups in random order join the held-out side while that brings the classes nearer to `fraction`.
    Every class keeps rows to train on, so one that stands in a single row or group is not held out at all.

    Raises:
        InvalidInput: Nothing could be held out, or `fraction` is out of range.
    """
    if not 0 < fraction < 1:
        what = f"valid_fraction is {fraction}; it must lie between 0 and 1"
        raise InvalidInput(what, reason="VALID_FRACTION", field="valid_fraction")
    units = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    classes = np.unique(labels, return_inverse=True)[1]
    table = np.zeros((int(units.max()) + 1, int(classes.max()) + 1))
    np.add.at(table, (units, classes), 1)
    held_out = _choose(table, fraction, seed)[units]
    if not held_out.any():
        kind = "rows" if groups is None else "groups"
        what = f"there are too few {kind}, or they are too uneven, to hold out {fraction:g}; name a file with --valid"
        raise InvalidInput(what, reason="NOTHING_HELD_OUT", field="valid_fraction")
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _choose(table: NDArray[np.float64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which units are held out, given the rows of each class (column) in each unit (row of `table`)."""
    total = table.sum(axis=0)
    wanted = np.maximum(np.round(total * fraction), 1)
    taken = np.zeros_like(wanted)
    chosen = np.zeros(len(table), bool)
    for unit in np.random.default_rng(seed).permutation(len(table)):
        after = taken + table[unit]
        nearer = np.square(wanted - after).sum() < np.square(wanted - taken).sum()
        if nearer and (after < total).all():
            chosen[unit], taken = True, after
    return chosen


def plan_batches(lengths: NDArray[np.integer], batch_size: int, seed: int, epoch: int) -> list[Indices]:
    """The batches of one epoch, as row numbers: every row once, like lengths together, order shuffled.

    Args:
        lengths: Tokens of each row, [n].
        batch_size: Rows a batch; the last of a chunk may have fewer.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), batch_size * CHUNK_BATCHES):
        chunk = order[start : start + batch_size * CHUNK_BATCHES]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += [chunk[at : at + batch_size] for at in range(0, len(chunk), batch_size)]
    return [batches[index] for index in rng.permutation(len(batches))]


def learning_rate_at(step: int, steps: int, peak: float, warmup: float) -> float:
    """The rate of one step (0 first): linear up over the `warmup` share of steps, then linear down to 0."""
    rising = round(steps * warmup)
    if step < rising:
        return peak * (step + 1) / rising
    return peak * (steps - step) / max(steps - rising, 1)
