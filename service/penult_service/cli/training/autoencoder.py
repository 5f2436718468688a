"""`penult train autoencoder`: columns of numbers through a bottleneck, with noise on chosen columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from penult_service.cli import options
from penult_service.cli.stages import quiet_tensorflow, stages
from penult_service.cli.training import reports
from penult_service.errors import InvalidInput

# The defaults of recipes.autoencoding.settings, written out so that --help does not import NumPy; a test compares.
BOTTLENECK, HIDDEN, RATE, EPOCHS, LEARNING_RATE, BATCH_SIZE = 5, 32, 0.2, 50, 3e-3, 64
VALID_FRACTION, BLOCKS, SEED, SEEDS = 0.2, 20, 42, 1
NOISES = ("feature", "dropout", "gaussian", "none")

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="Rows in the order of time: .csv, .jsonl or .parquet.")
]
Output = Annotated[
    Path,
    typer.Option(
        metavar="DIR/MODEL",
        help="Saved as the next version in it; of several kinds of noise in DIR/MODEL-KIND each.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(metavar="NAME,NAME,...", help="Columns to read. [default: all that hold numbers]"),
]
Ignore = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="A column to leave out, such as a label; repeatable.")
]
DropFeature = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME|INDEX", help="A column that noise drops, and reports leave out; repeatable."),
]
Rate = Annotated[float, typer.Option(help="The probability to drop a number.")]
NoRescale = Annotated[
    bool, typer.Option("--no-rescale", help="Of feature noise: do not divide what is kept by 1 - rate.")
]
Noise = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="feature (chosen columns), dropout (all), gaussian (of the same variance), none; several with "
        "commas, or all. [default: feature with --drop-feature, else dropout]",
    ),
]
Hidden = Annotated[
    list[int] | None,
    typer.Option(
        metavar="UNITS", help=f"A layer of the encoder, mirrored in the decoder. [default: {HIDDEN}]"
    ),
]
ValidFraction = Annotated[float, typer.Option(help="The share held out; 0: measure on the rows trained on.")]
Blocks = Annotated[
    int, typer.Option(help="Rows are cut into so many blocks by time, and whole ones are held out.")
]
Outliers = Annotated[
    float | None,
    typer.Option(metavar="K", help="Leave out rows over K robust deviations from a column's median."),
]
Seeds = Annotated[int, typer.Option(help="Trainings of each kind, with seeds from --seed on.")]


def autoencoder(
    file: File,
    output: Output,
    columns: Columns = None,
    ignore: Ignore = None,
    drop_feature: DropFeature = None,
    rate: Rate = RATE,
    no_rescale: NoRescale = False,
    noise: Noise = None,
    bottleneck: Annotated[int, typer.Option(help="Its width: what is embedded.")] = BOTTLENECK,
    hidden: Hidden = None,
    epochs: Annotated[int, typer.Option(help="Passes over the rows.")] = EPOCHS,
    learning_rate: Annotated[float, typer.Option(help="At the start; it falls to 0.")] = LEARNING_RATE,
    batch_size: Annotated[int, typer.Option(help="Rows a step.")] = BATCH_SIZE,
    valid_fraction: ValidFraction = VALID_FRACTION,
    blocks: Blocks = BLOCKS,
    outliers: Outliers = None,
    seed: Annotated[int, typer.Option(help="Of the weights, the order, the noise.")] = SEED,
    seeds: Seeds = SEEDS,
    report: reports.Reports = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Train an autoencoder on columns of numbers, with noise on chosen ones; its embedding is the bottleneck.

    It gives back what went in without the noise, so it learns to do without the chosen columns. Standardisation is
    inside the saved model: it takes and gives the file's own units. Reported is how well rows that were held out are
    reconstructed with the chosen columns and without, beside PCA of the same width.
    """
    from penult_service.recipes import numeric
    from penult_service.recipes.autoencoding import settings as choices

    noises, places = _noises(noise, bool(drop_feature)), report or []
    reports.check(places, (file,), overwrite)
    settings = choices.AutoencoderSettings(
        bottleneck=bottleneck,
        hidden=tuple(hidden or [HIDDEN]),
        rate=rate,
        rescale=not no_rescale,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        valid_fraction=valid_fraction,
        blocks=blocks,
        outliers=outliers,
        seed=seed,
        seeds=seeds,
    )
    names = [name.strip() for name in columns.split(",")] if columns else None
    rows = numeric.read(file, names, ignore or ())
    with quiet_tensorflow(), stages() as progress:
        from penult_service.recipes.autoencoding import train

        found = train.train(rows, drop_feature or (), noises, output, settings, progress)
    from penult_service.cli.training import autoencoder_words as words

    words.write(found, places)
    if as_json:
        print(json.dumps(words.facts(found), indent=1, ensure_ascii=False))
    else:
        words.show(found)


def _noises(words: str | None, chosen: bool) -> tuple[str, ...]:
    """The kinds of noise asked for, in the order asked for."""
    if words is None:
        return ("feature",) if chosen else ("dropout",)
    from penult_service.recipes import checks

    names = checks.chosen(words, NOISES, "noise")
    if "feature" in names and not chosen:
        what = f"--noise {words} needs a column to drop; name it with --drop-feature"
        raise InvalidInput(what, reason="NO_COLUMN_CHOSEN", field="drop_feature")
    return names
