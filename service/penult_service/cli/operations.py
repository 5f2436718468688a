"""`penult operations`: the analyses that a server works on, or has worked on."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penult_service.cli import options
from penult_service.cli.console import note, print_table
from penult_service.cli.exits import FAILED
from penult_service.cli.operation_progress import clock, percent, shown

if TYPE_CHECKING:
    from penult_client import Client, Operation, OperationStatus, PenultError

# How often the server is asked how far an operation is.
POLL_SECONDS = 0.5
_TIMES = ("created", "started", "ended", "expires")
_Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Names of operations.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(_list)
    group.command("show")(_show)
    group.command("wait")(_wait)
    group.command("cancel")(_cancel)
    group.command("delete")(_delete)
    app.add_typer(
        group, name="operations", help="The long analyses of a server: how far they are, how they ended."
    )


def _list(server: options.RunningServer = options.DEFAULT_SERVER, as_json: options.Json = False) -> None:
    """All operations, the newest first."""
    with options.connected(None, server) as (client, _):
        found = client.operations()
    if as_json:
        _print_json([_facts(each) for each in found])
        return
    if not found:
        print(f"{server} has no operations")
        return
    headings = ("name", "analysis", "rows", "state", "stage", "left", "created")
    print_table(headings, [_row(each) for each in found], right=(2, 5))


def _show(
    names: _Names, server: options.RunningServer = options.DEFAULT_SERVER, as_json: options.Json = False
) -> None:
    """What is known of operations."""
    with options.connected(None, server) as (client, _):
        found = [each.status() for each in _operations(client, names)]
    if as_json:
        _print_json([_facts(each) for each in found])
        return
    for each in found:
        facts = {**_facts(each), "error": _one_line(each.error)}
        print_table(
            ("", ""), [(name, str(value)) for name, value in facts.items() if value not in ("", None)]
        )


def _wait(
    names: _Names, server: options.RunningServer = options.DEFAULT_SERVER, as_json: options.Json = False
) -> None:
    """Wait until operations have ended, and show how they get on. Ctrl-C leaves them alone.

    Exit code 1 when one has failed or was cancelled.
    """
    with options.connected(None, server) as (client, _):
        found = [_ended(each) for each in _operations(client, names)]
    if as_json:
        _print_json([_facts(each) for each in found])
    for each in found:
        if each.error is not None:
            note(f"error: {each.name}: {_one_line(each.error)}")
        elif not as_json:
            print(f"{each.name} is done")
    if any(each.error is not None for each in found):
        raise typer.Exit(FAILED)


def _cancel(names: _Names, server: options.RunningServer = options.DEFAULT_SERVER) -> None:
    """End operations. One that has ended stays as it is."""
    with options.connected(None, server) as (client, _):
        for each in _operations(client, names):
            each.cancel()
            state = each.status().state
            print(f"{each.name} {'was cancelled' if state == 'cancelled' else f'had ended before: {state}'}")


def _delete(names: _Names, server: options.RunningServer = options.DEFAULT_SERVER) -> None:
    """Forget operations that have ended, with results that have no name of their own."""
    with options.connected(None, server) as (client, _):
        for each in _operations(client, names):
            each.delete()
            print(f"{each.name} is deleted")


def _operations(client: Client, names: list[str]) -> list[Operation[Any]]:
    """Them, all of which are there."""
    return [client.operation(name) for name in names]


def _ended(operation: Operation[Any]) -> OperationStatus:
    """What is known of an operation when it has ended."""
    with shown(operation.name, "goes on") as report:
        while True:
            status = operation.status()
            report.status(status)
            if status.ended is not None:
                return status
            time.sleep(POLL_SECONDS)


def _facts(status: OperationStatus) -> dict[str, Any]:
    facts = asdict(status)
    for name in _TIMES:
        facts[name] = facts[name].isoformat() if facts[name] else ""
    error = status.error
    facts["error"] = error and {"code": error.code, "reason": error.reason, "message": error.message}
    return facts


def _one_line(error: PenultError | None) -> str:
    return "" if error is None else " ".join(error.message.split())


def _row(status: OperationStatus) -> tuple[str, ...]:
    runs = status.ended is None
    return (
        status.name,
        status.analysis,
        f"{status.rows:,}",
        status.state,
        f"{status.stage}{percent(status)}" if runs and status.stage != status.state else "-",
        clock(status.seconds_left) if status.seconds_left is not None else "-",
        status.created.strftime("%Y-%m-%d %H:%M") if status.created else "-",
    )


def _print_json(told: Any) -> None:
    print(json.dumps(told, indent=1, ensure_ascii=False))
