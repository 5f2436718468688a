"""`penult clusters`: clusters that are kept, what became of them, and what a person changes."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penult_service.cli import kept, kept_words, options, remote
from penult_service.cli.analyses import in_words, tell_adjustments
from penult_service.cli.clusters import cluster_report
from penult_service.cli.console import note, print_table
from penult_service.cli.maps.stored_rows import StoredRows, places_of, stored_rows
from penult_service.errors import InvalidInput
from penult_service.plots.words import counted

if TYPE_CHECKING:
    from penult_client import Clusters

# What takes the keywords of a cluster away: the server keeps no texts of rows.
_CHANGES = ("grown", "merged", "split")
_Name = Annotated[str, typer.Argument(metavar="NAME", help="What they are kept under.", show_default=False)]
_Label = Annotated[int, typer.Argument(metavar="LABEL", help="The cluster's number.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(_list)
    group.command("show")(_show)
    group.command("merge")(_merge)
    group.command("split")(_split)
    group.command("name")(_name)
    group.command("history")(_history)
    group.command("delete")(_delete)
    app.add_typer(group, name="clusters", help="Clusters that are kept: `penult cluster --name` makes them.")


def _list(
    server: options.KeepingServer = None, data: options.KeptData = None, as_json: options.Json = False
) -> None:
    """All clusterings that are kept, by name."""
    with kept.keeper(None, server, data) as (client, _):
        found = client.clusterings()
    if as_json:
        _print_json([kept_words.info_facts(each) for each in found])
        return
    if not found:
        print(f"{server or data} keeps no clusters")
        return
    headings = ("name", "clusters", "rows", "method", "of", "made", "changed", "kept")
    print_table(headings, [kept_words.info_line(each) for each in found], right=(1, 2))
    for each in found:
        if each.problem:
            print(f"{each.name}: {each.problem}")


def _show(
    name: _Name,
    server: options.KeepingServer = None,
    data: options.KeptData = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A report: a .html or .md file; several times for both."
        ),
    ] = None,
    dendrogram: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw how the clusters belong together: a .png or .svg file."),
    ] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="The files that the clusters were made of and took in, in that order: for keywords, and the texts "
            "of a report. [default: the dataset, if they are of one]",
        ),
    ] = None,
    on_map: Annotated[
        str | None,
        typer.Option(
            "--map", metavar="NAME", help="Of a page: show them on a map of the same rows, that is kept."
        ),
    ] = None,
    text_column: options.TextColumn = "text",
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """The clusters, with their keywords and names."""
    places = cluster_report.checked(output or [], dendrogram, source or [], overwrite, cluster_report.REPORTS)
    if on_map and not any(place.suffix.lower() in cluster_report.PAGES for place in places):
        raise InvalidInput("--map is of a page; name one with -o FILE.html", field="--map")
    rows, coordinates = StoredRows(), None
    with kept.keeper(None, server, data) as (client, _):
        found = client.clustering(name)
        if (places or source) and found.stored is not None:
            rows = stored_rows(client, found.stored, source or [], text_column)
        if on_map:
            coordinates = places_of(client, found, on_map)
    found = cluster_report.with_keywords(found, rows.texts)
    if places:
        cluster_report.write_kept(
            places, found, name, rows.texts, shlex.join(["penult", *sys.argv[1:]]), coordinates
        )
    changed = any(batch.event in _CHANGES for batch in found.history)
    if changed and not source and not all(one.keywords for one in found.clusters):
        note("note: a cluster that was changed has no keywords; --input FILE names the texts to make them of")
    _tell(found, as_json)


def _merge(
    name: _Name,
    labels: Annotated[
        list[int],
        typer.Argument(metavar="LABEL LABEL...", help="Numbers of two clusters or more.", show_default=False),
    ],
    server: options.KeepingServer = None,
    data: options.KeptData = None,
    as_json: options.Json = False,
) -> None:
    """Make one cluster of some; it has the number of the largest."""
    with kept.keeper(None, server, data) as (client, _):
        found = client.merge_clusters(name, labels)
    tell_adjustments(remote.adjustments(found.adjustments))
    _tell(found, as_json)


def _split(
    name: _Name,
    label: _Label,
    parts: Annotated[int, typer.Option("--into", metavar="N", help="Into how many.")] = 2,
    server: options.KeepingServer = None,
    data: options.KeptData = None,
    as_json: options.Json = False,
) -> None:
    """Make several clusters of one; the largest part keeps its number."""
    with kept.keeper(None, server, data) as (client, _):
        found = client.split_cluster(name, label, parts)
    tell_adjustments(remote.adjustments(found.adjustments))
    _tell(found, as_json)


def _name(
    name: _Name,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="LABEL=TEXT...",
            help='Such as 0=refunds 3="lost cards"; 0= takes the name away.',
            show_default=False,
        ),
    ],
    server: options.KeepingServer = None,
    data: options.KeptData = None,
    as_json: options.Json = False,
) -> None:
    """Give clusters names."""
    pairs = [_parsed(each) for each in names]
    given = dict(pairs)
    if len(given) < len(pairs):
        twice = next(label for label in given if [one for one, _ in pairs].count(label) > 1)
        raise InvalidInput(
            f"cluster {twice} is given two names; give it one", reason="NAMED_TWICE", field="names"
        )
    with kept.keeper(None, server, data) as (client, _):
        found = client.name_clusters(name, given)
    _tell(found, as_json)


def _history(
    name: _Name,
    server: options.KeepingServer = None,
    data: options.KeptData = None,
    as_json: options.Json = False,
) -> None:
    """What became of the clusters since they were made: batches, sizes, how far centres moved."""
    with kept.keeper(None, server, data) as (client, _):
        found = client.clustering(name)
    if as_json:
        _print_json([kept_words.batch_facts(each) for each in found.history])
        return
    headings = ("when", "what", "rows", "in none", "clusters", "new", "gone", "largest move of a centre")
    print_table(headings, [kept_words.batch_line(each) for each in found.history], right=(2, 3, 4))


def _delete(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names.", show_default=False)],
    server: options.KeepingServer = None,
    data: options.KeptData = None,
) -> None:
    """Delete clusterings."""
    with kept.keeper(None, server, data) as (client, _):
        for each in names:
            client.delete_clustering(each)
            print(f"{each} is deleted")


def _parsed(given: str) -> tuple[int, str]:
    """The label and the name of ``LABEL=TEXT``.

    Raises:
        InvalidInput: it is none.
    """
    label, equals, text = given.partition("=")
    if not equals or not label.strip().isdecimal():
        raise InvalidInput(
            f"{given!r} is no LABEL=TEXT, such as 0=refunds", reason="NOT_A_NAME", field="names"
        )
    return int(label), text


def _tell(found: Clusters, as_json: bool) -> None:
    if as_json:
        _print_json(kept_words.facts(found))
        return
    stored = found.stored
    assert stored is not None
    count, rows = len(found.clusters), len(found.labels)
    none = int((found.labels < 0).sum())
    print(
        f"{stored.name}: {counted(count, 'cluster')} of {counted(rows, 'row')}, {none:,} in none; "
        f"{in_words(found.used)}"
    )
    if found.history:
        print(f"last {found.history[-1].event}; `penult clusters history {stored.name}` tells all")
    if not count:
        return
    print()
    headings = ("cluster", "name", "rows", "share", "keywords", "central rows")
    print_table(headings, [kept_words.cluster_line(each, rows) for each in found.clusters], right=(0, 2, 3))


def _print_json(told: Any) -> None:
    print(json.dumps(told, indent=1, ensure_ascii=False))
