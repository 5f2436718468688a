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
from penult_service.plots.colours import Key, key_of, value_range
from penult_service.plots.views import MapView
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

    def draw(self, paper: Paper, left: float, bottom: float) -> None:
        """Put it at a place; it is as high as the panels."""
        if self.scale is not None:
            self._draw_scale(paper, left + BEFORE, bottom)
        elif self.key is not None:
            self._draw_names(paper.axes(left + BEFORE, bottom, self.width - BEFORE, self.height))

    def _draw_names(self, axes: Axes) -> None:
        assert self.key is not None
        axes.set_axis_off()
        axes.set_xlim(0, self.width - BEFORE)
        axes.set_ylim(self.height, 0)
        lines = len(self.names) + bool(self.heading)
        step = min(LINE, self.height / max(lines, 1))
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

    def _draw_scale(self, paper: Paper, left: float, bottom: float) -> None:
        assert self.scale is not None
        axes = paper.axes(left, bottom, 0.16, self.height - 0.3 * bool(self.heading))
        bar = Colorbar(axes, self.scale, extend=self.beyond, extendfrac=0.03)
        bar.outline.set_visible(False)
        for tick in axes.get_yticklabels():
            tick.set_fontproperties(fonts.font(SIZE))
        axes.tick_params(length=2, color=PALE, labelcolor=INK)
        if self.heading:
            above = paper.axes(left, bottom + self.height - 0.3, self.width - BEFORE, 0.3)
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
    if key is None:
        return legend
    plain = fonts.font(SIZE)
    legend.names = distinct(
        [fonts.fitted(fonts.drawable(entry.name), plain, WIDEST) for entry in key.entries]
    )
    # Two maps of other rows have other counts, and one list cannot tell both.
    legend.counts = [f"{entry.count:,}" for entry in key.entries] if key.equal_counts else []
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
