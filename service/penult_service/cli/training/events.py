"""`penult train events`: a recurrent network of event types and the times between them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penult_service import __version__
from penult_service.cli import options
from penult_service.cli.console import print_table
from penult_service.cli.stages import quiet_tensorflow, stages
from penult_service.cli.training import reports
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_service.recipes.events.train import Comparison

# The defaults of recipes.events.settings.Settings, written out so that --help does not import NumPy; a test compares.
UNITS, EMBEDDING, DROPOUT, EPOCHS, LEARNING_RATE, BATCH_SIZE, LENGTH = 64, 32, 0.2, 6, 4e-3, 32, 128
GATE_UNIT, TIME_WEIGHT, VALID_FRACTION, SEED, SEEDS = 1.0, 0.2, 0.3, 42, 1
HEADINGS = ("variant", "accuracy", "log loss", "time RMSE, days", "time MAE, days", "s a run")

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="Sequences: .jsonl, a line each.", show_default=False)
]
Output = Annotated[
    Path,
    typer.Option(
        metavar="DIR/MODEL",
        help="Saved as the next version in it; of several variants in DIR/MODEL-VARIANT each.",
    ),
]
ChosenVariant = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help="How the minutes reach the LSTM: concat, conv1x1, time-gate, none; several with commas, or all (with "
        "both kinds of --decay).",
    ),
]
Decay = Annotated[str, typer.Option(help="Of time-gate: inverse, 1 / (minutes + 1), or learned.")]
EventField = Annotated[str, typer.Option(metavar="NAME", help="The list of event types, from 1 on.")]
MinutesField = Annotated[str, typer.Option(metavar="NAME", help="The list of minutes.")]
BeforeLast = Annotated[
    bool,
    typer.Option(
        "--before-last", help="The minutes are those before the last event, not since the previous."
    ),
]
SplitField = Annotated[str | None, typer.Option(metavar="NAME", help="The field that is 'train' or 'test'.")]
ValidFraction = Annotated[
    float | None, typer.Option(help=f"Without --split-field: the share held out [default: {VALID_FRACTION}].")
]
Names = Annotated[
    Path | None,
    typer.Option(metavar="FILE.csv", help="What the events are called: a number and a name a line."),
]


def events(
    file: File,
    output: Output,
    variant: ChosenVariant = "time-gate",
    decay: Decay = "learned",
    event_field: EventField = "event",
    minutes_field: MinutesField = "minutes_since_prev",
    before_last: BeforeLast = False,
    split_field: SplitField = None,
    valid_fraction: ValidFraction = None,
    names: Names = None,
    units: Annotated[int, typer.Option(help="Of the LSTM: numbers of the embedding that is served.")] = UNITS,
    embedding: Annotated[int, typer.Option(help="Numbers of the vector of an event type.")] = EMBEDDING,
    dropout: Annotated[float, typer.Option(help="In front of the output layers.")] = DROPOUT,
    epochs: Annotated[int, typer.Option(help="Passes over the events.")] = EPOCHS,
    learning_rate: Annotated[float, typer.Option(help="The highest, after warming up.")] = LEARNING_RATE,
    batch_size: Annotated[int, typer.Option(help="Windows a step.")] = BATCH_SIZE,
    length: Annotated[int, typer.Option(help="Events of a window; longer sequences have several.")] = LENGTH,
    gate_unit: Annotated[float, typer.Option(help="Minutes that count as one in the time gate.")] = GATE_UNIT,
    time_weight: Annotated[float, typer.Option(help="Of the time's error beside the event's.")] = TIME_WEIGHT,
    seed: Annotated[int, typer.Option(help="The first, of weights, order, dropout.")] = SEED,
    seeds: Annotated[int, typer.Option(help="How often each variant is trained.")] = SEEDS,
    report: reports.Reports = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Train an LSTM on event types and the minutes between them; save a model that says the next event and its time.

    Its inputs are `events` int32 [n, L], of which 0 is padding, and `minutes` float32 [n, L] since the previous event.
    With --variant all every kind is trained with the same seeds and budget and stands beside the baselines.
    """
    from penult_service.recipes.events import sequences, settings

    chosen = settings.variants(variant, decay)
    if split_field is not None and valid_fraction is not None:
        raise InvalidInput("give --split-field or --valid-fraction, not both", field="valid_fraction")
    how = settings.Settings(
        units, embedding, dropout, epochs, learning_rate, batch_size, length, gate_unit, time_weight,
        VALID_FRACTION if valid_fraction is None else valid_fraction, seed, seeds,
    )  # fmt: skip
    places = report or []
    reports.check(places, (file, names), overwrite)
    rows = sequences.read(file, sequences.Columns(event_field, minutes_field, split_field, before_last))
    labels = sequences.names(names, rows.types)
    with quiet_tensorflow(), stages() as progress:
        from penult_service.recipes.events import train

        found = train.train(rows, labels, chosen, output, how, progress)
    reports.write(places, lambda: _markdown(found), lambda kind: _picture(found, kind))
    if as_json:
        print(json.dumps(_facts(found), indent=1, ensure_ascii=False))
        return
    print_table(HEADINGS, _rows(found), right=range(1, len(HEADINGS)))
    print(f"\n{_about(found)}")
    for outcome in found.outcomes:
        print(f"saved {outcome.path}")


def _rows(found: Comparison) -> list[tuple[str, ...]]:
    """A line for each variant and baseline, in the order of `HEADINGS`."""
    lines = []
    for outcome in found.outcomes:
        cells = [
            _spread([getattr(run, name) for run in outcome.runs], form)
            for name, form in (
                ("accuracy", ".2%"),
                ("log_loss", ".4f"),
                ("rmse_days", ".2f"),
                ("mae_days", ".2f"),
            )
        ]
        seconds = sum(run.seconds for run in outcome.runs) / len(outcome.runs)
        lines.append((outcome.variant.called, *cells, f"{seconds:.0f}"))
    for one in found.baselines:
        figures = ((one.accuracy, ".2%"), (None, ""), (one.rmse_days, ".2f"), (one.mae_days, ".2f"))
        lines.append((one.name, *("" if value is None else f"{value:{form}}" for value, form in figures), ""))
    return lines


def _spread(values: list[float], form: str) -> str:
    """The mean, and of several the lowest and the highest."""
    mean = f"{sum(values) / len(values):{form}}"
    return mean if len(values) == 1 else f"{mean} ({min(values):{form}} to {max(values):{form}})"


def _about(found: Comparison) -> str:
    how = found.settings
    seeds = f"{how.seeds} seeds" if how.seeds > 1 else f"seed {how.seed}"
    return (
        f"{found.next_events:,} next events of {found.sequences[1]:,} sequences held out, "
        f"{found.sequences[0]:,} trained on; {how.units} units, {how.epochs} epochs, {seeds}; {found.seconds:.0f} s"
    )


def _facts(found: Comparison) -> dict[str, Any]:
    return {
        "file": found.source,
        "held_out": {"sequences": found.sequences[1], "next_events": found.next_events},
        "settings": asdict(found.settings),
        "variants": [
            {
                "variant": outcome.variant.name,
                "decay": outcome.variant.decay,
                "saved": str(outcome.path),
                "runs": [asdict(run) for run in outcome.runs],
            }
            for outcome in found.outcomes
        ],
        "baselines": [asdict(one) for one in found.baselines],
        "seconds": found.seconds,
        "penult": __version__,
    }


def _markdown(found: Comparison) -> list[str]:
    from penult_service.plots.markdown import plain, table

    rows = [[plain(name), *figures] for name, *figures in _rows(found)]
    title = "# The next event, and the days to it"
    return [title, "", *table(HEADINGS, rows), "", plain(_about(found), 400), ""]


def _picture(found: Comparison, kind: str) -> bytes:
    from penult_service.plots.events import EventsView, Panel, picture

    panels = []
    for name, title, percent in (
        ("accuracy", "Next event: accuracy", True),
        ("rmse_days", "Time to it: RMSE of the mean, days", False),
        ("mae_days", "Time to it: MAE of the median, days", False),
    ):
        bars = [(one.variant.called, [getattr(run, name) for run in one.runs]) for one in found.outcomes]
        lines = [(one.name, getattr(one, name)) for one in found.baselines if getattr(one, name) is not None]
        panels.append(Panel(title, bars, lines, percent))
    best = max(found.outcomes, key=lambda one: sum(run.accuracy for run in one.runs))
    mean = sum(run.accuracy for run in best.runs) / len(best.runs)
    markov = next(one.accuracy for one in found.baselines if one.accuracy is not None)
    title = f"The next event is right in {mean:.2%} ({best.variant.called}); first-order Markov: {markov:.2%}"
    return picture(EventsView(panels, title, _about(found).replace("; ", " · ")), kind)
