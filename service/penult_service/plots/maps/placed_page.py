"""New rows on a stored map as HTML: the page of a map, with the rows that were there before behind the new ones."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from penult_service.plots import colours
from penult_service.plots.colours import placed_key
from penult_service.plots.maps import map_page
from penult_service.plots.maps.views import PlacedView


def page(view: PlacedView, heading: str) -> str:
    """A whole document, to be written as UTF-8.

    Args:
        view: The map and the new rows.
        heading: The title of the document; people's words, escaped here.
    """
    return map_page.whole(fragment(view, "map", heading), heading)


def fragment(view: PlacedView, element_id: str, heading: str = "") -> str:
    """The map as a part of another document, as `map_page.fragment`."""
    return map_page.embedded(
        {**map_page.titles(view.new, heading), **_rows(view), **_paint(view)}, element_id
    )


def _rows(view: PlacedView) -> dict[str, Any]:
    """The stored rows, then the new ones."""
    counts = [len(one.coordinates) for one in (view.stored, view.new)]
    texts = [
        [None] * count if (given := map_page.texts_of(one)) is None else given
        for one, count in zip((view.stored, view.new), counts, strict=True)
    ]
    known = view.stored.texts is not None or view.new.texts is not None
    found: dict[str, Any] = {
        **map_page.grid_of(np.concatenate(view.flat())),
        "texts": texts[0] + texts[1] if known else None,
        "stored": counts[0],
        "before": colours.GREYS["before"],
        "far": map_page.base64_of(np.asarray(view.far, np.uint8)),
    }
    if view.distances is not None:
        found["distances"] = map_page.base64_of(np.asarray(view.distances, "<f4"))
    if view.nearest is not None:
        found["nearest"] = map_page.base64_of(np.asarray(view.nearest, "<i4"))
    if view.far_distance is not None and np.isfinite(view.far_distance):
        found["limit"] = view.far_distance
    return found


def _paint(view: PlacedView) -> dict[str, Any]:
    """Colours of the new rows, and of the stored ones where they have labels."""
    base = map_page.plain_paint(view.new)
    before = len(view.stored.coordinates)
    ends = colours.value_range([view.new])
    if ends is not None:
        values = np.concatenate([np.full(before, np.nan, "<f4"), np.asarray(view.new.values, "<f4")])
        return {**base, **map_page.scale_paint(values.astype("<f4"), ends)}
    key = placed_key(view)
    if key is None:
        return base
    # A row without a label has the first code, which is not looked at.
    filler = key.entries[0].labels[0]
    sides = [
        [filler] * count if labels is None else list(labels)
        for labels, count in ((view.stored_labels, before), (view.new.labels, len(view.far)))
    ]
    counts = Counter(view.new.labels if view.new.labels is not None else sides[0])
    told = [view.stored_labels is not None, view.new.labels is not None]
    return {**base, **map_page.label_paint(key, counts, sides[0] + sides[1]), "labelled": told}
