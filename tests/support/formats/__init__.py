"""Tiny models in every format and shape that people save, each beside what it says of its inputs, computed by hand.

`registry.CASES` is the one list that the tests and `scripts/formats-report` go through. `building` runs the author's
code, in a process of its own; `opening` knows only what was written.
"""
