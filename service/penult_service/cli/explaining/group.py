"""`penult explain`: what a dropout layer, an LSTM, a model really does, measured on the real thing."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

MODEL = "MODEL"


class ModelOrCommand(TyperGroup):
    """What is no command is a model: `penult explain MODEL` stands beside `penult explain dropout`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, with the command that explains models put in front where none of the others is named."""
        named = (
            not args or args[0] in ctx.help_option_names or (args[0] in self.commands and args[0] != MODEL)
        )
        return super().parse_args(ctx, args if named else [MODEL, *args])


class OfModel(TyperCommand):
    """The command whose name nobody types: its argument stands in its place."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Its options alone."""
        return [piece for piece in super().collect_usage_pieces(ctx) if MODEL not in piece]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from penult_service.cli.explaining import dropout, lstm, minibatch, model

    group = typer.Typer(cls=ModelOrCommand, no_args_is_help=True, rich_markup_mode=None)
    group.command("dropout")(dropout.dropout)
    group.command("minibatch")(minibatch.minibatch)
    group.command("lstm")(lstm.lstm)
    group.command(MODEL, cls=OfModel)(model.model)
    app.add_typer(group, name="explain", help="What dropout does, measured on Keras' own layers.")
