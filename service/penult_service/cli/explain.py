"""`penult explain`: what a dropout layer, an LSTM, a model really does, measured on the real thing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from penult_service.cli.stages import quiet_tensorflow


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from penult_service.cli import explain_dropout, explain_minibatch

    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("dropout")(explain_dropout.dropout)
    group.command("minibatch")(explain_minibatch.minibatch)
    app.add_typer(group, name="explain", help="What dropout does, measured on Keras' own layers.")


@contextmanager
def keras_here() -> Iterator[None]:
    """Keras inside this process: on TensorFlow, and without its notices on the screen."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with quiet_tensorflow():
        yield
