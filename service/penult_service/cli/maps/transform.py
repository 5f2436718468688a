"""`penult transform`: places of new rows on a map that is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.cli import analyses, estimates, kept, options, remote, tables
from penult_service.cli.analyses import short
from penult_service.cli.console import note, print_table
from penult_service.cli.maps import placed_pictures
from penult_service.cli.maps.placed_pictures import Backdrop
from penult_service.cli.operation_progress import shown
from penult_service.cli.outputs import drafts
from penult_service.cli.scores.sides import Side
from penult_service.plots.words import counted

if TYPE_CHECKING:
    from penult_client import Placed

AXES = ("x", "y", "z")
ADDED = ("distance", "nearest_row", "far")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("transform")(transform)


def transform(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file of texts or embeddings.")],
    name: Annotated[
        str, typer.Option("--map", metavar="NAME", help="The map, as `penult map --name` kept it.")
    ],
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate", help="Search an index that may miss neighbours: quicker for very many rows."
        ),
    ] = False,
    show: Annotated[int, typer.Option(min=0, metavar="N", help="How many rows to print.")] = 10,
    model: options.NewRowsModel = None,
    server: options.KeepingServer = None,
    data: options.KeptData = None,
    text_column: options.TextColumn = "text",
    as_json: options.Json = False,
    output: options.TableOutput = None,
    picture: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Draw the new rows on the map: a .png, .svg or .html file; several times for several.",
        ),
    ] = None,
    color: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Of --picture: colour by a column, as `penult map` does."),
    ] = None,
    clusters: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of --picture: colour by clusters that are kept."),
    ] = None,
    map_input: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Of --picture: the file that the map was made of, for the texts and colours of its rows.",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
) -> None:
    """Places of new rows on a map, which stays as it is.

    The place of a row depends on the map and the row alone; a row that the map was made of gets its own. With --output
    the columns of the input are written and beside them x, y (and z), `distance` (to the nearest row of the map),
    `nearest_row` (its number) and `far`: farther than 99 % of the map's own rows are from each other, so that the
    place says little.

    The INPUT is of texts, which are embedded as the map's own rows were, or of embeddings that `penult embed` wrote.
    For a map of embeddings embed new texts with `penult embed` in the same way first.
    --picture draws the map's own rows pale, the new ones in colour, and far ones hollow.
    """
    tables.check_places([output] if output else [], (source,), overwrite)
    drawn = placed_pictures.Asked(picture or [], color, clusters, map_input or [], text_column)
    drawn.check(source, overwrite)
    side, rows = kept.new_rows(source, text_column, model, server, data)
    if output is not None:
        tables.check_names(side, (*AXES[:2], *ADDED))
    with kept.keeper(model, server, data) as (client, called):
        how: dict[str, Any] = {"model": called, "approximate": approximate}
        if dry_run:
            estimate = client.transform(kept.given(side, rows), name, dry_run=True, **how)
            estimates.show(estimate, server, as_json)
            return
        with shown("waiting for the server's analysis", "was told to end") as report:
            placed = client.transform(kept.given(side, rows), name, progress=report, **how)
        behind = placed_pictures.backdrop(client, drawn, side, rows, placed, called) if drawn.places else None
    made = Placement(kept.told(side, placed), rows, placed)
    kept.tell_new(placed, rows, "they lie beside the map", "their places say little")
    _write(made, output, drawn.places, behind, source.name)
    if as_json:
        print(json.dumps(made.facts(), indent=1, ensure_ascii=False))
    else:
        _show(made, show)


def _write(
    made: Placement, output: Path | None, pictures: Sequence[Path], behind: Backdrop | None, source: str
) -> None:
    """All outputs, or none."""
    with drafts(*([output] if output else []), *pictures) as written:
        if output is not None:
            tables.write(written[0], output.suffix.lower(), made.table(source))
        if behind is not None:
            view = placed_pictures.view_of(behind, made.side, made.rows, made.placed, source)
            for draft, place in zip(written[output is not None :], pictures, strict=True):
                placed_pictures.write(draft, place.suffix.lower(), view)
    if output is not None:
        note(f"wrote {output}: {len(made.side.vectors):,} rows")
    for place in pictures:
        note(f"wrote {place}")


@dataclass(frozen=True)
class Placement:
    """Places of the rows of a side that have an embedding."""

    side: Side
    rows: NDArray[np.intp]
    placed: Placed

    def parameters(self) -> dict[str, Any]:
        """What was used."""
        placed = self.placed
        return {
            "map": placed.projection.name,
            "rows": len(self.rows),
            "used": remote.used(placed.used),
            "far": len(placed.far_rows),
            "far_distance": placed.far_distance,
            "space_checked": placed.space_checked,
            "embedding_space": self.side.space,
            "adjustments": analyses.plain(remote.adjustments(placed.adjustments)),
            "zero_rows": self.rows[placed.zero_rows].tolist(),
            "penult": __version__,
        }

    def table(self, source: str) -> Any:
        """The input's columns, the places, and how far they are from the map's rows."""
        placed = self.placed
        places = dict(zip(AXES, placed.coordinates.T, strict=False))
        added = {
            **places,
            **dict(zip(ADDED, (placed.distances, placed.nearest_rows, placed.far), strict=True)),
        }
        tables.check_names(self.side, tuple(added))
        table = tables.extended(self.side, added, self.rows)
        return tables.with_facts(table, self.side, "transform", {**self.parameters(), "source": source})

    def facts(self) -> dict[str, Any]:
        """All of it, for --json."""
        placed, texts = self.placed, self.side.texts
        rows = [
            {
                "row": row,
                **({} if texts is None else {"text": texts[row]}),
                "place": [float(str(number)) for number in placed.coordinates[i]],
                "distance": float(placed.distances[i]),
                "nearest_row": int(placed.nearest_rows[i]),
                "far": bool(placed.far[i]),
            }
            for i, row in enumerate(self.rows.tolist())
        ]
        return {**self.parameters(), "results": rows}


def _show(made: Placement, show: int) -> None:
    placed = made.placed
    far = kept.far_words(placed)
    print(
        f"{counted(len(made.rows), 'row')} placed on map {placed.projection.name} ({placed.projection.rows:,} rows); "
        f"{far}"
    )
    if show:
        lines = [
            (
                f"row {row}",
                ", ".join(f"{number:.3f}" for number in placed.coordinates[i]),
                f"{placed.distances[i]:.4f}",
                "far" if placed.far[i] else "",
                short(made.side.texts[row], 80) if made.side.texts else "",
            )
            for i, row in enumerate(made.rows[:show].tolist())
        ]
        print_table(("", "place", "distance", "", ""), lines, right=(0, 2))
    if len(made.rows) > show:
        print(f"... and {len(made.rows) - show:,} more; -o FILE or --json has all")
