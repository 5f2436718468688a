"""`penult dropout`: what dropout does to texts, before against after, and what if it were on."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from penult_service.analysis.checks import LEAST_DROPOUT_ROWS, MOST_DROPOUT_ROWS, MOST_PASSES
from penult_service.cli import analyses, options, tables
from penult_service.cli.console import note, out, print_table
from penult_service.cli.operation_progress import shown
from penult_service.cli.row_columns import Columns
from penult_service.cli.rows import check_kinds
from penult_service.cli.sampling import rows as labelled_rows
from penult_service.cli.sampling.asked import SAMPLES, SEED, Sampling
from penult_service.cli.sampling.dropout_report import ENDINGS, Asked, as_json, check_folders, view_of, write
from penult_service.errors import InvalidInput
from penult_service.plots.dropout import dropout_words
from penult_service.plots.words import counted, number
from penult_service.vectors import TRUNCATIONS

if TYPE_CHECKING:
    from penult_service.plots.dropout.dropout_view import DropoutView

ROWS = 2_000
WIDTH = 100


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("dropout")(dropout)


def dropout(
    texts: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Texts: .csv, .tsv, .jsonl, .txt or .parquet.", show_default=False),
    ],
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A model's directory or file (a private server is started and ended), or a name with --server.",
        ),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A report: .html, .md or .json; several times for several."
        ),
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="A column of labels, which the map is coloured by.")
    ] = None,
    text_column: options.TextColumn = "text",
    passes: Annotated[
        int, typer.Option(min=1, max=MOST_PASSES, help="How often the texts are computed with dropout on.")
    ] = SAMPLES,
    seed: options.Seed = SEED,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="head|all|PATH,PATH",
            help="The dropouts that are put back: those in front of the head, those inside the encoder too, or some. "
            "[default: the head, and beside it all where they are known]",
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="R", help="Their rate. [default: the model's own]")
    ] = None,
    n_clusters: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Of k-means. [default: as many as labels, or classes]"),
    ] = None,
    max_rows: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=LEAST_DROPOUT_ROWS,
            max=MOST_DROPOUT_ROWS,
            help="Of more rows, so many are drawn.",
        ),
    ] = ROWS,
    no_map: Annotated[bool, typer.Option("--no-map", help="Leave the map out.")] = False,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a text file. [default: UTF-8]")
    ] = None,
    truncate: options.Truncate = "right",
    server: options.Server = None,
    data: options.Data = None,
    as_json_: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """What dropout does to these texts.

    First while the model predicts: the numbers in front of the dropout against those behind it. Then what if dropout
    were on (training=True): how far embeddings turn, beside what the theory says; how many of the nearest neighbours
    change; how far k-means still finds the same clusters, beside k-means from another seed; how many predictions flip,
    and of which texts; and where each text would move on a map.

    Prints the answer in words, and the figures. -o report.html writes it all as a page that needs no network,
    -o report.md as Markdown with its pictures in report_files, -o report.json the figures alone.

    The same texts, passes and seed give the same figures. Rows without a text or, with --label-column, without a label
    are left out, and told.
    """
    options.one_of("--truncate", truncate, TRUNCATIONS)
    # The words of --layers, checked as `penult uncertainty` does; without, the server decides.
    chosen = Sampling.of(passes, seed, layers or "head", rate)
    places = output or []
    _check(model, server, texts, encoding, places, overwrite)
    command = _command(
        model,
        texts,
        {
            "--label-column": label_column,
            "--text-column": None if text_column == "text" else text_column,
            "--passes": None if passes == SAMPLES else passes,
            "--seed": None if seed == SEED else seed,
            "--layers": layers,
            "--rate": rate,
            "--n-clusters": n_clusters,
            "--max-rows": None if max_rows == ROWS else max_rows,
            "--encoding": encoding,
            "--truncate": None if truncate == "right" else truncate,
            "--server": server,
        },
    )
    rows = labelled_rows.read([texts], Columns.text(text_column), encoding, label_column)
    asked = _asked(rows, label_column, max_rows, seed, command)
    settings: dict[str, Any] = {
        "labels": asked.labels,
        "passes": passes,
        "seed": seed,
        "layers": chosen.settings()["layers"] if layers else None,
        "rate": rate,
        "n_clusters": n_clusters,
        "map": not no_map,
        "truncate": truncate,
    }
    view = _compared(asked, model, server, data, settings)
    for each in view.notes:
        note(f"note: {each}")
    write(view, places)
    for place in places:
        note(f"wrote {place}")
    if as_json_:
        print(as_json(view))
    else:
        _show(view)


def _check(
    model: str | None,
    server: str | None,
    texts: Path,
    encoding: str | None,
    places: Sequence[Path],
    overwrite: bool,
) -> None:
    """Refuse what cannot be done before anything is read or started."""
    if model is None and server is None:
        raise InvalidInput(
            "name a model's directory or file (penult dropout PATH --texts FILE), or a running server with "
            "--server HOST:PORT"
        )
    tables.check_places(places, (texts,), overwrite, ENDINGS)
    check_folders(places, overwrite)
    check_kinds([texts], encoding)
    if places:
        analyses.require("matplotlib")
    if server is None:
        analyses.require(*analyses.PACKAGES)


def _asked(rows: labelled_rows.Rows, label_column: str | None, most: int, seed: int, command: str) -> Asked:
    """The rows of the file that are compared."""
    notes = []
    good = rows.good
    if len(good) < len(rows):
        first, problem = next(iter(rows.problems.items()))
        which = f"row {first}" if len(rows) - len(good) == 1 else f"the first is row {first}"
        other = f"; {labelled_rows.OTHER_ENCODING}" if problem.reason == "NOT_UTF8" else ""
        notes.append(f"{_left_out(len(rows) - len(good))}: {which}: {problem}{other}")
    said = [number for number in good if rows.text(number).strip()]
    if len(said) < len(good):
        notes.append(_left_out(len(good) - len(said), " without a text"))
        good = said
    if rows.labels is not None:
        labelled = [number for number in good if rows.labels[number]]
        if len(labelled) < len(good):
            notes.append(_left_out(len(good) - len(labelled), f" without a label in {label_column!r}"))
        good = labelled
    if len(good) < LEAST_DROPOUT_ROWS:
        raise InvalidInput(
            f"{rows.source} has {counted(len(good), 'row')} to compare; neighbours and clusters need at least "
            f"{LEAST_DROPOUT_ROWS}" + "".join(f"; {each}" for each in notes),
            reason="TOO_FEW_ROWS",
        )
    if len(good) > most:
        notes.append(
            f"these are {most:,} of {len(good):,} rows, drawn with seed {seed}; --max-rows takes more"
        )
        drawn = np.random.default_rng(abs(seed)).choice(len(good), most, replace=False)
        good = [good[place] for place in sorted(drawn.tolist())]
    return Asked(rows, good, label_column, tuple(notes), command)


def _left_out(count: int, which: str = "") -> str:
    return f"{count:,} row{which} is left out" if count == 1 else f"{count:,} rows{which} are left out"


def _compared(
    asked: Asked, model: str | None, server: str | None, data: Path | None, settings: Mapping[str, Any]
) -> DropoutView:
    """The server's answer."""
    from penult_client import PenultError as ClientError

    with options.connected(model, server, data, analysis_workers=1) as (client, name):
        with shown("comparing with and without dropout", "was told to end") as report:
            try:
                found = client.compare_dropout(asked.texts, model=name, progress=report, **settings)
            except ClientError as error:
                if error.reason in ("MISSING_INPUT", "TEXTS_NOT_TAKEN"):
                    error.message = f"penult dropout compares models of one text: {error.message}, with "
                    error.message += "Client.compare_dropout"
                raise
        about = client.inspect_dropout(f"{found.model}@{found.version}")
    return view_of(asked, found, about)


def _command(model: str | None, texts: Path, given: Mapping[str, Any]) -> str:
    """What makes the report again, as a shell reads it; None: left out."""
    words = ["penult", "dropout", *([] if model is None else [model]), "--texts", str(texts)]
    for option, value in given.items():
        words += [] if value is None else [option, str(value)]
    return shlex.join([*words, "-o", "report.html"])


def _show(view: DropoutView) -> None:
    console = out()
    for sentence in dropout_words.sentences(view.answer):
        # A figure and its sign stay in one line.
        whole = sentence.replace(" %", "\N{NO-BREAK SPACE}%")
        print(textwrap.fill(whole, min(WIDTH, console.width)).replace("\N{NO-BREAK SPACE}%", " %"))
    print()
    if view.inference:
        print("While it predicts, the largest differences")
        rows = [(number(f.value), f"<= {f.limit:g}" if f.limit else "0", f.meaning) for f in view.inference]
        print_table(("found", "accepted", "what"), rows, right=(0, 1))
        print()
    print(f"With dropout on: {len(view):,} texts, {counted(view.passes, 'pass')}, seed {view.seed}")
    scopes = [dropout_words.scope(effect) for effect in view.effects]
    lines = [(line.name, *line.values, line.beside) for line in dropout_words.lines(view)]
    print_table(("", *scopes, "beside it"), lines, right=range(1, len(scopes) + 1))
    for effect in view.effects:
        print(f"active {dropout_words.scope(effect)}: {dropout_words.active(effect)}")
