"""Whether probabilities are what they say: accuracy by confidence, and the entropy of right and wrong predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.plots import fonts
from penult_service.plots.drawing import DPI, file_of, own_style
from penult_service.plots.themes import LIGHT, Theme

ENDINGS = (".png", ".svg")
# Inches.
PANEL, HIGH, STRIP, LEFT, GAP, EDGE, LINE = 3.5, 3.1, 0.62, 0.62, 0.72, 0.14, 0.2
SIZE = 9.0
RIGHT, WRONG = 0, 3
# The two-sided 95 % quantile of the normal distribution.
Z = 1.96
ENTROPY_BINS = 24


@dataclass(frozen=True, eq=False)
class ReliabilityView:
    """What is drawn.

    Attributes:
        counts: int [b], rows in each of b equal bins of confidence from 0 to 1.
        confidence, accuracy: float [b], mean confidence and share of right predictions; not looked at in empty bins.
        ece: Expected calibration error.
        entropy: float [n], in nats.
        right: bool [n], whether the prediction is the label.
        auroc: Of entropy for wrong against right predictions; None where one of them is not there.
        classes: How many there are.
        title, caption: Above and below; parts of the caption stand between dots ( · ).

    Raises:
        InvalidInput: shapes that do not fit each other, or no rows.
    """

    counts: NDArray[np.integer[Any]]
    confidence: NDArray[np.floating[Any]]
    accuracy: NDArray[np.floating[Any]]
    ece: float
    entropy: NDArray[np.floating[Any]]
    right: NDArray[np.bool_]
    auroc: float | None
    classes: int
    title: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        if not len(self.counts) == len(self.confidence) == len(self.accuracy):
            raise InvalidInput("counts, confidence and accuracy are one a bin", reason="WRONG_SHAPE")
        if len(self.entropy) != len(self.right) or len(self.right) != np.sum(self.counts):
            raise InvalidInput(
                f"{np.sum(self.counts)} rows in bins, but {len(self.entropy)} entropies and {len(self.right)} outcomes",
                reason="WRONG_SHAPE",
            )
        if not len(self.right):
            raise InvalidInput("there is no labelled row to draw", reason="NO_ROWS")


def picture(view: ReliabilityView, kind: str, theme: Theme = LIGHT) -> bytes:
    """The picture as a file of the kind `png` or `svg`."""
    with own_style():
        return file_of(_figure(view, theme), kind, view.title or "reliability")


def wilson(right: NDArray[np.floating[Any]], rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Ends [2, b] of the 95 % interval of a share, `right` of `rows` (Wilson 1927, Probable Inference)."""
    share, z2 = right / rows, Z * Z / rows
    half = Z * np.sqrt(share * (1 - share) / rows + z2 / (4 * rows))
    return np.clip(np.stack([share + z2 / 2 - half, share + z2 / 2 + half]) / (1 + z2), 0.0, 1.0)


def _figure(view: ReliabilityView, theme: Theme) -> Figure:
    wide = LEFT + PANEL + GAP + PANEL + EDGE
    bold, small = fonts.font(11, bold=True), fonts.font(SIZE)
    title = fonts.wrapped(fonts.drawable(view.title), bold, wide - 2 * EDGE, 2)
    caption = fonts.wrapped(fonts.drawable(view.caption), small, wide - 2 * EDGE, 3)
    above, below = EDGE + 1.2 * LINE * len(title) + 1.5 * LINE, 0.5 + LINE * len(caption) + EDGE
    figure = Figure(figsize=(wide, above + HIGH + below), dpi=DPI, facecolor=theme.paper)
    FigureCanvasAgg(figure)
    paper = _Paper(figure, theme)
    for number, line in enumerate(title):
        paper.word(line, EDGE, EDGE + (number + 0.5) * 1.2 * LINE, theme.ink, bold)
    for number, line in enumerate(caption):
        paper.word(line, EDGE, above + HIGH + 0.5 + (number + 0.5) * LINE, theme.pale, small)
    heading = above - 0.8 * LINE
    paper.word(f"Right predictions by confidence: ECE {view.ece:.3f}", LEFT, heading, theme.ink, small)
    _draw_reliability(paper, view, above)
    other = LEFT + PANEL + GAP
    told = "" if view.auroc is None else f": AUROC {view.auroc:.3f}"
    paper.word(f"Entropy of wrong and right predictions{told}", other, heading, theme.ink, small)
    _draw_entropy(paper, view, other, above)
    return figure


class _Paper:
    """A figure that is laid out in inches from its upper left corner."""

    def __init__(self, figure: Figure, theme: Theme) -> None:
        self._figure, self.theme = figure, theme
        self._wide, self._high = (float(side) for side in figure.get_size_inches())

    def axes(self, left: float, top: float, wide: float, high: float) -> Axes:
        """Axes at a place."""
        box = (left / self._wide, 1 - (top + high) / self._high, wide / self._wide, high / self._high)
        axes = self._figure.add_axes(box, facecolor="none")
        axes.tick_params(length=2.5, color=self.theme.line, labelcolor=self.theme.pale)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(self.theme.line)
        axes.grid(axis="y", color=self.theme.line, linewidth=0.6)
        axes.set_axisbelow(True)
        return axes

    def word(self, words: str, left: float, middle: float, colour: str, properties: Any) -> None:
        """A line of words."""
        style = {"va": "center", "parse_math": False, "fontproperties": properties}
        self._figure.text(left / self._wide, 1 - middle / self._high, words, color=colour, **style)

    def key(self, sign: str, colour: str, words: str, left: float, top: float) -> None:
        """A line that says what a sign stands for."""
        self.word(sign, left, top + LINE / 2, colour, fonts.font(SIZE))
        self.word(words, left + 0.2, top + LINE / 2, self.theme.ink, fonts.font(SIZE))

    def name(self, axes: Axes, across: str, up: str) -> None:
        """Names of the axes, and fonts of their numbers."""
        style: dict[str, Any] = {"fontproperties": fonts.font(SIZE), "color": self.theme.pale}
        axes.set_xlabel(across, labelpad=3, **style)
        axes.set_ylabel(up, labelpad=4, **style)
        for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            tick.set_fontproperties(fonts.font(SIZE - 0.5))


def _draw_reliability(paper: _Paper, view: ReliabilityView, top: float) -> None:
    """A dot a bin with its interval, the diagonal, and how many rows there are in a strip below."""
    theme, upper = paper.theme, HIGH - STRIP - 0.1 - 2 * LINE
    colour = theme.hues[RIGHT]
    paper.key("●", colour, "a bin, larger where there are more rows; line: 95 % interval", LEFT, top)
    paper.key("╌", theme.pale, "where they are as often right as they say", LEFT, top + LINE)
    top += 2 * LINE
    axes = paper.axes(LEFT, top, PANEL, upper)
    axes.plot([0, 1], [0, 1], color=theme.pale, linewidth=1.1, linestyle=(0, (4, 2)))
    there = np.flatnonzero(view.counts)
    rows, across = np.asarray(view.counts)[there], np.asarray(view.confidence)[there]
    up = np.asarray(view.accuracy)[there]
    low, high = wilson(up * rows, rows)
    axes.vlines(across, low, high, color=colour, linewidth=1.4, alpha=0.6, clip_on=False)
    area = np.clip(110 * rows / rows.max(), 12, None)
    axes.scatter(across, up, s=area, color=colour, zorder=3, linewidths=0, clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.05, 1.06)
    axes.set_xticklabels([])
    paper.name(axes, "", "share right")
    strip = paper.axes(LEFT, top + upper + 0.1, PANEL, STRIP)
    strip.stairs(view.counts, np.linspace(0, 1, len(view.counts) + 1), fill=True, color=theme.pale, alpha=0.6)
    strip.set_xlim(0, 1)
    strip.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    paper.name(strip, "confidence: mean probability of the predicted class", "rows")
    for each in (axes, strip):
        each.yaxis.set_label_coords(-0.125, 0.5)


def _draw_entropy(paper: _Paper, view: ReliabilityView, left: float, top: float) -> None:
    """Histograms of both, each as shares of its own rows."""
    theme = paper.theme
    axes = paper.axes(left, top + 2 * LINE, PANEL, HIGH - 2 * LINE)
    entropy = np.asarray(view.entropy, np.float64)
    far = max(np.log(max(view.classes, 2)), float(entropy.max()))
    edges = np.linspace(0, far, ENTROPY_BINS + 1)
    drawn = (("right", view.right, RIGHT, True), ("wrong", ~view.right, WRONG, False))
    for number, (name, chosen, hue, filled) in enumerate(drawn):
        rows, colour = int(np.sum(chosen)), theme.hues[hue]
        words = f"{name}: {rows:,} row{'s' * (rows != 1)}"
        if rows:
            shares = np.histogram(entropy[chosen], edges)[0] / rows
            style: dict[str, Any] = {"facecolor": colour, "alpha": 0.45} if filled else {"facecolor": "none"}
            axes.stairs(shares, edges, fill=filled, edgecolor=colour, linewidth=1.5, **style)
            words += f", median {np.median(entropy[chosen]):.3f}"
        paper.key("■" if filled else "□", colour, words, left, top + number * LINE)
    axes.set_xlim(0, far)
    axes.set_ylim(0, None)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    paper.name(axes, f"entropy in nats ({view.classes} classes: at most {np.log(view.classes):.2f})", "")
