"""The hierarchy of clusters as a picture: what is alike is joined early, from the right to the left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from penult_service.plots import colours, fonts
from penult_service.plots.clusters.cluster_view import ClusterView, Group
from penult_service.plots.drawing import DPI, file_of, own_style
from penult_service.plots.maps.legend import SYMBOLS
from penult_service.plots.themes import LIGHT, Theme
from penult_service.plots.words import counted

ENDINGS = (".png", ".svg")
# Inches: of a picture alone, and of one on a page, which a phone makes small.
WIDE, NARROW = 8.4, 4.7
EDGE, LINE, STEP, AXIS, SIGN = 0.14, 0.2, 0.205, 0.52, 0.24
SIZE = 9.0
# More leaves nobody reads: of more clusters, those that are most alike are drawn as one.
MOST_LEAVES = 100


@dataclass(frozen=True)
class Leaf:
    """An end of the tree: a cluster, or some that are drawn as one."""

    words: str
    size: int
    colour: colours.Entry


@dataclass(frozen=True)
class Tree:
    """Two branches that meet at a distance; a leaf has distance 0 and no branches. `size` is in rows."""

    distance: float
    size: int
    groups: tuple[Group, ...]
    branches: tuple[Tree, ...] = ()

    def leaves(self) -> list[Tree]:
        """The ends, from the top."""
        found, waiting = [], [self]
        while waiting:
            tree = waiting.pop()
            if tree.branches:
                waiting.extend(reversed(tree.branches))
            else:
                found.append(tree)
        return found


def tree_of(view: ClusterView, most: int = MOST_LEAVES) -> Tree | None:
    """The hierarchy, the larger branch first, with at most so many leaves; None without one."""
    if not len(view.merges):
        return None
    nodes = [Tree(0.0, group.size, (group,)) for group in view.groups]
    hidden = max(len(nodes) - most, 0)
    for place, (first, second, distance, _) in enumerate(np.asarray(view.merges, np.float64)):
        both = sorted((nodes[int(first)], nodes[int(second)]), key=lambda node: -node.size)
        groups = (*both[0].groups, *both[1].groups)
        size = both[0].size + both[1].size
        nodes.append(Tree(float(distance), size, groups, () if place < hidden else tuple(both)))
    return nodes[-1]


def picture(view: ClusterView, kind: str, theme: Theme = LIGHT) -> bytes:
    """The hierarchy as a file of the kind `png` or `svg`, with a title."""
    with own_style():
        return file_of(figure(view, theme, titled=True), kind, view.title or "clusters")


def figure(view: ClusterView, theme: Theme, *, titled: bool = False) -> Figure:
    """The hierarchy; its height follows the number of clusters. Call it inside `own_style`."""
    wide = WIDE if titled else NARROW
    bold, small = fonts.font(11, bold=True), fonts.font(SIZE)
    title = fonts.wrapped(fonts.drawable(view.title), bold, wide - 2 * EDGE, 2) if titled else []
    told = _told(view) if titled else ""
    caption = fonts.wrapped(fonts.drawable(told), small, wide - 2 * EDGE, 3)
    tree = tree_of(view)
    leaves = [] if tree is None else _leaves(view, tree)
    above = EDGE + 1.25 * LINE * len(title) + LINE * len(caption) + (0.1 if titled else 0)
    below = AXIS if tree is not None else 0
    high = above + STEP * max(len(leaves), 1) + below
    drawn = Figure(figsize=(wide, high), dpi=DPI, facecolor=theme.paper)
    FigureCanvasAgg(drawn)
    down = EDGE
    for lines, font, ink, step in ((title, bold, theme.ink, 1.25), (caption, small, theme.pale, 1.0)):
        for line in lines:
            _word(drawn, line, EDGE, down + step * LINE / 2, ink, font)
            down += step * LINE
    if tree is None:
        _word(
            drawn,
            "There is no hierarchy of fewer than two clusters.",
            EDGE,
            high - STEP / 2,
            theme.pale,
            small,
        )
    else:
        _draw(drawn, view, tree, leaves, above, theme)
    return drawn


def _told(view: ClusterView) -> str:
    parts = [f"{counted(len(view.groups), 'cluster')} of {counted(view.rows, 'row')}"]
    if view.unassigned:
        parts.append(f"{counted(view.unassigned, 'row')} in none")
    shown = min(len(view.groups), MOST_LEAVES)
    if shown < len(view.groups):
        parts.append(f"those most alike are drawn as one: {shown} ends")
    return " · ".join(parts)


def _leaves(view: ClusterView, tree: Tree) -> list[Leaf]:
    entries = view.colours()
    grey = replace(next(iter(entries.values())), kind="other", marker="circle")
    grey = replace(grey, colour=colours.GREYS["other"][0], on_dark=colours.GREYS["other"][1])
    found = []
    for leaf in tree.leaves():
        if len(leaf.groups) == 1:
            found.append(Leaf(leaf.groups[0].title, leaf.size, entries[leaf.groups[0].label]))
        else:
            largest = sorted(leaf.groups, key=lambda group: -group.size)
            words = "; ".join(group.title for group in largest)
            found.append(Leaf(f"{len(leaf.groups)} clusters: {words}", leaf.size, grey))
    return found


def _draw(
    drawn: Figure, view: ClusterView, tree: Tree, leaves: list[Leaf], above: float, theme: Theme
) -> None:
    wide, high = (float(side) for side in drawn.get_size_inches())
    font = fonts.font(SIZE)
    counts = [f"{leaf.size:,}" for leaf in leaves]
    tail = max(fonts.width(count, font) for count in counts)
    room = 0.56 * wide - SIGN - tail - 0.12
    names = [fonts.fitted(fonts.drawable(leaf.words), font, room) for leaf in leaves]
    column = max(fonts.width(name, font) for name in names) + SIGN + 0.12 + tail
    left, right = EDGE + 0.06, wide - EDGE - column
    tall = STEP * len(leaves)
    box = (left / wide, 1 - (above + tall) / high, (right - left) / wide, tall / high)
    axes = drawn.add_axes(box, facecolor="none")
    axes.set_xlim(tree.distance * 1.02 or 1.0, 0)
    axes.set_ylim(len(leaves), 0)
    _branches(axes, tree, leaves, theme)
    _scale(axes, view, theme)
    for place, (leaf, name, count) in enumerate(zip(leaves, names, counts, strict=True)):
        middle = above + (place + 0.5) * STEP
        sign, size = SYMBOLS[leaf.colour.marker]
        at: dict[str, Any] = {"transform": drawn.transFigure, "marker": sign, "markersize": size}
        spot = ([(right + 0.1) / wide], [1 - middle / high])
        drawn.add_artist(Line2D(*spot, linestyle="none", markeredgewidth=0, color=_ink(leaf, theme), **at))
        _word(drawn, name, right + SIGN, middle, theme.ink, font)
        _word(drawn, count, wide - EDGE, middle, theme.pale, font, ha="right")
    _word(drawn, "rows", wide - EDGE, above + tall + 0.14, theme.pale, fonts.font(SIZE - 0.5), ha="right")


def _branches(axes: Axes, tree: Tree, leaves: list[Leaf], theme: Theme) -> None:
    """Each meeting as an upright line, with a line to it from each side; a leaf's is in its colour."""
    places = {id(leaf): place + 0.5 for place, leaf in enumerate(tree.leaves())}
    shown = {id(leaf): end for leaf, end in zip(tree.leaves(), leaves, strict=True)}
    lines, inks, order, waiting = [], [], [], [tree]
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting.extend(node.branches)
    for node in reversed(order):
        if not node.branches:
            continue
        ends = [places[id(branch)] for branch in node.branches]
        places[id(node)] = sum(ends) / len(ends)
        lines.append([(node.distance, ends[0]), (node.distance, ends[-1])])
        inks.append(theme.pale)
        for branch, end in zip(node.branches, ends, strict=True):
            lines.append([(node.distance, end), (branch.distance, end)])
            inks.append(theme.pale if branch.branches else _ink(shown[id(branch)], theme))
    axes.add_collection(LineCollection(lines, colors=inks, linewidths=1.2, capstyle="round", clip_on=False))
    # Of clusters that are drawn as one, the merges are between their distance and the end.
    rest = [
        [(leaf.distance, places[id(leaf)]), (0.0, places[id(leaf)])]
        for leaf in tree.leaves()
        if leaf.distance
    ]
    axes.add_collection(LineCollection(rest, colors=theme.pale, linewidths=0.8, linestyles="dotted"))


def _scale(axes: Axes, view: ClusterView, theme: Theme) -> None:
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.line)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(length=2.5, color=theme.line, labelcolor=theme.pale)
    axes.grid(axis="x", color=theme.line, linewidth=0.6)
    axes.set_axisbelow(True)
    metric = view.used.get("metric", "")
    axes.set_xlabel(
        f"{metric} distance of centres".strip(), color=theme.pale, fontproperties=fonts.font(SIZE)
    )
    for tick in axes.get_xticklabels():
        tick.set_fontproperties(fonts.font(SIZE - 0.5))


def _ink(leaf: Leaf, theme: Theme) -> str:
    return leaf.colour.on_dark if theme.dark else leaf.colour.colour


def _word(
    drawn: Figure, words: str, left: float, middle: float, ink: str, font: Any, *, ha: str = "left"
) -> None:
    """A line of words at a place in inches from the upper left corner."""
    wide, high = drawn.get_size_inches()
    style: dict[str, Any] = {"va": "center", "ha": ha, "parse_math": False, "fontproperties": font}
    drawn.text(left / wide, 1 - middle / high, words, color=ink, **style)
