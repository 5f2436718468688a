"""The `penult` command as the base installation has it: the standard library alone.

With the packages of a command installed it hands over to `penult_service.cli`; without them it names the extra
that brings them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from penult_client._extras import extra_for, missing_extra
from penult_client._version import __version__

_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--version"]:
        print(f"penult {__version__}")
        return 0
    command = next((word for word in given if not word.startswith("-")), "")
    extra = missing_extra(command)
    if extra:
        what = f"penult {command}".strip()
        print(f"error: {what} needs more packages: pip install 'penult[{extra}]'", file=sys.stderr)
        return _USAGE
    try:
        cli = import_module("penult_service.cli.app")
    except ModuleNotFoundError as error:
        print(
            f"error: penult {command} needs the package {error.name}: pip install 'penult[{extra_for(command)}]'",
            file=sys.stderr,
        )
        return _USAGE
    code: int | None = cli.main(given)
    return code or 0
