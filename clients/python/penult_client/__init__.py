"""The Python client of Penult."""
