"""The command line."""

from penult_service.cli.app import main

__all__ = ["main"]
