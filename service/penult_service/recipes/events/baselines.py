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
    counts = np.zeros((types + 1, types + 1), np.int64)
    for row in train:
        np.add.at(counts, (row.events[:-1], row.events[1:]), 1)
    often = np.bincount(np.concatenate([row.events for row in train]), minlength=types + 1)
    commonest = int(often.argmax())
    follows = np.where(counts.any(axis=1), counts.argmax(axis=1), commonest)
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
