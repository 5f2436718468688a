"""Maps as HTML: one file that needs nothing else, to look at, search and filter.

The places go into the file as 16-bit numbers, the texts as JSON in a block that is data, not script; what draws
them (map_*.js, map_page.css) is ours and asks no network.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.plots import colours
from penult_service.plots.maps.views import MapView
from penult_service.plots.words import one_line, shortened

LONGEST_TEXT = 600
LONGEST_LABEL = 120
# Steps of the grid that places are rounded to: finer than a screen is wide, also when zoomed in.
STEPS = 65_535
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(view: MapView, heading: str) -> str:
    """A whole document, to be written as UTF-8.

    Args:
        view: The map.
        heading: The title of the document; people's words, escaped here.
    """
    return whole(fragment(view, "map", heading), heading)


def whole(part: str, heading: str) -> str:
    """A document of one fragment."""
    title = html.escape(_clean(heading))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>body{{margin:0}} .penult-map{{border:0;height:100vh;height:100dvh}}</style>
</head>
<body>
{part}
</body>
</html>
"""


def fragment(view: MapView, element_id: str, heading: str = "") -> str:
    """The map as a part of another document: a `div` of that id, 36 em high unless the document says otherwise.

    Args:
        view: The map.
        element_id: Letters, digits, `-` and `_`; another one for each map of a document.
        heading: Shown above the map; without it the view's title.
    """
    return embedded({**titles(view, heading), **_rows(view), **_paint(view)}, element_id)


def titles(view: MapView, heading: str) -> dict[str, Any]:
    """What stands above a map."""
    extra = _clean(view.title) if heading and view.title != heading else ""
    caption = " · ".join(part for part in (extra, _clean(view.caption), view.note) if part)
    return {"title": _clean(heading or view.title), "caption": caption}


def embedded(facts: dict[str, Any], element_id: str) -> str:
    """The `div` with what it shows, as `map_page.js` takes it."""
    if not re.fullmatch(r"[A-Za-z][\w-]*", element_id, re.ASCII):
        raise ValueError(f"{element_id!r} is no id of an element")
    data = _json(facts)
    return f"""<style>{_asset("map_page.css")}</style>
<div class="penult-map" id="{element_id}"><noscript>This map needs JavaScript.</noscript></div>
<script type="application/json" id="{element_id}-data">{data}</script>
<script>{_asset("map_painter.js")}
{_asset("map_tools.js")}
{_asset("map_page.js")}
penultMap("{element_id}");</script>"""


def _rows(view: MapView) -> dict[str, Any]:
    kept = view.neighbors_kept
    more = {} if kept is None else {"kept": base64_of(np.asarray(kept, "<f4"))}
    return {**grid_of(view.flat()), "texts": texts_of(view), **more}


def grid_of(places: NDArray[np.float64]) -> dict[str, Any]:
    """How many places, and where they are on a grid of 16-bit numbers."""
    low = places.min(axis=0) if len(places) else np.zeros(2)
    extent = float((places - low).max()) if len(places) else 0.0
    grid = np.rint((places - low) / (extent or 1.0) * STEPS).astype("<u2")
    # On a screen y points down.
    grid[:, 1] = (grid[:, 1].max() if len(grid) else 0) - grid[:, 1]
    return {"n": len(places), "places": base64_of(grid)}


def texts_of(view: MapView) -> list[str] | None:
    """The texts of a map, cut where they are long."""
    return None if view.texts is None else [shortened(_clean(text), LONGEST_TEXT) for text in view.texts]


def _paint(view: MapView) -> dict[str, Any]:
    """How rows are coloured: by labels, by values or all alike."""
    ends = colours.value_range([view])
    if ends is not None:
        return {**plain_paint(view), **scale_paint(np.asarray(view.values, "<f4"), ends)}
    key = colours.key_of([view])
    if key is None or view.labels is None:
        return plain_paint(view)
    return {**plain_paint(view), **label_paint(key, Counter(view.labels), view.labels)}


def plain_paint(view: MapView) -> dict[str, Any]:
    """The colour of rows without labels or values, and what is needed for those with."""
    hues = [colours.HUES, colours.HUES_ON_DARK]
    return {"one": colours.ONE_COLOUR, "hues": hues, "legend": _clean(view.legend)}


def scale_paint(values: NDArray[np.float32], ends: tuple[float, float]) -> dict[str, Any]:
    """A value a row, and their scale."""
    none = colours.GREYS["none"]
    return {"values": base64_of(values), "ends": ends, "scale": colours.SCALE, "none": none}


def label_paint(key: colours.Key, counts: Counter[str], labels: Sequence[str]) -> dict[str, Any]:
    """The labels with their counts and colours, and the label of each row."""
    entries = {label: entry for entry in key.entries for label in entry.labels}
    # The list names all labels, also those that share the grey: each can be filtered by.
    names = [label for entry in key.entries for label in _in_order(entry.labels, counts)]
    places = {label: place for place, label in enumerate(names)}
    codes = np.fromiter(
        (places[label] for label in labels), "<u2" if len(names) < 65_536 else "<u4", len(labels)
    )
    told = [_label(key.names.get(label, label), entries[label], counts[label]) for label in names]
    return {"labels": told, "codes": base64_of(codes), "wide": codes.itemsize == 4}


def _in_order(labels: Sequence[str], counts: Counter[str]) -> list[str]:
    return colours.ranked(Counter({label: counts[label] for label in labels}))


def _label(label: str, entry: colours.Entry, count: int) -> list[Any]:
    name = _clean(label) if entry.kind in ("named", "other") else entry.name
    return [shortened(name, LONGEST_LABEL), count, entry.colour, entry.on_dark, entry.marker, entry.kind]


def _clean(text: str) -> str:
    return one_line(text)


def base64_of(values: NDArray[Any]) -> str:
    """The numbers as text."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _json(facts: dict[str, Any]) -> str:
    """JSON that may stand in a script element: nothing in it can end the element or open a comment."""
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _asset(name: str) -> str:
    return files("penult_service.plots.maps").joinpath(name).read_text(encoding="utf-8").strip()
