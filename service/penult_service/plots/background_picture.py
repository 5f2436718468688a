"""What scores are usual, as a picture: those of random pairs, with the scores that were asked for among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.plots import fonts
from penult_service.plots.drawing import DPI, file_of, own_style
from penult_service.plots.themes import LIGHT, Theme
from penult_service.plots.words import counted, percent

ENDINGS = (".png", ".svg")
# Inches.
WIDE, HIGH, EDGE, LINE = 5.6, 2.1, 0.14, 0.2
SIZE = 9.0
BINS = 60
# More scores than these are drawn as a histogram of their own.
MOST_MARKED = 6


@dataclass(frozen=True, eq=False)
class BackgroundView:
    """Scores of random pairs, and those that were asked for.

    Attributes:
        quantiles: float64 [q], ascending: what equal steps of the pairs do not exceed.
        pairs: How many pairs.
        metric: Of the scores.
        scores: float [m], those asked for; not finite ones are left out.
        percentiles: float [m], share of the pairs that are less alike, 0 to 100.
        names: What the scores are of; empty: they have no names.
        title: Above the picture.
        asked: How many scores were asked for, of which these are a sample; 0: they are all.

    Raises:
        InvalidInput: fewer than two quantiles, or shapes that do not fit each other.
    """

    quantiles: NDArray[np.float64]
    pairs: int
    metric: str
    scores: NDArray[np.floating[Any]]
    percentiles: NDArray[np.floating[Any]]
    names: Sequence[str] = ()
    title: str = ""
    asked: int = 0

    def __post_init__(self) -> None:
        if len(self.quantiles) < 2 or np.any(np.diff(self.quantiles) < 0):
            raise InvalidInput("quantiles are at least two numbers, ascending", reason="WRONG_SHAPE")
        if len(self.scores) != len(self.percentiles) or len(self.names) not in (0, len(self.scores)):
            raise InvalidInput("scores, percentiles and names are one each", reason="WRONG_SHAPE")


def picture(view: BackgroundView, kind: str, theme: Theme = LIGHT) -> bytes:
    """The picture as a file of the kind `png` or `svg`."""
    with own_style():
        return file_of(figure(view, theme), kind, view.title or "usual scores")


def told(view: BackgroundView) -> str:
    """What is usual, in words."""
    low, middle, high = np.interp((0.05, 0.5, 0.95), np.linspace(0, 1, len(view.quantiles)), view.quantiles)
    return (
        f"{counted(view.pairs, 'random pair')}: median {middle:.3f}, nine of ten from {low:.3f} to {high:.3f}"
    )


def figure(view: BackgroundView, theme: Theme) -> Figure:
    """Call it inside `own_style`."""
    bold, small = fonts.font(11, bold=True), fonts.font(SIZE)
    title = fonts.wrapped(fonts.drawable(view.title), bold, WIDE - 2 * EDGE, 2)
    caption = fonts.wrapped(fonts.drawable(told(view)), small, WIDE - 2 * EDGE, 2)
    marked = _marked(view)
    above = EDGE + 1.25 * LINE * len(title) + LINE * len(caption) + 0.15
    high = above + LINE * len(marked) + HIGH + 0.5
    drawn = Figure(figsize=(WIDE, high), dpi=DPI, facecolor=theme.paper)
    FigureCanvasAgg(drawn)
    down = EDGE
    for lines, font, ink, step in ((title, bold, theme.ink, 1.25), (caption, small, theme.pale, 1.0)):
        for line in lines:
            style: dict[str, Any] = {
                "va": "center",
                "parse_math": False,
                "fontproperties": font,
                "color": ink,
            }
            drawn.text(EDGE / WIDE, 1 - (down + step * LINE / 2) / high, line, **style)
            down += step * LINE
    down += 0.1
    for place, (_, words) in enumerate(marked):
        _sign(drawn, words, down + (place + 0.5) * LINE, theme.hues[place % len(theme.hues)], theme.ink)
    box = (0.2 / WIDE, 0.5 / high, 1 - 0.4 / WIDE, HIGH / high)
    _draw(drawn.add_axes(box, facecolor="none"), view, marked, theme)
    return drawn


def _sign(drawn: Figure, words: str, middle: float, colour: str, ink: str) -> None:
    """A line of words behind the colour of the score that they are about."""
    high = float(drawn.get_size_inches()[1])
    up, font = 1 - middle / high, fonts.font(SIZE)
    line = ([EDGE / WIDE, (EDGE + 0.2) / WIDE], [up, up])
    drawn.add_artist(Line2D(*line, color=colour, linewidth=2, transform=drawn.transFigure))
    told = fonts.fitted(fonts.drawable(words), font, WIDE - 2 * EDGE - 0.28)
    style: dict[str, Any] = {"va": "center", "parse_math": False, "fontproperties": font, "color": ink}
    drawn.text((EDGE + 0.28) / WIDE, up, told, **style)


def _marked(view: BackgroundView) -> list[tuple[float, str]]:
    """The scores that get a line of their own with words, the largest first; none when there are many."""
    scores = np.asarray(view.scores, np.float64)
    there = np.flatnonzero(np.isfinite(scores))
    if len(there) > MOST_MARKED:
        return []
    found = []
    for place in there[np.argsort(-scores[there], kind="stable")]:
        name = f": {view.names[place]}" if view.names else ""
        share = percent(float(view.percentiles[place]) / 100)
        found.append(
            (float(scores[place]), f"{scores[place]:.3f}, more alike than {share} of random pairs{name}")
        )
    return found


def _draw(axes: Axes, view: BackgroundView, marked: list[tuple[float, str]], theme: Theme) -> None:
    scores = np.asarray(view.scores, np.float64)
    scores = scores[np.isfinite(scores)]
    low, high = _ends(view, scores)
    edges = np.linspace(low, high, BINS + 1)
    shares = np.diff(_below(view.quantiles, edges))
    grey: dict[str, Any] = {"facecolor": theme.pale, "alpha": 0.45}
    axes.stairs(shares, edges, fill=True, edgecolor="none", **grey)
    top = float(shares.max())
    if len(scores) and not marked:
        own = np.histogram(np.clip(scores, low, high), edges)[0] / len(scores)
        axes.stairs(own, edges, fill=False, edgecolor=theme.hues[3], linewidth=1.6)
        top = max(top, float(own.max()))
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1.08 * top)
    for place, (score, _) in enumerate(marked):
        axes.axvline(score, color=theme.hues[place % len(theme.hues)], linewidth=1.8)
    _finish(axes, view, theme, many=0 if marked else view.asked or len(scores))


def _ends(view: BackgroundView, scores: NDArray[np.float64]) -> tuple[float, float]:
    """What is shown: all pairs but a few far ones, and all scores asked for."""
    usual = np.interp((0.001, 0.999), np.linspace(0, 1, len(view.quantiles)), view.quantiles)
    low, high = min([float(usual[0]), *scores.tolist()]), max([float(usual[1]), *scores.tolist()])
    room = 0.04 * (high - low) or 0.05
    return low - room, high + room


def _below(quantiles: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the pairs below each edge; of scores that many pairs have, all that have them."""
    shares = np.linspace(0, 1, len(quantiles))
    known, first = np.unique(quantiles, return_index=True)
    last = np.append(first[1:], len(quantiles)) - 1
    return np.asarray(np.interp(edges, known, shares[last], left=0.0, right=1.0))


def _finish(axes: Axes, view: BackgroundView, theme: Theme, many: int) -> None:
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.line)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(length=2.5, color=theme.line, labelcolor=theme.pale)
    outlined = f"; outlined: the {many:,} scores asked for" if many else ""
    words = f"{view.metric} of random pairs (grey){outlined}"
    axes.set_xlabel(words, labelpad=3, color=theme.pale, fontproperties=fonts.font(SIZE))
    for tick in axes.get_xticklabels():
        tick.set_fontproperties(fonts.font(SIZE - 0.5))
