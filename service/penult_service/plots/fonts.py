"""Text that Matplotlib can draw without a warning, whatever the text and whatever fonts there are."""

from __future__ import annotations

import unicodedata
from functools import cache

from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font

from penult_service.plots.words import ELLIPSIS, one_line

# Drawn where no font has the character.
MISSING = "□"
_FIRST = "DejaVu Sans"  # comes with Matplotlib
# Where the fonts of other scripts are usually found; those that are there are asked in this order.
_OTHERS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR",
    "Source Han Sans", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic",
    "Malgun Gothic", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "IPAexGothic", "Droid Sans Fallback",
    "Arial Unicode MS", "Noto Sans", "Noto Sans Devanagari", "Noto Sans Thai", "Nirmala UI", "Leelawadee UI",
    "Noto Emoji", "Symbola",
)  # fmt: skip


@cache
def families() -> tuple[str, ...]:
    """The fonts to draw with: only those that are installed, since a missing one is a warning."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return (_FIRST, *(name for name in _OTHERS if name in installed))


@cache
def _covered() -> frozenset[int]:
    """Code points that one of the fonts can draw."""
    paths = (font_manager.findfont(FontProperties(family=[name])) for name in families())
    return frozenset(point for path in paths for point in FT2Font(path).get_charmap())


def drawable(text: str) -> str:
    """The text in a line, composed, with a box for each character that no font has.

    What is only a mark on its neighbour (joiners, variation selectors, accents) is left out instead.
    """
    signs = []
    for sign in unicodedata.normalize("NFC", one_line(text)):
        if ord(sign) in _covered():
            signs.append(sign)
        elif unicodedata.category(sign) not in ("Cf", "Mn", "Me"):
            signs.append(MISSING)
    return "".join(signs)


def font(size: float, *, bold: bool = False) -> FontProperties:
    """The font at a size in points."""
    return FontProperties(family=list(families()), size=size, weight="bold" if bold else "normal")


def width(text: str, properties: FontProperties) -> float:
    """How wide the text is, in inches."""
    return float(_ruler().get_text_width_height_descent(text, properties, False)[0]) / _ruler().dpi


def fitted(text: str, properties: FontProperties, inches: float) -> str:
    """The text, shortened with an ellipsis where it is wider."""
    if width(text, properties) <= inches:
        return text
    short, long = 0, min(len(text), 400)
    while long - short > 1:
        middle = (short + long) // 2
        if width(text[:middle] + ELLIPSIS, properties) <= inches:
            short = middle
        else:
            long = middle
    return text[:short].rstrip() + ELLIPSIS


def wrapped(text: str, properties: FontProperties, inches: float, lines: int) -> list[str]:
    """The text in at most so many lines; the last is shortened when that is too few.

    What stands between two dots ( · ) stays together where it fits.
    """
    done: list[str] = []
    parts = [part + " ·" for part in text.split(" · ")] if text else []
    parts[-1:] = [part.removesuffix(" ·") for part in parts[-1:]]
    rest = [
        word for part in parts for word in ([part] if width(part, properties) <= inches else part.split())
    ]
    while rest and len(done) < lines - 1:
        count = 1
        while count < len(rest) and width(" ".join(rest[: count + 1]), properties) <= inches:
            count += 1
        done.append(fitted(" ".join(rest[:count]).removesuffix(" ·"), properties, inches))
        rest = rest[count:]
    return [*done, fitted(" ".join(rest), properties, inches)] if rest else done


@cache
def _ruler() -> RendererAgg:
    return FigureCanvasAgg(Figure(dpi=200)).get_renderer()
