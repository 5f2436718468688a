"""The pictures of a report on dropout: cosines, neighbours, clusters, movement on the map; for light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from penult_service.plots import fonts
from penult_service.plots.dropout import dropout_words
from penult_service.plots.dropout.dropout_map import densest, draw_map
from penult_service.plots.dropout.dropout_view import ALL, DropoutView, Effect, Spread
from penult_service.plots.pictures import Picture
from penult_service.plots.themes import Theme
from penult_service.plots.words import mean_of, signed

# Inches: narrow enough that the words can be read on a phone, where a picture is as wide as the screen.
WIDE, HIGH, EDGE, LINE = 4.6, 2.1, 0.12, 0.2
SIZE = 9.0
# The share of the smallest cosines that a histogram may leave out.
TAIL = 0.003
# From so many rows on, a map is a picture of dots, not a drawing of each.
DRAWN_ROWS = 300


def cosines(view: DropoutView) -> list[Picture]:
    """Histograms of cosines with what the theory says, one an effect."""
    return [
        Picture(
            f"cosine-{effect.scope}",
            f"Cosines with dropout {dropout_words.scope(effect)}",
            "Shares of rows and passes. Dashed: what the theory says of dropout in front of the head."
            if effect.expected_cosine_to_clean is not None
            else "Shares of rows and passes.",
            "svg",
            partial(_cosines, effect),
        )
        for effect in view.effects
    ]


def neighbours(view: DropoutView) -> Picture:
    """How many neighbours change, over rows."""
    return Picture(
        "neighbours",
        f"Of {view.neighbors} nearest neighbours, how many change",
        "Shares of rows, by the mean over the passes.",
        "svg",
        partial(_neighbours, view),
    )


def clusters(view: DropoutView) -> Picture:
    """Agreement of k-means, beside that of another seed."""
    return Picture(
        "clusters",
        f"k-means with {view.n_clusters} clusters, against the clean rows",
        "Dot: mean over the passes; thick: standard deviation; thin: from the least to the greatest.",
        "svg",
        partial(_clusters, view),
    )


def maps(view: DropoutView) -> list[Picture]:
    """Arrows from the place of each row to that in the first pass, an effect after the other; none without a map.

    Of many rows, each picture has a close-up of the densest part behind it.
    """
    if view.coordinates is None:
        return []
    found = []
    close = densest(np.asarray(view.coordinates, np.float64)) is not None
    for effect in view.effects:
        if effect.coordinates is None:
            continue
        where = f"with dropout {dropout_words.scope(effect)}"
        draw = partial(draw_map, view, effect, WIDE)
        kind = "svg" if len(view) <= DRAWN_ROWS else "png"
        found.append(
            Picture(
                f"map-{effect.scope}",
                f"Movement on the map {where}",
                dropout_words.movement(view, effect),
                kind,
                draw,
            )
        )
        if close:
            said = "The part of the map that is framed in the whole one: there the rows lie densest."
            name, title = f"map-{effect.scope}-near", f"Close up, {where}"
            found.append(Picture(name, title, said, kind, partial(draw, near=True)))
    return found


def every(view: DropoutView) -> list[Picture]:
    """All of them, as a report shows them."""
    return [*cosines(view), neighbours(view), clusters(view), *maps(view)]


def colour_of(effect: Effect, theme: Theme) -> str:
    """The colour of an effect in every picture."""
    return theme.hues[1 if effect.scope == ALL else 0]


def _paper(theme: Theme, above: int, high: float = HIGH) -> tuple[Figure, Axes]:
    """A figure with axes below so many lines of words."""
    top, left, below = EDGE + above * LINE, 0.55, 0.48
    whole = top + high + below
    figure = Figure(figsize=(WIDE, whole), facecolor=theme.paper)
    FigureCanvasAgg(figure)
    inner = WIDE - left - EDGE
    axes = figure.add_axes((left / WIDE, below / whole, inner / WIDE, high / whole), facecolor="none")
    axes.tick_params(length=2.5, color=theme.line, labelcolor=theme.pale)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.line)
    axes.grid(axis="y", color=theme.line, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _word(figure: Figure, line: int, left: float, words: str, colour: str, **more: Any) -> None:
    """Words in a line above the axes, from 0; `left` in inches."""
    wide, high = figure.get_size_inches()
    y = 1 - (EDGE / 2 + (line + 0.5) * LINE) / high
    shown = fonts.fitted(fonts.drawable(words), fonts.font(SIZE), WIDE - left - EDGE / 2)
    style = {"va": "center", "parse_math": False, "fontproperties": fonts.font(SIZE), **more}
    figure.text(left / wide, y, shown, color=colour, **style)


def _swatch(figure: Figure, line: int, **style: Any) -> None:
    """A small box before the words of a line."""
    wide, high = figure.get_size_inches()
    y = 1 - (EDGE / 2 + (line + 0.5) * LINE + 0.05) / high
    box = Rectangle((EDGE / wide, y), 0.2 / wide, 0.1 / high, transform=figure.transFigure, **style)
    figure.add_artist(box)


def _finish(axes: Axes, theme: Theme, across: str, up: str = "", *, shares: bool = True) -> None:
    """Names of the axes, and fonts of their numbers."""
    style: dict[str, Any] = {"fontproperties": fonts.font(SIZE), "color": theme.pale}
    axes.set_xlabel(across, labelpad=3, **style)
    if up:
        axes.set_ylabel(up, labelpad=4, **style)
    if shares:
        axes.yaxis.set_major_locator(_few(4))
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axes.set_ylim(0, None)
    for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        tick.set_fontproperties(fonts.font(SIZE - 0.5))


def _few(most: int) -> MaxNLocator:
    return MaxNLocator(most, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10])


def _bars(spread: Spread) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares [b] and edges [b + 1] of a histogram; equal numbers are one narrow bar."""
    if not spread.counts or spread.high <= spread.low:
        half = max(abs(spread.mean), 1.0) * 2e-3
        return np.ones(1), np.array([spread.mean - half, spread.mean + half])
    counts = np.asarray(spread.counts, np.float64)
    return counts / max(counts.sum(), 1.0), np.linspace(spread.low, spread.high, len(counts) + 1)


def _quantile(spread: Spread, share: float) -> float:
    """The lower edge of the bin in which so many are reached."""
    shares, edges = _bars(spread)
    return float(edges[int(np.searchsorted(np.cumsum(shares), share))])


def _cosines(effect: Effect, theme: Theme) -> Figure:
    """Filled: to the clean vector; outlined: of two draws."""
    told = [("to the clean vector", effect.cosine_to_clean, effect.expected_cosine_to_clean, True)]
    if effect.cosine_between_draws is not None:
        told.append(
            ("of two draws", effect.cosine_between_draws, effect.expected_cosine_between_draws, False)
        )
    figure, axes = _paper(theme, len(told))
    colour = colour_of(effect, theme)
    for number, (name, spread, expected, filled) in enumerate(told):
        shares, edges = _bars(spread)
        # In another width of bins, the heights of two histograms cannot be compared.
        density = shares / np.diff(edges)
        style = {"facecolor": colour, "alpha": 0.55} if filled else {"facecolor": "none"}
        axes.stairs(density, edges, fill=filled, edgecolor=colour, linewidth=1.3, **style)
        theory = ""
        if expected is not None:
            axes.axvline(expected, color=theme.ink, linewidth=1.2, linestyle=(0, (4, 2)))
            theory = f", theory {expected:.3f}"
        _swatch(figure, number, edgecolor=colour, linewidth=1.2, **style)
        words = f"{name}: mean {spread.mean:.3f}{theory}, least {spread.low:.3f}"
        _word(figure, number, EDGE + 0.3, words, theme.ink)
    # A few far ones would press all others into a corner; the least is told above.
    near = min(_quantile(spread, TAIL) for _, spread, _, _ in told)
    far = max(spread.high for _, spread, _, _ in told)
    axes.set_xlim(near - 0.02 * (far - near) - 1e-3, far + 0.02 * (far - near) + 1e-3)
    axes.xaxis.set_major_locator(_few(6))
    axes.set_yticks([])
    axes.set_ylim(0, axes.get_ylim()[1] * 1.02)
    _finish(axes, theme, "cosine", shares=False)
    return figure


def _neighbours(view: DropoutView, theme: Theme) -> Figure:
    figure, axes = _paper(theme, len(view.effects))
    edges = np.linspace(0, view.neighbors, min(view.neighbors, 15) + 1)
    for number, effect in enumerate(view.effects):
        colour = colour_of(effect, theme)
        counts, _ = np.histogram(effect.row_neighbors_changed, edges)
        shares = counts / max(counts.sum(), 1)
        style: dict[str, Any] = {"facecolor": colour, "alpha": 0.45}
        axes.stairs(shares, edges, fill=True, edgecolor=colour, linewidth=1.3, **style)
        axes.axvline(effect.neighbors_changed, color=colour, linewidth=1.6)
        _swatch(figure, number, edgecolor=colour, linewidth=1.2, **style)
        words = f"dropout {dropout_words.scope(effect)}: mean {mean_of(effect.neighbors_changed)}"
        _word(figure, number, EDGE + 0.3, words, theme.ink)
    axes.set_xlim(-0.02 * view.neighbors, 1.02 * view.neighbors)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _finish(axes, theme, f"neighbours that change, of {view.neighbors}")
    return figure


def _clusters(view: DropoutView, theme: Theme) -> Figure:
    """A line an effect, and the baseline."""
    rows: Sequence[tuple[str, Spread, str]] = [
        *(
            (f"dropout {dropout_words.scope(effect)}", effect.cluster_agreement, colour_of(effect, theme))
            for effect in view.effects
        ),
        ("no dropout, another k-means seed", view.reseeded, theme.pale),
    ]
    figure, axes = _paper(theme, 0, 0.5 * len(rows) + 0.1)
    box = axes.get_position()
    wide = float(figure.get_size_inches()[0])
    axes.set_position((3 * EDGE / wide, box.y0, 1 - 6 * EDGE / wide, box.height))
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=theme.line, linewidth=0.6)
    low = min(0.0, *(spread.low for _, spread, _ in rows))
    axes.set_xlim(low - 0.02, 1.02)
    axes.set_ylim(len(rows) - 0.25, -0.6)
    axes.set_yticks([])
    for number, (name, spread, colour) in enumerate(rows):
        axes.plot([spread.low, spread.high], [number] * 2, color=colour, linewidth=1.2)
        ends = [max(spread.mean - spread.std, spread.low), min(spread.mean + spread.std, spread.high)]
        axes.plot(ends, [number] * 2, color=colour, linewidth=4.5, solid_capstyle="butt", alpha=0.55)
        axes.plot([spread.mean], [number], "o", color=colour, markersize=6)
        words = f"{name}: {signed(spread.mean)}"
        axes.text(low, number - 0.3, words, color=theme.ink, va="center", fontproperties=fonts.font(SIZE))
    _finish(axes, theme, "adjusted Rand index: 1 the same clusters, 0 by chance", shares=False)
    return figure
