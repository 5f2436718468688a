"""What is to be beaten: predictions that take no network, and the errors of any prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.recipes.events.sequences import MINUTES_A_DAY, EventSequence


@dataclass(frozen=True)
class Baseline:
    """`accuracy` of the next event, or an error of the days to it; None where it says nothing of that."""

    name: str
    accuracy: float | None = None
    rmse_days: float | None = None
    mae_days: float | None = None


def days_to_next(rows: Sequence[EventSequence]) -> NDArray[np.float64]:
    """The days to every next event, float64 [m]."""
    return np.concatenate([row.minutes[1:] for row in rows]).astype(np.float64) / MINUTES_A_DAY


def baselines(train: Sequence[EventSequence], test: Sequence[EventSequence], types: int) -> list[Baseline]:
    """Fitted on `train`, measured on every next event of `test`. Of equal counts the lower event is taken."""
    # Of the pairs that there are: a table of all would be as large as the square of the highest event.
    pairs = np.concatenate([row.events[:-1].astype(np.int64) * (types + 1) + row.events[1:] for row in train])
    pairs, counts = np.unique(pairs, return_counts=True)
    first, second = np.divmod(pairs, types + 1)
    often = np.bincount(np.concatenate([row.events for row in train]), minlength=types + 1)
    commonest = int(often.argmax())
    follows = np.full(types + 1, commonest)
    order = np.lexsort((-second, counts))  # what is assigned last stays: the most often, of equals the lower
    follows[first[order]] = second[order]
    before = np.concatenate([row.events[:-1] for row in test])
    after = np.concatenate([row.events[1:] for row in test])
    learned, days = days_to_next(train), days_to_next(test)
    mean, median = learned.mean(), np.median(learned)
    return [
        Baseline("first-order Markov", accuracy=float((follows[before] == after).mean())),
        Baseline("most frequent", accuracy=float((after == commonest).mean())),
        Baseline("repeat the last", accuracy=float((before == after).mean())),
        Baseline("always the mean time", rmse_days=float(np.sqrt(np.square(days - mean).mean()))),
        Baseline("always the median time", mae_days=float(np.abs(days - median).mean())),
    ]
