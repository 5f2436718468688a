"""The pictures of a report on clusters: the curve of numbers tried, the hierarchy, sizes over time."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from penult_service.plots import fonts
from penult_service.plots.clusters import dendrogram
from penult_service.plots.clusters.cluster_view import ClusterView
from penult_service.plots.drawing import DPI
from penult_service.plots.pictures import Picture
from penult_service.plots.themes import Theme
from penult_service.plots.words import counted, said

# Inches.
WIDE, HIGH, EDGE, LINE = 4.7, 2.2, 0.14, 0.2
SIZE = 9.0
# Lines that have a name: those of the clusters that changed most.
MOST_LINES = 8


def hierarchy(view: ClusterView) -> Picture | None:
    """The dendrogram; None of fewer than two clusters."""
    if not len(view.merges):
        return None
    hidden = len(view.groups) - dendrogram.MOST_LEAVES
    caption = f"Of {len(view.groups):,}, those most alike are drawn as one." if hidden > 0 else ""
    return Picture(
        "hierarchy", "How the clusters belong together", caption, "svg", partial(dendrogram.figure, view)
    )


def curve(view: ClusterView) -> Picture | None:
    """Mean silhouettes of the numbers tried; None where only one was."""
    tried = [(count, score) for count, score in view.curve if np.isfinite(score)]
    if len(tried) < 2:
        return None
    best = max(tried, key=lambda one: one[1])
    caption = f"Best of {counted(len(tried), 'number')} tried: {best[0]:,}, at {best[1]:.3f}."
    return Picture("curve", "Mean silhouette by number of clusters", caption, "svg", partial(_curve, tried))


def sizes(view: ClusterView) -> Picture | None:
    """Sizes after each batch; None where they never changed."""
    if (
        len({tuple(zip(batch.labels, batch.sizes, strict=False)) for batch in view.history if batch.sizes})
        < 2
    ):
        return None
    caption = "Named: those that changed most." if len(view.groups) > MOST_LINES else ""
    return Picture("sizes", "Rows of each cluster", caption, "svg", partial(_sizes, view))


def every(view: ClusterView) -> list[Picture]:
    """All there are."""
    return [picture for picture in (curve(view), hierarchy(view), sizes(view)) if picture is not None]


def _curve(tried: list[tuple[int, float]], theme: Theme) -> Figure:
    figure, axes = _panel(theme, 0.62, EDGE + 0.1)
    counts, scores = np.array([one[0] for one in tried]), np.array([one[1] for one in tried])
    axes.plot(counts, scores, color=theme.hues[0], linewidth=1.5, marker="o", markersize=4, markeredgewidth=0)
    best = int(scores.argmax())
    axes.plot(counts[best], scores[best], marker="o", markersize=8, color=theme.hues[0], markeredgewidth=0)
    left = counts[best] > (counts[0] + counts[-1]) / 2
    if counts[0] > 0 and counts[-1] > 12 * counts[0]:
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(counts[_apart(np.log(counts))])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        left = counts[best] > np.sqrt(counts[0] * counts[-1])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    # A flat curve must look flat.
    low, high = float(scores.min()), float(scores.max())
    spread = max(high - low, 0.05)
    axes.set_ylim(low - 0.15 * spread, max(high, low + spread) + 0.3 * spread)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    note: dict[str, Any] = {"textcoords": "offset points", "fontproperties": fonts.font(SIZE)}
    side = "right" if left else "left"
    axes.annotate(f"{counts[best]:,}", (counts[best], scores[best]), (0, 7), ha=side, color=theme.ink, **note)
    _finish(axes, theme, "clusters")
    return figure


def _apart(places: Any, share: float = 0.09) -> list[int]:
    """Those of ascending places that leave room for a number, the ends always."""
    room = share * (places[-1] - places[0])
    kept = [0]
    for at in range(1, len(places) - 1):
        if places[at] - places[kept[-1]] >= room and places[-1] - places[at] >= room:
            kept.append(at)
    return [*kept, len(places) - 1]


def _sizes(view: ClusterView, theme: Theme) -> Figure:
    figure, axes = _panel(theme, 0.62, 1.75)
    batches = [batch for batch in view.history if batch.sizes]
    sizes = [dict(zip(batch.labels, batch.sizes, strict=True)) for batch in batches]
    labels = sorted({label for one in sizes for label in one})
    grown = {label: abs(sizes[-1].get(label, 0) - sizes[0].get(label, 0)) for label in labels}
    named = sorted(labels, key=lambda label: (-grown[label], label))[:MOST_LINES]
    words = {group.label: group.title for group in view.groups}
    entries = view.colours()
    inks = {}
    for label in labels:
        line = [one.get(label, np.nan) for one in sizes]
        entry = entries.get(label)
        ink = theme.line if label not in named else theme.pale
        if label in named and entry is not None:
            ink = entry.on_dark if theme.dark else entry.colour
        inks[label] = ink
        style: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.8}
        if label in named:
            style = {"linewidth": 1.5, "marker": "o", "markersize": 3.5, "markeredgewidth": 0, "zorder": 3}
        axes.plot(range(len(line)), line, color=ink, clip_on=False, **style)
    top = max((size for one in sizes for size in one.values()), default=1)
    axes.set_ylim(0, 1.06 * max(top, 1))
    axes.set_xlim(-0.06 * len(batches), len(batches) - 1)
    axes.set_xticks(range(len(batches)))
    axes.set_xticklabels([str(place + 1) for place in range(len(batches))])
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=True))
    _finish(axes, theme, "time, as in the table below")
    _ends(axes, {label: sizes[-1].get(label) for label in named}, words, inks, theme)
    return figure


def _ends(
    axes: Axes, last: dict[int, int | None], words: dict[int, str], inks: dict[int, str], theme: Theme
) -> None:
    """The names of lines beside their ends, moved apart where they would overlap."""
    there = sorted(((size, -label) for label, size in last.items() if size is not None), reverse=True)
    low, high = axes.get_ylim()
    step = (high - low) * LINE * 0.85 / (HIGH * axes.get_position().height)
    heights = [float(size) for size, _ in there]
    for place in range(1, len(heights)):
        heights[place] = min(heights[place], heights[place - 1] - step)
    if heights and heights[-1] < low:
        # Too low: the last ones are moved up, those above make room.
        heights[-1] = low
        for place in range(len(heights) - 2, -1, -1):
            heights[place] = max(heights[place], heights[place + 1] + step)
    font = fonts.font(SIZE - 0.5)
    for height, (size, negative) in zip(heights, there, strict=True):
        name = fonts.fitted(fonts.drawable(said(words.get(-negative, str(-negative)))), font, 1.5)
        across: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "clip_on": False}
        axes.plot([1.01, 1.09], [size, height], color=inks[-negative], linewidth=1.1, **across)
        axes.text(
            1.11, height, name, va="center", color=theme.ink, fontproperties=font, parse_math=False, **across
        )


def _panel(theme: Theme, left: float, right: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDE, HIGH), dpi=DPI, facecolor=theme.paper)
    FigureCanvasAgg(figure)
    box = (left / WIDE, 0.45 / HIGH, (WIDE - left - right) / WIDE, (HIGH - 0.45 - EDGE) / HIGH)
    return figure, figure.add_axes(box, facecolor="none")


def _finish(axes: Axes, theme: Theme, across: str) -> None:
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.line)
    axes.grid(axis="y", color=theme.line, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=2.5, color=theme.line, labelcolor=theme.pale)
    axes.set_xlabel(across, labelpad=3, color=theme.pale, fontproperties=fonts.font(SIZE))
    for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        tick.set_fontproperties(fonts.font(SIZE - 0.5))
