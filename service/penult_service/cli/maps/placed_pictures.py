"""Pictures of new rows on a map that is kept (.png, .svg), and pages of them (.html)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from penult_service.cli import analyses, kept, tables
from penult_service.cli.clusters import cluster_report
from penult_service.cli.maps.colouring import NOISE, Colouring, colouring_of
from penult_service.cli.maps.mapped import NAMES
from penult_service.cli.maps.stored_rows import StoredRows, stored_rows
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_client import Client, Placed

    from penult_service.plots.maps.views import PlacedView

PICTURES, PAGES = (".png", ".svg"), (".html",)


@dataclass(frozen=True)
class Asked:
    """What to draw: `color` by a column, or by the kept `clusters`; `files` are those that the map was made of."""

    places: Sequence[Path]
    color: str | None
    clusters: str | None
    files: Sequence[Path]
    text_column: str

    def check(self, source: Path, overwrite: bool) -> None:
        """Refuse what cannot be drawn or written, before any work.

        Raises:
            InvalidInput: as `tables.check_places`; two ways to colour, or colours and nothing to draw.
            ModuleNotFoundError: what draws is not installed.
        """
        tables.check_places(self.places, (source, *self.files), overwrite, (*PICTURES, *PAGES))
        if self.color is not None and self.clusters is not None:
            raise InvalidInput("colour by --color or by --clusters, not by both", field="--clusters")
        given = {"--color": self.color, "--clusters": self.clusters, "--map-input": self.files}
        idle = next((option for option, value in given.items() if value), None)
        if idle is not None and not self.places:
            raise InvalidInput(f"{idle} is of a picture; name one with --picture FILE", field=idle)
        if self.places:
            analyses.require("matplotlib")


@dataclass(frozen=True)
class Backdrop:
    """A map that new rows are placed on: its places, what is known of its rows, and how both are coloured."""

    coordinates: NDArray[np.float32]
    rows: StoredRows
    labels: Sequence[str] | None
    new: Colouring
    names: dict[str, str] = field(default_factory=dict)


def backdrop(
    client: Client, asked: Asked, side: Side, rows: NDArray[np.intp], placed: Placed, model: str | None
) -> Backdrop:
    """What stands behind the new rows.

    Args:
        client: Of what keeps the map.
        asked: What to draw.
        side, rows: The new rows, and the numbers of those that were placed.
        placed: Where.
        model: By name, for texts that are assigned to clusters.

    Raises:
        InvalidInput: no such column, or rows that are not those of the map.
    """
    known = stored_rows(client, placed.projection, asked.files, asked.text_column)
    coordinates = client.projection(placed.projection.name).coordinates
    if asked.clusters is not None:
        return _by_clusters(client, asked.clusters, side, rows, placed, model, known, coordinates)
    if asked.color is None:
        return Backdrop(coordinates, known, None, Colouring())
    colouring = colouring_of(side, asked.color, rows)
    labels = known.labels(asked.color) if colouring.labels is not None else None
    return Backdrop(coordinates, known, labels, colouring)


def view_of(found: Backdrop, side: Side, rows: NDArray[np.intp], placed: Placed, source: str) -> PlacedView:
    """What is drawn."""
    from penult_service.plots.maps.views import MapView, PlacedView

    method = str(placed.used.get("method", ""))
    title = f"{source} on {placed.projection.name}"
    caption = [
        f"{NAMES.get(method, method)} of {placed.projection.rows:,} rows".strip(),
        f"{len(rows):,} new rows",
        kept.far_words(placed),
    ]
    texts = None if side.texts is None else [side.texts[row] for row in rows.tolist()]
    colouring = found.new
    new = MapView(
        placed.coordinates, colouring.labels, texts, title, " · ".join(caption), colouring.values,
        colouring.name, colouring.noise, names=found.names,
    )  # fmt: skip
    stored = MapView(found.coordinates, found.labels, found.rows.texts, noise=colouring.noise)
    return PlacedView(stored, new, placed.far, placed.distances, placed.nearest_rows, placed.far_distance)


def write(draft: Path, ending: str, view: PlacedView) -> None:
    """The picture or page, as the ending says."""
    if ending in PAGES:
        from penult_service.plots.maps.placed_page import page

        draft.write_text(page(view, view.new.title), encoding="utf-8", newline="\n")
    else:
        from penult_service.plots.maps.placed_picture import picture

        draft.write_bytes(picture(view, ending.removeprefix(".")))


def _by_clusters(
    client: Client,
    name: str,
    side: Side,
    rows: NDArray[np.intp],
    placed: Placed,
    model: str | None,
    known: StoredRows,
    coordinates: NDArray[np.float32],
) -> Backdrop:
    """Both in the colours of clusters that are kept; the map's rows where the clusters are of the same."""
    from penult_service.plots.clusters.cluster_view import Group

    clusters = client.clustering(name)
    clusters = cluster_report.with_keywords(clusters, known.texts)
    labels = [str(label) for label in clusters.labels.tolist()]
    stored = clusters.stored
    one, other = placed.projection, stored
    same = len(labels) == len(coordinates) and other is not None and one.id_digest == other.id_digest
    assigned = client.assign(kept.given(side, rows), name, model=model)
    names = {
        str(info.label): Group(
            info.label, info.size, info.name, tuple(word for word, _ in info.keywords)
        ).title
        for info in clusters.clusters
    }
    names[NOISE] = "in none of them"
    new = Colouring(f"cluster ({name})", [str(label) for label in assigned.labels.tolist()], noise=NOISE)
    return Backdrop(coordinates, known, labels if same else None, new, names)
