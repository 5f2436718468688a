"""The legend beside the panels of a picture: names with their counts, or a scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from penult_service.plots import fonts
from penult_service.plots.colours import GREYS, ONE_COLOUR, Key, key_of, placed_key, value_range
from penult_service.plots.maps.views import MapView, PlacedView
from penult_service.plots.words import distinct

SIZE = 8.5
INK, PALE = "#222222", "#666666"
# Inches: space before the legend, between its parts, the widest name, the height of a line at most.
BEFORE, BETWEEN, WIDEST, LINE = 0.2, 0.12, 2.3, 0.215
Beyond = Literal["neither", "both", "min", "max"]
SYMBOLS = {"circle": ("o", 6.0), "triangle": ("^", 6.8), "square": ("s", 5.4)}


class Paper(Protocol):
    """Where axes are put, in inches."""

    def axes(self, left: float, bottom: float, wide: float, high: float) -> Axes:
        """Axes at a place."""
        ...


@dataclass
class Legend:
    """What the colours stand for. `width` in inches is 0 when there is nothing to say."""

    key: Key | None
    scale: ScalarMappable | None
    heading: str
    height: float
    names: list[str] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)
    beyond: Beyond = "neither"
    width: float = 0.0
    # Of new rows on a map: (what, how many, sign) below the rest.
    parts: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def draw(self, paper: Paper, left: float, bottom: float) -> None:
        """Put it at a place; it is as high as the panels."""
        below = LINE * (len(self.parts) + 0.5) if self.parts else 0.0
        if self.scale is not None:
            self._draw_scale(paper, left + BEFORE, bottom + below, self.height - below)
        elif self.key is not None:
            high = self.height - below
            self._draw_names(paper.axes(left + BEFORE, bottom + below, self.width - BEFORE, high), high)
        if self.parts:
            self._draw_parts(paper.axes(left + BEFORE, bottom, self.width - BEFORE, below), below)

    def _draw_parts(self, axes: Axes, high: float) -> None:
        _clear(axes, self.width - BEFORE, high)
        text: dict[str, Any] = {"va": "center", "parse_math": False, "fontproperties": fonts.font(SIZE)}
        for place, (name, count, sign) in enumerate(self.parts):
            y = high - (len(self.parts) - place - 0.5) * LINE
            axes.add_line(Line2D([0.07], [y], marker="o", linestyle="none", **sign))
            axes.text(0.2, y, name, color=INK, **text)
            axes.text(self.width - BEFORE, y, count, color=PALE, ha="right", **text)

    def _draw_names(self, axes: Axes, high: float) -> None:
        assert self.key is not None
        _clear(axes, self.width - BEFORE, high)
        lines = len(self.names) + bool(self.heading)
        step = min(LINE, high / max(lines, 1))
        text: dict[str, Any] = {"va": "center", "parse_math": False}
        if self.heading:
            axes.text(
                0, step / 2, self.heading, fontproperties=fonts.font(SIZE, bold=True), color=INK, **text
            )
        for place, entry in enumerate(self.key.entries):
            y = (place + bool(self.heading) + 0.5) * step
            sign, size = SYMBOLS[entry.marker]
            colour: dict[str, Any] = {"markerfacecolor": entry.colour, "markeredgecolor": "none"}
            axes.add_line(Line2D([0.07], [y], marker=sign, markersize=size, linestyle="none", **colour))
            grey = entry.kind != "named"
            ink = PALE if grey else INK
            axes.text(0.2, y, self.names[place], fontproperties=fonts.font(SIZE), color=ink, **text)
            if self.counts:
                style: dict[str, Any] = {"fontproperties": fonts.font(SIZE), "color": PALE, "ha": "right"}
                axes.text(self.width - BEFORE, y, self.counts[place], **style, **text)

    def _draw_scale(self, paper: Paper, left: float, bottom: float, high: float) -> None:
        assert self.scale is not None
        axes = paper.axes(left, bottom, 0.16, high - 0.3 * bool(self.heading))
        bar = Colorbar(axes, self.scale, extend=self.beyond, extendfrac=0.03)
        bar.outline.set_visible(False)
        for tick in axes.get_yticklabels():
            tick.set_fontproperties(fonts.font(SIZE))
        axes.tick_params(length=2, color=PALE, labelcolor=INK)
        if self.heading:
            above = paper.axes(left, bottom + high - 0.3, self.width - BEFORE, 0.3)
            above.set_axis_off()
            style: dict[str, Any] = {"fontproperties": fonts.font(SIZE, bold=True), "color": INK}
            above.text(0, 0.65, self.heading, va="center", parse_math=False, **style)


def legend_of(views: Sequence[MapView], height: float) -> Legend:
    """The legend that all the views share, as high as a panel."""
    heading = next((view.legend for view in views if view.legend), "")
    title = fonts.fitted(fonts.drawable(heading), fonts.font(SIZE, bold=True), WIDEST)
    ends = value_range(views)
    if ends is not None:
        scale = ScalarMappable(Normalize(*ends, clip=True), "viridis")
        wide = max(0.75, fonts.width(title, fonts.font(SIZE, bold=True)))
        return Legend(None, scale, title, height, beyond=_beyond(views, ends), width=BEFORE + wide)
    key = key_of(views)
    legend = Legend(key, None, title, height)
    # Two maps of other rows have other counts, and one list cannot tell both.
    return _named(legend, told=key is not None and key.equal_counts)


def placed_legend(view: PlacedView, height: float) -> Legend:
    """The legend of new rows on a map: counts of the new rows, and what is new, far and was there before."""
    if value_range([view.new]) is not None:
        legend = legend_of([view.new], height)
    else:
        heading = fonts.fitted(fonts.drawable(view.new.legend), fonts.font(SIZE, bold=True), WIDEST)
        legend = _named(Legend(placed_key(view), None, heading, height), told=True)
    plain = fonts.font(SIZE)
    colour = INK if legend.key is not None or legend.scale is not None else ONE_COLOUR[0]
    signs: dict[str, dict[str, Any]] = {
        "new rows": {"markerfacecolor": colour, "markeredgecolor": "none", "markersize": 6.0},
        "new, far from all": {"markerfacecolor": "none", "markeredgecolor": colour, "markersize": 5.5},
        "on the map before": {"color": GREYS["before"][0], "markeredgecolor": "none", "markersize": 4.5},
    }
    legend.parts = [(name, f"{count:,}", signs[name]) for name, count in view.told()]
    widths = [fonts.width(name, plain) + fonts.width(count, plain) for name, count, _ in legend.parts]
    legend.width = max(legend.width, BEFORE + 0.2 + BETWEEN + max(widths))
    return legend


def _clear(axes: Axes, wide: float, high: float) -> None:
    """Axes that are measured in inches from the upper left corner."""
    axes.set_axis_off()
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)


def _named(legend: Legend, *, told: bool) -> Legend:
    """The legend with its names and, where they are `told`, its counts."""
    key, title = legend.key, legend.heading
    if key is None:
        return legend
    plain = fonts.font(SIZE)
    legend.names = distinct(
        [fonts.fitted(fonts.drawable(entry.name), plain, WIDEST) for entry in key.entries]
    )
    legend.counts = [f"{entry.count:,}" for entry in key.entries] if told else []
    names, counts = (
        max((fonts.width(x, plain) for x in texts), default=0.0) for texts in (legend.names, legend.counts)
    )
    inner = 0.2 + names + (BETWEEN + counts if counts else 0.0)
    legend.width = BEFORE + max(inner, fonts.width(title, fonts.font(SIZE, bold=True)))
    return legend


def _beyond(views: Sequence[MapView], ends: tuple[float, float]) -> Beyond:
    """Which ends of the scale stand for farther values too."""
    given = [view.values for view in views if view.values is not None]
    below = any((values < ends[0]).any() for values in given)
    above = any((values > ends[1]).any() for values in given)
    if below and above:
        return "both"
    return "min" if below else "max" if above else "neither"
