"""What `penult train autoencoder` tells: on the screen, as Markdown, as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from penult_service.cli.console import note, print_table
from penult_service.cli.training import reports
from penult_service.plots import markdown
from penult_service.plots import reconstruction_view as shown
from penult_service.plots.words import counted, said
from penult_service.recipes.autoencoding.measures import Errors
from penult_service.recipes.autoencoding.report import AutoencoderReport
from penult_service.recipes.autoencoding.rows import FAR

NAMES = {
    "feature": "FeatureDropout",
    "dropout": "Dropout",
    "gaussian": "GaussianNoise",
    "none": "no noise",
}
MOST_ROWS = 10  # that are named


def view_of(report: AutoencoderReport) -> shown.ReconstructionView:
    """What the tables and the picture show."""
    kinds = [
        _kind(
            NAMES[noise],
            [run.trained_error for run in report.runs if run.noise == noise],
            [run.errors for run in report.runs if run.noise == noise],
        )
        for noise in dict.fromkeys(run.noise for run in report.runs)
    ]
    pca = [report.pca_trained_error]
    kinds += [
        _kind(f"PCA, {report.settings.bottleneck} components", pca, [report.pca], baseline=True),
        _kind("PCA, least squares", pca, [report.pca_others], baseline=True),
    ]
    names = [said(report.names[place]) for place in report.dropped]
    rate = f" of {', '.join(names)}" if 0 < len(names) <= shown.LONGEST_NAMES else ""
    return shown.ReconstructionView(
        kinds=tuple(kinds),
        columns=report.names,
        chosen=report.dropped,
        title=f"Reconstruction of {counted(len(report.names), 'column')} through {report.settings.bottleneck}: "
        f"noise{rate} at rate {report.settings.rate:g}",
        caption=" · ".join(said_of(report)),
    )


def _kind(name: str, trained: list[float], errors: list[Errors], baseline: bool = False) -> shown.Kind:
    return shown.Kind(
        name=name,
        trained=np.array(trained),
        clean=np.array([one.clean for one in errors]),
        itself=np.array([one.itself for one in errors]),
        one=np.array([one.alone.mean(axis=1) for one in errors]),
        chosen=np.array([one.chosen for one in errors]),
        baseline=baseline,
    )


def said_of(report: AutoencoderReport) -> list[str]:
    """What was trained on and how, in short sentences."""
    rows, settings = report.rows, report.settings
    measured = (
        f"measured on {counted(len(rows.measured), 'row')} held out, whole blocks of {settings.blocks}"
        if rows.held_out
        else "measured on the same rows: none were held out"
    )
    told = [f"trained on {counted(len(rows.trained), 'row')}", measured]
    seeds = f"seeds {settings.seed} to {settings.seed + settings.seeds - 1}"
    told.append(f"epochs: {settings.epochs:,}, {seeds if settings.seeds > 1 else f'seed {settings.seed}'}")
    if rows.left_out:
        told.append(f"left out, over {settings.outliers:g} robust deviations: {_rows(rows.left_out)}")
    told.append("a missing number is its column's mean over the rows trained on")
    told.append("PCA by least squares: the scores that fit the columns that are there best")
    return told


def warning(report: AutoencoderReport) -> str:
    """That rows are far off and were not left out; empty when none are."""
    rows = report.rows
    if not rows.far:
        return ""
    return (
        f"warning: {_rows(rows.far)} {'lies' if len(rows.far) == 1 else 'lie'} over {FAR:g} robust deviations off "
        f"({said(rows.farthest)}). Such rows decide mean, deviation and error of a column; "
        f"--outliers {FAR:g} leaves them out"
    )


def _rows(rows: tuple[int, ...]) -> str:
    more = f" and {len(rows) - MOST_ROWS:,} more" if len(rows) > MOST_ROWS else ""
    named = ", ".join(str(row) for row in rows[:MOST_ROWS])
    return f"row{'s' if len(rows) > 1 else ''} {named}{more} (from 0)"


def show(report: AutoencoderReport) -> None:
    """The table and what was saved, on the screen."""
    for fact in said_of(report):
        print(fact)
    print("mean squared error of standardised numbers (1: what naming the mean scores)\n")
    head, rows = shown.overview(view_of(report))
    print_table(head, rows, right=range(1, len(head)), whole=[0])
    print(f"\n{report.seconds:.0f} s; of seed {report.settings.seed}:")
    for noise, path in report.paths.items():
        print(f"saved {path} (noise {noise})")


def facts(report: AutoencoderReport) -> dict[str, Any]:
    """The same as JSON has it: errors of all columns, of each one, and with columns missing."""
    rows = report.rows
    return {
        "columns": list(report.names),
        "chosen": [report.names[place] for place in report.dropped],
        "rows": {
            "trained": len(rows.trained),
            "held_out": len(rows.measured) if rows.held_out else 0,
            "left_out": list(rows.left_out),
            "far": list(rows.far),
        },
        "settings": asdict(report.settings),
        "runs": [
            {"noise": run.noise, "seed": run.seed, "trained": run.trained_error} | _errors(run.errors)
            for run in report.runs
        ],
        "pca": {"trained": report.pca_trained_error} | _errors(report.pca),
        "pca_least_squares": {"trained": report.pca_trained_error} | _errors(report.pca_others),
        "saved": {noise: str(path) for noise, path in report.paths.items()},
        "seconds": round(report.seconds, 1),
    }


def _errors(errors: Errors) -> dict[str, Any]:
    """By column: with nothing missing, while it alone is missing, and while all chosen ones are."""
    parts = {"clean": errors.clean, "itself_missing": errors.itself, "chosen_missing": errors.chosen}
    return {name: values.tolist() for name, values in parts.items()}


def write(report: AutoencoderReport, places: Sequence[Path]) -> None:
    """The files that were asked for; and a warning, where there is one, on stderr."""
    told = warning(report)
    if told:
        note(told)
    view = view_of(report)

    def picture(kind: str) -> bytes:
        from penult_service.plots import reconstruction

        return reconstruction.picture(view, kind)

    reports.write(places, lambda: [*_lines(report, view)], picture)


def _lines(report: AutoencoderReport, view: shown.ReconstructionView) -> Iterator[str]:
    """A Markdown document: the table, and one by column."""
    yield f"# {markdown.plain(view.title)}"
    yield ""
    yield from (f"- {markdown.plain(fact, 1000)}" for fact in said_of(report))
    told = warning(report)
    if told:
        yield f"- {markdown.plain(told, 1000)}"
    yield ""
    titles = (
        "Mean squared error of standardised numbers (1: what naming the mean scores)",
        "Each column itself: its error while it is there → while it alone is missing",
    )
    for title, (head, rows) in zip(titles, (shown.overview(view), shown.by_column(view)), strict=True):
        cells = [[markdown.plain(row[0]), *row[1:]] for row in rows]
        yield from markdown.section(title, markdown.table([markdown.plain(cell) for cell in head], cells))
