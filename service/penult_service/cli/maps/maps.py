"""`penult maps`: maps that are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from penult_service.cli import kept, kept_words, options
from penult_service.cli.console import print_table
from penult_service.cli.maps.mapped import NAMES

if TYPE_CHECKING:
    from penult_client import StoredInfo

_Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="What they are kept under.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(_list)
    group.command("delete")(_delete)
    app.add_typer(group, name="maps", help="Maps that are kept: `penult map --name` makes them.")


def _list(
    server: options.KeepingServer = None, data: options.KeptData = None, as_json: options.Json = False
) -> None:
    """All maps that are kept, by name."""
    with kept.keeper(None, server, data) as (client, _):
        found = client.projections()
    if as_json:
        print(json.dumps([kept_words.map_facts(each) for each in found], indent=1, ensure_ascii=False))
        return
    if not found:
        print(f"{server or data} keeps no maps")
        return
    headings = ("name", "rows", "method", "dimensions", "of", "made", "kept")
    print_table(headings, [_line(each) for each in found], right=(1, 3))
    for each in found:
        if each.problem:
            print(f"{each.name}: {each.problem}")


def _delete(names: _Names, server: options.KeepingServer = None, data: options.KeptData = None) -> None:
    """Delete maps."""
    with kept.keeper(None, server, data) as (client, _):
        for each in names:
            client.delete_projection(each)
            print(f"{each} is deleted")


def _line(info: StoredInfo) -> tuple[str, ...]:
    """A map in a table."""
    method, dimensions = (info.parameters.get(name) for name in ("method", "n_components"))
    return (
        info.name,
        f"{info.rows:,}",
        "-" if method is None else NAMES.get(str(method), str(method)),
        "-" if dimensions is None else f"{dimensions:g}",
        info.dataset or "-",
        kept_words.time(info.created),
        kept_words.kept(info),
    )
