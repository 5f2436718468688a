"""The forecaster on series that a season and a step behind decide: what it learns, saves, and drops where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.cli.training import forecaster_words as words
from penult_service.errors import InvalidInput
from penult_service.recipes.forecasting import train as recipe
from penult_service.recipes.forecasting import windows
from penult_service.recipes.forecasting.settings import PLACEMENTS, ForecastSettings, dropout_of
from penult_service.recipes.numeric import Numbers

pytestmark = pytest.mark.tensorflow

SETTINGS = ForecastSettings(
    rate=0.5, steps=10, horizon=5, season=4, units=8, epochs=3, patience=1, learning_rate=0.01, batch_size=32
)


def series(rows: int = 400) -> Numbers:
    """A season, a slow wave that the other series shows ahead of time, noise; in units of their own."""
    at = np.arange(rows)
    wave = np.sin(at / 7)
    season = np.array([0.0, 1.0, 0.5, -1.5])[at % 4]
    noise = np.random.default_rng(2).normal(0, 0.05, (rows, 2))
    values = np.stack([300 + 20 * (season + wave), 0.01 * np.sin((at + 5) / 7)], axis=1)
    return Numbers("waves.csv", "0" * 64, ("load", "ahead"), values + noise * [20, 0.01], ("date",))


def ignore(*call: Any) -> None:
    del call


@pytest.fixture(scope="module")
def calls() -> list[tuple[str, int, int, str]]:
    return []


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, calls: list[Any]) -> recipe.Comparison:
    output = tmp_path_factory.mktemp("models") / "waves"
    tell = lambda *call: calls.append(call)  # noqa: E731
    return recipe.train(series(), ("load",), ("after", "before", "inside"), output, SETTINGS, 2, tell)


@pytest.fixture(scope="module")
def saved(found: recipe.Comparison) -> Iterator[Any]:
    import tf_keras

    return tf_keras.models.load_model(str(found.outcomes[0].path))


def test_it_learns(found: recipe.Comparison) -> None:
    for outcome in found.outcomes:
        for run in outcome.runs:
            assert run.curve[-1]["train_mse"] < run.curve[0]["train_mse"]
            assert run.test.mse < 0.8 * min(scores.mse for scores in found.baselines.values())


def test_a_directory_for_each_placement(found: recipe.Comparison) -> None:
    paths = [outcome.path for outcome in found.outcomes]
    assert [f"{path.parent.name}/{path.name}" for path in paths] == [
        "waves-after/1",
        "waves-before/1",
        "waves-inside/1",
    ]
    assert not (paths[0] / "labels.json").exists()
    for outcome in found.outcomes:
        record = json.loads((outcome.path / "training.json").read_text())
        best = min(outcome.runs, key=lambda run: run.valid.mse)
        assert record["settings"]["seed"] == outcome.saved_seed == best.seed
        assert record["metrics"]["test"]["mse"] == best.test.mse
        assert [run["test_mse"] for run in record["runs"]] == [run.test.mse for run in outcome.runs]
        assert record["settings"]["placement"] == outcome.placement
        assert record["data"]["columns"] == ["load", "ahead"]
        assert record["data"]["targets"] == ["load"]
        assert record["data"]["split_rows"] == {"train": 280, "valid": 40, "test": 80}
        assert set(record["versions"]) == {"penult", "tensorflow", "tf_keras", "numpy"}


def test_the_saved_model_takes_and_gives_the_files_own_units(found: recipe.Comparison, saved: Any) -> None:
    """And scores what was reported: standardising with the training rows, all in NumPy here."""
    values = series().values
    split = windows.series_of(series(), ("load",), SETTINGS)
    given = np.stack([values[start : start + 10] for start in split.test]).astype(np.float32)
    came = np.stack([values[start + 10 : start + 15, 0] for start in split.test])
    forecast = saved.predict(given, verbose=0)
    assert forecast.shape == (len(split.test), 5, 1)
    off = forecast[..., 0] - came
    scores = json.loads((found.outcomes[0].path / "training.json").read_text())["metrics"]["test"]
    scale = values[:280, 0].std()
    assert np.square(off / scale).mean() == pytest.approx(scores["mse"], rel=1e-4)
    assert np.abs(off / scale).mean() == pytest.approx(scores["mae"], rel=1e-4)
    assert np.abs(off).mean() == pytest.approx(scores["series"]["load"]["mae_raw"], rel=1e-4)


def test_the_forecast_is_the_mean_season_at_the_level_of_the_last_and_the_correction(saved: Any) -> None:
    import tf_keras

    values = series().values
    given = np.stack([values[start : start + 10] for start in range(40)]).astype(np.float32)
    load = given[..., 0].astype(np.float64)
    level = load[:, -4:].mean(axis=1, keepdims=True)
    season = load[:, 2:].reshape(-1, 2, 4).mean(axis=1)  # whole seasons, the last
    guess = level + (season - season.mean(axis=1, keepdims=True))[:, [0, 1, 2, 3, 0]]
    layer = saved.get_layer("correction").output
    correction = tf_keras.Model(saved.input, layer).predict(given, verbose=0)
    scale = values[:280, 0].std()
    np.testing.assert_allclose(
        saved.predict(given, verbose=0)[..., 0], guess + scale * correction, rtol=1e-5, atol=1e-3
    )


def test_dropout_before_and_inside_come_out_equal(found: recipe.Comparison) -> None:
    """In this Keras an LSTM's own `dropout` drops what a Dropout in front of it drops (docs/dropout.md)."""
    after, before, inside = found.outcomes
    assert [run.test.mse for run in before.runs] == [run.test.mse for run in inside.runs]
    assert [run.test.mse for run in before.runs] != [run.test.mse for run in after.runs]
    (remark,) = [line for line in words.remarks(found) if "equal" in line]
    assert remark.startswith("before and inside came out equal")


def test_a_seed_repeats_the_training(found: recipe.Comparison, tmp_path: Path) -> None:
    again = recipe.train(series(), ("load",), ("after",), tmp_path / "waves", SETTINGS, 1, ignore)
    assert again.outcomes[0].path == tmp_path / "waves" / "1"
    assert again.outcomes[0].runs[0].curve == found.outcomes[0].runs[0].curve


def test_what_is_told_of_it(found: recipe.Comparison, calls: list[tuple[str, int, int, str]]) -> None:
    assert list(dict.fromkeys(call[0] for call in calls))[:2] == ["after, seed 42", "after, seed 43"]
    table = words.rows(found)
    assert [row[0] for row in table] == ["after", "before", "inside", "last value", "seasonal", "mean season"]
    first = [run.test.mse for run in found.outcomes[0].runs]
    assert table[0][1] == f"{np.mean(first):.4f} ± {np.std(first, ddof=1):.4f}"
    page = "\n".join(words.markdown(found))
    assert "| before | Dropout on the steps in front of the LSTM |" in page
    assert "below the baseline" in page
    facts = json.loads(json.dumps(words.facts(found)))
    assert facts["placements"]["after"]["runs"][0]["test"]["mse"] == first[0]
    view = words.view(found)
    assert view.errors.shape == (2, 3, 2)
    np.testing.assert_array_equal(view.errors[0, 0], first)


def test_series_that_repeat_themselves_leave_a_baseline_without_error(found: recipe.Comparison) -> None:
    perfect = replace(found, baselines={"seasonal": windows.Scores(0.0, 0.0, {})})
    first = next(words.remarks(perfect))
    assert first.endswith("beside the baseline 'seasonal' (0.0000)")


def test_training_stops_when_validation_no_longer_falls(tmp_path: Path) -> None:
    """A learning rate that ruins it from the second epoch on; what is kept are the weights of the best."""
    settings = replace(SETTINGS, epochs=20, learning_rate=0.5, patience=2)
    (outcome,) = recipe.train(series(), (), ("none",), tmp_path / "m", settings, 1, ignore).outcomes
    (run,) = outcome.runs
    errors = [epoch["valid_mse"] for epoch in run.curve]
    assert len(errors) < 20
    assert run.best_epoch == int(np.argmin(errors)) + 1 == len(errors) - 2
    assert run.valid.mse == pytest.approx(min(errors), rel=1e-6)


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    from penult_service.recipes.forecasting.network import Forecaster

    split = windows.series_of(series(), (), SETTINGS)
    made = {name: Forecaster(split, replace(SETTINGS, placement=name)) for name in PLACEMENTS}
    own = replace(SETTINGS, placement="steps", own_masks=True)
    return made | {"own": Forecaster(split, own)}


def test_equal_seeds_begin_with_equal_weights(networks: dict[str, Any]) -> None:
    first, *others = (network.weights() for network in networks.values())
    for other in others:
        for mine, theirs in zip(first, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_without_its_correction_it_is_the_mean_season() -> None:
    from penult_service.recipes.forecasting.network import Forecaster

    split = windows.series_of(series(), ("ahead",), SETTINGS)
    network = Forecaster(split, SETTINGS)
    network.set_weights([np.zeros_like(weight) for weight in network.weights()])
    found = network.evaluate(split.test)
    guess = windows.baselines(split, split.test, SETTINGS)["mean season"]
    assert (found.mse, found.mae) == pytest.approx((guess.mse, guess.mae), rel=1e-4)


@pytest.mark.full
def test_placements_differ_in_the_dropout_alone() -> None:
    """At rate 0 all come out equal: the same weights at the beginning, the same windows in the same order."""
    settings = replace(SETTINGS, rate=0.0, epochs=2)
    split = windows.series_of(series(), (), settings)
    curves = [
        recipe._fitted(split, replace(settings, placement=one), "", ignore)[0].curve for one in PLACEMENTS
    ]
    assert all(curve == curves[0] for curve in curves)


@pytest.mark.parametrize(
    ("placement", "constant", "varies"),
    [
        ("before", (), (0, 1, 2)),
        ("spatial", (1,), (0, 2)),
        ("steps", (0, 2), (1,)),
        ("features", (0, 1), (2,)),
        ("samples", (1, 2), (0,)),
        ("own", (2,), (0, 1)),
    ],
)
def test_what_is_dropped_together(
    networks: dict[str, Any], placement: str, constant: tuple[int, ...], varies: tuple[int, ...]
) -> None:
    """Axes: windows, steps, features."""
    layer = networks[placement].model.get_layer("dropout")
    masks = np.stack([layer(np.ones((6, 10, 2), np.float32), training=True).numpy() for _ in range(20)])
    assert set(np.unique(masks)) == {0.0, 2.0}
    for axis in constant:
        assert (np.ptp(masks, axis=axis + 1) == 0).all()
    for axis in varies:
        assert np.ptp(masks, axis=axis + 1).max() > 0


@pytest.mark.parametrize("placement", [*PLACEMENTS])
def test_dropout_acts_in_training_alone(networks: dict[str, Any], placement: str) -> None:
    import tensorflow as tf

    model = networks[placement].model
    given = tf.constant(series().values[None, :10].astype(np.float32))
    given = tf.repeat(given, 16, axis=0)
    drawn = tf.function(lambda: model(given, training=True))
    spread = np.ptp(np.stack([drawn().numpy() for _ in range(3)]), axis=0).max()
    assert (spread == 0) == (placement == "none")
    np.testing.assert_array_equal(model(given, training=False), model(given, training=False))


def test_too_many_seeds_and_a_place_that_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="seeds is 0"):
        recipe.train(series(), (), ("none",), tmp_path / "m", SETTINGS, 0, ignore)
    (tmp_path / "m-after").touch()
    with pytest.raises(InvalidInput, match="m-after is a file"):
        recipe.train(series(), (), ("none", "after"), tmp_path / "m", SETTINGS, 1, ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["m-after"]
    late = replace(SETTINGS, seed=2**32 - 2)
    with pytest.raises(InvalidInput, match="seed is 4294967296"):  # the third, before the first is trained
        recipe.train(series(), (), ("none",), tmp_path / "m", late, 3, ignore)
    with pytest.raises(InvalidInput, match="give it a name"):
        recipe.train(series(), (), ("none", "after"), Path(), SETTINGS, 1, ignore)


@pytest.mark.parametrize(
    ("errors", "kept"), [([0.5, 0.4, float("nan")], 2), ([0.5, float("inf"), 0.1], 1), ([float("nan")], 0)]
)
def test_a_training_that_diverges(monkeypatch: pytest.MonkeyPatch, errors: list[float], kept: int) -> None:
    """What was good before is kept; nothing is saved of one that never was."""
    from penult_service.recipes.forecasting import network

    class Diverging:
        def __init__(self, *_: Any) -> None:
            self.seen, self.kept = iter([*errors, 0.3, 0.3]), 0

        def train_step(self, _: Any) -> float:
            return 1.0

        def evaluate(self, _: Any) -> windows.Scores:
            self.kept += 1
            return windows.Scores(next(self.seen), 0.0, {})

        def weights(self) -> Any:
            return self.kept

        def set_weights(self, _: Any) -> None:
            self.seen = iter([0.3, 0.3])

    monkeypatch.setattr(network, "Forecaster", Diverging)
    split = windows.series_of(series(), (), SETTINGS)
    if not kept:
        with pytest.raises(InvalidInput, match="seed 7: its error is nan by now, the training diverged"):
            recipe._fitted(split, SETTINGS, "seed 7", ignore)
        return
    run, weights = recipe._fitted(split, SETTINGS, "", ignore)
    assert ([one["valid_mse"] for one in run.curve], run.best_epoch, weights) == (errors[:kept], kept, kept)


def test_own_masks_are_told_of() -> None:
    assert "noise_shape (1, steps, 1)" in dropout_of("steps", own_masks=False)
    assert "noise_shape (None, steps, 1)" in dropout_of("steps", own_masks=True)
    assert "noise_shape (None, 1, features)" in dropout_of("features", own_masks=True)
    assert dropout_of("samples", own_masks=True) == PLACEMENTS["samples"]
