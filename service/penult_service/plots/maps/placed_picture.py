"""New rows on a stored map as a picture (.png, .svg): those that were there before behind, rows far from all hollow."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

from penult_service.plots import colours, fonts
from penult_service.plots.drawing import DPI, file_of, own_style
from penult_service.plots.maps.legend import Legend, placed_legend
from penult_service.plots.maps.map_picture import (
    EDGE,
    LINE,
    PANEL,
    RASTERIZED,
    Paper,
    drawing_order,
    framed,
    lines_of,
    outline,
    size_and_alpha,
)
from penult_service.plots.maps.views import PlacedView

# Square points: the least that a new row is drawn with, however many there are.
LEAST_AREA = 5.0
PALE = 0.55
MOST_EDGED = 3_000


def picture(view: PlacedView, kind: str) -> bytes:
    """The picture as a file of the kind `png` or `svg`."""
    with own_style():
        return file_of(_figure(view), kind, view.new.title or "map")


def _figure(view: PlacedView) -> Figure:
    small, bold = fonts.font(8.5), fonts.font(11, bold=True)
    title = lines_of(view.new.title, bold, 2)
    caption = lines_of(view.new.caption, small, 4) + lines_of(view.new.note, small, 2)
    above, below = EDGE + LINE * 1.25 * len(title), EDGE + LINE * len(caption)
    legend = placed_legend(view, PANEL)
    wide = 2 * EDGE + PANEL + legend.width
    figure = Figure(figsize=(wide, above + PANEL + below), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    paper = Paper(figure)
    _draw(paper.axes(EDGE, below, PANEL, PANEL), view, legend)
    paper.text_block(title, EDGE, below + PANEL + 0.06, bold, up=True)
    paper.text_block(caption, EDGE, below - 0.07, small)
    legend.draw(paper, wide - EDGE - legend.width, below)
    return figure


def _draw(axes: Axes, view: PlacedView, legend: Legend) -> None:
    before, new = view.flat()
    framed(axes, np.concatenate([before, new]))
    grey = np.array([_rgb(colours.GREYS["before"][0])])
    area, _ = size_and_alpha(len(before), coloured=True)
    codes = None if legend.key is None or view.stored_labels is None else legend.key.codes[-1]
    order = drawing_order(len(before), None)
    paint = grey if codes is None else (PALE + (1 - PALE) * _colours(legend))[codes[order]]
    shapes = _shapes(legend, codes, order)
    _dots(axes, before[order], shapes, paint, area=min(area, 9.0), edge="none")
    own = _paint(view, legend)
    area, _ = size_and_alpha(len(new), coloured=True)
    area = max(area * 0.8, LEAST_AREA)
    # What tells a few dots from each other would be all that is seen of many.
    edge = "white" if len(new) <= MOST_EDGED else "none"
    far = np.asarray(view.far, bool)
    order = drawing_order(len(new), ~_named(view, legend))
    codes = None if legend.key is None or view.new.labels is None else legend.key.codes[0]
    for hollow in (False, True):
        # Far rows come last: among the others they would be overlooked.
        rows = order[far[order] == hollow]
        ink = own[rows]
        style: dict[str, Any] = {"edge": ink, "hollow": True} if hollow else {"edge": edge}
        _dots(axes, new[rows], _shapes(legend, codes, rows), ink, area=area, **style)


def _dots(
    axes: Axes,
    places: NDArray[np.float64],
    shapes: list[Outline],
    paint: NDArray[np.float64],
    *,
    area: float,
    edge: Any,
    hollow: bool = False,
) -> None:
    if not len(places):
        return
    dots = PathCollection(
        shapes,
        sizes=[area],
        facecolors="none" if hollow else paint,
        edgecolors=edge,
        linewidths=1.1 if hollow else 0.0 if edge == "none" else 0.4,
        offsets=places,
        offset_transform=axes.transData,
        rasterized=len(places) > RASTERIZED,
    )
    dots.set_transform(IdentityTransform())
    axes.add_collection(dots, autolim=False)


def _shapes(legend: Legend, codes: NDArray[np.int32] | None, order: NDArray[np.intp]) -> list[Outline]:
    """The outlines of rows, or one for all."""
    if codes is None or legend.key is None:
        return [outline("circle")]
    shapes = [outline(entry.marker) for entry in legend.key.entries]
    return [shapes[code] for code in codes[order]]


def _paint(view: PlacedView, legend: Legend) -> NDArray[np.float64]:
    """The colours of the new rows, float64 [n, 3]."""
    if legend.scale is not None and view.new.values is not None:
        values = np.asarray(view.new.values, np.float64)
        paint = np.asarray(legend.scale.to_rgba(np.nan_to_num(values)))[:, :3]
        paint[~np.isfinite(values)] = _rgb(colours.GREYS["new"][0])
        return paint
    if legend.key is not None and view.new.labels is not None:
        return _colours(legend)[legend.key.codes[0]]
    return np.tile(_rgb(colours.ONE_COLOUR[0]), (len(view.far), 1))


def _named(view: PlacedView, legend: Legend) -> NDArray[np.bool_]:
    """New rows that have a colour of their own."""
    if legend.key is None or view.new.labels is None:
        return np.ones(len(view.far), bool)
    return np.array([entry.kind == "named" for entry in legend.key.entries])[legend.key.codes[0]]


def _colours(legend: Legend) -> NDArray[np.float64]:
    assert legend.key is not None
    return np.array([_rgb(entry.colour) for entry in legend.key.entries]).reshape(-1, 3)


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.array(colours.rgb(colour)) / 255
