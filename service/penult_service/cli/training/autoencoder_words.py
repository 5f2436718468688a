"""What `penult train autoencoder` tells: on the screen, as Markdown, as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from penult_service.cli.console import note, print_table
from penult_service.cli.outputs import drafts
from penult_service.plots import markdown
from penult_service.plots import reconstruction_view as shown
from penult_service.plots.words import counted, said
from penult_service.recipes.autoencoder import AutoencoderReport
from penult_service.recipes.autoencoder_measures import Errors
from penult_service.recipes.autoencoder_rows import FAR

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
        caption=" · ".join(facts(report)),
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


def facts(report: AutoencoderReport) -> list[str]:
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
        f"({rows.farthest}). Such rows decide mean, deviation and error of a column; --outliers {FAR:g} leaves them out"
    )


def _rows(rows: tuple[int, ...]) -> str:
    more = f" and {len(rows) - MOST_ROWS:,} more" if len(rows) > MOST_ROWS else ""
    named = ", ".join(str(row) for row in rows[:MOST_ROWS])
    return f"row{'s' if len(rows) > 1 else ''} {named}{more} (from 0)"


def show(report: AutoencoderReport) -> None:
    """The table and what was saved, on the screen."""
    told = warning(report)
    if told:
        note(told)
    for fact in facts(report):
        print(fact)
    print("mean squared error of standardised numbers (1: what naming the mean scores)\n")
    head, rows = shown.overview(view_of(report))
    print_table(head, rows, right=range(1, len(head)), whole=[0])
    print(
        f"\n{report.seconds:.0f} s; saved {report.path} (noise {report.runs[0].noise}, seed {report.runs[0].seed})"
    )


def as_markdown(report: AutoencoderReport, picture: Path | None) -> str:
    """The same with a table by column, and the picture where there is one."""
    view = view_of(report)
    return "\n".join(_lines(report, view, picture)) + "\n"


def _lines(report: AutoencoderReport, view: shown.ReconstructionView, picture: Path | None) -> Iterator[str]:
    yield f"# {markdown.plain(view.title)}"
    yield ""
    yield from (f"- {markdown.plain(fact, 1000)}" for fact in facts(report))
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
    if picture is not None:
        yield f"![reconstruction]({picture.name})"


def write(report: AutoencoderReport, text: Path | None, picture: Path | None) -> None:
    """The files that were asked for."""
    view, places = view_of(report), [place for place in (text, picture) if place is not None]
    with drafts(*places) as made:
        for place, draft in zip(places, made, strict=True):
            if place == picture:
                from penult_service.plots.reconstruction import picture as drawn

                draft.write_bytes(drawn(view, place.suffix[1:].lower()))
            else:
                draft.write_text(as_markdown(report, picture), encoding="utf-8")
