"""Maps as HTML: one file that needs nothing else, to look at, search and filter.

The places go into the file as 16-bit numbers, the texts as JSON in a block that is data, not script; what draws
them (map_page.js, map_painter.js, map_page.css) is ours and asks no network.
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
from penult_service.plots.views import MapView
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
{fragment(view, "map", heading)}
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
    if not re.fullmatch(r"[A-Za-z][\w-]*", element_id, re.ASCII):
        raise ValueError(f"{element_id!r} is no id of an element")
    title = _clean(heading or view.title)
    extra = _clean(view.title) if heading and view.title != heading else ""
    caption = " · ".join(part for part in (extra, _clean(view.caption), view.note) if part)
    data = _json({"title": title, "caption": caption, **_rows(view), **_paint(view)})
    return f"""<style>{_asset("map_page.css")}</style>
<div class="penult-map" id="{element_id}"><noscript>This map needs JavaScript.</noscript></div>
<script type="application/json" id="{element_id}-data">{data}</script>
<script>{_asset("map_painter.js")}
{_asset("map_page.js")}
penultMap("{element_id}");</script>"""


def _rows(view: MapView) -> dict[str, Any]:
    places = view.flat()
    low = places.min(axis=0) if len(places) else np.zeros(2)
    extent = float((places - low).max()) if len(places) else 0.0
    grid = np.rint((places - low) / (extent or 1.0) * STEPS).astype("<u2")
    # On a screen y points down.
    grid[:, 1] = (grid[:, 1].max() if len(grid) else 0) - grid[:, 1]
    texts = None if view.texts is None else [shortened(_clean(text), LONGEST_TEXT) for text in view.texts]
    return {"n": len(places), "places": _base64(grid), "texts": texts}


def _paint(view: MapView) -> dict[str, Any]:
    """How rows are coloured: by labels, by values or all alike."""
    base = {
        "one": colours.ONE_COLOUR,
        "hues": [colours.HUES, colours.HUES_ON_DARK],
        "legend": _clean(view.legend),
    }
    ends = colours.value_range([view])
    if ends is not None:
        values = np.asarray(view.values, "<f4")
        return {
            **base,
            "values": _base64(values),
            "ends": ends,
            "scale": colours.SCALE,
            "none": colours.GREYS["none"],
        }
    key = colours.key_of([view])
    if key is None or view.labels is None:
        return base
    entries = {label: entry for entry in key.entries for label in entry.labels}
    counts = Counter(view.labels)
    # The list names all labels, also those that share the grey: each can be filtered by.
    names = [label for entry in key.entries for label in _in_order(entry.labels, counts)]
    places = {label: place for place, label in enumerate(names)}
    codes = np.fromiter(
        (places[label] for label in view.labels), "<u2" if len(names) < 65_536 else "<u4", len(view.labels)
    )
    labels = [_label(label, entries[label], counts[label]) for label in names]
    return {**base, "labels": labels, "codes": _base64(codes), "wide": codes.itemsize == 4}


def _in_order(labels: Sequence[str], counts: Counter[str]) -> list[str]:
    return colours.ranked(Counter({label: counts[label] for label in labels}))


def _label(label: str, entry: colours.Entry, count: int) -> list[Any]:
    name = _clean(label) if entry.kind in ("named", "other") else entry.name
    return [shortened(name, LONGEST_LABEL), count, entry.colour, entry.on_dark, entry.marker, entry.kind]


def _clean(text: str) -> str:
    return one_line(text)


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _json(facts: dict[str, Any]) -> str:
    """JSON that may stand in a script element: nothing in it can end the element or open a comment."""
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _asset(name: str) -> str:
    return files("penult_service.plots").joinpath(name).read_text(encoding="utf-8").strip()
