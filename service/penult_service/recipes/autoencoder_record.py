"""What the autoencoder's recipe found: its report, and what `training.json` says of it."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from penult_service.recipes.autoencoder_measures import Errors
from penult_service.recipes.numeric import Numbers

if TYPE_CHECKING:
    from penult_service.recipes.autoencoder import AutoencoderReport

PACKAGES = ("penult", "tensorflow", "tf_keras", "numpy")


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
