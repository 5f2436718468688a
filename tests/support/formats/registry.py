"""Every case of the corpus."""

from __future__ import annotations

from support.formats import keras_formats, tokens
from support.formats.case import Case

CASES: dict[str, Case] = {case.name: case for case in (*keras_formats.cases(), *tokens.CASES)}
"""Row and shape -> the case."""
