"""Ways to learn events with times, beside baselines, as a picture (.png, .svg): a panel for each figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from penult_service.errors import InvalidInput
from penult_service.plots import fonts
from penult_service.plots.drawing import DPI, file_of, own_style
from penult_service.plots.themes import LIGHT, Theme

# Inches.
PANEL, ROW, EDGE, LINE, NAMES, GAP, BELOW = 2.9, 0.3, 0.16, 0.2, 1.5, 0.35, 0.55
SIZE = 9.0
DASHES = ("--", ":", "-.")
FAR = 2.0  # times what is shown already: a baseline further off is named at the edge


@dataclass(frozen=True)
class Panel:
    """A figure: `bars` are names with a value for each seed, `lines` baselines; `percent`: shares of 1."""

    title: str
    bars: Sequence[tuple[str, Sequence[float]]]
    lines: Sequence[tuple[str, float]]
    percent: bool = False


@dataclass(frozen=True)
class EventsView:
    """Panels of the same variants, a title, a caption whose parts stand between dots ( · ).

    Raises:
        InvalidInput: no panel, no variant, or panels of different ones.
    """

    panels: Sequence[Panel]
    title: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        names = [[name for name, _ in panel.bars] for panel in self.panels]
        if not names or not names[0] or any(other != names[0] for other in names):
            raise InvalidInput("the panels are of the same variants, at least one", reason="WRONG_SHAPE")


def picture(view: EventsView, kind: str, theme: Theme = LIGHT) -> bytes:
    """The picture as a file of the kind `png` or `svg`."""
    with own_style():
        return file_of(_figure(view, theme), kind, view.title or "events")


def _figure(view: EventsView, theme: Theme) -> Figure:
    wide = EDGE + NAMES + len(view.panels) * (PANEL + GAP) + EDGE
    bold, small = fonts.font(11, bold=True), fonts.font(SIZE)
    title = fonts.wrapped(fonts.drawable(view.title), bold, wide - 2 * EDGE, 2)
    caption = fonts.wrapped(fonts.drawable(view.caption), small, wide - 2 * EDGE, 3)
    most = max(len(panel.lines) for panel in view.panels)
    above = EDGE + 1.3 * LINE * len(title) + LINE * (most + 1.6)
    high = ROW * len(view.panels[0].bars)
    tall = above + high + BELOW + LINE * len(caption) + EDGE
    figure = Figure(figsize=(wide, tall), dpi=DPI, facecolor=theme.paper)
    FigureCanvasAgg(figure)

    def word(text: str, left: float, down: float, properties: Any, colour: str) -> None:
        style: dict[str, Any] = {"va": "center", "parse_math": False, "fontproperties": properties}
        figure.text(left / wide, 1 - down / tall, text, color=colour, **style)

    for number, line in enumerate(title):
        word(line, EDGE, EDGE + (number + 0.5) * 1.3 * LINE, bold, theme.ink)
    for number, line in enumerate(caption):
        word(line, EDGE, above + high + BELOW + (number + 0.5) * LINE, small, theme.pale)
    for number, (name, _) in enumerate(view.panels[0].bars):
        named = fonts.fitted(fonts.drawable(name), small, NAMES - 0.1)
        word(named, EDGE, above + (number + 0.5) * ROW, small, theme.ink)
    for number, panel in enumerate(view.panels):
        left = EDGE + NAMES + number * (PANEL + GAP)
        axes = figure.add_axes(
            (left / wide, 1 - (above + high) / tall, PANEL / wide, high / tall), facecolor="none"
        )
        _draw(axes, panel, theme)
        word(
            panel.title, left, above - LINE * (len(panel.lines) + 0.9), fonts.font(SIZE, bold=True), theme.ink
        )
        for place, (name, value) in enumerate(panel.lines):
            least, largest = axes.get_xlim()
            sign = "←" if value < least else "→" if value > largest else DASHES[place % 3]
            told = f"{sign}  {name}: {_said(value, panel.percent)}"
            word(told, left, above - LINE * (len(panel.lines) - place - 0.4), small, theme.pale)
    return figure


def _said(value: float, percent: bool) -> str:
    return f"{100 * value:.2f} %" if percent else f"{value:.2f}"


def _ends(panel: Panel) -> tuple[float, float]:
    """What is shown: every seed, the nearest baseline, and others that are not far beyond it."""
    values = [value for _, each in panel.bars for value in each]
    low, high = min(values), max(values)
    reach = 0.0
    for value in sorted((value for _, value in panel.lines), key=lambda one: max(low - one, one - high)):
        beyond = max(low - value, value - high)
        if reach and beyond > FAR * reach:
            break
        reach = max(reach, high - low, beyond)
        low, high = min(low, value), max(high, value)
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _draw(axes: Axes, panel: Panel, theme: Theme) -> None:
    """A dot for each seed and a mark for their mean; baselines are lines across all."""
    low, high = _ends(panel)
    for place, (_, each) in enumerate(panel.bars):
        colour = theme.hues[place % len(theme.hues)]
        axes.plot(each, [place] * len(each), "o", color=colour, ms=5, alpha=0.55, markeredgewidth=0)
        axes.plot([sum(each) / len(each)], [place], "|", color=colour, ms=15, markeredgewidth=2.2)
    for place, (_, value) in enumerate(panel.lines):
        axes.axvline(value, color=theme.pale, linewidth=1.2, linestyle=DASHES[place % 3])
    axes.set_xlim(low, high)
    axes.set_ylim(len(panel.bars) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(axis="x", color=theme.line, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{100 * value:g} %" if panel.percent else f"{value:g}")
    )
    axes.tick_params(length=2.5, color=theme.line, labelcolor=theme.pale)
    for tick in axes.get_xticklabels():
        tick.set_fontproperties(fonts.font(SIZE - 0.5))
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.line)
