"""Splits, windows and baselines of a forecaster, held against loops; its settings."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from penult_service.cli.training import forecaster as command
from penult_service.errors import InvalidInput, NotFound
from penult_service.recipes import numeric
from penult_service.recipes.forecasting import windows
from penult_service.recipes.forecasting.settings import (
    PLACEMENTS,
    ForecastSettings,
    row_counts,
    split_of,
)
from support.pretrained import shared_data

SETTINGS = ForecastSettings(steps=6, horizon=3, season=2, split=(20, 8, 7))


def numbers(rows: int = 40, columns: int = 3, seed: int = 1) -> numeric.Numbers:
    values = np.random.default_rng(seed).normal(5, 2, (rows, columns))
    names = tuple("abcdefg"[:columns])
    return numeric.Numbers("loads.csv", "0" * 64, names, values, ())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("placement", "behind"),
        ("rate", 1.0),
        ("steps", 0),
        ("horizon", 0),
        ("season", 0),
        ("season", 97),
        ("units", 0),
        ("epochs", 0),
        ("patience", 0),
        ("learning_rate", 0.0),
        ("batch_size", 0),
        ("seed", -1),
    ],
)
def test_settings_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is {value}") as caught:
        ForecastSettings(**{name: value})
    assert caught.value.field == name


def test_the_command_line_has_the_defaults_of_the_recipe() -> None:
    defaults = asdict(ForecastSettings())
    shown = {name: one.default for name, one in inspect.signature(command.forecaster).parameters.items()}
    assert split_of(shown["split"]) == defaults.pop("split")
    assert {name: shown[name] for name in defaults} == defaults
    text = str(command.Placement.__metadata__[0].help)  # type: ignore[attr-defined]
    assert all(name in text for name in PLACEMENTS)


@pytest.mark.parametrize(
    ("words", "rows", "counts"),
    [
        ("0.7,0.1,0.2", 17420, (12194, 1742, 3484)),
        ("8640,2880,2880", 17420, (8640, 2880, 2880)),
        ("0.5,0.25,0.25", 7, (4, 2, 1)),
        ("0.5, 0.1, 0.2", 10, (5, 1, 2)),
    ],
)
def test_splits(words: str, rows: int, counts: tuple[int, ...]) -> None:
    assert row_counts(split_of(words), rows) == counts


@pytest.mark.parametrize(
    "words", ["", "0.7,0.3", "a,b,c", "0.7,0.2,0.2", "1,0.5,2", "10,0,5", "nan,0.1,0.1", "3.5,4,4"]
)
def test_what_is_no_split(words: str) -> None:
    with pytest.raises(InvalidInput, match="give three shares") as caught:
        split_of(words)
    assert caught.value.reason == "SPLIT"


def test_more_rows_than_there_are() -> None:
    with pytest.raises(InvalidInput, match="the split takes 30 rows, and the file has 20"):
        row_counts((10, 10, 10), 20)


def test_windows_forecast_rows_of_their_own_part_alone() -> None:
    series = windows.series_of(numbers(), (), SETTINGS)
    ahead = {
        name: {row for start in getattr(series, name) for row in range(start + 6, start + 9)}
        for name in ("train", "valid", "test")
    }
    assert ahead == {"train": set(range(6, 20)), "valid": set(range(20, 28)), "test": set(range(28, 35))}
    assert (series.train[0], series.train[-1]) == (0, 11)
    assert len(series.train) == 20 - 9 + 1


def test_the_scale_is_that_of_the_training_rows() -> None:
    """And 1 of a series that does not change there."""
    table = numbers()
    table.values[:20, 1] = 7
    series = windows.series_of(table, (), SETTINGS)
    np.testing.assert_allclose(series.mean, table.values[:20].mean(axis=0))
    np.testing.assert_allclose(series.scale[[0, 2]], table.values[:20, [0, 2]].std(axis=0))
    assert series.scale[1] == 1
    other = numbers()
    other.values[:20] = table.values[:20]
    other.values[20:] *= 10
    np.testing.assert_array_equal(windows.series_of(other, (), SETTINGS).scale, series.scale)


def test_baselines_are_those_of_a_loop() -> None:
    series = windows.series_of(numbers(), ("c", "a"), SETTINGS)
    assert series.targets == (2, 0)
    z = series.standardised[:, [2, 0]]
    last, seasonal, mean = [], [], []
    for start in series.test:
        end = start + 6
        shape = [z[start + place : end : 2].mean(axis=0) for place in range(2)]
        level = z[end - 2 : end].mean(axis=0) - np.mean(shape, axis=0)
        for step in range(3):
            last.append(z[end + step] - z[end - 1])
            before = end + step - 2
            while before >= end:  # further ahead than a season: the season before that
                before -= 2
            seasonal.append(z[end + step] - z[before])
            mean.append(z[end + step] - shape[step % 2] - level)
    found = windows.baselines(series, series.test, SETTINGS)
    for name, off in (
        ("last value", np.array(last)),
        ("seasonal", np.array(seasonal)),
        ("mean season", np.array(mean)),
    ):
        assert found[name].mse == pytest.approx(np.square(off).mean())
        assert found[name].mae == pytest.approx(np.abs(off).mean())
        assert found[name].series["a"]["mae_raw"] == pytest.approx(np.abs(off[:, 1]).mean() * series.scale[0])
    assert list(windows.baselines(series, series.test, ForecastSettings(steps=6, horizon=3, season=1))) == [
        "last value"
    ]


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    starts = np.arange(23)
    plan = windows.batches(starts, 5, 1, 0)
    assert [len(batch) for batch in plan] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(np.sort(np.concatenate(plan)), starts)
    np.testing.assert_array_equal(np.concatenate(plan), np.concatenate(windows.batches(starts, 5, 1, 0)))
    for seed, epoch in ((2, 0), (1, 1)):
        assert (np.concatenate(plan) != np.concatenate(windows.batches(starts, 5, seed, epoch))).any()


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ((8, 8, 8), "8 rows to train on, and a window of 6 steps with a horizon of 3 needs 9"),
        ((20, 2, 8), "2 rows to use as validation"),
        ((20, 8, 2), "2 rows to use as test"),
    ],
)
def test_too_few_rows(split: tuple[int, int, int], words: str) -> None:
    settings = ForecastSettings(steps=6, horizon=3, season=2, split=split)
    with pytest.raises(InvalidInput, match=words):
        windows.series_of(numbers(), (), settings)


def test_no_such_target_and_numbers_beyond_float32() -> None:
    with pytest.raises(NotFound, match="no series is called 'OT'; there are 'a', 'b', 'c'"):
        windows.series_of(numbers(), ("OT",), SETTINGS)
    table = numbers()
    table.values[4, 1] = 1e39
    with pytest.raises(InvalidInput, match="row 5, column 'b': too large for float32"):
        windows.series_of(table, (), SETTINGS)


def test_the_baselines_of_etth1_are_those_published() -> None:
    """Of the usual split; the figures stand in the README of the data."""
    settings = ForecastSettings(split=(8640, 2880, 2880))
    series = windows.series_of(numeric.read(shared_data("ETTh1.csv")), (), settings)
    found = windows.baselines(series, series.test, settings)
    published = ("last value", "seasonal")
    rounded = {name: (round(found[name].mse, 3), round(found[name].mae, 3)) for name in published}
    assert rounded == {"last value": (1.222, 0.671), "seasonal": (0.424, 0.389)}
    alone = found["seasonal"].series["OT"]
    assert (round(alone["mse"], 3), round(alone["mae"], 3)) == (0.046, 0.166)
