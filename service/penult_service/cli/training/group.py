"""`penult train`: recipes that make servable models."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from penult_service.cli.training import autoencoder, bert, events, forecaster

    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("bert")(bert.bert)
    group.command("autoencoder")(autoencoder.autoencoder)
    group.command("events")(events.events)
    group.command("forecaster")(forecaster.forecaster)
    group.callback()(_train)
    app.add_typer(group, name="train", help="Train a servable model.")


def _train() -> None:
    """Train a servable model."""
