"""Trains forecasters that differ in the place of their dropout alone, measures and saves them.

TensorFlow is imported when training starts, not with this module.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penult_service.errors import InvalidInput
from penult_service.recipes import checks, saving
from penult_service.recipes.forecasting.settings import ForecastSettings, dropout_of
from penult_service.recipes.forecasting.windows import Scores, Series, baselines, batches, series_of
from penult_service.recipes.numeric import Numbers
from penult_service.recipes.progress import Progress

if TYPE_CHECKING:
    from penult_service.recipes.forecasting.network import Forecaster, Weights

PACKAGES = ("penult", "tensorflow", "tf_keras", "numpy")


@dataclass(frozen=True)
class Run:
    """A training: `best_epoch` is the one whose weights were kept, of all `curve` tells of."""

    seed: int
    best_epoch: int
    valid: Scores
    test: Scores
    curve: tuple[dict[str, float], ...]
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """The trainings of a placement; saved is the one of `saved_seed`, which is the best on validation."""

    placement: str
    runs: tuple[Run, ...]
    saved_seed: int
    path: Path


@dataclass(frozen=True)
class Comparison:
    """What came of it. `baselines` are scores on the test windows; `windows` how many there are of each part."""

    source: str
    settings: ForecastSettings
    series: tuple[str, ...]
    targets: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    baselines: dict[str, Scores]
    windows: tuple[int, int, int]
    seconds: float


def train(
    numbers: Numbers,
    targets: Sequence[str],
    placements: Sequence[str],
    output: Path,
    settings: ForecastSettings,
    seeds: int,
    progress: Progress,
) -> Comparison:
    """Trains and saves `output/<next number>`, or for several placements `output-<placement>/<next number>` each.

    Every training with the same seed begins with the same weights, and sees the windows in the same order.

    Args:
        numbers: The series, a column each, in the order of time.
        targets: Those to forecast; none means all.
        placements: See `settings.PLACEMENTS`; that of `settings` is not looked at.
        seeds: How often each is trained, with seeds from that of the settings on.
        progress: See `progress.Progress`.

    Raises:
        InvalidInput, NotFound: See `windows.series_of`; or `output` cannot be written to; or a training diverges.
    """
    started = time.monotonic()
    if not 1 <= seeds <= 1000:
        raise InvalidInput(
            f"seeds is {seeds}; it must be 1 to 1000", reason="SETTING_OUT_OF_RANGE", field="seeds"
        )
    replace(settings, seed=settings.seed + seeds - 1)  # the last may be out of range
    own = {one: replace(settings, placement=one) for one in placements}
    places = saving.places(output, [*own])
    series = series_of(numbers, tuple(targets), settings)
    base = baselines(series, series.test, settings)
    outcomes = tuple(
        _trained(series, own[one], seeds, place, base, progress) for one, place in places.items()
    )
    return Comparison(
        numbers.source,
        settings,
        numbers.names,
        series.target_names,
        outcomes,
        base,
        (len(series.train), len(series.valid), len(series.test)),
        time.monotonic() - started,
    )


def _trained(
    series: Series,
    settings: ForecastSettings,
    seeds: int,
    place: Path,
    base: dict[str, Scores],
    progress: Progress,
) -> Outcome:
    """All trainings of a placement, and the best of them saved."""
    started = time.monotonic()
    found: list[tuple[Run, Weights]] = []
    for seed in range(settings.seed, settings.seed + seeds):
        called = settings.placement + (f", seed {seed}" if seeds > 1 else "")
        found.append(_fitted(series, replace(settings, seed=seed), called, progress))
    runs = tuple(run for run, _ in found)
    best, weights = min(found, key=lambda pair: pair[0].valid.mse)
    from penult_service.recipes.forecasting.network import Forecaster

    network = Forecaster(series, replace(settings, seed=best.seed))
    network.set_weights(weights)
    record = _record(series, replace(settings, seed=best.seed), runs, best, base)
    path = saving.save_version(network.model, place, (), record, started)
    return Outcome(settings.placement, runs, best.seed, path)


def _fitted(
    series: Series, settings: ForecastSettings, called: str, progress: Progress
) -> tuple[Run, Weights]:
    """One training, with the weights of its best epoch."""
    from penult_service.recipes.forecasting.network import Forecaster

    started = time.monotonic()
    network = Forecaster(series, settings)
    steps = -(-len(series.train) // settings.batch_size)
    curve: list[dict[str, float]] = []
    best, weights = 0, network.weights()
    for epoch in range(settings.epochs):
        told = _epoch(network, series, settings, epoch, called, progress)
        if not curve:
            checks.refuse_diverged(told["valid_mse"], called)
        elif not math.isfinite(told["valid_mse"]):
            break  # what it was before is kept
        curve.append(told)
        if curve[-1]["valid_mse"] < curve[best]["valid_mse"] or epoch == 0:
            best, weights = epoch, network.weights()
        elif epoch - best >= settings.patience:
            break
    network.set_weights(weights)
    valid, test = network.evaluate(series.valid), network.evaluate(series.test)
    words = f"test MSE {test.mse:.4f}, MAE {test.mae:.4f}, after epoch {best + 1} of {len(curve)}"
    progress(called, settings.epochs * steps, settings.epochs * steps, words)
    run = Run(settings.seed, best + 1, valid, test, tuple(curve), round(time.monotonic() - started, 1))
    return run, weights


def _epoch(
    network: Forecaster,
    series: Series,
    settings: ForecastSettings,
    epoch: int,
    called: str,
    progress: Progress,
) -> dict[str, float]:
    """A pass over the windows: the mean error in training, and that of validation after it."""
    plan = batches(series.train, settings.batch_size, settings.seed, epoch)
    total, squared, seen = settings.epochs * len(plan), 0.0, 0
    for step, starts in enumerate(plan):
        squared += network.train_step(starts) * len(starts)
        seen += len(starts)
        done = epoch * len(plan) + step
        progress(called, done, total, f"epoch {epoch + 1}: training MSE {squared / seen:.4f}")
    valid = network.evaluate(series.valid)
    return {"epoch": epoch + 1, "train_mse": squared / seen, "valid_mse": valid.mse, "valid_mae": valid.mae}


def _record(
    series: Series, settings: ForecastSettings, runs: Sequence[Run], best: Run, base: dict[str, Scores]
) -> dict[str, Any]:
    """What `training.json` says."""
    numbers, parts = series.numbers, ("train", "valid", "test")
    return {
        "recipe": "forecaster",
        "data": {
            "file": numbers.source,
            "sha256": numbers.sha256,
            "rows": len(numbers),
            "columns": numbers.names,
            "skipped": numbers.skipped,
            "targets": series.target_names,
            "split_rows": dict(zip(parts, series.rows, strict=True)),
            "windows": {part: len(getattr(series, part)) for part in parts},
        },
        "standardised_by": {
            name: {"mean": float(series.mean[at]), "scale": float(series.scale[at])}
            for at, name in enumerate(numbers.names)
        },
        "dropout": dropout_of(settings.placement, settings.own_masks),
        "settings": asdict(settings),
        "metrics": {
            "valid": asdict(best.valid),
            "test": asdict(best.test),
            "baselines": {name: asdict(scores) for name, scores in base.items()},
        },
        "curve": best.curve,
        "runs": [
            {"seed": run.seed, "epochs": len(run.curve), "best_epoch": run.best_epoch, "seconds": run.seconds}
            | {
                f"{part}_{name}": getattr(getattr(run, part), name)
                for part in parts[1:]
                for name in ("mse", "mae")
            }
            for run in runs
        ],
        "versions": {package: version(package) for package in PACKAGES},
    }
