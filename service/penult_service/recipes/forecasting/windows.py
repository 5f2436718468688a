"""Windows of a table of series: who is trained, validated and tested on, and what no training would score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput, NotFound
from penult_service.recipes.forecasting.settings import ForecastSettings, row_counts
from penult_service.recipes.numeric import LARGEST, Numbers, mean_and_scale

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Series:
    """A file's series as they are trained on.

    Attributes:
        numbers: What was read, `values` float64 [rows, features].
        targets: Which columns are forecast.
        mean, scale: Of the training rows, [features]; the scale of a series that never changes is 1.
        train, valid, test: The first row of each window.
        rows: How many rows each of the three parts has.
    """

    numbers: Numbers
    targets: tuple[int, ...]
    mean: Floats
    scale: Floats
    train: Indices
    valid: Indices
    test: Indices
    rows: tuple[int, int, int]

    @property
    def standardised(self) -> Floats:
        """All rows on the scale of the training rows, [rows, features]."""
        standardised: Floats = (self.numbers.values - self.mean) / self.scale
        return standardised

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of what is forecast."""
        return tuple(self.numbers.names[index] for index in self.targets)


@dataclass(frozen=True)
class Scores:
    """Errors over the windows of a part, all steps of the horizon: on the standardised scale, in total and each series;
    `mae_raw` in the file's own units."""

    mse: float
    mae: float
    series: dict[str, dict[str, float]]


def series_of(numbers: Numbers, targets: tuple[str, ...], settings: ForecastSettings) -> Series:
    """Splits the rows by time, and finds the windows of each part.

    Windows of validation and test begin in the part before; what they forecast lies in their own part alone.

    Args:
        targets: The names of the series to forecast; none means all.

    Raises:
        NotFound: No column has the name of a target.
        InvalidInput: A part is too short for a window, or a column nothing for float32.
    """
    missing = next((name for name in targets if name not in numbers.names), None)
    if missing is not None:
        what = f"{numbers.source}: no series is called {missing!r}; there are {', '.join(map(repr, numbers.names))}"
        raise NotFound(what, reason="NO_SUCH_TARGET", field="target")
    columns = tuple(numbers.names.index(name) for name in dict.fromkeys(targets or numbers.names))
    large = np.argwhere(np.abs(numbers.values) > LARGEST)
    if len(large):
        what = f"{numbers.source}: row {large[0][0] + 1}, column {numbers.names[large[0][1]]!r}: too large for float32"
        raise InvalidInput(what, reason="TOO_LARGE", field=numbers.names[large[0][1]])
    rows = row_counts(settings.split, len(numbers))
    seen, window = rows[0], settings.steps + settings.horizon
    for name, there, wanted in zip(
        ("training", "validation", "test"), rows, (window, settings.horizon, settings.horizon), strict=True
    ):
        if there < wanted:
            what = f"{numbers.source}: {there} rows to {'train on' if name == 'training' else f'use as {name}'}, and "
            what += f"a window of {settings.steps} steps with a horizon of {settings.horizon} needs {wanted}"
            raise InvalidInput(what, reason="TOO_FEW_ROWS", field="split")
    return Series(
        numbers,
        columns,
        *mean_and_scale(numbers, numbers.values[:seen]),
        np.arange(seen - window + 1),
        np.arange(seen, seen + rows[1] - settings.horizon + 1) - settings.steps,
        np.arange(seen + rows[1], sum(rows) - settings.horizon + 1) - settings.steps,
        rows,
    )


def baselines(series: Series, starts: Indices, settings: ForecastSettings) -> dict[str, Scores]:
    """What rules score: the last value all along; with a season the value one season before, and the window's mean
    season at the level of its last one, which is the guess that the network corrects.
    """
    z = series.standardised[:, series.targets]
    ends = starts + settings.steps
    ahead = np.arange(settings.horizon)
    wanted = z[ends[:, None] + ahead]
    found = {"last value": scores(series, z[ends - 1][:, None] - wanted)}
    if settings.season > 1:
        before = z[ends[:, None] - settings.season + ahead % settings.season]
        found["seasonal"] = scores(series, before - wanted)
        found["mean season"] = scores(series, _mean_season(z, ends, settings) - wanted)
    return found


def _mean_season(z: Floats, ends: Indices, settings: ForecastSettings) -> Floats:
    """The guess behind windows that end there, [windows, horizon, targets]."""
    season, whole = settings.season, settings.steps // settings.season
    behind = z[ends[:, None] + np.arange(-whole * season, 0)]
    each = behind.reshape(len(ends), whole, season, -1)
    mean = each.mean(axis=1)
    guess = mean - mean.mean(axis=1, keepdims=True) + each[:, -1].mean(axis=1, keepdims=True)
    found: Floats = guess[:, np.arange(settings.horizon) % season]
    return found


def scores(series: Series, errors: Floats) -> Scores:
    """Of standardised errors [windows, horizon, targets]."""
    squared = np.square(errors).mean(axis=(0, 1))
    return scores_of(series, squared, np.abs(errors).mean(axis=(0, 1)))


def scores_of(series: Series, squared: Floats, absolute: Floats) -> Scores:
    """Of the mean squared and mean absolute standardised error of each target, [targets]."""
    scale = series.scale[list(series.targets)]
    each = {
        name: {
            "mse": float(squared[at]),
            "mae": float(absolute[at]),
            "mae_raw": float(absolute[at] * scale[at]),
        }
        for at, name in enumerate(series.target_names)
    }
    return Scores(float(squared.mean()), float(absolute.mean()), each)


def batches(starts: Indices, batch_size: int, seed: int, epoch: int) -> list[Indices]:
    """The windows of one epoch in random order, which is a function of the seed and the epoch alone."""
    order = np.random.default_rng((seed, epoch)).permutation(starts)
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
