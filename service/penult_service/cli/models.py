"""`penult models`: what a server has loaded."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from penult_service.cli import options
from penult_service.cli.console import print_table

if TYPE_CHECKING:
    from penult_client import Model, ModelInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("models")(models)


def models(server: options.RunningServer = options.DEFAULT_SERVER, as_json: options.Json = False) -> None:
    """What a server has loaded.

    Every version of every model: what it takes for each row (the names are those of `penult embed --column`), what can
    be read of it, and whether its dropout is proven inactive.
    """
    with options.connected(None, server) as (client, _):
        found = client.models()
    if as_json:
        print(json.dumps([{**asdict(model), "id": model.id} for model in found], indent=1))
        return
    if not found:
        print(f"{server} has no models loaded")
        return
    headings = ("model", "state", "layer", "dimension", "poolings", "classes", "engine", "dropout")
    print_table(headings, [_row(model) for model in found], right=(3,))
    for model in found:
        if model.state_message:
            print(f"{model.id}: {model.state_message}")
        if model.unread:
            print(f"{model.id}: only predict works: {model.unread}")
        if taken := _takes(model):
            print(f"{model.id} takes {taken}")


def _row(model: Model) -> tuple[str, ...]:
    loaded = model.state == "ready"
    read = bool(model.readouts)
    return (
        model.id + (" (default)" if model.default else ""),
        model.state,
        model.readouts[0].layer if read else "-",
        str(model.dimension) if read else "-",
        ", ".join(_poolings(model)) or "-",
        _classes(model) or "-",
        f"{model.engine} {model.precision}".strip() or "-",
        ("proven inactive" if model.dropout_proven else "not proven") if loaded else "-",
    )


def _takes(model: Model) -> str:
    """What is given for each row, then what may take the place of the texts; empty where it is one text."""
    given = [_input(each) for each in model.inputs if not each.made_by_tokenizing]
    made = ", ".join(_input(each) for each in model.inputs if each.made_by_tokenizing)
    if given in ([], ["text"]) and not made:
        return ""
    return ", ".join(given) + (f", or {made}" if made else "")


def _input(told: ModelInput) -> str:
    if told.role == "text":
        return told.name if told.name == "text" else f"{told.name} (text)"
    axes = ", ".join("any" if length < 0 else str(length) for length in told.shape)
    return f"{told.name} ({told.dtype}{f' [{axes}]' if axes else ''})"


def _poolings(model: Model) -> list[str]:
    """The default one first."""
    return sorted(model.poolings, key=lambda pooling: pooling != model.pooling)


def _classes(model: Model) -> str:
    """Names of the classes, or what the head computes where they have none."""
    shown = ", ".join(model.labels[:4])
    return f"{shown}, ... ({len(model.labels)})" if len(model.labels) > 4 else shown or model.head
