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
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from penult_service.plots import colours, fonts
from penult_service.plots.dropout.dropout_view import DropoutView, Effect, Floats
from penult_service.plots.maps.map_picture import drawing_order
from penult_service.plots.maps.views import MapView
from penult_service.plots.themes import Theme
from penult_service.plots.words import distinct

# Inches, and points.
EDGE, LINE = 0.05, 0.2
SIZE = 9.0
# Of fewer rows there is no close-up; its middle is sought among so many rows.
FEWEST_ROWS, MOST_MIDDLES = 150, 200


def map_view(view: DropoutView, places: Floats, title: str = "", caption: str = "") -> MapView:
    """Places of the rows as a map with their texts, in the colours of the report."""
    labels, legend = view.colours()
    return MapView(places, labels, view.texts, title, caption, legend=legend, noise=None)


def draw_map(view: DropoutView, effect: Effect, wide: float, theme: Theme, *, near: bool = False) -> Figure:
    """A square of so many inches with a legend below it; the maps of all effects have one scale.

    The whole map shows where the close-up is; with `near` it is that.
    """
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
    window = densest(before)
    whole = _around([before, *(e.coordinates for e in view.effects if e.coordinates is not None)])
    _frame(axes, window if near and window else whole)
    if window and not near:
        corner = (window.across - window.half, window.up - window.half)
        axes.add_patch(Rectangle(corner, 2 * window.half, 2 * window.half, fill=False, edgecolor=theme.pale))
    order = drawing_order(len(before), None)
    few = near or len(before) <= 300
    axes.quiver(
        *before[order].T,
        *(after - before)[order].T,
        color=_paint(legend.key, len(view), theme)[order],
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.0036 if few else 0.0026,
        headwidth=3.6,
        headlength=4.2,
        headaxislength=3.8,
        minlength=0.6,
        alpha=0.85 if few else float(np.interp(np.log10(len(before)), (2, 4), (0.9, 0.5))),
    )
    legend.draw(figure, theme)
    return figure


@dataclass(frozen=True)
class Window:
    """A square part of the map: its middle, and half of its side."""

    across: float
    up: float
    half: float


def densest(places: NDArray[np.float64]) -> Window | None:
    """The part of the map [n, 2] that is densest, with about a twelfth of the rows; None of few, or of equal places."""
    rows = len(places)
    if rows < FEWEST_ROWS:
        return None
    middles = np.arange(min(rows, MOST_MIDDLES)) * rows // min(rows, MOST_MIDDLES)
    inside = max(MOST_MIDDLES // 10, rows // 12)
    reach = np.array([np.partition(np.abs(places - places[i]).max(axis=1), inside)[inside] for i in middles])
    # Places of rows that lie on each other have no extent.
    reach[reach <= 1e-6 * float(np.ptp(places, axis=0).max())] = np.inf
    best = int(reach.argmin())
    if not np.isfinite(reach[best]):
        return None
    across, up = places[middles[best]]
    return Window(float(across), float(up), float(reach[best]))


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


def _around(clouds: Sequence[NDArray[Any]]) -> Window:
    """What holds the rows of all of them."""
    places = np.concatenate([np.asarray(cloud, np.float64) for cloud in clouds])
    low, high = places.min(axis=0), places.max(axis=0)
    across, up = (low + high) / 2
    return Window(float(across), float(up), max(float((high - low).max()) * 0.53, 1e-6))


def _frame(axes: Axes, window: Window) -> None:
    axes.set_xlim(window.across - window.half, window.across + window.half)
    axes.set_ylim(window.up - window.half, window.up + window.half)


def _paint(key: colours.Key | None, rows: int, theme: Theme) -> NDArray[np.float64]:
    """A colour a row, float64 [n, 3]."""
    dark = int(theme.dark)
    if key is None:
        return np.tile(np.array(colours.rgb(colours.ONE_COLOUR[dark])) / 255, (rows, 1))
    table = np.array([colours.rgb(entry.on_dark if dark else entry.colour) for entry in key.entries]) / 255
    return np.asarray(table[key.codes[0]])
