"""Which extra a command of `penult` needs. Standard library alone."""

from __future__ import annotations

from importlib.util import find_spec

# The packages by which an extra is known to be there. TensorFlow is left out of `server`: whether a model needs
# it is the server's own question.
_PACKAGES = {
    "cli": ("typer", "rich", "pyarrow"),
    "server": ("typer", "grpc_health", "pydantic_settings"),
}
_SERVER_COMMANDS = frozenset({"serve", "prepare", "verify", "convert", "train", "explain"})


def extra_for(command: str) -> str:
    """The extra that holds what the command needs."""
    return "server" if command in _SERVER_COMMANDS else "cli"


def missing_extra(command: str) -> str:
    """The extra to install for the command, or empty when its packages are there."""
    extra = extra_for(command)
    return extra if any(find_spec(package) is None for package in _PACKAGES[extra]) else ""
