# Made from ../_async/__init__.py by scripts/unasync.py; change that one.
"""The client. `_async` is the source; `scripts/unasync.py` makes `_sync` of it."""
