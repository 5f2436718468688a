"""`penult map`: a place in two or three dimensions for each row, and pictures of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from penult_service.analysis import calls
from penult_service.cli import analyses, estimates, kept, options, tables
from penult_service.cli.console import note
from penult_service.cli.maps.colouring import (
    NEIGHBORS_KEPT,
    Colouring,
    colouring_of,
    kept_wanted,
    of_neighbors_kept,
)
from penult_service.cli.maps.mapped import AXES, Map
from penult_service.cli.outputs import drafts
from penult_service.cli.scores import sides
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput
from penult_service.plots.words import counted
from penult_service.vectors import POOLINGS, TRUNCATIONS

PICTURES = (".png", ".svg")
PAGES = (".html",)
ENDINGS = (*PICTURES, *PAGES, *tables.ENDINGS)


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
    in --data DIR (of `penult serve --data`): `penult transform` places new rows on it, `penult maps list` names what
    is kept.

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
        added = AXES[:components] if any(place.suffix.lower() in tables.ENDINGS for place in places) else ()
        columns = tables.Columns(_wanted(color, supervised), added)
        side = sides.of_file(source, text_column, embedding, keep=True, check=columns.check)
        analyses.tell_missing(side)
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
    made = Map(call, side, rows, colouring, result, source.name, title, supervised or colouring.name)
    analyses.tell_adjustments(result.adjustments)
    what = "with zeros alone (no direction: they lie together beside the map)"
    analyses.tell_rows(what, rows[result.zero_rows])
    _write(made, places)
    kept.tell(embedding)
    if as_json:
        print(json.dumps(made.facts(), indent=1, ensure_ascii=False))
    else:
        _show(made)


def _wanted(color: str | None, supervised: str | None) -> dict[str, str]:
    """Columns that the input has to have, by the options that name them."""
    given = {"--supervised": supervised, "--color": None if color == NEIGHBORS_KEPT else color}
    return {option: name for option, name in given.items() if name is not None}


def _labels(side: Side, name: str, rows: NDArray[np.intp]) -> list[str]:
    """The labels that supervise the map, "" where a row has none."""
    values = tables.column_of(side, name, "--supervised").to_pylist()
    return [tables.word(values[row]) for row in rows]


def _write(made: Map, places: Sequence[Path]) -> None:
    """All outputs, or none."""
    with drafts(*places) as written:
        for draft, place in zip(written, places, strict=True):
            ending = place.suffix.lower()
            if ending in PICTURES:
                from penult_service.plots.maps.map_picture import picture

                draft.write_bytes(picture([made.view()], ending.removeprefix(".")))
            elif ending in PAGES:
                from penult_service.plots.maps.map_page import page

                view = made.view()
                draft.write_text(page(view, view.title), encoding="utf-8", newline="\n")
            else:
                tables.write(draft, ending, made.table())
    for place in places:
        note(f"wrote {place}")


def _show(made: Map) -> None:
    result = made.result
    print(f"map of {counted(len(made.rows), 'row')}: {analyses.in_words(made.parameters()['used'])}")
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
        print(f"neighbours with the row's {made.measured}: {result.label_purity:.3f} on the map{among}")
    if len(result.explained_variance):
        print("explained variance " + ", ".join(f"{share:.1%}" for share in result.explained_variance))
