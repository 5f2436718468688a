"""The client. `_async` is the source; `scripts/unasync.py` makes `_sync` of it."""
