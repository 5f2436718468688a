"""Texts of other people, made fit for a line of a picture; and numbers as people read them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

ELLIPSIS = "…"
LONGEST_NAME = 160


def one_line(text: str) -> str:
    """The text without line breaks, control characters and halves of characters."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    line = " ".join(whole.split())
    return "".join(sign for sign in line if unicodedata.category(sign) != "Cc")


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters of the text, the last an ellipsis where something is missing."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + ELLIPSIS


def said(text: str, longest: int = LONGEST_NAME) -> str:
    """Other people's words, in a line and not too long; what they mean to HTML or Markdown is another's task."""
    return shortened(one_line(text), longest)


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
    """A share as per cent, with a decimal where it is small: never 0 or 100 of what is neither."""
    value = 100 * share
    if 0 < value < 0.05:
        return "less than 0.001 %" if value < 0.001 else f"{value:.1g} %"
    if 99.5 <= value < 100:
        return f"{100 - float(f'{max(100 - value, 1e-3):.1g}'):g} %"
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"


def mean_of(value: float) -> str:
    """A mean of counts with a decimal; more where that would be 0 of what is not."""
    return f"{value:.1g}" if 0 < abs(value) < 0.05 else f"{value:.1f}"


def counted(count: int, what: str) -> str:
    """Such as `1 pass` and `2,000 passes`."""
    several = "es" if what.endswith(("s", "x", "ch")) else "s"
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}{several}"


def signed(value: float, digits: int = 3) -> str:
    """With so many decimals; what rounds to 0 has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"
