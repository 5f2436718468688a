"""Texts of other people, made fit for a line of a picture; and numbers as people read them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

ELLIPSIS = "…"


def one_line(text: str) -> str:
    """The text without line breaks, control characters and halves of characters."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    line = " ".join(whole.split())
    return "".join(sign for sign in line if unicodedata.category(sign) != "Cc")


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters of the text, the last an ellipsis where something is missing."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + ELLIPSIS


def distinct(names: Sequence[str]) -> list[str]:
    """The names, numbered where they are equal: two labels that were shortened alike stay two."""
    total, seen, result = Counter(names), Counter[str](), []
    for name in names:
        seen[name] += 1
        result.append(name if total[name] == 1 else f"{name} ({seen[name]})")
    return result


def number(value: float) -> str:
    """Three digits; an exact zero as it is."""
    return "0" if value == 0 else f"{value:.3g}"


def percent(share: float) -> str:
    """A share as per cent, with a decimal where it is small."""
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"
