"""`penult train forecaster`: windows of series through an LSTM, with a dropout at a place of choice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from penult_service.cli import options
from penult_service.cli.stages import quiet_tensorflow, stages
from penult_service.cli.training import reports

# The defaults of recipes.forecasting.settings, written out so that --help does not import NumPy; a test compares.
PLACEMENT, RATE, STEPS, HORIZON, SEASON, UNITS = "after", 0.3, 96, 24, 24, 64
EPOCHS, PATIENCE, LEARNING_RATE, BATCH_SIZE, SPLIT, SEED, SEEDS = 10, 3, 1e-3, 64, "0.7,0.1,0.2", 42, 1

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A row for each time, in order: .csv, .jsonl or .parquet.", show_default=False
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        metavar="DIR/MODEL",
        help="Saved as the next version in it; of several placements in DIR/MODEL-PLACEMENT each.",
    ),
]
Placement = Annotated[
    str,
    typer.Option(
        metavar="PLACE",
        help="Where the dropout stands: none; after the LSTM; before it (single numbers), or there spatial (features, "
        "at every step), steps, features (these two with a mask for the whole batch) or samples (whole windows); "
        "inside (its dropout=); recurrent (its recurrent_dropout=). Several with commas, or all.",
    ),
]
OwnMasks = Annotated[
    bool,
    typer.Option(
        "--own-masks",
        help="Of steps and features: a mask for each window. As noise_shape=(1, steps, 1) or (1, 1, features) is "
        "read, all windows of a batch share one; features with own masks is spatial.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(metavar="NAME,NAME,...", help="Series to see. [default: every column with numbers]"),
]
DateColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="A column to leave out. [default: those without numbers, as dates are]"
    ),
]
Target = Annotated[
    str | None, typer.Option(metavar="NAME,NAME,...", help="Series to forecast. [default: all]")
]
Split = Annotated[
    str,
    typer.Option(
        metavar="TRAIN,VALID,TEST", help="In the order of time: shares, or rows such as 8640,2880,2880."
    ),
]


def forecaster(
    file: File,
    output: Output,
    placement: Placement = PLACEMENT,
    rate: Annotated[float, typer.Option(help="The share that is dropped.")] = RATE,
    own_masks: OwnMasks = False,
    columns: Columns = None,
    date_column: DateColumn = None,
    target: Target = None,
    steps: Annotated[int, typer.Option(help="Rows of a window.")] = STEPS,
    horizon: Annotated[int, typer.Option(help="Rows that are forecast.")] = HORIZON,
    season: Annotated[int, typer.Option(help="Rows of a season, as 24 hours; 1: there is none.")] = SEASON,
    units: Annotated[int, typer.Option(help="Of the LSTM: numbers of the embedding that is served.")] = UNITS,
    epochs: Annotated[int, typer.Option(help="Passes over the windows, at most.")] = EPOCHS,
    patience: Annotated[
        int, typer.Option(help="Passes without a lower validation error before it stops.")
    ] = PATIENCE,
    learning_rate: Annotated[float, typer.Option(help="Of Adam.")] = LEARNING_RATE,
    batch_size: Annotated[int, typer.Option(help="Windows a step.")] = BATCH_SIZE,
    split: Split = SPLIT,
    seed: Annotated[int, typer.Option(help="The first, of weights, order, dropout.")] = SEED,
    seeds: Annotated[int, typer.Option(help="How often each placement is trained.")] = SEEDS,
    report: reports.Reports = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Train an LSTM that forecasts series from a window of them; save a model of raw windows and raw forecasts.

    Its input is `window` float32 [n, steps, columns], its output [n, horizon, targets], both in the file's own units:
    standardising with the training rows' figures is inside. The forecast is the window's mean season at the level of
    its last one, corrected by the LSTM, whose last state is the embedding. Errors are on the standardised scale, beside
    those of repeating the last value or the last season. Of several seeds the best on validation is saved.
    """
    from penult_service.recipes import checks, numeric
    from penult_service.recipes.forecasting import settings as choices

    chosen = checks.chosen(placement, list(choices.PLACEMENTS), "placement")
    settings = choices.ForecastSettings(
        chosen[0], rate, own_masks, steps, horizon, season, units, epochs, patience, learning_rate, batch_size,
        choices.split_of(split), seed,
    )  # fmt: skip
    places = report or []
    reports.check(places, (file,), overwrite)
    rows = numeric.read(file, _names(columns), [date_column] if date_column is not None else ())
    with quiet_tensorflow(), stages() as progress:
        from penult_service.recipes.forecasting import train

        found = train.train(rows, _names(target) or (), chosen, output, settings, seeds, progress)
    from penult_service.cli.training import forecaster_words as words

    words.write(found, places)
    if as_json:
        print(json.dumps(words.facts(found), indent=1, ensure_ascii=False))
    else:
        words.show(found)


def _names(words: str | None) -> list[str] | None:
    return [name.strip() for name in words.split(",")] if words is not None else None
