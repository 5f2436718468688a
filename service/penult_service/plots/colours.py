"""Which label has which colour and shape, for everybody's eyes; the same in every picture and panel.

Seven hues of Okabe and Ito (2008, "Color universal design"); a black that would vanish on a dark page is their
yellow there. After seven labels come lighter ones as triangles, then darker ones as squares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from penult_service.plots.maps.views import MapView, PlacedView

# More colours than these nobody tells apart; what is not named is grey. At most as many as `_TURNS` have.
MOST_NAMED = 20
MARKERS = ("circle", "triangle", "square")
HUES = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#333333")
HUES_ON_DARK = ("#2f93d6", "#e69f00", "#13b98b", "#ea7020", "#d98fb8", "#86cdf7", "#f0e442")
# Chosen among 3,000 mixtures with white and black each, so that the least distance in CIE L*a*b* is large: among
# those of one marker also to eyes without red or green cones, among all to others. In place of a lighter black, one
# more grey, stands a yellow.
_TURNS = (
    (HUES, HUES_ON_DARK),
    (
        ("#4095c5", "#f3d185", "#4fbc9e", "#e39557", "#e1b1cc", "#acdaf4", "#d0c226"),
        ("#67b0e1", "#f2cd7a", "#53ccaa", "#f2a370", "#e5b3cf", "#adddfa", "#e4e6ea"),
    ),
    (
        ("#003350", "#835b00", "#006a4d", "#512400", "#543244", "#346c8c"),
        ("#1e5e89", "#9c6c00", "#0e8564", "#934714", "#7a5067", "#4b738a"),
    ),
)
ONE_COLOUR = (HUES[0], HUES_ON_DARK[5])
GREYS = {
    "other": ("#a3a3a3", "#6f747c"), "noise": ("#c6c6c6", "#4d525a"), "none": ("#c6c6c6", "#4d525a"),
    # Rows that were on a map before; new rows on it that would be grey have to stand out from them.
    "before": ("#bcc1c8", "#525963"), "new": ("#5b616b", "#b4bac3"),
}  # fmt: skip
# Viridis (van der Walt and Smith 2015), in 16 steps: even to the eye, also to colour-blind ones.
SCALE = (
    "#440154", "#48186a", "#472d7b", "#424086", "#3b528b", "#33638d", "#2c728e", "#26828e", "#21918c",
    "#1fa088", "#28ae80", "#3fbc73", "#5ec962", "#84d44b", "#addc30", "#d8e219", "#fde725",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A line of the legend: the `labels` that share it, what they are called, and how they are drawn.

    `kind` is named, other, noise or none; `count` is how many rows of the first view have it.
    """

    labels: tuple[str, ...]
    name: str
    kind: str
    count: int
    colour: str
    on_dark: str
    marker: str


@dataclass(frozen=True, eq=False)
class Key:
    """The legend of some views. `codes`, one int32 [n] a view, are places in `entries`; `names` those of labels."""

    entries: tuple[Entry, ...]
    codes: tuple[NDArray[np.int32], ...]
    equal_counts: bool
    names: Mapping[str, str] = field(default_factory=dict)


def key_of(views: Sequence[MapView], first: Sequence[MapView] = ()) -> Key | None:
    """The legend that the views share; None when they have no labels. Those that are named come in their order in
    `first`, so with the colours that they have there alone, and others after them.
    """
    labelled = [view.labels for view in views if view.labels is not None]
    if not labelled:
        return None
    counts = [Counter(labels) for labels in labelled]
    total = sum(counts, Counter[str]())
    ahead = sum((Counter(view.labels) for view in first if view.labels is not None), Counter[str]())
    order = Counter({label: count + ahead[label] * total.total() for label, count in total.items()})
    noise = next((view.noise for view in views if view.noise is not None), None)
    names = {label: name for view in views for label, name in view.names.items()}
    found = tuple(
        replace(entry, name=names.get(entry.labels[0], entry.name))
        if entry.kind in ("named", "noise")
        else entry
        for entry in entries(total, counts[0], noise, order)
    )
    places = {label: place for place, entry in enumerate(found) for label in entry.labels}
    codes = tuple(
        np.fromiter((places[label] for label in view.labels), np.int32, len(view.labels))
        if view.labels is not None
        else np.zeros(0, np.int32)
        for view in views
    )
    return Key(found, codes, all(count == counts[0] for count in counts), names)


def placed_key(view: PlacedView) -> Key | None:
    """The legend of new rows on a map, whose counts it tells, and of the stored rows where they have labels.

    Their colours are those of the map's own picture.
    """
    stored = [] if view.stored_labels is None else [replace(view.stored, noise=view.new.noise)]
    key = key_of([view.new, *stored], stored)
    if key is None:
        return None
    light, dark = GREYS["new"]
    shown = (
        entry if entry.kind == "named" else replace(entry, colour=light, on_dark=dark)
        for entry in key.entries
    )
    return replace(key, entries=tuple(shown))


def ranked(counts: Counter[str]) -> list[str]:
    """Labels by size; those of equal size, and numbers, in their own order."""
    if all(_is_number(label) for label in counts):
        return sorted(counts, key=int)
    return sorted(counts, key=lambda label: (-counts[label], label))


def entries(
    total: Counter[str], shown: Counter[str], noise: str | None, order: Counter[str] | None = None
) -> tuple[Entry, ...]:
    """The lines of a legend: the labels of largest `total` are named, by `order` (None: `total`); `shown` are the
    counts that it tells.
    """
    order = total if order is None else order
    plain = Counter({label: count for label, count in total.items() if label not in ("", noise)})
    largest = sorted(plain, key=lambda label: (-plain[label], label))[:MOST_NAMED]
    named = ranked(Counter({label: order[label] for label in largest}))
    found = [
        Entry((label,), label, "named", shown[label], *styled(place)) for place, label in enumerate(named)
    ]
    rest = tuple(sorted(set(plain) - set(named)))
    greys = [
        (rest, f"other ({len(rest):,} label{'s' if len(rest) > 1 else ''})", "other"),
        ((noise,) if noise is not None and noise in total else (), "noise", "noise"),
        (("",) if "" in total else (), "no label", "none"),
    ]
    for labels, name, kind in greys:
        if labels:
            found.append(Entry(labels, name, kind, sum(shown[x] for x in labels), *GREYS[kind], MARKERS[0]))
    return tuple(found)


def styled(place: int) -> tuple[str, str, str]:
    """Colour on a light page, colour on a dark one, and marker of the label at a place, from 0."""
    turn, hue = divmod(place, len(HUES))
    return _TURNS[turn][0][hue], _TURNS[turn][1][hue], MARKERS[turn]


def rgb(colour: str) -> tuple[int, int, int]:
    """#rrggbb as three numbers of 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def value_range(views: Sequence[MapView]) -> tuple[float, float] | None:
    """The ends of the colour scale; None when there are no values.

    The smallest and largest value, unless the middle 96 % take less than a third of that: a few far values would
    leave all others in one colour.
    """
    parts = [np.asarray(view.values, np.float64) for view in views if view.values is not None]
    if not parts:
        return None
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    near, far = (float(end) for end in np.quantile(values, (0.02, 0.98)))
    if far > near and high - low > 3 * (far - near):
        low, high = near, far
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _is_number(label: str) -> bool:
    return len(label) < 19 and label.isascii() and label.removeprefix("-").isdigit()
