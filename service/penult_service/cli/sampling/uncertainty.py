"""`penult uncertainty`: how sure a model is of each row, and which rows are most worth a label."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penult_service.cli import analyses, options, tables
from penult_service.cli.console import note, progress
from penult_service.cli.embed_columns import Named
from penult_service.cli.embedding import ClientEmbedder
from penult_service.cli.exits import DONE, PARTLY
from penult_service.cli.outputs import drafts
from penult_service.cli.rows import check_kinds
from penult_service.cli.sampling.asked import MOST_SAMPLES, SAMPLES, SEED, Sampled, Sampling, sample
from penult_service.cli.sampling.findings import BY, Measured, check_labels
from penult_service.cli.sampling.rows import Rows, read
from penult_service.cli.sampling.table import added, table_of
from penult_service.cli.sampling.words import every_fact, reliability_of, show, tell_bad_rows
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput
from penult_service.vectors import TRUNCATIONS

if TYPE_CHECKING:
    from penult_client import Client, RowError, Uncertainty

    from penult_service.cli.row_columns import Columns

PICTURES = (".png", ".svg")
# The table that has no room for lists.
FLAT = ".csv"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("uncertainty")(uncertainty)


def uncertainty(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...", help="Files of texts (.csv, .tsv, .jsonl, .txt), or .parquet files."
        ),
    ],
    model: options.Model = None,
    server: options.Server = None,
    samples: Annotated[int, typer.Option(min=1, max=MOST_SAMPLES, help="Samples a row.")] = SAMPLES,
    layers: Annotated[
        str,
        typer.Option(
            metavar="head|all|PATH,PATH",
            help="The dropouts that are put back: those in front of the head, those inside the encoder too, or some.",
        ),
    ] = "head",
    rate: Annotated[
        float | None, typer.Option(metavar="R", help="Their rate. [default: the model's own]")
    ] = None,
    seed: options.Seed = SEED,
    label_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="A column of labels: how right the model is, and whether it knows."
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=f"What orders the rows: {', '.join(BY)}. [default: {next(iter(BY))}]"
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="How many of the rows most worth a label to print.")] = 10,
    text_column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The column of the texts; twice for a pair. [default: text]"),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="INPUT=NAME", help="The column of an input, for a model of several."),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of text files. [default: UTF-8]")
    ] = None,
    truncate: options.Truncate = "right",
    data: options.Data = None,
    output: options.TableOutput = None,
    plot: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A reliability picture, .png or .svg; needs --label-column."),
    ] = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> int:
    """How sure the model is of each row, by Monte Carlo dropout.

    Each row is answered many times with dropout put back on purpose, in a model that is otherwise the one for
    inference. Prints the rows most worth a label, by mutual information unless --by says otherwise: there the samples
    disagree, so that a label settles something. High entropy alone may be a text that nobody could decide.
    Where some rows have labels, those without are listed.

    With --label-column: accuracy, the expected calibration error, and how well each measure tells wrong predictions
    from right ones (AUROC), of rows that have a label. Labels are names of classes, or their numbers.

    With --output the columns of the input are written with predicted, clean (the class without dropout),
    probabilities (the mean of the samples), std, entropy, mutual_information, variation_ratio and error; a .csv has
    mean_CLASS and std_CLASS in place of lists. Entropies are in nats. A model that is no classifier has mean, clean
    and std of its output alone.

    A row's masks are a function of seed, number of the sample and number of the row: the same call gives the same
    numbers. Rows that cannot be sampled are told, and the exit code is 3.
    """
    options.one_of("--truncate", truncate, TRUNCATIONS)
    if by is not None:
        options.one_of("--by", by, tuple(BY))
    sampling = Sampling.of(samples, seed, layers, rate)
    pictures = plot or []
    if pictures and label_column is None:
        raise InvalidInput(
            "--plot shows how often predictions are right: name their labels with --label-column"
        )
    check_kinds(inputs, encoding)
    tables.check_places([output] if output else [], inputs, overwrite)
    tables.check_places(pictures, inputs, overwrite, PICTURES)
    if pictures:
        analyses.require("matplotlib")
    named = Named.of(text_column or (), column or ())
    asked = Asked(inputs, named, encoding, label_column, sampling, truncate, by, output)
    measured = asked.measured(model, server, data)
    tell_bad_rows(measured)
    analyses.tell_rows("with cells that are not UTF-8 (kept as '?')", measured.rows.damaged)
    _write(measured, output, pictures)
    if as_json:
        print(json.dumps(every_fact(measured, top), indent=1, ensure_ascii=False))
    else:
        show(measured, top)
    return PARTLY if measured.errors else DONE


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    inputs: Sequence[Path]
    named: Named
    encoding: str | None
    label_column: str | None
    sampling: Sampling
    truncate: str
    by: str | None
    output: Path | None

    def measured(self, model: str | None, server: str | None, data: Path | None) -> Measured:
        """The rows with what their samples say. Arguments as of `options.connected`.

        Raises:
            InvalidInput: what is wrong with the files, before a server is started; no row has numbers (NO_GOOD_ROWS).
            PenultError: of the client; the model's dropouts cannot be put back, say.
        """
        early = self.named.before_the_model(self.inputs[0], self.encoding)
        rows = self._read(early) if early else None
        with options.connected(model, server, data, analysis_workers=0) as (client, name):
            embedder = ClientEmbedder(client, name, {}, private=server is None)
            taken = self.named.of_model(embedder.inputs())
            if rows is None or early != taken:
                rows = self._read(taken)
            first = self._probe(client, name, rows)
            self._check(first, rows)
            found = self._sample(client, f"{first.model}@{first.version}", rows)
        errors = {**rows.problems, **{each.index: embedder.problem(each) for each in found.row_errors}}
        if len(errors) == len(rows):
            row = min(errors)
            raise InvalidInput(
                f"none of the {len(rows):,} rows could be sampled; row {row}: {errors[row]}",
                reason="NO_GOOD_ROWS",
            )
        return Measured(rows, found, errors, self.sampling, self.truncate, self.by or next(iter(BY)))

    def _read(self, columns: Columns) -> Rows:
        return read(self.inputs, columns, self.encoding, self.label_column)

    def _probe(self, client: Client, name: str | None, rows: Rows) -> Uncertainty:
        """The reply to the first row that the model takes: what is wrong with model and labels is said at once."""
        refused: RowError | None = None
        for number in rows.good:
            row = rows.rows[number]
            assert row is not None
            found = sample(client, name, [row], [number], self.sampling, self.truncate)
            if found.first is not None:
                return found.first
            refused = refused or found.row_errors[0]
        assert refused is not None, "there is a row"
        raise InvalidInput(
            f"no row can be sampled; the first cannot: {refused.message}", reason="NO_GOOD_ROWS"
        )

    def _check(self, first: Uncertainty, rows: Rows) -> None:
        for warning in first.warnings:
            note(f"warning: {warning}")
        if rows.labels is not None:
            check_labels(first, rows.labels)
        if self.by is not None and not first.classifier:
            raise InvalidInput(
                "--by is of classifiers; the rows of this model are ordered by their standard deviation",
                field="--by",
            )
        if self.output is not None:
            side = Side(first.mean, None, "", table=rows.table)
            tables.check_names(side, added(first, flat=self.output.suffix.lower() == FLAT))

    def _sample(self, client: Client, model: str, rows: Rows) -> Sampled:
        good = rows.good
        asked = [row for row in rows.rows if row is not None]
        with progress("sampling", len(good)) as done:
            found = sample(client, model, asked, good, self.sampling, self.truncate, done)
        return found.placed(good, len(rows))


def _write(measured: Measured, output: Path | None, pictures: Sequence[Path]) -> None:
    """All outputs, or none."""
    places = [*([output] if output else []), *pictures]
    with drafts(*places) as written:
        for draft, place in zip(written, places, strict=True):
            ending = place.suffix.lower()
            if ending in PICTURES:
                from penult_service.plots.reliability import picture

                draft.write_bytes(picture(reliability_of(measured), ending.removeprefix(".")))
            else:
                tables.write(draft, ending, table_of(measured, flat=ending == FLAT))
    for place in places:
        note(f"wrote {place}")
