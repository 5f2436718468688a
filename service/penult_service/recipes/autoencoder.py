"""The recipe `penult train autoencoder`: columns of numbers → noise → bottleneck → the same columns without the noise.

TensorFlow is imported when training starts, not with this module: the command line reads the defaults here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penult_service.errors import InvalidInput
from penult_service.recipes import autoencoder_measures as measures
from penult_service.recipes import checks, saving
from penult_service.recipes.autoencoder_measures import Errors
from penult_service.recipes.autoencoder_record import record_of
from penult_service.recipes.autoencoder_rows import Rows, columns_of, prepared_rows
from penult_service.recipes.numeric import Numbers

if TYPE_CHECKING:
    from penult_service.recipes.autoencoder_model import Autoencoder

Progress = Callable[[str, int, int, str], None]
"""Called with a stage, what is done of it, its total, and a note such as the running loss."""

DECLARATION = """\
# Written by `penult train autoencoder`: what is embedded is the bottleneck, what is predicted is the reconstruction.
readouts = ["bottleneck"]
head = "regression"
"""
NOISES = ("feature", "dropout", "gaussian", "none")
"""FeatureDropout of the chosen columns, Dropout of all, GaussianNoise on all, and no noise."""


@dataclass(frozen=True)
class AutoencoderSettings:
    """How to train.

    `hidden` are the widths of the encoder's layers, and in reverse of the decoder's. `seeds` trainings are measured,
    with the seeds `seed`, `seed + 1`, ...; the first is saved. `blocks` are what rows are held out by. Rows with a
    number more than `outliers` robust deviations from its column's median are left out; None: none are.
    """

    bottleneck: int = 5
    hidden: tuple[int, ...] = (32,)
    rate: float = 0.2
    rescale: bool = True
    epochs: int = 50
    learning_rate: float = 3e-3
    batch_size: int = 64
    valid_fraction: float = 0.2
    blocks: int = 20
    outliers: float | None = None
    seed: int = 42
    seeds: int = 1

    def __post_init__(self) -> None:
        wanted = {
            "bottleneck": (self.bottleneck >= 1, "at least 1"),
            "hidden": (all(units >= 1 for units in self.hidden), "at least 1 each"),
            "rate": (0 <= self.rate < 1, "at least 0 and below 1"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "learning_rate": (0 < self.learning_rate < 1, "above 0 and below 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "valid_fraction": (0 <= self.valid_fraction < 1, "at least 0 and below 1"),
            "blocks": (self.blocks >= 2, "at least 2"),
            "outliers": (self.outliers is None or self.outliers > 0, "above 0"),
            "seeds": (self.seeds >= 1, "at least 1"),
            "seed": (
                0 <= self.seed <= 2**32 - max(self.seeds, 1),
                "at least 0, and below 2^32 with all seeds",
            ),
        }
        checks.in_range(self, wanted)


@dataclass(frozen=True, eq=False)
class Run:
    """A training: its noise and seed, loss and error by epoch, its errors; `trained_error` on the rows trained on."""

    noise: str
    seed: int
    curve: tuple[dict[str, float], ...]
    errors: Errors
    trained_error: float


@dataclass(frozen=True, eq=False)
class AutoencoderReport:
    """What was saved, and how good it is.

    Attributes:
        paths: Noise -> the version that was saved, which is that of the first seed.
        names: The columns.
        dropped: Places of the chosen ones.
        rows: What was trained on, and what measured on.
        runs: Every training, by noise, then seed.
        pca: Of PCA of the same width, missing numbers at their mean; `pca_others`: by least squares on the others.
        pca_trained_error: Of PCA on the rows trained on.
        seconds: Of the whole recipe.
    """

    paths: Mapping[str, Path]
    names: tuple[str, ...]
    dropped: tuple[int, ...]
    rows: Rows
    settings: AutoencoderSettings
    runs: tuple[Run, ...]
    pca: Errors
    pca_others: Errors
    pca_trained_error: float
    seconds: float


def train(
    data: Numbers,
    dropped: Sequence[str],
    noises: Sequence[str],
    output: Path,
    settings: AutoencoderSettings,
    progress: Progress,
) -> AutoencoderReport:
    """Trains one autoencoder for each noise and seed; saves those of the first seed.

    They are `output/<next number>`, or of several noises `output-<noise>/<next number>` each.

    Args:
        data: The rows, in the order of time.
        dropped: Chosen columns, by name or by number from 0: what `feature` drops, and what reports leave out together.
        noises: Of `NOISES`.
        output: The model's directory; the first version in it is 1.
        progress: See `Progress`.

    Raises:
        InvalidInput: A column, the split, or the bottleneck is not possible, `output` cannot be written to, or a
            training diverges.
    """
    started = time.monotonic()
    kinds = tuple(dict.fromkeys(noises))
    places = saving.places(output, kinds)
    chosen = columns_of(data, dropped)
    if "feature" in kinds and not chosen:
        what = "the noise 'feature' drops chosen columns; name one with --drop-feature"
        raise InvalidInput(what, reason="NO_COLUMN_CHOSEN", field="drop_feature")
    if settings.bottleneck >= len(data.names):
        what = (
            f"bottleneck is {settings.bottleneck}; it must be below the number of columns, {len(data.names)}"
        )
        raise InvalidInput(what, reason="SETTING_OUT_OF_RANGE", field="bottleneck")
    rows = prepared_rows(data, settings)
    networks: dict[str, Autoencoder] = {}
    runs = tuple(_runs(rows, chosen, kinds, settings, networks, progress))
    pca = measures.Pca(rows.trained, settings.bottleneck)
    report = AutoencoderReport(
        paths={one: place / str(saving.next_version(place)) for one, place in places.items()},
        names=data.names,
        dropped=chosen,
        rows=rows,
        settings=settings,
        runs=runs,
        pca=measures.errors_of(pca.reconstruct, rows.measured, chosen),
        pca_others=measures.errors_of(pca.reconstruct_from_others, rows.measured, chosen),
        pca_trained_error=float(np.square(pca.reconstruct(rows.trained, ()) - rows.trained).mean()),
        seconds=time.monotonic() - started,
    )
    for number, (one, place) in enumerate(places.items()):
        progress("saving", number, len(places), "")
        network, record = networks[one], record_of(report, data, one)
        saving.save_version(network.model, place, (), record, started, {"penult.toml": DECLARATION})
    progress("saving", len(places), len(places), "")
    return report


def _runs(
    rows: Rows,
    chosen: tuple[int, ...],
    noises: Sequence[str],
    settings: AutoencoderSettings,
    networks: dict[str, Autoencoder],
    progress: Progress,
) -> Iterator[Run]:
    """Every training; `networks` gets those of the first seed, by noise."""
    progress("loading", 0, 1, "")
    from penult_service.recipes.autoencoder_model import Autoencoder

    progress("loading", 1, 1, "")
    for noise in noises:
        for seed in range(settings.seed, settings.seed + settings.seeds):
            network = Autoencoder(rows.mean, rows.deviation, noise, chosen, settings, seed)
            networks.setdefault(noise, network)
            yield _run(network, rows, chosen, noise, seed, progress)


def _run(
    network: Autoencoder, rows: Rows, chosen: tuple[int, ...], noise: str, seed: int, progress: Progress
) -> Run:
    """A training, and what is measured after it."""
    curve: list[dict[str, float]] = []
    called = f"noise {noise}, seed {seed}"

    def told(epoch: int, loss: float, error: float) -> None:
        checks.refuse_diverged(loss + error, called)
        curve.append({"epoch": epoch, "loss": loss, "error": error})
        progress(called, epoch, network.epochs, f"loss {loss:.4f}, measured error {error:.4f}")

    network.fit(rows.trained, rows.measured, told)
    errors = measures.errors_of(network.reconstruct, rows.measured, chosen)
    return Run(noise, seed, tuple(curve), errors, network.error(rows.trained))
