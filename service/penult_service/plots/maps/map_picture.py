"""Maps as pictures (.png, .svg): panels beside each other, one legend for all, the same bytes for the same maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D, IdentityTransform
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.plots import colours, fonts
from penult_service.plots.drawing import DPI, file_of, own_style
from penult_service.plots.maps.legend import Legend, legend_of
from penult_service.plots.maps.views import MapView

ENDINGS = (".png", ".svg")
# Inches.
PANEL, GAP, EDGE = 5.2, 0.25, 0.15
LINE = 0.19
# From so many points on, an SVG holds their picture instead of each of them.
RASTERIZED = 1_000
INK, FRAME = "#222222", "#d0d0d0"


def save_picture(path: Path, views: Sequence[MapView]) -> None:
    """Write the picture of one or several maps; the end of the name says the format.

    Raises:
        InvalidInput: another ending than .png or .svg, or no view.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InvalidInput(f"{path}: the name of a picture ends in .png or .svg", reason="FILE_TYPE")
    path.write_bytes(picture(views, ending.removeprefix(".")))


def picture(views: Sequence[MapView], kind: str) -> bytes:
    """The picture as a file of the kind `png` or `svg`."""
    if not views:
        raise InvalidInput("there is no map to draw", reason="NO_VIEWS")
    with own_style():
        return file_of(_figure(views), kind, views[0].title or "map")


def _figure(views: Sequence[MapView]) -> Figure:
    small = fonts.font(8.5)
    titles = [lines_of(view.title, fonts.font(11, bold=True), 2) for view in views]
    captions = [lines_of(view.caption, small, 4) + lines_of(view.note, small, 2) for view in views]
    above = EDGE + LINE * 1.25 * max(map(len, titles))
    below = EDGE + LINE * max(map(len, captions))
    legend = legend_of(views, PANEL)
    wide = 2 * EDGE + len(views) * PANEL + (len(views) - 1) * GAP + legend.width
    figure = Figure(figsize=(wide, above + PANEL + below), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    paper = Paper(figure)
    points = _Points(views, legend)
    for number, view in enumerate(views):
        left = EDGE + number * (PANEL + GAP)
        axes = paper.axes(left, below, PANEL, PANEL)
        points.draw(axes, number, view)
        paper.text_block(titles[number], left, below + PANEL + 0.06, fonts.font(11, bold=True), up=True)
        paper.text_block(captions[number], left, below - 0.07, small)
    legend.draw(paper, wide - EDGE - legend.width, below)
    return figure


def lines_of(text: str, properties: Any, most: int) -> list[str]:
    return fonts.wrapped(fonts.drawable(text), properties, PANEL, most)


class Paper:
    """A figure that is laid out in inches from its lower left corner."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._wide, self._high = figure.get_size_inches()

    def axes(self, left: float, bottom: float, wide: float, high: float) -> Axes:
        """Axes at a place."""
        box = (left / self._wide, bottom / self._high, wide / self._wide, high / self._high)
        return self._figure.add_axes(box)

    def text_block(
        self, lines: Sequence[str], left: float, edge: float, properties: Any, *, up: bool = False
    ) -> None:
        """Lines below an edge; with `up` above it."""
        step = LINE * properties.get_size_in_points() / 8.5
        for number, line in enumerate(lines):
            down = (number - len(lines)) * -step - step if up else -number * step
            self._figure.text(
                left / self._wide,
                (edge + down) / self._high,
                line,
                fontproperties=properties,
                color=INK,
                va="bottom" if up else "top",
                parse_math=False,
            )


class _Points:
    """How the rows of all views are drawn."""

    def __init__(self, views: Sequence[MapView], legend: Legend) -> None:
        self._key, self._scale = legend.key, legend.scale
        most = max(len(view.coordinates) for view in views)
        self._area, self._alpha = size_and_alpha(most, coloured=bool(self._key or self._scale))
        self._edge = 0.4 if most <= 1000 else 0.0

    def draw(self, axes: Axes, number: int, view: MapView) -> None:
        """The points of a view."""
        places = view.flat()
        framed(axes, places)
        if not len(places):
            return
        order = drawing_order(len(places), self._behind(number))
        paint, outlines = self._paint(number, view, order)
        dots = PathCollection(
            outlines,
            sizes=[self._area],
            facecolors=paint,
            edgecolors="white" if self._edge else "none",
            linewidths=self._edge,
            offsets=places[order],
            offset_transform=axes.transData,
            rasterized=len(places) > RASTERIZED,
        )
        dots.set_transform(IdentityTransform())
        axes.add_collection(dots, autolim=False)

    def _behind(self, number: int) -> NDArray[np.bool_] | None:
        """Rows that are drawn first: the grey ones."""
        if self._key is None or not self._key.codes[number].size:
            return None
        grey = np.array([entry.kind != "named" for entry in self._key.entries])
        return np.asarray(grey[self._key.codes[number]])

    def _paint(
        self, number: int, view: MapView, order: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], list[Outline]]:
        """Colours [n, 4] and outlines (as many, or one for all) of the rows in the order of drawing."""
        circle = outline("circle")
        if self._scale is not None and view.values is not None:
            values = np.asarray(view.values, np.float64)[order]
            paint = self._scale.to_rgba(np.nan_to_num(values), alpha=self._alpha)
            paint[~np.isfinite(values)] = _rgba(colours.GREYS["none"][0], self._alpha)
            return paint, [circle]
        if self._key is not None and view.labels is not None:
            codes = self._key.codes[number][order]
            table = np.array([_rgba(entry.colour, self._alpha) for entry in self._key.entries])
            shapes = [outline(entry.marker) for entry in self._key.entries]
            return table[codes], [shapes[code] for code in codes]
        return np.array([_rgba(colours.ONE_COLOUR[0], self._alpha)]), [circle]


def framed(axes: Axes, places: NDArray[np.float64]) -> None:
    """Axes without numbers, for a map has no units; one scale for both directions, the larger one fills the panel."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(FRAME)
    low, high = (places.min(axis=0), places.max(axis=0)) if len(places) else (np.zeros(2), np.ones(2))
    half = max(float((high - low).max()) * 0.53, 1e-6)
    across, up = (low + high) / 2
    axes.set_xlim(across - half, across + half)
    axes.set_ylim(up - half, up + half)


def size_and_alpha(n: int, *, coloured: bool) -> tuple[float, float]:
    """Area of a dot in square points, and its opacity: large and opaque for few, fine for many."""
    area = float(np.clip(24_000 / max(n, 1), 1.6, 34.0))
    # Without colours, opacity is all that shows how dense a place is.
    alpha = np.interp(np.log10(max(n, 1)), (2.5, 4.7), (0.9, 0.55 if coloured else 0.22))
    return area, float(alpha)


def drawing_order(n: int, behind: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    """Rows as they are drawn: shuffled, so that no label covers another; those `behind` first."""
    order = np.random.default_rng(0).permutation(n)
    return order if behind is None else order[np.argsort(~behind[order], kind="stable")]


def outline(marker: str) -> Outline:
    """The marker's outline, of equal area to the eye."""
    sign, scale = {"circle": ("o", 1.0), "triangle": ("^", 1.2), "square": ("s", 0.9)}[marker]
    style = MarkerStyle(sign)
    return style.get_path().transformed(style.get_transform() + Affine2D().scale(scale))


def _rgba(colour: str, alpha: float) -> tuple[float, ...]:
    return (*(part / 255 for part in colours.rgb(colour)), alpha)
