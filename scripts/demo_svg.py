"""Maps as SVG inside a page: in the page's own colours, light or dark, without a script."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from penult_service.plots.colours import Key
from penult_service.plots.markup import Html, element

SIDE, EDGE, LAYERS = 400.0, 12.0, 12


def colours(key: Key) -> Html:
    """CSS: the variables --g0, --g1 ... of the genres, in the order of the legend."""
    light = "".join(f"--g{place}:{entry.colour};" for place, entry in enumerate(key.entries))
    dark = "".join(f"--g{place}:{entry.on_dark};" for place, entry in enumerate(key.entries))
    rules = "".join(f".g{place}{{--genre:var(--g{place})}}" for place in range(len(key.entries)))
    return Html(f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}{rules}")


def scatter(
    coordinates: NDArray[np.float32],
    codes: NDArray[np.int32],
    names: Sequence[str],
    label: str,
    *,
    named: bool,
) -> Html:
    """A map: coordinates float32 [n, 2], codes int32 [n] of the genres, which are `named` where they lie."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    scale = (SIDE - 2 * EDGE) / max(float((high - low).max()), 1e-6)
    places = (coordinates - (low + high) / 2) * scale * np.array([1, -1]) + SIDE / 2
    order = np.random.default_rng(0).permutation(len(places))
    # In layers, so that no genre covers another.
    paths = [
        _dots(places[rows[codes[rows] == code]], code)
        for rows in np.array_split(order, LAYERS)
        for code in range(len(names))
    ]
    titles = [_title(places[codes == code], name, code) for code, name in enumerate(names)] if named else []
    return element(
        "svg", *paths, *titles, viewBox=f"0 0 {SIDE:g} {SIDE:g}", role="img", aria_label=label, class_="map"
    )


def _dots(places: NDArray[np.float64], code: int) -> Html:
    # A line of no length with round ends is a dot.
    steps = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
    return element("path", d=steps, class_=f"g{code}")


def _title(places: NDArray[np.float64], name: str, code: int) -> Html:
    x, y = np.median(places, axis=0)
    return element("text", name, x=f"{x:.0f}", y=f"{y:.0f}", class_=f"g{code}")
