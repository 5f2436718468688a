"""The colours of a page in the light and in the dark, for pictures that stand on it."""

from __future__ import annotations

from dataclasses import dataclass

from penult_service.plots.colours import HUES, HUES_ON_DARK


@dataclass(frozen=True)
class Theme:
    """Words, words that matter less, lines, the page itself, and hues for what is drawn."""

    ink: str
    pale: str
    line: str
    paper: str
    hues: tuple[str, ...]
    dark: bool


LIGHT = Theme("#1d2126", "#59616d", "#d9dde3", "#ffffff", HUES, dark=False)
DARK = Theme("#e6e8eb", "#a2aab5", "#343941", "#14171b", HUES_ON_DARK, dark=True)
