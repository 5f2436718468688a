"""How well columns of numbers are reconstructed, with them and without, as a picture (.png, .svg)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from penult_service.plots import fonts
from penult_service.plots.drawing import DPI, file_of, own_style
from penult_service.plots.reconstruction_view import Kind, ReconstructionView, figures
from penult_service.plots.themes import LIGHT, Theme

MOST_COLUMNS = 30
# Inches.
BARS, DOTS, NAMES, EDGE, LINE, GAP = 2.7, 4.2, 1.75, 0.16, 0.2, 0.35
SIZE = 9.0


def picture(view: ReconstructionView, kind: str, theme: Theme = LIGHT) -> bytes:
    """The picture as a file of the kind `png` or `svg`."""
    with own_style():
        return file_of(_figure(view, theme), kind, view.title or "reconstruction")


def _figure(view: ReconstructionView, theme: Theme) -> Figure:
    shown = _shown(view)
    wide = EDGE + NAMES + BARS + GAP + 1.1 + DOTS + EDGE
    bold, small = fonts.font(11, bold=True), fonts.font(SIZE)
    title = fonts.wrapped(fonts.drawable(view.title), bold, wide - 2 * EDGE, 2)
    caption = fonts.wrapped(fonts.drawable(view.caption), small, wide - 2 * EDGE, 3)
    row = 0.1 + 0.055 * len(view.kinds)
    high = max(row * len(shown), 0.5 * len(view.kinds), 1.6)
    above, below = EDGE + 1.25 * LINE * len(title) + 3.2 * LINE, 0.5 + LINE * len(caption) + EDGE
    tall = above + high + below
    figure = Figure(figsize=(wide, tall), dpi=DPI, facecolor=theme.paper)
    FigureCanvasAgg(figure)
    for place, line in enumerate(title):
        y = 1 - (EDGE + (place + 0.5) * 1.25 * LINE) / tall
        figure.text(EDGE / wide, y, line, fontproperties=bold, color=theme.ink, va="center")
    for place, line in enumerate(caption):
        y = 1 - (above + high + 0.5 + (place + 0.5) * LINE) / tall
        figure.text(EDGE / wide, y, line, fontproperties=small, color=theme.pale, va="center")
    lefts = (EDGE + NAMES, EDGE + NAMES + BARS + GAP + 1.1)
    panels = [
        figure.add_axes((left / wide, below / tall, width / wide, high / tall), facecolor="none")
        for left, width in zip(lefts, (BARS, DOTS), strict=True)
    ]
    _bars(panels[0], view, theme)
    _dots(panels[1], view, shown, theme)
    heads = (
        f"All columns: nothing missing, and {view.missing}",
        "Each column itself: there, and missing alone",
    )
    signs = ("pale bar: nothing missing · full bar: missing", "ring: it is there · dot: it alone is missing")
    for axes, words, sign in zip(panels, heads, signs, strict=True):
        x = EDGE / wide if axes is panels[0] else (lefts[1] - 1.1) / wide
        y = 1 - (above - 2.1 * LINE) / tall
        figure.text(x, y, fonts.drawable(words), fontproperties=small, color=theme.ink, va="center")
        figure.text(x, y - LINE / tall, sign, fontproperties=small, color=theme.pale, va="center")
    return figure


def _shown(view: ReconstructionView) -> list[int]:
    """Places of the columns that are drawn: all, or the chosen ones and then the first."""
    order = [*view.chosen, *(place for place in range(len(view.columns)) if place not in view.chosen)]
    return sorted(order[:MOST_COLUMNS])


def _colours(view: ReconstructionView, theme: Theme) -> list[str]:
    """A hue for each kind; of baselines greys."""
    greys, hues = [theme.pale, theme.ink], list(theme.hues)
    return [
        greys[index % 2] if kind.baseline else hues[index % len(hues)] for index, kind in _counted(view.kinds)
    ]


def _counted(kinds: Sequence[Kind]) -> list[tuple[int, Kind]]:
    """Each with its number among those of its own sort."""
    return [
        (sum(one.baseline == kind.baseline for one in kinds[:place]), kind)
        for place, kind in enumerate(kinds)
    ]


def _bars(axes: Axes, view: ReconstructionView, theme: Theme) -> None:
    small, colours = fonts.font(SIZE), _colours(view, theme)
    longest = max(float(view.without(kind).max()) for kind in view.kinds)
    for place, kind in enumerate(view.kinds):
        parts = (kind.clean.mean(axis=1), 0.35), (view.without(kind), 0.9)
        for side, (values, alpha) in enumerate(parts):
            y, mean = -place - 0.2 + 0.4 * (1 - side), float(values.mean())
            axes.barh(y, mean, height=0.36, color=colours[place], alpha=alpha, linewidth=0)
            if len(values) > 1:
                axes.hlines(y, values.min(), values.max(), color=theme.ink, linewidth=1.2)
            axes.text(max(mean, values.max()) + 0.02 * longest, y, figures(mean), va="center",
                      fontproperties=small, color=theme.ink)  # fmt: skip
        axes.text(-0.03, -place, fonts.fitted(kind.name, small, NAMES - 0.1), ha="right", va="center",
                  transform=axes.get_yaxis_transform(), fontproperties=small, color=theme.ink)  # fmt: skip
    _dress(axes, theme, "mean squared error, standardised")
    axes.set_xlim(0, 1.22 * longest)
    axes.set_ylim(-len(view.kinds) + 0.5, 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    _number_fonts(axes)


def _dots(axes: Axes, view: ReconstructionView, shown: Sequence[int], theme: Theme) -> None:
    colours, count = _colours(view, theme), len(view.kinds)
    for line, place in enumerate(shown):
        if line % 2:
            axes.axhspan(-line - 0.5, -line + 0.5, color=theme.line, alpha=0.35, linewidth=0)
        for index, kind in enumerate(view.kinds):
            y = -line + (0.36 - 0.72 * index / (count - 1) if count > 1 else 0)
            there, gone = float(kind.clean[:, place].mean()), float(kind.itself[:, place].mean())
            axes.hlines(y, *sorted((there, gone)), color=colours[index], linewidth=0.9, alpha=0.7)
            axes.plot(there, y, "o", ms=3.6, mfc=theme.paper, mec=colours[index], mew=0.9)
            axes.plot(gone, y, "o", ms=3.9, color=colours[index])
        properties = fonts.font(SIZE, bold=place in view.chosen)
        name = fonts.fitted(fonts.drawable(view.columns[place]), properties, 1.0)
        axes.text(-0.02, -line, name, ha="right", va="center", transform=axes.get_yaxis_transform(),
                  fontproperties=properties, color=theme.ink)  # fmt: skip
    more = len(view.columns) - len(shown)
    _dress(axes, theme, "mean squared error, standardised" + (f" ({more} more columns)" if more else ""))
    axes.axvline(1, color=theme.pale, linewidth=1.0, linestyle=(0, (4, 2)))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(-len(shown) + 0.5, 0.5)
    _number_fonts(axes)


def _dress(axes: Axes, theme: Theme, across: str) -> None:
    axes.set_yticks([])
    axes.tick_params(length=2.5, color=theme.line, labelcolor=theme.pale)
    axes.grid(axis="x", color=theme.line, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.line)
    axes.set_xlabel(across, fontproperties=fonts.font(SIZE), color=theme.pale, labelpad=3)


def _number_fonts(axes: Axes) -> None:
    for tick in axes.get_xticklabels():
        tick.set_fontproperties(fonts.font(SIZE - 0.5))
