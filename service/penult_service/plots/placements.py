"""Places of a dropout, beside baselines, as a picture (.png, .svg): a panel for each error, a dot for each training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.plots import fonts
from penult_service.plots.drawing import DPI, file_of, own_style
from penult_service.plots.themes import LIGHT, Theme

# Inches.
PANEL, ROW, EDGE, LINE, NAMES, GAP, BELOW = 3.4, 0.3, 0.16, 0.2, 1.0, 0.4, 0.35
SIZE = 9.0
ERRORS = ("Test MSE", "Test MAE")
STYLES = {"╌": "--", "┈": ":", "─": "-"}
# A baseline that is farther away than so many times what the trainings span is told of, not drawn.
FAR = 3.0


@dataclass(frozen=True, eq=False)
class PlacementsView:
    """What is drawn.

    Attributes:
        names: The placements.
        errors: float [2, placements, trainings], squared and absolute.
        baselines: Name -> both errors.
        title, caption: Above and below; parts of the caption stand between dots ( · ).

    Raises:
        InvalidInput: shapes that do not fit each other, or no placement.
    """

    names: tuple[str, ...]
    errors: NDArray[np.floating[Any]]
    baselines: Mapping[str, tuple[float, float]]
    title: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        shape = np.shape(self.errors)
        if len(shape) != 3 or shape[:2] != (2, len(self.names)) or not self.names or not shape[2]:
            what = f"errors are 2 x {len(self.names)} placements x trainings, at least one; not {shape}"
            raise InvalidInput(what, reason="WRONG_SHAPE")


def picture(view: PlacementsView, kind: str, theme: Theme = LIGHT) -> bytes:
    """The picture as a file of the kind `png` or `svg`."""
    with own_style():
        return file_of(_figure(view, theme), kind, view.title or "placements")


def _figure(view: PlacementsView, theme: Theme) -> Figure:
    wide = EDGE + NAMES + 2 * PANEL + GAP + EDGE
    bold, small = fonts.font(11, bold=True), fonts.font(SIZE)
    title = fonts.wrapped(fonts.drawable(view.title), bold, wide - 2 * EDGE, 2)
    caption = fonts.wrapped(fonts.drawable(view.caption), small, wide - 2 * EDGE, 5)
    above = EDGE + 1.3 * LINE * len(title) + LINE * (len(view.baselines) + 1.8)
    high = ROW * len(view.names)
    tall = above + high + BELOW + LINE * len(caption) + EDGE
    figure = Figure(figsize=(wide, tall), dpi=DPI, facecolor=theme.paper)
    FigureCanvasAgg(figure)

    def word(text: str, left: float, down: float, colour: str, properties: Any = small) -> None:
        style: dict[str, Any] = {"va": "center", "parse_math": False, "fontproperties": properties}
        figure.text(left / wide, 1 - down / tall, text, color=colour, **style)

    for number, line in enumerate(title):
        word(line, EDGE, EDGE + (number + 0.5) * 1.3 * LINE, theme.ink, bold)
    for number, line in enumerate(caption):
        word(line, EDGE, above + high + BELOW + (number + 0.5) * LINE, theme.pale)
    for number, name in enumerate(view.names):
        named = fonts.fitted(fonts.drawable(name), small, NAMES - 0.1)
        word(named, EDGE, above + (number + 0.5) * ROW, theme.ink)
    for number, heading in enumerate(ERRORS):
        left = EDGE + NAMES + number * (PANEL + GAP)
        box = (left / wide, 1 - (above + high) / tall, PANEL / wide, high / tall)
        values = np.asarray(view.errors[number], np.float64)
        lines = {name: both[number] for name, both in view.baselines.items()}
        near = _near(values, lines)
        word(heading, left, above - LINE * (len(lines) + 1.1), theme.ink, fonts.font(SIZE, bold=True))
        for place, (name, value) in enumerate(lines.items()):
            sign = list(STYLES)[place % len(STYLES)] if name in near else "→"
            said = fonts.drawable(f"{sign}  {name}: {value:.3f}{'' if name in near else ', not drawn'}")
            word(said, left, above - LINE * (len(lines) - place - 0.2), theme.pale)
        _draw(figure.add_axes(box, facecolor="none"), values, lines, near, theme)
    return figure


def _near(values: NDArray[np.float64], lines: Mapping[str, float]) -> set[str]:
    """The baselines that are drawn: the nearest, and those that leave the dots room."""
    ends = (float(values.min()), float(values.max()))
    away = {name: max(ends[0] - value, value - ends[1], 0.0) for name, value in lines.items()}
    if not away:
        return set()
    limit = max(min(away.values()), FAR * (ends[1] - ends[0]))
    return {name for name, far in away.items() if far <= limit}


def _draw(
    axes: Axes, values: NDArray[np.float64], lines: Mapping[str, float], near: set[str], theme: Theme
) -> None:
    """A dot for each training and a mark for their mean; baselines are lines across all."""
    for place, each in enumerate(values):
        colour = theme.hues[place % len(theme.hues)]
        axes.plot(each, [place] * len(each), "o", color=colour, ms=5, alpha=0.55, markeredgewidth=0)
        axes.plot([each.mean()], [place], "|", color=colour, ms=15, markeredgewidth=2.2)
    for place, (name, value) in enumerate(lines.items()):
        if name in near:
            axes.axvline(
                value, color=theme.pale, linewidth=1.2, linestyle=list(STYLES.values())[place % len(STYLES)]
            )
    shown = [*values.ravel(), *(value for name, value in lines.items() if name in near)]
    room = 0.06 * (max(shown) - min(shown)) or 0.05 * abs(max(shown)) or 1.0
    axes.set_xlim(min(shown) - room, max(shown) + room)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(axis="x", color=theme.line, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(length=2.5, color=theme.line, labelcolor=theme.pale)
    for tick in axes.get_xticklabels():
        tick.set_fontproperties(fonts.font(SIZE - 0.5))
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.line)
