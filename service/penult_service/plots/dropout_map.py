"""Where active dropout takes each row on the map: an arrow from its place without to that of the first pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from penult_service.plots import colours, fonts
from penult_service.plots.dropout_view import DropoutView, Effect, Floats
from penult_service.plots.map_picture import drawing_order
from penult_service.plots.themes import Theme
from penult_service.plots.views import MapView
from penult_service.plots.words import distinct

# Inches, and points.
EDGE, LINE = 0.05, 0.2
SIZE = 9.0


def map_view(view: DropoutView, places: Floats, title: str = "", caption: str = "") -> MapView:
    """Places of the rows as a map with their texts, in the colours of the report."""
    labels, legend = view.colours()
    return MapView(places, labels, view.texts, title, caption, legend=legend, noise=None)


def draw_map(view: DropoutView, effect: Effect, wide: float, theme: Theme) -> Figure:
    """A square of so many inches with a legend below it; the maps of all effects have one scale."""
    assert view.coordinates is not None
    assert effect.coordinates is not None
    legend = _Legend.of(view)
    high = wide + legend.height
    figure = Figure(figsize=(wide, high), facecolor=theme.paper)
    FigureCanvasAgg(figure)
    inner = wide - 2 * EDGE
    box = (EDGE / wide, (legend.height + EDGE) / high, inner / wide, inner / high)
    axes = figure.add_axes(box, facecolor="none")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(theme.line)
    before, after = (np.asarray(c, np.float64) for c in (view.coordinates, effect.coordinates))
    _frame(axes, [before, *(e.coordinates for e in view.effects if e.coordinates is not None)])
    order = drawing_order(len(before), None)
    axes.quiver(
        *before[order].T,
        *(after - before)[order].T,
        color=_paint(legend.key, len(view), theme)[order],
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.0036 if len(before) <= 300 else 0.0026,
        headwidth=3.6,
        headlength=4.2,
        headaxislength=3.8,
        minlength=0.6,
        alpha=float(np.interp(np.log10(max(len(before), 1)), (2, 4), (0.9, 0.5))),
    )
    legend.draw(figure, theme)
    return figure


@dataclass(frozen=True)
class _Legend:
    """Names of the colours, two in a line; `height` in inches is 0 without."""

    key: colours.Key | None
    heading: str
    height: float

    @classmethod
    def of(cls, view: DropoutView) -> _Legend:
        assert view.coordinates is not None
        shown = map_view(view, view.coordinates)
        key = colours.key_of([shown])
        lines = 0 if key is None else 1 + -(-len(key.entries) // 2)
        return cls(key, shown.legend, lines * LINE + EDGE if lines else 0.0)

    def draw(self, figure: Figure, theme: Theme) -> None:
        if self.key is None:
            return
        wide, high = figure.get_size_inches()
        axes = figure.add_axes((0, 0, 1, self.height / high))
        axes.set_axis_off()
        axes.set_xlim(0, wide)
        axes.set_ylim(self.height, 0)
        text: dict[str, Any] = {"va": "center", "parse_math": False}
        bold = fonts.font(SIZE, bold=True)
        heading = fonts.fitted(fonts.drawable(self.heading), bold, wide - 2 * EDGE)
        axes.text(EDGE, LINE / 2, heading, fontproperties=bold, color=theme.ink, **text)
        column = (wide - EDGE) / 2
        plain = fonts.font(SIZE)
        names = distinct(
            [fonts.fitted(fonts.drawable(entry.name), plain, column - 0.4) for entry in self.key.entries]
        )
        for place, (entry, name) in enumerate(zip(self.key.entries, names, strict=True)):
            left, y = EDGE + column * (place % 2), (place // 2 + 1.5) * LINE
            colour = entry.on_dark if theme.dark else entry.colour
            axes.add_line(Line2D([left, left + 0.18], [y, y], color=colour, linewidth=2.4))
            axes.text(left + 0.26, y, name, fontproperties=plain, color=theme.ink, **text)


def _frame(axes: Axes, clouds: Sequence[NDArray[Any]]) -> None:
    """The same frame for every effect: it holds the rows of all of them."""
    places = np.concatenate([np.asarray(cloud, np.float64) for cloud in clouds])
    low, high = places.min(axis=0), places.max(axis=0)
    half = max(float((high - low).max()) * 0.53, 1e-6)
    across, up = (low + high) / 2
    axes.set_xlim(across - half, across + half)
    axes.set_ylim(up - half, up + half)


def _paint(key: colours.Key | None, rows: int, theme: Theme) -> NDArray[np.float64]:
    """A colour a row, float64 [n, 3]."""
    dark = int(theme.dark)
    if key is None:
        return np.tile(np.array(colours.rgb(colours.ONE_COLOUR[dark])) / 255, (rows, 1))
    table = np.array([colours.rgb(entry.on_dark if dark else entry.colour) for entry in key.entries]) / 255
    return np.asarray(table[key.codes[0]])
