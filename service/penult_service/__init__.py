"""The Penult server and its core."""

__version__ = "0.1.0"
