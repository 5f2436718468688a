"""`penult convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penult_service.cli.stages import quiet_tensorflow, stages


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("convert")(convert)


def convert(
    hf_dir: Annotated[
        Path,
        typer.Argument(
            metavar="HF_DIR", help="A Hugging Face BERT: config.json, vocab.txt and model.safetensors."
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="A new directory for the two SavedModels.")],
    max_length: Annotated[int, typer.Option(metavar="N", help="Tokens a text; longer ones are cut.")] = 128,
) -> None:
    """Make a TF-Hub-format preprocessor and encoder of a Hugging Face BERT directory."""
    with quiet_tensorflow(), stages() as progress:
        from penult_service.preparing.convert import convert as run

        report = run(
            hf_dir, output, max_length, lambda step, done, total: progress("converting", done, total, step)
        )
    print(
        f"{report.parameters:,} parameters, {report.layers} layers, width {report.width}, "
        f"{report.vocabulary_size} tokens, {'lower case' if report.lower_case else 'cased'}, "
        f"{report.seconds:.0f} s\n"
        f"preprocessor  {report.preprocessor}\n"
        f"encoder       {report.encoder}"
    )
