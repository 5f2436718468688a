"""Texts for the experiments: short and long, empty, other scripts, and sentences that differ a little."""

from __future__ import annotations

from itertools import product

_SUBJECTS = ("the old projectionist", "my neighbour", "a tired crew", "this small bank", "the delivery app")
_VERBS = ("praised", "could not stand", "quietly repaired", "sold", "forgot about", "paid twice for")
_OBJECTS = ("the second film", "a broken card reader", "every seat by the window", "the refund we asked for")

SENTENCES: tuple[str, ...] = tuple(f"{s} {v} {o}" for s, v, o in product(_SUBJECTS, _VERBS, _OBJECTS))
"""120 sentences."""

MIXED: tuple[str, ...] = (
    "fine",
    "",
    "A film that is, against all odds, both funny and sad.",
    "Why was my card declined? It worked this morning!",
    "naïve café — Ünïcode, “quotes” and 日本語 or العربية",
    "x" * 80,
    " ".join(SENTENCES[:3]),
    " ".join(SENTENCES[3:7]),
    "free entry 2 a weekly comp, txt 87121 now!!!",
    " ".join(SENTENCES[:60]),
)
"""From nothing to far beyond the length of a usual model."""

ENDLESS = " ".join(["word"] * 2000)
"""Longer than a model takes."""
