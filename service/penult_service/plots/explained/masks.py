"""Dropout masks as pictures (.png, .svg): a small grid for each sample, and for each gate of an LSTM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from penult_service.plots import colours, fonts
from penult_service.plots.drawing import DPI, file_of, own_style

# What is drawn of a mask at most: places of its two inner axes, then panels across and down.
MOST_CELLS, MOST_ACROSS, MOST_DOWN = 60, 6, 4
# Inches.
PANEL, GAP, EDGE, LINE = 1.9, 0.28, 0.2, 0.19
SMALLEST_CELL, LARGEST_CELL = 0.045, 0.19
INK, DROPPED, LINES = "#222222", "#e4e4e4", "white"
KEPT = colours.HUES[0]


@dataclass(frozen=True, eq=False)
class MaskView:
    """A mask, and what is said of it.

    Attributes:
        values: [..., rows, columns] with at most two axes before the last two; 0 where dropped.
        axes: What each axis counts, singular.
        places: Of each axis before the last two, the names of its places.
        title: The answer.
        caption: Below: the layer and the figures; parts are separated by dots.
        kept: What the legend calls the numbers that are not dropped.
    """

    values: NDArray[np.float32]
    axes: tuple[str, ...]
    places: tuple[tuple[str, ...], ...]
    title: str
    caption: str
    kept: str = "kept"


def picture(view: MaskView, kind: str) -> bytes:
    """The picture as a file of the kind `png` or `svg`."""
    with own_style():
        return file_of(_figure(view), kind, view.title)


def _figure(view: MaskView) -> Figure:
    grid, notes = _drawn(view)
    down, across, rows, columns = grid.shape
    cell = float(np.clip(PANEL / columns, SMALLEST_CELL, LARGEST_CELL))
    # A cell is as high as wide, unless a few rows of many columns would be a hair.
    high, wide = max(cell * rows, 0.14), max(cell * columns, 0.55)
    left = EDGE + 0.45
    paper = max(left + across * (wide + GAP) + EDGE, 6.0)
    big, small = fonts.font(11, bold=True), fonts.font(8.5)
    room = paper - 2 * EDGE
    title = fonts.wrapped(fonts.drawable(view.title), big, room, 3)
    words = " · ".join([view.caption, *notes])
    caption = fonts.wrapped(fonts.drawable(words), small, room, 5)
    above = EDGE + 1.3 * LINE * len(title) + LINE * 1.8
    below = EDGE + LINE * (len(caption) + 1.9)
    tall = above + down * (high + 2 * LINE) + below
    figure = Figure(figsize=(paper, tall), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    for number, line in enumerate(title):
        _write(figure, EDGE, tall - EDGE - 1.3 * LINE * number, line, big, "top")
    for row in range(down):
        for column in range(across):
            x = left + column * (wide + GAP)
            y = tall - above - (row + 1) * (high + 2 * LINE)
            axes = figure.add_axes((x / paper, y / tall, wide / paper, high / tall))
            _panel(axes, grid[row, column], cell)
            _write(figure, x, y + high + 0.05, _name(view, row, column), small, "bottom")
            if column == 0 and grid.shape[2] > 1:
                axes.set_ylabel(f"{view.axes[-2]}s", fontproperties=small, color=INK)
            if row == down - 1:
                axes.set_xlabel(f"{view.axes[-1]}s", fontproperties=small, color=INK)
    _legend(figure, tall - above + LINE * 0.4, view.kept, small)
    for number, line in enumerate(caption):
        _write(figure, EDGE, EDGE + LINE * (len(caption) - 1 - number), line, small, "bottom")
    return figure


def _drawn(view: MaskView) -> tuple[NDArray[np.bool_], list[str]]:
    """What is kept, bool [down, across, rows, columns], and which parts are left out."""
    values = np.asarray(view.values) != 0
    notes = []
    most = (MOST_DOWN, MOST_ACROSS, MOST_CELLS, MOST_CELLS)[-values.ndim :]
    for name, length, limit in zip(view.axes, values.shape, most, strict=True):
        if length > limit:
            notes.append(f"the first {limit} of {length:,} {name}s")
    values = values[tuple(slice(limit) for limit in most)]
    return values.reshape((1,) * (4 - values.ndim) + values.shape), notes


def _name(view: MaskView, row: int, column: int) -> str:
    """Which panel this is; empty where there is one only."""
    places = (row, column)[2 - len(view.places) :]
    return ", ".join(names[place] for names, place in zip(view.places, places, strict=True))


def _panel(axes: Axes, kept: NDArray[np.bool_], cell: float) -> None:
    rows, columns = kept.shape
    axes.pcolormesh(
        kept,
        cmap=ListedColormap([DROPPED, KEPT]),
        vmin=0,
        vmax=1,
        edgecolors=LINES,
        linewidth=0.8 if cell > 0.09 else 0.2,
    )
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(figure: Figure, y: float, kept: str, properties: fonts.FontProperties) -> None:
    wide, high = figure.get_size_inches()
    x = EDGE
    for colour, word in ((KEPT, kept), (DROPPED, "dropped")):
        box = Rectangle((x / wide, (y + 0.02) / high), 0.13 / wide, 0.13 / high, color=colour)
        figure.add_artist(box)
        _write(figure, x + 0.19, y, word, properties, "bottom")
        x += 0.19 + fonts.width(word, properties) + 0.3


def _write(
    figure: Figure, x: float, y: float, text: str, properties: fonts.FontProperties, edge: str
) -> None:
    wide, high = figure.get_size_inches()
    figure.text(x / wide, y / high, text, fontproperties=properties, color=INK, va=edge, parse_math=False)
