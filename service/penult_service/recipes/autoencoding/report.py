"""What the autoencoder's recipe found: its report, and what `training.json` says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from penult_service.recipes.autoencoding.measures import Errors
from penult_service.recipes.autoencoding.rows import Rows
from penult_service.recipes.autoencoding.settings import AutoencoderSettings
from penult_service.recipes.numeric import Numbers

PACKAGES = ("penult", "tensorflow", "tf_keras", "numpy")


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


def record_of(report: AutoencoderReport, data: Numbers, noise: str) -> dict[str, Any]:
    """What `training.json` says of the model that was trained with this noise; `seconds` are added when it is saved."""
    rows, names = report.rows, report.names

    def told(errors: Errors) -> dict[str, Any]:
        return {
            "clean": dict(zip(names, errors.clean.tolist(), strict=True)),
            "itself_missing": dict(zip(names, errors.itself.tolist(), strict=True)),
            "all_while_it_is_missing": dict(zip(names, errors.alone.mean(axis=1).tolist(), strict=True)),
            "chosen_missing": dict(zip(names, errors.chosen.tolist(), strict=True)),
        }

    runs = [
        {"noise": run.noise, "seed": run.seed, "trained_error": run.trained_error}
        | {"error": float(run.errors.clean.mean()), "errors": told(run.errors), "curve": list(run.curve)}
        for run in report.runs
        if run.noise == noise
    ]
    return {
        "recipe": "autoencoder",
        "data": {
            "file": data.source,
            "sha256": data.sha256,
            "rows": len(data),
            "skipped": list(data.skipped),
        },
        "columns": {
            name: {"mean": float(mean), "deviation": float(deviation)}
            for name, mean, deviation in zip(names, rows.mean, rows.deviation, strict=True)
        },
        "dropped": [names[place] for place in report.dropped],
        "saved": {"noise": noise, "seed": report.settings.seed},
        "settings": asdict(report.settings),
        "rows": {
            "trained": len(rows.trained),
            "held_out": len(rows.measured) if rows.held_out else 0,
            "left_out": list(rows.left_out),
            "far": list(rows.far),
        },
        "runs": runs,
        "pca": {"trained_error": report.pca_trained_error, "error": float(report.pca.clean.mean())}
        | {"errors": told(report.pca), "errors_by_least_squares": told(report.pca_others)},
        "versions": {package: version(package) for package in PACKAGES},
    }
