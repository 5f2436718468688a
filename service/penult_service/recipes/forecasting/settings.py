"""What a forecaster is trained with. No TensorFlow here: the command line reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penult_service.errors import InvalidInput
from penult_service.recipes.checks import in_range

PLACEMENTS = {
    "none": "no dropout",
    "before": "Dropout on the steps in front of the LSTM",
    "after": "Dropout on the LSTM's last state",
    "inside": "the LSTM's own dropout=, on its input",
    "recurrent": "the LSTM's own recurrent_dropout=, on its state",
    "spatial": "SpatialDropout1D in front of the LSTM: features, at every step",
    "steps": "Dropout with noise_shape (1, steps, 1): whole steps",
    "features": "Dropout with noise_shape (1, 1, features): features, at every step",
    "samples": "Dropout with noise_shape (None, 1, 1): whole windows",
}
"""Where the dropout stands -> in words. The layers in front of the LSTM work on the standardised, centred window."""

Split = tuple[float, float, float]
"""Training, validation, test, in the order of time: shares below 1, or numbers of rows."""


@dataclass(frozen=True)
class ForecastSettings:
    """How to train.

    Attributes:
        placement: One of `PLACEMENTS`.
        rate: The share that is dropped.
        own_masks: `steps` and `features` drop with a mask for each window, where noise_shape begins with 1 in the
            usual form: one mask for the whole batch.
        steps, horizon: Rows that are seen, and rows that are forecast.
        season: Rows of a season (24: hours of a day); with 1 there is none.
        units: Of the LSTM.
        epochs, patience: The most passes over the windows; how many may pass without a lower validation error.
        batch_size: Windows a step.
        split: See `Split`.
    """

    placement: str = "after"
    rate: float = 0.3
    own_masks: bool = False
    steps: int = 96
    horizon: int = 24
    season: int = 24
    units: int = 64
    epochs: int = 10
    patience: int = 3
    learning_rate: float = 1e-3
    batch_size: int = 64
    split: Split = (0.7, 0.1, 0.2)
    seed: int = 42

    def __post_init__(self) -> None:
        checks = {
            "placement": (self.placement in PLACEMENTS, f"one of {', '.join(PLACEMENTS)}"),
            "rate": (0 <= self.rate < 1, "at least 0 and below 1"),
            "steps": (self.steps >= 1, "at least 1"),
            "horizon": (self.horizon >= 1, "at least 1"),
            "season": (1 <= self.season <= self.steps, f"1 to {self.steps}, the steps of a window"),
            "units": (self.units >= 1, "at least 1"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "patience": (self.patience >= 1, "at least 1"),
            "learning_rate": (0 < self.learning_rate < 1, "above 0 and below 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "seed": (0 <= self.seed < 2**32, "at least 0 and below 2^32"),
        }
        in_range(self, checks)


def dropout_of(placement: str, own_masks: bool) -> str:
    """What a placement is, in words."""
    words = PLACEMENTS[placement]
    return words.replace("noise_shape (1,", "noise_shape (None,") if own_masks else words


def split_of(words: str) -> Split:
    """The three parts in a text such as "0.7,0.1,0.2" or "8640,2880,2880".

    Raises:
        InvalidInput: It is not three shares, or three numbers of rows.
    """
    try:
        parts = [float(word) for word in words.split(",")]
    except ValueError:
        parts = []
    shares = all(0 < part < 1 for part in parts) and sum(parts) <= 1 + 1e-9
    rows = all(part >= 1 and part.is_integer() for part in parts)
    if len(parts) != 3 or not (shares or rows):
        what = f"split is {words!r}; give three shares, as 0.7,0.1,0.2, or three numbers of rows, as 8640,2880,2880"
        raise InvalidInput(what, reason="SPLIT", field="split")
    return parts[0], parts[1], parts[2]


def row_counts(split: Sequence[float], rows: int) -> tuple[int, int, int]:
    """The rows of each part of a file of `rows`; shares are rounded, rows at the end may be left over.

    Raises:
        InvalidInput: There are fewer rows.
    """
    counts = [round(part * rows) for part in split] if split[0] < 1 else [int(part) for part in split]
    counts[2] = min(counts[2], rows - counts[0] - counts[1]) if split[0] < 1 else counts[2]
    if sum(counts) > rows:
        what = f"the split takes {sum(counts)} rows, and the file has {rows}"
        raise InvalidInput(what, reason="SPLIT", field="split")
    return counts[0], counts[1], counts[2]
