"""Built-in texts to hold engines and precisions against each other: 500 sentences that differ a little or a lot."""

from __future__ import annotations

from itertools import product

_WHO = (
    "The ferry to the island",
    "My first bank",
    "This recipe",
    "The second half of the film",
    "Our new phone",
)
_DID = (
    "was late again",
    "surprised everybody",
    "cost far too much",
    "worked without a fault",
    "fell apart in a week",
)
_WHEN = ("on Monday", "in the end", "despite all promises", "as the reviews had said")
_SO = (
    "",
    ", and nobody cared",
    "; I want my money back!",
    ". Would I do it again? Of course, and I would tell my friends to come along.",
    ", which the woman at the desk explained to us twice, slowly, with drawings, while the queue behind us grew",
)

SENTENCES: tuple[str, ...] = tuple(f"{a} {b} {c}{d}" for a, b, c, d in product(_WHO, _DID, _WHEN, _SO))

_OTHERS = (
    "",
    "ok",
    "Größe: 42 — naïve café, 東京, ١٢٣",
    "a" * 60,
    " ".join(SENTENCES[::40]),
    " ".join(SENTENCES),
)
"""Nothing, one word, other scripts, no words, long, and longer than a usual model reads."""

TEXTS: tuple[str, ...] = _OTHERS + SENTENCES
