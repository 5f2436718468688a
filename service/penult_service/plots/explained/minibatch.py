"""Masks of each sample against one mask for the batch, as a picture (.png, .svg): variance and learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from penult_service.plots import colours, fonts
from penult_service.plots.drawing import DPI, file_of, own_style

# Inches.
HIGH, EDGE, LINE = 2.5, 0.2, 0.19
BARS, CURVES, BEFORE_BARS, BEFORE_CURVES = 2.9, 2.6, 1.75, 0.7
INK, FAINT = "#222222", "#d0d0d0"
KINDS = (colours.HUES[0], colours.HUES[3])


@dataclass(frozen=True, eq=False)
class MinibatchView:
    """What is shown of two kinds of masks, in this order everywhere.

    Attributes:
        kinds: What they are called.
        bars: A name, and the variance of each kind, relative to the squared length of the expected gradient.
        losses: Held-out loss by epoch at the best learning rate of each kind, [seeds, epochs].
        best: Those learning rates.
        learning_rates: All of them, [r].
        finals: Loss after the last epoch, [r, seeds] each.
        guessing: The loss of guessing.
        title, caption: The answer; what was done.
    """

    kinds: tuple[str, str]
    bars: Sequence[tuple[str, float, float]]
    losses: tuple[NDArray[np.float64], NDArray[np.float64]]
    best: tuple[float, float]
    learning_rates: Sequence[float]
    finals: tuple[NDArray[np.float64], NDArray[np.float64]]
    guessing: float
    title: str
    caption: str


def picture(view: MinibatchView, kind: str) -> bytes:
    """The picture as a file of the kind `png` or `svg`."""
    with own_style():
        return file_of(_figure(view), kind, view.title)


def _figure(view: MinibatchView) -> Figure:
    wide = EDGE + BEFORE_BARS + BARS + 2 * (BEFORE_CURVES + CURVES) + EDGE
    big, small = fonts.font(11, bold=True), fonts.font(8.5)
    title = fonts.wrapped(fonts.drawable(view.title), big, wide - 2 * EDGE, 3)
    caption = fonts.wrapped(fonts.drawable(view.caption), small, wide - 2 * EDGE, 3)
    below = EDGE + LINE * len(caption) + 0.6
    above = EDGE + 1.3 * LINE * len(title) + 0.5
    tall = below + HIGH + above
    figure = Figure(figsize=(wide, tall), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    lefts = (EDGE + BEFORE_BARS, EDGE + BEFORE_BARS + BARS + BEFORE_CURVES)
    boxes = ((lefts[0], BARS), (lefts[1], CURVES), (lefts[1] + CURVES + BEFORE_CURVES, CURVES))
    panels = [figure.add_axes((x / wide, below / tall, w / wide, HIGH / tall)) for x, w in boxes]
    for draw, axes in zip((_bars, _curves, _rates), panels, strict=True):
        draw(axes, view)
    for number, line in enumerate(title):
        y = (tall - EDGE - 1.3 * LINE * number) / tall
        figure.text(EDGE / wide, y, line, fontproperties=big, color=INK, va="top")
    for number, line in enumerate(caption):
        y = (EDGE + LINE * (len(caption) - 1 - number)) / tall
        figure.text(EDGE / wide, y, line, fontproperties=small, color=INK, va="bottom")
    return figure


def _bars(axes: Axes, view: MinibatchView) -> None:
    _dress(axes, "Variance of the gradient", "times its squared length")
    small = fonts.font(8.5)
    for number, (name, *values) in enumerate(view.bars):
        for kind, value in enumerate(values):
            place = -(3 * number + kind)
            axes.barh(place, value, height=0.8, color=KINDS[kind])
            axes.text(value * 1.1, place, f"{value:.3g}", va="center", fontproperties=small, color=INK)
        axes.text(-0.03, -3 * number - 0.5, name, va="center", ha="right",
                  transform=axes.get_yaxis_transform(), fontproperties=small, color=INK)  # fmt: skip
    values = [value for _, *both in view.bars for value in both]
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 3.0, max(values) * 4.0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks([])


def _curves(axes: Axes, view: MinibatchView) -> None:
    rates = " and ".join(dict.fromkeys(f"{rate:g}" for rate in view.best))
    _dress(axes, f"Held-out loss, learning rate {rates}", "epoch")
    for kind, losses in enumerate(view.losses):
        epochs = np.arange(1, losses.shape[1] + 1)
        mean, spread = losses.mean(axis=0), losses.std(axis=0)
        axes.fill_between(epochs, mean - spread, mean + spread, color=KINDS[kind], alpha=0.18, linewidth=0)
        axes.plot(epochs, mean, color=KINDS[kind], linewidth=1.8, label=view.kinds[kind], marker="o", ms=3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    _log_loss(axes)
    axes.legend(prop=fonts.font(8.5), frameon=False, labelcolor=INK)


def _rates(axes: Axes, view: MinibatchView) -> None:
    _dress(axes, "Loss after the last epoch", "learning rate")
    for kind, finals in enumerate(view.finals):
        for column in finals.T:
            axes.plot(view.learning_rates, column, ".", color=KINDS[kind], alpha=0.35, ms=5)
        axes.plot(
            view.learning_rates, finals.mean(axis=1), color=KINDS[kind], linewidth=1.8, marker="o", ms=4
        )
    axes.axhline(view.guessing, color=FAINT, linewidth=1.0, zorder=0)
    axes.text(
        view.learning_rates[0], view.guessing, "guessing", fontproperties=fonts.font(8), color=INK, va="bottom"
    )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(view.learning_rates)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    _log_loss(axes)


def _log_loss(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator([0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())


def _dress(axes: Axes, title: str, across: str) -> None:
    small = fonts.font(8.5)
    axes.set_title(title, fontproperties=fonts.font(9.5, bold=True), color=INK, loc="left")
    axes.set_xlabel(across, fontproperties=small, color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, color=FAINT, labelfontfamily="DejaVu Sans")
