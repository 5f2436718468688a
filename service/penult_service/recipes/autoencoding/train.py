"""Trains an autoencoder for each noise and seed, measures it beside PCA of the same width, saves those of the first
seed.

TensorFlow is imported when training starts, not with this module.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penult_service.errors import InvalidInput
from penult_service.recipes import checks, saving
from penult_service.recipes.autoencoding import measures
from penult_service.recipes.autoencoding.report import AutoencoderReport, Run, record_of
from penult_service.recipes.autoencoding.rows import Rows, columns_of, prepared_rows
from penult_service.recipes.autoencoding.settings import AutoencoderSettings
from penult_service.recipes.numeric import Numbers
from penult_service.recipes.progress import Progress

if TYPE_CHECKING:
    from penult_service.recipes.autoencoding.network import Autoencoder

DECLARATION = """\
# Written by `penult train autoencoder`: what is embedded is the bottleneck, what is predicted is the reconstruction.
readouts = ["bottleneck"]
head = "regression"
"""


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
        noises: Of `settings.NOISES`.
        output: The model's directory; the first version in it is 1.
        progress: See `progress.Progress`.

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
    from penult_service.recipes.autoencoding.network import Autoencoder

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
