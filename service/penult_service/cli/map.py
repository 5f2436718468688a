"""`penult map`: a place in two or three dimensions for each row, and pictures of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.analysis import calls
from penult_service.analysis.results import ProjectResult
from penult_service.cli import analyses, estimates, kept, options, sides, tables
from penult_service.cli.colouring import (
    NEIGHBORS_KEPT,
    Colouring,
    colouring_of,
    kept_wanted,
    of_neighbors_kept,
)
from penult_service.cli.console import note
from penult_service.cli.outputs import drafts
from penult_service.cli.sides import Side
from penult_service.errors import InvalidInput
from penult_service.vectors import POOLINGS, TRUNCATIONS

if TYPE_CHECKING:
    from penult_service.plots.views import MapView

PICTURES = (".png", ".svg")
PAGES = (".html",)
ENDINGS = (*PICTURES, *PAGES, *tables.ENDINGS)
AXES = ("x", "y", "z")
NAMES = {"umap": "UMAP", "pca": "PCA", "tsne": "t-SNE"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("map")(project)


def project(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file of texts or embeddings.")],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A .png, .svg, .html, .parquet, .csv or .jsonl file; several times for several.",
        ),
    ] = None,
    method: Annotated[str, typer.Option(help=f"One of {', '.join(calls.PROJECT_METHODS)}.")] = "umap",
    color: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help=f"Colour by a column: labels, or a scale when it holds many numbers; or {NEIGHBORS_KEPT}: the share "
            "of each row's neighbours that are its neighbours on the map.",
        ),
    ] = None,
    components: Annotated[int, typer.Option(help="Dimensions of the map, 2 or 3.")] = 2,
    metric: Annotated[str, typer.Option(help=f"One of {', '.join(calls.PROJECT_METRICS)}.")] = "cosine",
    n_neighbors: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of umap: neighbours a row that stay together. [default: 15]"),
    ] = None,
    min_dist: Annotated[
        float | None,
        typer.Option(metavar="X", help="Of umap: how close rows may lie, 0 to 1. [default: 0.1]"),
    ] = None,
    perplexity: Annotated[
        float | None,
        typer.Option(metavar="X", help="Of tsne: about how many neighbours count. [default: 30]"),
    ] = None,
    supervised: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL_COLUMN",
            help="Of umap: pull rows of one label together (an empty one is not known); the map no longer says whether "
            "they would lie together by themselves.",
        ),
    ] = None,
    target_weight: Annotated[
        float | None,
        typer.Option(metavar="X", help="How much these labels count, 0 to 1. [default: 0.5]"),
    ] = None,
    density: Annotated[bool, typer.Option("--density", help="Of umap: keep how dense rows lie.")] = False,
    aligned_to: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of umap: turn it onto the map NAME of the same rows, by another model or version.",
        ),
    ] = None,
    seed: options.Seed = calls.SEED,
    title: Annotated[
        str | None, typer.Option(help="What stands above the pictures. [default: the input's name]")
    ] = None,
    model: options.Model = None,
    server: options.Server = None,
    text_column: options.TextColumn = "text",
    pooling: options.Pooling = "pooled",
    layer: options.Layer = None,
    normalize: options.Normalize = False,
    truncate: options.Truncate = "right",
    data: options.Data = None,
    as_json: options.Json = False,
    name: options.Name = None,
    overwrite: options.OverwriteOrName = False,
    dry_run: options.DryRun = False,
) -> None:
    """A map of the rows: rows that are alike lie near each other.

    The ends of the outputs' names say what they are: pictures (.png, .svg); a page with the texts, to
    search and filter, in one file that needs no network (.html); or the columns of the input with x, y
    (and z) beside them (.parquet, .csv, .jsonl).

    The INPUT is of texts (.csv, .tsv, .jsonl, .parquet, .txt), which --model embeds, or of embeddings that
    `penult embed` wrote (.parquet, .arrow, .npy), which need no model. With --server that server computes, else
    this process does. The same rows, parameters and seed give the same map. With --name it is kept, by that server or
    in --data DIR (of `penult serve --data`), and `penult transform` places new rows on it.

    Prints the trustworthiness: 1 when rows that are neighbours on the map are neighbours among the
    embeddings too, about 0.5 by chance; the continuity, the same with the sides changed; which share of the
    neighbours is kept; and how far distances keep their order. To colour by clusters, run `penult cluster` first,
    and give its output here with --color cluster.
    """
    options.one_of("--method", method, calls.PROJECT_METHODS)
    options.one_of("--metric", metric, calls.PROJECT_METRICS)
    options.one_of("--pooling", pooling, POOLINGS)
    options.one_of("--truncate", truncate, TRUNCATIONS)
    places = output or []
    if not (places or as_json or name or dry_run):
        raise InvalidInput(
            "name what to write: -o map.png, -o map.html, ... (or --json, or --name to keep it)"
        )
    tables.check_places(places, (source,), overwrite, ENDINGS)
    if any(place.suffix.lower() in PICTURES for place in places):
        analyses.require("matplotlib")
    call = calls.Project(
        method,
        components,
        metric,
        n_neighbors,
        min_dist,
        perplexity,
        seed,
        supervised=supervised is not None,
        target_weight=target_weight,
        density=density,
    )
    settings = {"pooling": pooling, "layer": layer, "normalize": normalize, "truncate": truncate}
    more = {"name": name, "overwrite": name and overwrite, "aligned_to": aligned_to}
    with kept.opened(model, server, data, settings, more, dry_run=dry_run) as embedding:
        embedding.check(call, ("source",), labelled=supervised is not None)
        side = sides.of_file(source, text_column, embedding, keep=True)
        analyses.tell_missing(side)
        if any(place.suffix.lower() in tables.ENDINGS for place in places):
            tables.check_names(side, AXES[:components])
        rows = side.good()
        shown = color or supervised
        by_kept = shown is not None and kept_wanted(side, shown)
        colouring = Colouring() if shown is None or by_kept else colouring_of(side, shown, rows)
        labels = colouring.measurable if supervised is None else _labels(side, supervised, rows)
        if dry_run:
            estimates.show(embedding.estimate(call, side, rows, labels), server, as_json)
            return
        result, side = embedding.analyse_rows(call, side, rows, labels)
    if by_kept:
        colouring = of_neighbors_kept(result)
    made = Map(call, side, rows, colouring, result, source.name, title)
    analyses.tell_adjustments(result.adjustments)
    what = "with zeros alone (no direction: they lie together beside the map)"
    analyses.tell_rows(what, rows[result.zero_rows])
    _write(made, places)
    kept.tell(embedding)
    if as_json:
        print(json.dumps(made.facts(), indent=1, ensure_ascii=False))
    else:
        _show(made)


def _labels(side: Side, name: str, rows: NDArray[np.intp]) -> list[str]:
    """The labels that supervise the map, "" where a row has none."""
    values = tables.column_of(side, name, "--supervised").to_pylist()
    return [tables.word(values[row]) for row in rows]


@dataclass(frozen=True)
class Map:
    """A map of the rows of a side that have an embedding."""

    call: calls.Project
    side: Side
    rows: NDArray[np.intp]
    colouring: Colouring
    result: ProjectResult
    source: str
    title: str | None

    def parameters(self) -> dict[str, Any]:
        """What was used, and how good it is."""
        result = self.result
        return {
            "used": {name: value for name, value in result.used.items() if value is not None},
            "rows": len(self.rows),
            "embedding_space": self.side.space,
            "trustworthiness": result.trustworthiness,
            "quality_rows": result.quality_rows,
            "quality_neighbors": result.quality_neighbors,
            "continuity": result.continuity,
            "neighbors_kept": result.neighbors_kept,
            "distance_correlation": result.distance_correlation,
            "label_purity": result.label_purity,
            "label_purity_source": result.label_purity_source,
            "alignment_disparity": result.alignment_disparity,
            "explained_variance": result.explained_variance.tolist(),
            "adjustments": analyses.plain(result.adjustments),
            "zero_rows": self.rows[result.zero_rows].tolist(),
            "penult": __version__,
        }

    def table(self) -> Any:
        """The input's columns, and the places."""
        places = dict(zip(AXES, self.result.coordinates.T, strict=False))
        table = tables.extended(self.side, places, self.rows)
        facts = {**self.parameters(), "source": self.source, "asked": asdict(self.call)}
        return tables.with_facts(table, self.side, "map", facts)

    def facts(self) -> dict[str, Any]:
        """All of it, for --json: the place of each row, null without an embedding."""
        every: list[list[float] | None] = [None] * len(self.side.vectors)
        for row, place in zip(self.rows.tolist(), self.result.coordinates, strict=True):
            every[row] = [float(str(number)) for number in place]
        kept: list[float | None] = [None] * len(every)
        for row, share in zip(self.rows.tolist(), self.result.row_neighbors_kept.tolist(), strict=False):
            kept[row] = share if math.isfinite(share) else None
        return {**self.parameters(), "coordinates": every, "row_neighbors_kept": kept}

    def view(self) -> MapView:
        """What the pictures show."""
        from penult_service.plots.views import MapView

        texts = self.side.texts
        return MapView(
            self.result.coordinates,
            self.colouring.labels,
            None if texts is None else [texts[row] for row in self.rows],
            title=self.title or self.source,
            caption=" · ".join(self.caption()),
            values=self.colouring.values,
            legend=self.colouring.name,
            noise=self.colouring.noise,
            neighbors_kept=self.result.row_neighbors_kept if len(self.result.row_neighbors_kept) else None,
        )

    def caption(self) -> list[str]:
        """The method, the rows, and how far to trust it."""
        used, result = self.result.used, self.result
        method = str(used.get("method", self.call.method))
        parts = [f"{NAMES.get(method, method)} of {len(self.rows):,} rows"]
        shown = {name: value for name, value in used.items() if name not in ("method", "n_components")}
        parts.append(analyses.in_words(shown))
        if len(result.explained_variance):
            parts.append("explains " + " + ".join(f"{share:.0%}" for share in result.explained_variance))
        if result.trustworthiness is not None:
            parts.append(f"trustworthiness {result.trustworthiness:.3f}")
        if result.neighbors_kept is not None:
            parts.append(f"neighbours kept {result.neighbors_kept:.0%}")
        return [part for part in parts if part]


def _write(made: Map, places: Sequence[Path]) -> None:
    """All outputs, or none."""
    with drafts(*places) as written:
        for draft, place in zip(written, places, strict=True):
            ending = place.suffix.lower()
            if ending in PICTURES:
                from penult_service.plots.map_picture import picture

                draft.write_bytes(picture([made.view()], ending.removeprefix(".")))
            elif ending in PAGES:
                from penult_service.plots.map_page import page

                view = made.view()
                draft.write_text(page(view, view.title), encoding="utf-8", newline="\n")
            else:
                tables.write(draft, ending, made.table())
    for place in places:
        note(f"wrote {place}")


def _show(made: Map) -> None:
    result = made.result
    print(f"map of {len(made.rows):,} rows: {analyses.in_words(made.parameters()['used'])}")
    if result.trustworthiness is None:
        print("trustworthiness: too few rows to say")
    else:
        measured = f"{result.quality_rows:,} rows, {result.quality_neighbors} neighbours"
        print(f"trustworthiness {result.trustworthiness:.3f} ({measured})")
    more = {
        "continuity": result.continuity,
        "neighbours kept": result.neighbors_kept,
        "rank correlation of distances": result.distance_correlation,
        "disparity to the other map": result.alignment_disparity,
    }
    told = [f"{name} {value:.3f}" for name, value in more.items() if value is not None]
    if told:
        print(", ".join(told))
    if result.label_purity is not None:
        among = (
            ""
            if result.label_purity_source is None
            else f"; among the embeddings {result.label_purity_source:.3f}"
        )
        print(f"neighbours with the row's {made.colouring.name}: {result.label_purity:.3f} on the map{among}")
    if len(result.explained_variance):
        print("explained variance " + ", ".join(f"{share:.1%}" for share in result.explained_variance))
