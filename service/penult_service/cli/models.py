"""`penult models`: what a server has loaded."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from penult_service.cli import options
from penult_service.cli.console import print_table

if TYPE_CHECKING:
    from penult_client import Model


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("models")(models)


def models(server: options.Server = options.DEFAULT_SERVER, as_json: options.Json = False) -> None:
    """What a server has loaded.

    Every version of every model, and whether its dropout is proven inactive.
    """
    with options.connected(None, server) as (client, _):
        found = client.models()
    if as_json:
        print(json.dumps([{**asdict(model), "id": model.id} for model in found], indent=1))
        return
    if not found:
        print(f"{server} has no models loaded")
        return
    headings = ("model", "state", "layer", "dimension", "poolings", "labels", "engine", "dropout")
    print_table(headings, [_row(model) for model in found], right=(3,))
    for model in found:
        if model.state_message:
            print(f"{model.id}: {model.state_message}")


def _row(model: Model) -> tuple[str, ...]:
    loaded = bool(model.readouts)
    return (
        model.id + (" (default)" if model.default else ""),
        model.state,
        model.readouts[0].layer if loaded else "-",
        str(model.dimension) if loaded else "-",
        ", ".join(model.poolings) or "-",
        _labels(model.labels),
        f"{model.engine} {model.precision}".strip() or "-",
        ("proven inactive" if model.dropout_proven else "not proven") if loaded else "-",
    )


def _labels(labels: tuple[str, ...]) -> str:
    shown = ", ".join(labels[:4])
    return f"{shown}, ... ({len(labels)})" if len(labels) > 4 else shown or "-"
