"""The tensors of a recurrent layer as a picture (.png, .svg): each as long as its axes, equal lengths equally long."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from penult_service.plots import colours, fonts
from penult_service.plots.drawing import DPI, file_of, own_style

# Inches.
EDGE, GAP, LINE, HIGH = 0.25, 0.75, 0.19, 0.24
MOST_CELLS = 64  # of an axis: more are not drawn one by one
INK, PALE, FILL = "#222222", "#8a8f98", "#dfe6ee"


@dataclass(frozen=True)
class RecurrentView:
    """A layer, and what is said of it.

    Attributes:
        steps, features, units: Lengths.
        gates: Names; the last word of each is written into its blocks.
        states: Names, the one that is given out first.
        sequences: Whether h of every step is given out.
        shapes: Of `input`, `kernel`, `recurrent kernel`, `bias`, `gate`, `state` and `output`, in words.
        title: The answer.
        caption: Below; parts are separated by dots.
    """

    steps: int
    features: int
    units: int
    gates: tuple[str, ...]
    states: tuple[str, ...]
    sequences: bool
    shapes: dict[str, str]
    title: str
    caption: str


def picture(view: RecurrentView, kind: str) -> bytes:
    """The picture as a file of the kind `png` or `svg`."""
    with own_style():
        return file_of(_Drawing(view).figure, kind, view.title)


def _long(count: int) -> float:
    """How long so many features or units are drawn."""
    return float(np.clip(0.1 * count, HIGH, 1.0))


class _Drawing:
    """Columns from left to right: the input, the weights, the gates, the states, the output."""

    def __init__(self, view: RecurrentView) -> None:
        self.view = view
        self.font, self.small = fonts.font(9), fonts.font(8.5)
        self.unit, self.feature = _long(view.units), _long(view.features)
        self.step = float(np.clip(0.05 * view.steps, HIGH, 2.2))
        gates = len(view.gates)
        self.block = max(self.unit, 0.2) * gates
        stacks = self.feature + self.unit + HIGH + 3 * 2.2 * LINE
        self.tall = max(stacks, self.step + LINE, gates * (HIGH + 2 * LINE), 1.6)
        widths = [self._wide("input", self.feature), self._wide("recurrent kernel", self.block)]
        widths += [
            self._wide("gate", self.unit),
            self._wide("state", self.unit),
            self._wide("output", self.unit),
        ]
        self.left = [EDGE + sum(widths[:place]) + GAP * place for place in range(len(widths))]
        self.paper = max(self.left[-1] + widths[-1] + EDGE, 7.0)
        self.figure = self._framed()

    def _wide(self, name: str, box: float) -> float:
        words = [name, *self.view.shapes[name].split("\n")]
        named = self.view.gates if name == "gate" else ()
        return max([box, *(fonts.width(word, self.small) for word in (*words, *named))])

    def _framed(self) -> Figure:
        big = fonts.font(11, bold=True)
        room = self.paper - 2 * EDGE
        title = fonts.wrapped(fonts.drawable(self.view.title), big, room, 4)
        caption = fonts.wrapped(fonts.drawable(self.view.caption), self.small, room, 4)
        above, below = EDGE + 1.3 * LINE * len(title) + LINE, EDGE + LINE * (len(caption) + 2.5)
        high = above + self.tall + below
        figure = Figure(figsize=(self.paper, high), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, self.paper)
        axes.set_ylim(0, high)
        axes.axis("off")
        for number, line in enumerate(title):
            _write(axes, EDGE, high - EDGE - 1.3 * LINE * (number + 0.8), line, big)
        for number, line in enumerate(caption):
            _write(axes, EDGE, EDGE + LINE * (len(caption) - 1 - number), line, self.small)
        self._columns(axes, below, below + self.tall / 2)
        return figure

    def _columns(self, axes: Axes, bottom: float, middle: float) -> None:
        view, (given, weights, gates, states, output) = self.view, self.left
        self._box(
            axes, given, middle - self.step / 2, self.feature, self.step, "input", (view.steps, view.features)
        )
        self._weights(axes, weights, middle)
        self._gates(axes, gates, middle)
        ends = self._states(axes, states, middle)
        high = self.step if view.sequences else HIGH
        rows = view.steps if view.sequences else 1
        self._box(axes, output, middle - high / 2, self.unit, high, "output", (rows, view.units))
        spans = [(given + self.feature, weights), (weights + self.block, gates), (gates + self.unit, states)]
        for start, end in [*spans, (states + self.unit, output)]:
            _arrow(axes, (start + 0.06, middle), (end - 0.08, middle))
        low = bottom - LINE
        path = [(ends[0] + self.unit / 2, ends[1] - 0.05), (ends[0] + self.unit / 2, low)]
        path += [(weights + self.block / 2, low), (weights + self.block / 2, self.lowest - 0.06)]
        _way(axes, path)
        words = "h goes into the next step" if len(view.states) == 1 else "h and c go into the next step"
        centre = (path[1][0] + path[2][0]) / 2
        _write(axes, centre, low + 0.05, words, self.small, centred=True, colour=PALE)

    def _weights(self, axes: Axes, x: float, middle: float) -> None:
        view, room = self.view, 2.2 * LINE
        top = middle + (self.feature + self.unit + HIGH + 2 * room) / 2
        rows = [
            ("kernel", self.feature, view.features),
            ("recurrent kernel", self.unit, view.units),
            ("bias", HIGH, 1),
        ]
        for name, high, count in rows:
            for number, gate in enumerate(view.gates):
                wide = self.block / len(view.gates)
                colour = colours.HUES[number]
                axes.add_patch(
                    Rectangle((x + number * wide, top - high), wide, high, facecolor=colour, alpha=0.35)
                )
                _grid(axes, x + number * wide, top - high, wide, high, (count, view.units))
                if name == "recurrent kernel" and len(view.gates) > 1:
                    letter = gate.split()[-1]
                    _write(
                        axes,
                        x + (number + 0.5) * wide,
                        top - high / 2 - 0.05,
                        letter,
                        self.font,
                        centred=True,
                    )
            _write(axes, x, top + 0.06, f"{name}  {view.shapes[name]}", self.small)
            top -= high + room
        self.lowest = top + room

    def _gates(self, axes: Axes, x: float, middle: float) -> None:
        view, room = self.view, HIGH + 1.6 * LINE
        top = middle + room * len(view.gates) / 2 - 1.2 * LINE
        for number, gate in enumerate(view.gates):
            y = top - number * room - HIGH
            axes.add_patch(Rectangle((x, y), self.unit, HIGH, facecolor=colours.HUES[number], alpha=0.35))
            _grid(axes, x, y, self.unit, HIGH, (1, view.units))
            _write(axes, x, y + HIGH + 0.05, gate, self.small)
        _write(axes, x, top - room * len(view.gates) + 0.02, view.shapes["gate"], self.small, colour=PALE)

    def _states(self, axes: Axes, x: float, middle: float) -> tuple[float, float]:
        """Draws them, c above h; the place of the lowest."""
        names = self.view.states[::-1]
        room = HIGH + 1.6 * LINE
        top = middle + room * len(names) / 2 - 1.2 * LINE
        for number, name in enumerate(names):
            y = top - number * room - HIGH
            axes.add_patch(Rectangle((x, y), self.unit, HIGH, facecolor=FILL))
            _grid(axes, x, y, self.unit, HIGH, (1, self.view.units))
            _write(axes, x, y + HIGH + 0.05, f"state {name}", self.small)
        y = top - room * len(names)
        _write(axes, x, y + 0.02, self.view.shapes["state"], self.small, colour=PALE)
        return x, y

    def _box(
        self, axes: Axes, x: float, y: float, wide: float, high: float, name: str, counts: tuple[int, int]
    ) -> None:
        axes.add_patch(Rectangle((x, y), wide, high, facecolor=FILL))
        _grid(axes, x, y, wide, high, counts)
        _write(axes, x, y + high + 0.06, name, self.small)
        for number, line in enumerate(self.view.shapes[name].split("\n")):
            _write(axes, x, y - LINE * (number + 0.9), line, self.small, colour=PALE)


def _grid(axes: Axes, x: float, y: float, wide: float, high: float, counts: tuple[int, int]) -> None:
    """A frame, and lines between its rows and columns where they are few enough to be told apart."""
    rows, columns = counts
    axes.add_patch(Rectangle((x, y), wide, high, fill=False, edgecolor=INK, linewidth=0.8))
    for count, length, down in ((rows, high, True), (columns, wide, False)):
        if not 1 < count <= MOST_CELLS or length / count < 0.03:
            continue
        for place in np.linspace(0, length, count + 1)[1:-1]:
            ends = ((x, x + wide), (y + place,) * 2) if down else ((x + place,) * 2, (y, y + high))
            axes.plot(*ends, color="white", linewidth=0.7)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=PALE, linewidth=1))


def _way(axes: Axes, path: list[tuple[float, float]]) -> None:
    """Lines from place to place, the last one an arrow."""
    for start, end in pairwise(path[:-1]):
        axes.plot((start[0], end[0]), (start[1], end[1]), color=PALE, linewidth=1)
    _arrow(axes, path[-2], path[-1])


def _write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    properties: fonts.FontProperties,
    *,
    centred: bool = False,
    colour: str = INK,
) -> None:
    place = "center" if centred else "left"
    axes.text(x, y, text, fontproperties=properties, color=colour, ha=place, va="baseline", parse_math=False)
