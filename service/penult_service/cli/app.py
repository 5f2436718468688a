"""`penult`: finds the command, runs it, and turns whatever went wrong into one line and an exit code.

Exit codes: 0 done; 1 refused or failed (a model that is not served, no server there); 2 usage or bad input;
3 done but for some rows (`penult embed`); 130 interrupted. PENULT_DEBUG=1 adds the traceback.

Nothing heavy is imported here or at the top of a command's module: `penult --help` is quick.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from penult_service import __version__
from penult_service.cli.exits import INTERRUPTED, USAGE, exit_code, explain

ROOM = "penult_service.cli"
# Command -> the module whose `register(app)` adds it. The order is that of `penult --help`.
COMMANDS = {
    "verify": "preparing",
    "prepare": "preparing",
    "tune": "tuning",
    "serve": "serve",
    "models": "models",
    "embed": "embed",
    "similarity": "scores.similarity",
    "neighbors": "scores.neighbors",
    "cluster": "clusters.cluster",
    "map": "maps.map",
    "maps": "maps.maps",
    "transform": "maps.transform",
    "assign": "clusters.assign",
    "grow": "clusters.assign",
    "clusters": "clusters.clusters",
    "duplicates": "scores.duplicates",
    "outliers": "scores.outliers",
    "uncertainty": "sampling.uncertainty",
    "upload": "datasets",
    "datasets": "datasets",
    "operations": "operations",
    "dropout": "sampling.dropout",
    "explain": "explaining.group",
    "convert": "convert",
    "train": "training.group",
}

# typer brings a click of its own in newer releases, so its errors are reached through typer.
UsageError: type[Exception] = typer.BadParameter.__mro__[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process' own) and return the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        code = _run(arguments or ["--help"])
        sys.stdout.flush()
        return code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except UsageError as error:
        told: str = error.format_message()  # type: ignore[attr-defined]
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help of a group of commands
            print(told, file=sys.stderr)
            return USAGE
        return _say(f"{told} (see {_help_of(error, arguments)})", USAGE)
    except BrokenPipeError:
        # The reader of our output has left, as `head` does: nothing to say, and nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the border of the program
        if os.environ.get("PENULT_DEBUG"):
            traceback.print_exc()
        return _say(explain(error), exit_code(error))


def _run(arguments: list[str]) -> int:
    command = typer.main.get_command(_build(arguments))
    result = command.main(args=arguments, prog_name="penult", standalone_mode=False)
    return result if isinstance(result, int) else 0


def _build(arguments: Sequence[str]) -> typer.Typer:
    """The application with the command asked for, or with all of them when none is (for `--help`)."""
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_penult)
    asked = next((word for word in arguments if not word.startswith("-")), "")
    modules = [COMMANDS[asked]] if asked in COMMANDS else dict.fromkeys(COMMANDS.values())
    for module in modules:
        import_module(f"{ROOM}.{module}").register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        print(f"penult {__version__}")
        raise typer.Exit


def _penult(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The embeddings in front of your text classifier's dropout: extracted, proved, served."""


def _help_of(error: Exception, arguments: Sequence[str]) -> str:
    """Of the command that the error is about, such as `penult explain lstm --help`."""
    asked = [word for word in arguments[:1] if word in COMMANDS]
    context = getattr(error, "ctx", None)
    path = context.command_path if context else " ".join(["penult", *asked])
    return f"{path} --help"


def _say(message: str, code: int) -> int:
    # One line, whatever a library wrote into its message.
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code
