"""`penult train bert`: a text classifier."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penult_service.cli.stages import Stage, quiet_tensorflow, stages
from penult_service.errors import InvalidInput
from penult_service.files import sha256_file

if TYPE_CHECKING:
    from penult_service.recipes.bert.settings import Handles
    from penult_service.recipes.bert.train import TrainingReport

# The defaults of recipes.bert.settings, written out so that --help does not import NumPy; a test compares.
DROPOUT, EPOCHS, LEARNING_RATE, MAX_LENGTH, BATCH_SIZE, VALID_FRACTION, SEED = 0.1, 2, 5e-5, 128, 32, 0.1, 42

TrainFile = Annotated[Path, typer.Option(metavar="FILE", help="Labelled texts: .csv, .jsonl or .parquet.")]
Output = Annotated[Path, typer.Option(metavar="DIR/MODEL", help="Saved as the next version in it: 1, 2, ...")]
Untrained = Annotated[
    Path | None,
    typer.Option(metavar="DIR/MODEL", help="Also save the model as it was before training, to compare with."),
]
TextColumn = Annotated[str, typer.Option(metavar="NAME", help="The column that holds the texts.")]
LabelColumn = Annotated[str, typer.Option(metavar="NAME", help="The column that holds the classes.")]
ValidFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Rows to measure on.")]
ValidFraction = Annotated[
    float | None, typer.Option(help=f"Without --valid: the share held out [default: {VALID_FRACTION}].")
]
GroupColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help="Rows of one group are held out together or not at all.")
]
Encoder = Annotated[
    str | None, typer.Option(metavar="DIR|URL", help="A BERT encoder in TF-Hub format, with --preprocessor.")
]
Preprocessor = Annotated[
    str | None, typer.Option(metavar="DIR|URL", help="The preprocessor that belongs to it.")
]
Weights = Annotated[
    Path | None, typer.Option(metavar="HF_DIR", help="Instead of both: a Hugging Face BERT directory.")
]


def bert(
    train: TrainFile,
    output: Output,
    untrained: Untrained = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    valid: ValidFile = None,
    valid_fraction: ValidFraction = None,
    group_column: GroupColumn = None,
    encoder: Encoder = None,
    preprocessor: Preprocessor = None,
    weights: Weights = None,
    dropout: Annotated[float, typer.Option(help="In front of the output layer.")] = DROPOUT,
    epochs: Annotated[int, typer.Option(help="Passes over the rows.")] = EPOCHS,
    learning_rate: Annotated[float, typer.Option(help="The highest, after warming up.")] = LEARNING_RATE,
    max_length: Annotated[int, typer.Option(help="Tokens a text; longer ones are cut.")] = MAX_LENGTH,
    batch_size: Annotated[int, typer.Option(help="Rows a step.")] = BATCH_SIZE,
    seed: Annotated[int, typer.Option(help="Of the split, the order, the dropout.")] = SEED,
) -> None:
    """Train BERT, dropout and an output layer on labelled texts; save a model that takes strings."""
    from penult_service.recipes import data
    from penult_service.recipes.bert import settings as choices
    from penult_service.recipes.bert import train as recipe

    if valid is not None and valid_fraction is not None:
        raise InvalidInput("give --valid or --valid-fraction, not both", field="valid_fraction")
    settings = choices.BertSettings(
        dropout=dropout,
        epochs=epochs,
        learning_rate=learning_rate,
        max_length=max_length,
        batch_size=batch_size,
        valid_fraction=VALID_FRACTION if valid_fraction is None else valid_fraction,
        seed=seed,
    )
    rows = data.read(train, data.Columns(text_column, label_column, group_column))
    held_out = data.read(valid, data.Columns(text_column, label_column)) if valid else None
    with (
        quiet_tensorflow(),
        stages() as progress,
        _handles(encoder, preprocessor, weights, max_length, progress) as handles,
    ):
        report = recipe.train(rows, held_out, handles, output, settings, progress, untrained)
    print(_summary(report))


@contextmanager
def _handles(
    encoder: str | None, preprocessor: str | None, weights: Path | None, max_length: int, progress: Stage
) -> Iterator[Handles]:
    """The two hub layers asked for; those made of --weights last as long as the training."""
    from penult_service.recipes.bert.settings import Handles

    if weights is not None and not encoder and not preprocessor:
        from penult_service.preparing.convert import convert

        with tempfile.TemporaryDirectory(prefix="penult-weights-") as scratch:
            made = convert(
                weights,
                Path(scratch) / "hub",
                max_length,
                lambda step, done, total: progress("converting", done, total, step),
            )
            origin = {"weights": weights.name, "sha256": sha256_file(weights / "model.safetensors")}
            yield Handles(str(made.preprocessor), str(made.encoder), origin)
    elif encoder and preprocessor and weights is None:
        yield Handles(preprocessor, encoder, {"encoder": encoder, "preprocessor": preprocessor})
    else:
        what = "name --weights HF_DIR, or both --encoder and --preprocessor"
        raise InvalidInput(what, field="encoder")


def _summary(report: TrainingReport) -> str:
    metrics = report.metrics
    lines = [
        f"held-out accuracy {metrics.held_out_accuracy:.3f} on {metrics.held_out_rows} rows "
        f"(naming the commonest class always: {metrics.majority_accuracy:.3f})",
        f"{report.seconds:.0f} s; labels {', '.join(report.labels)}",
        f"saved {report.path}",
    ]
    if metrics.held_out_rows_also_in_training:
        lines.insert(
            1, f"{metrics.held_out_rows_also_in_training} held-out texts were trained on as well: too good"
        )
    return "\n".join(lines)
