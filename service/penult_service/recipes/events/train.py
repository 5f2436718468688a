"""Trains the variants under the same seeds and budget, measures them beside the baselines, saves them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.recipes import checks, saving, splits
from penult_service.recipes.events.baselines import Baseline, baselines, days_to_next
from penult_service.recipes.events.sequences import EventSequence, Sequences, batch, sides, windows
from penult_service.recipes.events.settings import Settings, Variant
from penult_service.recipes.progress import Progress

if TYPE_CHECKING:
    from penult_service.recipes.events.network import EventNetwork, Scale

PACKAGES = ("penult", "tensorflow", "tf_keras")
WARM_UP = 0.05  # the share of steps in which the learning rate rises
CELLS = 16_384  # events a batch when measuring
WHOLE = 1 << 30  # longer than any sequence
DECLARATION = '# Which of the two outputs is classified.\noutput = "next_event"\nhead = "softmax"\n'


@dataclass(frozen=True)
class Run:
    """One training, measured on every next event of the held-out side. `log_loss` is in nats."""

    seed: int
    accuracy: float
    log_loss: float
    rmse_days: float
    mae_days: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """A variant: a run for each seed, and where the model of the first was saved."""

    variant: Variant
    runs: tuple[Run, ...]
    path: Path


@dataclass(frozen=True)
class Comparison:
    """What was found. `sequences` are trained on and held out; `next_events` are of those held out."""

    source: str
    settings: Settings
    outcomes: tuple[Outcome, ...]
    baselines: tuple[Baseline, ...]
    next_events: int
    sequences: tuple[int, int]
    seconds: float


def train(
    sequences: Sequences,
    labels: Sequence[str],
    chosen: Sequence[Variant],
    output: Path,
    settings: Settings,
    progress: Progress,
) -> Comparison:
    """Trains and saves `output/<next number>`, or for several variants `output-<variant>/<next number>` each.

    Args:
        labels: What events 1, 2, ... are called.
        progress: See `progress.Progress`.

    Raises:
        InvalidInput: Nothing is held out, `output` cannot be written to, or a training diverges.
    """
    started = time.monotonic()
    replace(settings, seed=settings.seed + settings.seeds - 1)  # the last may be out of range
    places = saving.places(output, [one.slug for one in chosen])
    kept, held_out = sides(sequences, settings.valid_fraction, settings.seed)
    scale = _scale(kept)
    outcomes = []
    for variant in chosen:
        runs, path = [], places[variant.slug]
        for seed in range(settings.seed, settings.seed + settings.seeds):
            begun = time.monotonic()
            own = replace(settings, seed=seed)
            called = variant.called + (f", seed {seed}" if settings.seeds > 1 else "")
            network = _fitted(variant, kept, sequences.types, scale, own, progress, called)
            run = _measured(network, held_out, seed, begun)
            progress(called, 1, 1, f"accuracy {run.accuracy:.4f}, median off by {run.mae_days:.2f} days")
            runs.append(run)
            if seed == settings.seed:
                record = _record(sequences, variant, own, run, scale, (len(kept), len(held_out)))
                files = {"penult.toml": DECLARATION}
                path = saving.save_version(network.finished(), path, labels, record, begun, files)
        outcomes.append(Outcome(variant, tuple(runs), path))
    return Comparison(
        sequences.source,
        settings,
        tuple(outcomes),
        tuple(baselines(kept, held_out, sequences.types)),
        sum(len(row) - 1 for row in held_out),
        (len(kept), len(held_out)),
        time.monotonic() - started,
    )


def _scale(rows: Sequence[EventSequence]) -> Scale:
    from penult_service.recipes.events.network import Scale

    logs = np.log1p(np.concatenate([row.minutes for row in rows]).astype(np.float64))
    days = days_to_next(rows)
    return Scale(float(logs.mean()), _deviation(logs), float(days.mean()) or 1.0, _deviation(days))


def _deviation(values: NDArray[np.float64]) -> float:
    """The standard deviation; of what is always the same, but for rounding, 1."""
    deviation = float(values.std())
    return deviation if deviation > 1e-6 * float(np.abs(values).max()) else 1.0


def _fitted(
    variant: Variant,
    rows: Sequence[EventSequence],
    types: int,
    scale: Scale,
    settings: Settings,
    progress: Progress,
    called: str,
) -> EventNetwork:
    from penult_service.recipes.events.network import EventNetwork

    network = EventNetwork(variant, types, scale, settings)
    cut = windows(rows, settings.length, settings.overlap)
    lengths = np.array([window.width for window in cut])
    plans = [
        splits.plan_batches(lengths, settings.batch_size, settings.seed, epoch)
        for epoch in range(settings.epochs)
    ]
    steps, step = sum(map(len, plans)), 0
    for epoch, plan in enumerate(plans, start=1):
        losses = []
        for numbers in plan:
            rate = splits.learning_rate_at(step, steps, settings.learning_rate, WARM_UP)
            losses.append(network.train_step(batch(rows, [cut[number] for number in numbers]), rate))
            step += 1
            note = f"epoch {epoch} of {settings.epochs}, loss {np.mean(losses):.3f}"
            progress(f"training {called}", step, steps, note)
        checks.refuse_diverged(float(np.mean(losses)), called)
    return network


def _measured(network: EventNetwork, rows: Sequence[EventSequence], seed: int, begun: float) -> Run:
    """On every next event, each sequence whole."""
    from penult_service.recipes.events.network import MEAN, MEDIAN

    whole = sorted(windows(rows, WHOLE, 0), key=lambda window: window.width)
    right = nats = squared = absolute = count = 0.0
    at = 0
    while at < len(whole):
        size = max(1, CELLS // whole[min(at + 63, len(whole) - 1)].width)
        part = batch(rows, whole[at : at + min(size, 64)])
        at += len(part.events)
        chances, days = network.says(part)
        there = part.counts > 0
        wanted, chances = part.next_events[there] - 1, chances[there]
        off = days[there] - part.days[there][:, None]
        right += float((chances.argmax(axis=1) == wanted).sum())
        nats -= float(np.log(np.maximum(chances[np.arange(len(wanted)), wanted], 1e-9)).sum())
        squared += float(np.square(off[:, MEAN], dtype=np.float64).sum())
        absolute += float(np.abs(off[:, MEDIAN], dtype=np.float64).sum())
        count += len(wanted)
    seconds = time.monotonic() - begun
    return Run(seed, right / count, nats / count, (squared / count) ** 0.5, absolute / count, seconds)


def _record(
    sequences: Sequences,
    variant: Variant,
    settings: Settings,
    run: Run,
    scale: Scale,
    counts: tuple[int, int],
) -> dict[str, Any]:
    return {
        "recipe": "events",
        "variant": variant.called,
        "data": {
            "file": sequences.source,
            "sha256": sequences.sha256,
            "sequences": dict(zip(("train", "held_out"), counts, strict=True)),
            "types": sequences.types,
        },
        "minutes": "since the previous event",
        "outputs": {"next_event": "probabilities", "days_to_next": ["mean", "median"]},
        "settings": asdict(settings),
        "scale": asdict(scale),
        "metrics": asdict(run),
        "versions": {package: version(package) for package in PACKAGES},
    }
